"""One preference record: what every source gives and every pipeline takes."""

import dataclasses
import math
import numbers
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Required


class Message(typing.TypedDict, total=False):
    """One turn of a chat: a role and a content, and what a template may write beside them.

    ``content`` may be missing where there are ``tool_calls``.
    """

    role: Required[str]
    content: str
    name: str
    tool_calls: list
    tool_call_id: str
    reasoning_content: str
    thinking: str


Answer = str | Message
"""What an assistant says to a prompt: a text, or a message that has more than a content, for instance tool calls."""

BESIDE_CONTENT = "name", "tool_calls", "tool_call_id", "reasoning_content", "thinking"
UNREADABLE = "function_call", "refusal", "audio", "images", "weight", "train"
"""Fields that change what a message says or teaches, and that no template here writes."""


@typing.no_type_check  # values come from files, and __post_init__ judges them in words that name the field
@dataclasses.dataclass(frozen=True)
class PreferenceRecord:
    """Responses to one prompt, with graded labels.

    An empty response is legal: it says that the best answer is silence, and becomes a lone end-of-sequence token. A
    list of one response is legal too: ranking losses get nothing from it, supervised fine-tuning does.

    Attributes:
      prompt: a text, or a chat to which the responses are the next turn.
      responses: at least one, each a text or, to a chat, a message of the assistant that says more than a text.
      labels: one for each response, in [0, 1], higher is better.
      source: which data set or part of one, for reports.
      id: what the source calls this record.
      tools: JSON schemas of the functions that the assistant of a chat may call, as its template takes them.
      tokens: where a model wrote the responses, the token ids of each, its end included, or None for a response that
        is only a text. They are used as they are: a text may have been written in other tokens than it is encoded in.

    Raises:
      ValueError: naming the field, when a value is not of the form above.
    """

    prompt: str | tuple[Message, ...]
    responses: tuple[Answer, ...]
    labels: tuple[float, ...]
    source: str = ""
    id: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    tokens: tuple[Sequence[int] | None, ...] = ()

    def __post_init__(self):
        if not isinstance(self.prompt, str):
            object.__setattr__(self, "prompt", chat_messages(self.prompt))
        for field in ("labels", "tools", "tokens"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        answers = tuple(answer_of(each, f"responses, index {n}") for n, each in enumerate(self.responses))
        object.__setattr__(self, "responses", answers)
        if not self.responses:
            raise ValueError("responses: expected at least one, got none")
        if isinstance(self.prompt, str) and (self.tools or not all(isinstance(each, str) for each in answers)):
            raise ValueError("prompt: tools and tool calls belong to a chat, got a text; give a list of messages")
        if len(self.tokens) not in (0, len(answers)):
            raise ValueError(f"tokens: expected {len(answers)}, one for each response, or none, got {len(self.tokens)}")
        if len(self.labels) != len(self.responses):
            raise ValueError(f"labels: expected {len(self.responses)}, one for each response, got {len(self.labels)}")
        for index, label in enumerate(self.labels):
            if not (isinstance(label, numbers.Real) and 0 <= label <= 1):
                raise ValueError(f"labels: expected numbers in [0, 1], got {label!r} at index {index}; rescale scores")

    @classmethod
    def from_ranks(cls, prompt, responses: Sequence[Answer], ranks: Sequence[Any], **fields) -> "PreferenceRecord":
        """Makes a record of responses that are only ranked, 1 = best; see :func:`labels_from_ranks`."""
        return cls(prompt, tuple(responses), labels_from_ranks(ranks), **fields)

    @classmethod
    def from_pair(cls, prompt, chosen: Answer, rejected: Answer, **fields) -> "PreferenceRecord":
        """Makes a list of two: a ranking of the chosen response (label 0.75) before the rejected one (0.25)."""
        return cls.from_ranks(prompt, (chosen, rejected), (1, 2), **fields)

    def unanswered(self) -> "PreferenceRecord":
        """Returns the prompt alone, to be sampled from: its one response has no token, not even an end."""
        return dataclasses.replace(self, responses=("",), labels=(0.0,), tokens=((),))

    def as_chat(self) -> "PreferenceRecord":
        """Returns the record with a prompt that is a text made a user's message; a chat stays as it is."""
        if not isinstance(self.prompt, str):
            return self
        return dataclasses.replace(self, prompt=(Message(role="user", content=self.prompt),))

    def best(self, count: int = 1) -> "PreferenceRecord":
        """Returns the ``count`` responses with the highest labels, best first, for supervised fine-tuning."""
        order = sorted(range(len(self.labels)), key=lambda index: -self.labels[index])[:count]
        return dataclasses.replace(
            self,
            responses=tuple(self.responses[index] for index in order),
            labels=tuple(self.labels[index] for index in order),
            tokens=tuple(self.tokens[index] for index in order if self.tokens),
        )


def labels_from_ranks(ranks: Sequence[Any]) -> tuple[float, ...]:
    """Returns the share of a list that each response beats, itself and equal ranks counting one half.

    They are the numbers of :func:`jaxalign.losses.labels_from_ranks`, for one record on the host.

    Args:
      ranks: one number for each response; the least is the best.

    Returns:
      A label in (0, 1) for each response.

    >>> labels_from_ranks([1, 3, 2])
    (0.8333333333333334, 0.16666666666666666, 0.5)

    Raises:
      ValueError: if a rank is no number.

    Source: LiPO (arXiv 2402.01878), rank-only data.
    """
    for index, rank in enumerate(ranks):
        if not isinstance(rank, numbers.Real) or math.isnan(rank):
            raise ValueError(f"ranks: expected numbers, got {rank!r} at index {index}")
    return tuple(sum(0.5 * ((rank < other) + (rank <= other)) for other in ranks) / len(ranks) for rank in ranks)


def chat_messages(messages: Any, field: str = "prompt") -> tuple[Message, ...]:
    """A chat with the roles and contents of its turns and what else a template may write; other fields are metadata.

    Contents that are lists of text parts become one text, and fields without a value are left out.

    Args:
      field: what errors call the chat.

    Raises:
      ValueError: if there is no turn; one has no role or says nothing, or says what cannot be rendered: a part that is
        no text, or one of :data:`UNREADABLE`.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, bytes) or not messages:
        raise ValueError(f"{field}: expected a text or a list of at least one chat message, got {messages!r}")
    return tuple(_message(message, f"{field}, message {index}") for index, message in enumerate(messages))


def answer_of(value: Any, field: str) -> Answer:
    """A response as it is kept: a text, or the assistant's message where it has more than a content.

    Raises:
      ValueError: naming ``field``, if it is neither a text nor a message of the assistant.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{field}: expected a text or a message of the assistant, got {value!r}")
    message = _message(value, field)
    if message["role"] != "assistant":
        raise ValueError(
            f"{field}: expected a response of the role 'assistant', got one of {message['role']!r}; cut the "
            "conversation after an answer, or leave the row out"
        )
    return message["content"] if message.keys() <= {"role", "content", "name"} else message


def answer_text(answer: Answer) -> str:
    """Returns an answer where only a text will do.

    Args:
      answer: a text, or a message of the assistant.

    Raises:
      ValueError: if it is a message that says more than a text, which would be lost.
    """
    if not isinstance(answer, str):
        more = ", ".join(sorted(answer.keys() - {"role", "content", "name"}))
        raise ValueError(f"responses: expected texts here, got a message with {more}; only chats can show it")
    return answer


def _message(message: Any, field: str) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise ValueError(f"{field}: expected messages with texts for role and content, got {message!r}")
    for name in UNREADABLE:
        if message.get(name) not in (None, "", True, 1) and message[name] != []:
            raise ValueError(f"{field}: {name} is {message[name]!r}, which cannot be rendered; leave the row out")
    given = {name: _without_nones(message[name]) for name in BESIDE_CONTENT if message.get(name)}
    if message.get("content") is not None:
        given = {"content": _text_of(message["content"], field)} | given
    elif "tool_calls" not in given:
        raise ValueError(f"{field}: expected messages with texts for role and content, got {message!r}")
    return Message(role=message["role"], **given)


def _text_of(content: Any, field: str) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else [content]
    for part in parts:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ValueError(f"{field}: expected a content of texts, got the part {part!r}; only texts can be read")
    return "".join(part["text"] for part in parts)


def _without_nones(value: Any) -> Any:
    """Columns of one type give every message the fields of all others, empty."""
    if isinstance(value, Mapping):
        return {name: _without_nones(item) for name, item in value.items() if item is not None}
    return [_without_nones(item) for item in value] if isinstance(value, list | tuple) else value
