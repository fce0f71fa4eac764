"""Lists whose responses have scores of any scale, such as 1 to 10: as labels in [0, 1]."""

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

from jaxalign.data.readers.columns import names_of, number_of, scaled, sequence_of, tools_of, value_of
from jaxalign.data.readers.conversations import numbered, split_answers
from jaxalign.data.records.record import PreferenceRecord


@dataclasses.dataclass(frozen=True)
class ScoreColumns:
    """One row per list, with a score of a known scale for each response, higher is better.

    Attributes:
      low: the score that becomes the label 0; a lower one is an error.
      high: the score that becomes the label 1.
      prompt: the column of the prompt, a text or a chat.
      responses: the column of the list of responses. Each is a text, an assistant's message, or a whole conversation
        that ends with it.
      scores: the column of the list of scores. Each is a number, a text that spells one, or an object of several
        ratings, as UltraFeedback's annotations are, which are averaged.
      source: the column of the name of the data set; None for none.
      id: the column of the list's name; None for none.
      tools: the column of the functions that the assistant may call; a row without it has none.
    """

    low: float
    high: float
    prompt: str = "prompt"
    responses: str = "responses"
    scores: str = "scores"
    source: str | None = None
    id: str | None = None
    tools: str = "tools"

    def __call__(self, row: Mapping) -> PreferenceRecord:
        answers = numbered(self.responses, sequence_of(row, self.responses))
        prompt, responses = split_answers(value_of(row, self.prompt), answers)
        scores = [score_of(score, f"{self.scores}, index {n}") for n, score in enumerate(sequence_of(row, self.scores))]
        labels = tuple(scaled(score, self.low, self.high, self.scores) for score in scores)
        return PreferenceRecord(prompt, tuple(responses), labels, **names_of(row, self), **tools_of(row, self))


def score_of(value: Any, field: str) -> float:
    """A score: a number, a text that spells one, or the average of the ratings of an object.

    Ratings are numbers, texts that spell one, or objects whose ``Rating`` is such; ``"N/A"`` is none.

    >>> score_of({"honesty": {"Rating": "4"}, "helpfulness": {"Rating": "3"}, "truthfulness": {"Rating": "N/A"}}, "")
    3.5

    Args:
      field: what errors call the score.

    Raises:
      ValueError: naming ``field``, if there is no score.
    """
    if not isinstance(value, Mapping):
        return number_of(value, field)
    ratings = [each.get("Rating") if isinstance(each, Mapping) else each for each in value.values()]
    given = [number_of(rating, field) for rating in ratings if rating not in (None, "N/A")]
    if not given:
        raise ValueError(f"{field}: expected ratings, got {value!r}")
    return statistics.fmean(given)
