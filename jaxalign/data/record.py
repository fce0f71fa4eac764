"""One preference record: what every source gives and every pipeline takes."""

import dataclasses
import math
import numbers
import typing
from collections.abc import Mapping, Sequence
from typing import Any


class Message(typing.TypedDict):
    """One turn of a chat."""

    role: str
    content: str


@typing.no_type_check  # values come from files, and __post_init__ judges them in words that name the field
@dataclasses.dataclass(frozen=True)
class PreferenceRecord:
    """Responses to one prompt, with graded labels.

    An empty response is legal: it says that the best answer is silence, and becomes a lone end-of-sequence token. A
    list of one response is legal too: ranking losses get nothing from it, supervised fine-tuning does.

    Attributes:
      prompt: a text, or a chat to which the responses are the next turn.
      responses: at least one text.
      labels: one for each response, in [0, 1], higher is better.
      source: which data set or part of one, for reports.
      id: what the source calls this record.

    Raises:
      ValueError: naming the field, when a value is not of the form above.
    """

    prompt: str | tuple[Message, ...]
    responses: tuple[str, ...]
    labels: tuple[float, ...]
    source: str = ""
    id: str = ""

    def __post_init__(self):
        if not isinstance(self.prompt, str):
            object.__setattr__(self, "prompt", chat_messages(self.prompt))
        for field in ("responses", "labels"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if not self.responses:
            raise ValueError("responses: expected at least one, got none")
        for index, response in enumerate(self.responses):
            if not isinstance(response, str):
                raise ValueError(f"responses: expected texts, got {response!r} at index {index}")
        if len(self.labels) != len(self.responses):
            raise ValueError(f"labels: expected {len(self.responses)}, one for each response, got {len(self.labels)}")
        for index, label in enumerate(self.labels):
            if not (isinstance(label, numbers.Real) and 0 <= label <= 1):
                raise ValueError(f"labels: expected numbers in [0, 1], got {label!r} at index {index}; rescale scores")

    @classmethod
    def from_ranks(cls, prompt, responses: Sequence[str], ranks: Sequence[Any], **fields) -> "PreferenceRecord":
        """A record of responses that are only ranked, 1 = best; see :func:`labels_from_ranks`."""
        return cls(prompt, tuple(responses), labels_from_ranks(ranks), **fields)

    @classmethod
    def from_pair(cls, prompt, chosen: str, rejected: str, **fields) -> "PreferenceRecord":
        """A list of two: a ranking of the chosen response (label 0.75) before the rejected one (0.25)."""
        return cls.from_ranks(prompt, (chosen, rejected), (1, 2), **fields)

    def best(self, count: int = 1) -> "PreferenceRecord":
        """The ``count`` responses with the highest labels, best first: demonstrations for supervised fine-tuning."""
        order = sorted(range(len(self.labels)), key=lambda index: -self.labels[index])[:count]
        return dataclasses.replace(
            self,
            responses=tuple(self.responses[index] for index in order),
            labels=tuple(self.labels[index] for index in order),
        )


def labels_from_ranks(ranks: Sequence[Any]) -> tuple[float, ...]:
    """The share of a list that each response beats, itself and equal ranks counting one half; rank 1 is the best.

    The same numbers as :func:`jaxalign.losses.labels_from_ranks`, for one record on the host.

    >>> labels_from_ranks([1, 3, 2])
    (0.8333333333333334, 0.16666666666666666, 0.5)

    Source: LiPO (arXiv 2402.01878), rank-only data.
    """
    for index, rank in enumerate(ranks):
        if not isinstance(rank, numbers.Real) or math.isnan(rank):
            raise ValueError(f"ranks: expected numbers, got {rank!r} at index {index}")
    return tuple(sum(0.5 * ((rank < other) + (rank <= other)) for other in ranks) / len(ranks) for rank in ranks)


def chat_messages(messages: Any) -> tuple[Message, ...]:
    """A chat with nothing but the roles and contents of its turns.

    Raises:
      ValueError: if there is no turn, or one without a text for role and content.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, bytes) or not messages:
        raise ValueError(f"prompt: expected a text or a list of at least one chat message, got {messages!r}")
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not all(isinstance(message.get(k), str) for k in ("role", "content")):
            raise ValueError(f"prompt: expected messages with texts for role and content, got {message!r} at {index}")
    return tuple(Message(role=message["role"], content=message["content"]) for message in messages)
