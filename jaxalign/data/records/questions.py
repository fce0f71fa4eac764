"""Questions with a known set of answers: what ensembles of explanations are asked."""

import dataclasses
import math
import numbers
import random
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


@typing.no_type_check  # values come from files, and __post_init__ judges them in words that name the field
@dataclasses.dataclass(frozen=True)
class Question:
    """A question, its possible answers, and explanations that people gave of the right one.

    Attributes:
      text: all that is asked about, for instance premise and hypothesis.
      options: the answers as texts, two or more.
      answer: the place of the right one; None if nobody says.
      explanations: of the right answer; a demonstration shows the first.
      group: questions of one group share a part of their text, such as a premise, and belong on one side of a split.
      source: which data set or part of one.
      id: what the source calls this question.

    Raises:
      ValueError: naming the field, when a value is not of the form above.
    """

    text: str
    options: tuple[str, ...]
    answer: int | None = None
    explanations: tuple[str, ...] = ()
    group: str = ""
    source: str = ""
    id: str = ""

    def __post_init__(self):
        for field in ("options", "explanations"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
            if not all(isinstance(text, str) for text in getattr(self, field)):
                raise ValueError(f"{field}: expected texts, got {getattr(self, field)!r}")
        if not isinstance(self.text, str) or not self.text.strip():
            raise ValueError(f"text: expected a text that is not empty, got {self.text!r}")
        if len(self.options) < 2:
            raise ValueError(f"options: expected two or more, got {self.options!r}")
        if self.answer is not None:
            place = whole_number(self.answer)
            if place not in range(len(self.options)):
                expected = f"a place in 0 to {len(self.options) - 1} or None"
                raise ValueError(f"answer: expected {expected}, got {self.answer!r}")
            object.__setattr__(self, "answer", place)


def whole_number(value: Any) -> int | None:
    """A number without a fraction as an int, for instance 1 for 1.0; None for anything else, truth values included."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


class QuestionSplit(NamedTuple):
    """Questions to learn from and questions to test on; no text and no group is on both sides.

    Attributes:
      demonstrations: questions with answers and explanations, to be shown.
      test: questions with answers, to be asked.
    """

    demonstrations: list[Question]
    test: list[Question]


def split_questions(
    questions: Sequence[Question], *, num_demonstrations: int, num_test: int, seed: int
) -> QuestionSplit:
    """Draws demonstrations, which need an answer and an explanation, and then test questions, which need an answer.

    A question that shares its text or its group with a demonstration is never tested on.

    Args:
      questions: all there are.
      num_demonstrations: how many to show.
      num_test: how many to ask.
      seed: of the draw.

    Returns:
      Both kinds, in random order.

    Raises:
      ValueError: if there are too few questions of either kind.
    """
    order = random.Random(seed).sample(list(questions), len(questions))
    shown = [question for question in order if question.answer is not None and question.explanations]
    shown = shown[:num_demonstrations]
    taken = {key for question in shown for key in _keys(question)}
    test = [question for question in order if question.answer is not None and not taken & _keys(question)][:num_test]
    if len(shown) < num_demonstrations or len(test) < num_test:
        raise ValueError(
            f"expected {num_demonstrations} demonstrations with explanations and {num_test} test questions that share "
            f"nothing with them, got {len(shown)} and {len(test)} of {len(questions)} questions; ask for fewer"
        )
    return QuestionSplit(shown, test)


def _keys(question: Question) -> set[tuple[str, str]]:
    return {("text", question.text)} | ({("group", question.group)} if question.group else set())
