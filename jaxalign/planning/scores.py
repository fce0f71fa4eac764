"""How good a step of an article is: its length, its structure, and its coherence with the article.

Source: arXiv 2410.06203, where a candidate's score is that of its length times that of entailment, in both directions.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxalign.planning.entailment import EntailFn
from jaxalign.planning.grammar import check_parts, render_part
from jaxalign.planning.records import PARTS, PlannedArticle
from jaxalign.planning.shapes import SHAPE, Shape, length_score, step_length, structure_score


class StepScores(NamedTuple):
    """The scores of one step, each in [0, 1]; higher is better.

    Attributes:
      length: how near the length is to what is wanted.
      structure: how far the step keeps the rules of its kind.
      coherence: the geometric mean of how far the step follows from the article, and the article from the step; NaN if
        it could not be read.
    """

    length: float
    structure: float
    coherence: float

    @property
    def total(self) -> float:
        """The product of all three; NaN where the coherence is."""
        return self.length * self.structure * self.coherence

    def by_name(self, part: str) -> dict[str, float]:
        """Returns the total under the name of the step, and the others as in ``"summary length"``.

        Args:
          part: the name of the step.
        """
        return {part: self.total} | {f"{part} {name}": score for name, score in self._asdict().items()}


def score_step(
    records: Sequence[PlannedArticle], part: str, *, entail: EntailFn, shape: Shape = SHAPE
) -> tuple[StepScores, ...]:
    """Scores one step of each record; candidates of one article are records with the same article.

    The scorer of entailment is asked once, for all records in both directions.

    Args:
      records: N articles with this step.
      part: which step, one of :data:`~jaxalign.planning.PARTS`.
      entail: says how far hypotheses follow from premises.
      shape: the wanted length of each step.

    Returns:
      N scores, in the order of the records.

    Raises:
      ValueError: a record lacks the step, its article has no words, or ``entail`` gave a number outside [0, 1].
    """
    steps = [render_part(record, part) for record in records]
    articles = [record.article for record in records]
    found = [float(chance) for chance in entail([*articles, *steps], [*steps, *articles])] if records else []
    if len(found) != 2 * len(records) or any(chance < 0 or chance > 1 for chance in found):
        raise ValueError(f"entail: expected {2 * len(records)} numbers in [0, 1] or NaN, got {found}")
    both = zip(found[: len(records)], found[len(records) :], strict=True)
    return tuple(
        StepScores(
            length_score(step_length(record, part), getattr(shape, part)),
            structure_score(record, part),
            math.sqrt(forward * backward),
        )
        for record, (forward, backward) in zip(records, both, strict=True)
    )


def score_plans(
    records: Sequence[PlannedArticle], *, entail: EntailFn, parts: Sequence[str] = PARTS, shape: Shape = SHAPE
) -> tuple[Mapping[str, StepScores], ...]:
    """Scores every step that each record has, whoever made it: true steps and a teacher's are compared so.

    Args:
      records: N articles with steps.
      entail: says how far hypotheses follow from premises.
      parts: the steps to score; one that a record lacks is left out there.
      shape: the wanted length of each step.

    Returns:
      For each record the scores of its steps by their name.

    Raises:
      ValueError: an article has no words, or ``entail`` gave a number outside [0, 1].
    """
    check_parts(parts)
    scores: list[dict[str, StepScores]] = [{} for _ in records]
    for part in parts:
        places = [place for place, record in enumerate(records) if getattr(record, part)]
        found = score_step([records[place] for place in places], part, entail=entail, shape=shape)
        for place, each in zip(places, found, strict=True):
            scores[place][part] = each
    return tuple(scores)


def forget_steps(record: PlannedArticle, parts: Sequence[str]) -> PlannedArticle:
    """Returns the record without these steps, and without what its scores and provenance say of them.

    Args:
      record: an article; it may lack the steps already.
      parts: which steps.
    """
    prefixes = tuple(f"{part} " for part in parts)
    scores = {
        name: score for name, score in record.scores.items() if name not in parts and not name.startswith(prefixes)
    }
    makers = {name: maker for name, maker in record.provenance.items() if name not in parts}
    empty = {part: "" if part == "summary" else () for part in parts}
    return dataclasses.replace(record, **empty, scores=scores, provenance=makers)
