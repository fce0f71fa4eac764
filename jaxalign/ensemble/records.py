"""What an ensemble of explanations drew and what it made of it."""

import math
from typing import NamedTuple

from jaxalign.data import Question


class Sample(NamedTuple):
    """One explanation and answer of a model, with its provenance.

    Attributes:
      text: as the model wrote it.
      explanation: without the answer that the model went on to give; "" if there is none.
      choice: the answer that the text gives, by place among the options; None if it cannot be read.
      order: the demonstrations of the prompt, by place in the list that was given, in order.
      probabilities: of each option after the prompt, the question and the explanation, at temperature 1; None if nobody
        asked, or they cannot be read.
      weight: how good the explanation is, at least 0; None if nobody asked, or it cannot be read.
    """

    text: str
    explanation: str
    choice: int | None
    order: tuple[int, ...]
    probabilities: tuple[float, ...] | None = None
    weight: float | None = None


class Prediction(NamedTuple):
    """An answer to one question.

    Attributes:
      shares: of each option, summing to 1; None if nothing could be read, so that there is no answer.
      samples: what it was made of.
      scorer: what gave the weights of the samples.
    """

    shares: tuple[float, ...] | None
    samples: tuple[Sample, ...] = ()
    scorer: str = ""

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
    """A question with an explanation and the answer that it led to, for a scorer to weigh.

    Attributes:
      question: what was asked.
      explanation: of the answer, on one line.
      answer: the answer's place among the options; None if it is not known or not shown.
    """

    question: Question
    explanation: str
    answer: int | None
