"""The best of several candidates of each step: what a teacher writes of existing articles.

Source: arXiv 2410.06203, where a large model writes several candidates of each step and the best one is kept. How many
is not known.
"""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from jaxalign.planning.entailment import EntailFn
from jaxalign.planning.grammar import check_parts
from jaxalign.planning.parsing import parse_step
from jaxalign.planning.prompts import render_step
from jaxalign.planning.records import PARTS, PlannedArticle
from jaxalign.planning.scores import StepScores, forget_steps, score_step
from jaxalign.planning.shapes import SHAPE, Shape
from jaxalign.prompting.options import check_counts, check_temperature
from jaxalign.typing import GenerateFn

Candidate = TypeVar("Candidate")
NO_ANSWER = "no answer"


class WritingReport(NamedTuple):
    """What became of the candidates of each step.

    Attributes:
      asked: how many candidates were asked for, by step.
      unread: how many could not be read, by step and reason: those of :func:`parse_step`, and ``"no answer"`` where the
        model gave fewer texts than it was asked for.
      unscored: how many were read, and could not be scored, by step.
      repeated: how many equal an earlier candidate of the same article, by step.
      missing: the records (by their ``id``, or ``x`` without one) that are left without the step, by step.
    """

    asked: Mapping[str, int]
    unread: Mapping[str, Mapping[str, int]]
    unscored: Mapping[str, int]
    repeated: Mapping[str, int]
    missing: Mapping[str, tuple[str, ...]]


class WrittenSteps(NamedTuple):
    """Records with the steps that a teacher wrote, and what became of its candidates.

    Attributes:
      records: in their order; a step without any usable candidate is empty.
      report: counts of what could not be read or scored, and the records that lack a step.
    """

    records: tuple[PlannedArticle, ...]
    report: WritingReport


def choose_best(candidates: Sequence[Candidate], scores: Sequence[float | int]) -> Candidate | None:
    """Returns the candidate with the highest score; of several equal ones the first.

    Args:
      candidates: anything.
      scores: one for each; higher is better, and NaN makes a candidate unusable.

    Returns:
      One of the candidates; None if none is usable.

    Raises:
      ValueError: there is not one score for each candidate.

    >>> choose_best(["a", "b", "c", "d"], [0.1, 0.7, float("nan"), 0.7]), choose_best(["a"], [float("nan")])
    ('b', None)
    """
    if len(candidates) != len(scores):
        raise ValueError(f"expected a score for each candidate, got {len(candidates)} and {len(scores)}")
    usable = [place for place, score in enumerate(scores) if not math.isnan(score)]
    return candidates[max(usable, key=scores.__getitem__)] if usable else None


def write_steps(
    generate: GenerateFn,
    records: Sequence[PlannedArticle],
    *,
    entail: EntailFn,
    parts: Sequence[str] = PARTS,
    num_candidates: int = 4,
    examples: Sequence[PlannedArticle] = (),
    shape: Shape = SHAPE,
    teacher: str = "teacher",
    temperature: float = 0.7,
    max_tokens: int = 1024,
    seed: int = 0,
) -> WrittenSteps:
    """Lets a model write the steps of existing articles, several candidates of each, and keeps the best ones.

    Steps that the records have already are replaced, and are never kept where the teacher failed: such a step is empty
    afterwards, and the report names the record.

    Args:
      generate: continues prompts with texts, by a language model; asked once for each step, for all articles.
      records: the articles; their ``x`` is not shown.
      entail: says how far hypotheses follow from premises.
      parts: which steps to write.
      num_candidates: of each step of each article, at least 1.
      examples: articles with these steps, true ones for instance, that each prompt shows first. One with the very
        article that is asked about is left out of its prompt, so that the records can be examples themselves.
      shape: the wanted length of each step.
      teacher: the name of the model, for the provenance of the steps.
      temperature: of the candidates; above 0, unless there is one candidate.
      max_tokens: the longest answer, at least 1.
      seed: of candidate 0 of each step; candidate k has ``seed + k``, as sample k of a call to a server has.

    Returns:
      The records with the best steps; ``scores`` has the total of each under its name and the others as in
      ``"summary length"``, and ``provenance`` the teacher.

    Raises:
      ValueError: ``num_candidates`` or ``max_tokens`` is below 1, the temperature is below 0, or 0 with several
        candidates, an article is blank, an example lacks a step, or ``generate`` did not answer every prompt.

    Source: arXiv 2410.06203. The number of candidates and the temperature are ours.
    """
    check_parts(parts)
    check_counts(num_candidates=num_candidates, max_tokens=max_tokens)
    check_temperature(temperature)
    if num_candidates > 1 and temperature == 0:
        raise ValueError(f"temperature: expected above 0, since {num_candidates} candidates would all be equal at 0")
    options = {"n": num_candidates, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    written, counts = list(records), {}
    for part in parts:
        prompts = [
            render_step(part, record.article, [each for each in examples if each.article != record.article])
            for record in records
        ]
        answers = _ask(generate, prompts, options)
        candidates, counts[part] = _read(written, part, answers)
        scores = iter(score_step([each for row in candidates for each in row], part, entail=entail, shape=shape))
        scored = [[(each, next(scores)) for each in row] for row in candidates]
        counts[part]["unscored"] = sum(math.isnan(score.total) for row in scored for _, score in row)
        written = [_keep(record, part, row, teacher) for record, row in zip(written, scored, strict=True)]
    asked = dict.fromkeys(parts, num_candidates * len(records))
    return WrittenSteps(tuple(written), _report(written, asked, counts))


def _ask(generate: GenerateFn, prompts: Sequence[str], options: Mapping[str, float | int]) -> list[list[str | None]]:
    """As many answers to each prompt as were asked for; None where one is missing."""
    answers = generate(prompts, **options) if prompts else []
    n = options["n"]
    if len(answers) != len(prompts) or any(len(each) > n for each in answers):
        raise ValueError(
            f"expected {len(prompts)} lists of {n} texts at most, got {[len(each) for each in answers]} texts; the "
            "generator must answer every prompt in its place"
        )
    return [[*each, *[None] * (n - len(each))] for each in answers]


def _read(
    records: Sequence[PlannedArticle], part: str, answers: Sequence[Sequence[str | None]]
) -> tuple[list[list[PlannedArticle]], dict[str, collections.Counter[str] | int]]:
    """The candidates of each record that can be read, as records, and counts of the others and of repetitions."""
    unread: collections.Counter[str] = collections.Counter()
    candidates, repeated = [], 0
    for record, texts in zip(records, answers, strict=True):
        parsed = [(None, NO_ANSWER) if text is None else parse_step(part, text) for text in texts]
        unread.update(reason for value, reason in parsed if value is None)
        values = [value for value, _ in parsed if value is not None]
        repeated += len(values) - len({*values})
        candidates.append([dataclasses.replace(record, **{part: value}) for value in values])
    return candidates, {"unread": unread, "repeated": repeated}


def _keep(
    record: PlannedArticle, part: str, scored: Sequence[tuple[PlannedArticle, StepScores]], teacher: str
) -> PlannedArticle:
    """The record with its best candidate, or without the step; scores and provenance of an earlier step go."""
    bare = forget_steps(record, (part,))
    best = choose_best(scored, [scores.total for _, scores in scored])
    if best is None:
        return bare
    candidate, scores = best
    return dataclasses.replace(
        candidate, scores={**bare.scores, **scores.by_name(part)}, provenance={**bare.provenance, part: teacher}
    )


def _report(records: Sequence[PlannedArticle], asked: Mapping[str, int], counts: Mapping[str, dict]) -> WritingReport:
    return WritingReport(
        asked,
        {part: dict(each["unread"]) for part, each in counts.items()},
        {part: each["unscored"] for part, each in counts.items()},
        {part: each["repeated"] for part, each in counts.items()},
        {part: tuple(record.id or record.x for record in records if not getattr(record, part)) for part in counts},
    )
