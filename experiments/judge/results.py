"""What came of asking each judge about the same pairs."""

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.common.fields import check_names
from experiments.common.judging.methods import CHAIN, METHODS, STRUCTURED, JudgeSetup, MakeJudge, reasoning, structured
from experiments.common.llm.counting import Scored
from jaxalign import judge
from jaxalign.data import PreferencePair
from jaxalign.io.llm import Usage
from jaxalign.judge import Judgement

MATCHED = "self-consistency, equal tokens"


class JudgeResult(NamedTuple):
    """What one judge said of the pairs of a test and of a validation set, and what the test cost and left unread."""

    judgements: list[Judgement]
    calibrated: list[Judgement]
    temperature: float
    spent: Usage
    scored: Scored = Scored()


def run_methods(
    names: Sequence[str],
    setup: JudgeSetup,
    pairs: Sequence[PreferencePair],
    validation: Sequence[PreferencePair],
    *,
    aspect_counts: Sequence[int] = (),
    candidate_counts: Sequence[int] = (),
) -> dict[str, JudgeResult]:
    """Asks each judge about both sets, in the order of ``names``, then structured ones with other counts.

    ``MATCHED`` takes as many chains of thought as ``STRUCTURED`` takes tokens, and comes after it and ``CHAIN``.

    Raises:
      ValueError: for a name that nothing has.
    """
    check_names("methods", names, [*METHODS, MATCHED])
    results: dict[str, JudgeResult] = {}
    for name in names:
        make = matched(results) if name == MATCHED else METHODS[name]
        results[name] = run_method(make, setup, pairs, validation)
    for count in aspect_counts:
        results[f"structured, {count} aspects"] = run_method(structured(num_aspects=count), setup, pairs, validation)
    for count in candidate_counts:
        make = structured(num_candidates=count)
        results[f"structured, {count} candidates"] = run_method(make, setup, pairs, validation)
    return results


def run_method(
    make: MakeJudge, setup: JudgeSetup, pairs: Sequence[PreferencePair], validation: Sequence[PreferencePair]
) -> JudgeResult:
    """Asks one judge: the temperature is fitted on the validation pairs and applied to the others."""
    before, scored_before = setup.engine.ledger.asked, setup.engine.count.scored
    judgements = make(setup)(pairs)
    spent = setup.engine.ledger.asked.minus(before)
    scored = setup.engine.count.scored.minus(scored_before)
    temperature = _fitted(make(setup)(validation), [pair.target for pair in validation])
    calibrated = judge.with_temperature(lambda _: judgements, temperature)(pairs)
    return JudgeResult(judgements, calibrated, temperature, spent, scored)


def _fitted(judgements: Sequence[Judgement], targets: Sequence[float]) -> float:
    """Fits a temperature; it is 1 where a model answers no validation pair, since a run is not lost for that."""
    try:
        return judge.fit_judge_temperature(judgements, targets)
    except ValueError as nothing:
        print(f"not calibrated: {nothing}", file=sys.stderr)
        return 1.0


def matched(results: Mapping[str, JudgeResult]) -> MakeJudge:
    """Makes self-consistency that takes as many tokens as the structured judge did, as near as entire chains come."""
    if missing := {CHAIN, STRUCTURED} - results.keys():
        raise ValueError(f"{MATCHED!r} needs the tokens of {', '.join(sorted(missing))}; name them before it")
    chains = results[STRUCTURED].spent.tokens / max(results[CHAIN].spent.tokens, 1)
    return reasoning(max(round(chains), 1), 0.7)
