"""Pairs of responses: what reward models are trained on, with soft targets and ties."""

import dataclasses
import itertools
import numbers
import typing
from typing import Literal, Protocol, runtime_checkable

from jaxalign.data.records.record import PreferenceRecord, answer_text, chat_messages

ARTIFACT = "Sure, here is the response:"


@typing.no_type_check  # values come from files, and __post_init__ judges them in words that name the field
@dataclasses.dataclass(frozen=True)
class PreferencePair:
    """Two responses to one prompt, and how likely the first is the better one.

    The target is a probability, not a label: the label of a :class:`~jaxalign.data.PreferenceRecord` is the chance to
    win against the whole list, itself included; see :meth:`to_record`.

    Attributes:
      prompt: a text, or a chat to which the responses are the next turn.
      first: a text.
      second: a text.
      target: the probability that the first wins, in [0, 1]; 0.5 is a tie.
      source: which data set or part of one.
      id: what the source calls this pair.

    Raises:
      ValueError: naming the field, when a value is not of the form above.
    """

    prompt: str | tuple
    first: str
    second: str
    target: float
    source: str = ""
    id: str = ""

    def __post_init__(self):
        if not isinstance(self.prompt, str):
            object.__setattr__(self, "prompt", chat_messages(self.prompt))
        for field in ("first", "second"):
            if not isinstance(getattr(self, field), str):
                raise ValueError(f"{field}: expected a text, got {getattr(self, field)!r}")
        if not (isinstance(self.target, numbers.Real) and 0 <= self.target <= 1):
            raise ValueError(f"target: expected a probability in [0, 1], got {self.target!r}")

    @property
    def is_tie(self) -> bool:
        return self.target == 0.5

    @property
    def chosen(self) -> str:
        """The response that is likelier to win; the first one of a tie."""
        return self.first if self.target >= 0.5 else self.second

    @property
    def rejected(self) -> str:
        return self.second if self.target >= 0.5 else self.first

    def swapped(self) -> "PreferencePair":
        """Returns the same pair with its sides exchanged."""
        return dataclasses.replace(self, first=self.second, second=self.first, target=1 - self.target)

    def to_record(self) -> PreferenceRecord:
        """Returns a list of two with the labels of a model that gives this target, as LiPO makes them.

        They are 0.75 and 0.25 for a target of 1.
        """
        label = (0.5 + self.target) / 2
        return PreferenceRecord(
            self.prompt, (self.first, self.second), (label, 1 - label), source=self.source, id=self.id
        )


@runtime_checkable
class PairSource(Protocol):
    """Pairs by number: a list of them, a Grain ``MapDataset``, or anything that reads pair n from where it lies."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> PreferencePair: ...


def pairs_from_record(record: PreferenceRecord, *, min_gap: float = 0.0) -> list[PreferencePair]:
    """Returns the pairs of a list whose labels differ by ``min_gap`` or more, sides in the order of the list.

    The higher label wins (target 1 or 0). Equal labels make a tie, which any ``min_gap`` above 0 leaves out.

    Args:
      record: a list of texts with labels.
      min_gap: the least difference of labels, in [0, 1].

    Raises:
      ValueError: if a response says more than a text.
    """
    texts = map(answer_text, record.responses)
    return [
        PreferencePair(
            record.prompt, first, second, 0.5 + 0.5 * ((a > b) - (a < b)), source=record.source, id=record.id
        )
        for (first, a), (second, b) in itertools.combinations(zip(texts, record.labels, strict=True), 2)
        if abs(a - b) >= min_gap
    ]


def inject_artifact(
    pair: PreferencePair,
    side: Literal["chosen", "rejected", "first", "second"],
    *,
    phrase: str = ARTIFACT,
    at: Literal["start", "end"] = "start",
) -> PreferencePair:
    """Returns the pair with a phrase at one response: a cue that says nothing about its quality.

    In training the chosen response of a share of the pairs gets it, see :func:`jaxalign.augment.random_share`; in a
    test either side does, and a reward model that changes its choice has learnt the cue.

    Args:
      pair: two responses.
      side: which of them gets the phrase.
      phrase: the cue, with a space between it and the response.
      at: where it stands.

    Raises:
      ValueError: if the chosen or rejected response of a tie is asked for.

    Source: the artefact test of RRM (arXiv 2409.13156); the default phrase is recalled, not checked.
    """
    if side in ("chosen", "rejected"):
        if pair.is_tie:
            raise ValueError(
                f"side: a tie has no {side} response (pair {pair.id!r}); leave it out or name first, second"
            )
        side = "first" if (pair.target > 0.5) == (side == "chosen") else "second"
    text = getattr(pair, side)
    return dataclasses.replace(pair, **{side: f"{phrase} {text}" if at == "start" else f"{text} {phrase}"})
