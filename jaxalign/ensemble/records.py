"""What an ensemble of explanations drew and what it made of it."""

import math
from typing import NamedTuple

from jaxalign.data import Question


class Sample(NamedTuple):
    """One explanation and answer of a model, with its provenance."""

    text: str  # as the model wrote it
    explanation: str  # without the answer that the model went on to give; "" if there is none
    choice: int | None  # the answer that the text gives; None if it cannot be read
    order: tuple[int, ...]  # the demonstrations of the prompt, by place in the list that was given, in order
    # p(y | prompt, question, explanation) at temperature 1; None if nobody asked, or it cannot be read
    probabilities: tuple[float, ...] | None = None
    weight: float | None = None  # how good the explanation is; None if nobody asked, or it cannot be read


class Prediction(NamedTuple):
    """An answer to one question."""

    shares: tuple[float, ...] | None  # of each option, summing to 1; None if nothing could be read: there is no answer
    samples: tuple[Sample, ...] = ()
    scorer: str = ""  # what gave the weights

    @property
    def choice(self) -> int | None:
        """The option with the largest share, the first one of a tie; None if a share is missing or no number."""
        if self.shares is None or not all(map(math.isfinite, self.shares)):
            return None
        return max(range(len(self.shares)), key=self.shares.__getitem__)

    @property
    def unparsed(self) -> int:
        """Samples without an answer that could be read."""
        return sum(sample.choice is None for sample in self.samples)


class Explained(NamedTuple):
    """A question with an explanation and the answer that it led to, for a scorer to weigh."""

    question: Question
    explanation: str
    answer: int | None
