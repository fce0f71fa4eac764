"""The judges that an experiment compares, by name, and what came of asking each of them."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.common.llm.counting import Scored
from experiments.common.llm.engine import Engine
from jaxalign import judge
from jaxalign.data import PreferencePair
from jaxalign.io.llm import Usage
from jaxalign.judge import JudgeFn, Judgement, JudgeTask, StructuredConfig
from jaxalign.judge.selection import Selector

TASKS = {"rating": judge.RATING, "summarisation": judge.SUMMARISATION, "retrieval": judge.RETRIEVAL}
LONGER, CHAIN, STRUCTURED, MATCHED = "longer wins", "chain of thought", "structured", "self-consistency, equal tokens"


class Setting(NamedTuple):
    """What all judges of a comparison share."""

    engine: Engine
    task: JudgeTask
    structured: StructuredConfig
    max_tokens: int  # of a chain of thought


class Run(NamedTuple):
    """What one judge said of the pairs of a test and of a validation set, and what the test cost and left unread."""

    judgements: list[Judgement]
    calibrated: list[Judgement]
    temperature: float
    spent: Usage
    scored: Scored = Scored()


MakeJudge = Callable[[Setting], JudgeFn]


def _structured(select: Selector = judge.knockout, **changes) -> MakeJudge:
    return lambda setting: judge.make_structured_judge(
        setting.engine.generate,
        setting.engine.score_options,
        setting.task,
        dataclasses.replace(setting.structured, **changes),
        select=select,
    )


def _reasoning(n: int, temperature: float) -> MakeJudge:
    return lambda setting: judge.make_reasoning_judge(
        setting.engine.generate,
        setting.task,
        n=n,
        temperature=temperature,
        max_tokens=setting.max_tokens,
        seed=setting.structured.seed,
    )


METHODS: Mapping[str, MakeJudge] = {
    LONGER: lambda setting: judge.judge_by_length,
    "direct": lambda setting: judge.make_direct_judge(setting.engine.score_options, setting.task),
    CHAIN: _reasoning(1, 0.0),
    "self-consistency": _reasoning(5, 0.7),
    STRUCTURED: _structured(),
    "structured, round robin": _structured(judge.round_robin),
    "structured, pointwise": _structured(judge.pointwise),
    "structured, random": _structured(judge.make_random()),
    "structured, no comparator": _structured(judge.first, num_candidates=1),
    "structured, no aspects": _structured(num_aspects=0),
    "structured, joint": _structured(joint=True),
}


def run_methods(
    names: Sequence[str],
    setting: Setting,
    pairs: Sequence[PreferencePair],
    validation: Sequence[PreferencePair],
    *,
    aspect_counts: Sequence[int] = (),
    candidate_counts: Sequence[int] = (),
) -> dict[str, Run]:
    """Each judge on both sets, in the order of ``names``, then structured ones with other counts.

    ``MATCHED`` takes as many chains of thought as ``STRUCTURED`` takes tokens, and comes after it and ``CHAIN``.

    Raises:
      ValueError: for a name that nothing has.
    """
    check_names(names)
    runs: dict[str, Run] = {}
    for name in names:
        make = matched(runs) if name == MATCHED else METHODS[name]
        runs[name] = run_method(make, setting, pairs, validation)
    for count in aspect_counts:
        runs[f"structured, {count} aspects"] = run_method(_structured(num_aspects=count), setting, pairs, validation)
    for count in candidate_counts:
        make = _structured(num_candidates=count)
        runs[f"structured, {count} candidates"] = run_method(make, setting, pairs, validation)
    return runs


def check_names(names: Sequence[str]) -> None:
    """Raises ValueError for a name that nothing has."""
    if unknown := set(names) - METHODS.keys() - {MATCHED}:
        raise ValueError(f"unknown methods {sorted(unknown)}; there are {', '.join([*METHODS, MATCHED])}")


def run_method(
    make: MakeJudge, setting: Setting, pairs: Sequence[PreferencePair], validation: Sequence[PreferencePair]
) -> Run:
    """One judge: the temperature is fitted on the validation pairs and applied to the others."""
    before, scored_before = setting.engine.ledger.asked, setting.engine.count.scored
    judgements = make(setting)(pairs)
    spent = setting.engine.ledger.asked.minus(before)
    scored = setting.engine.count.scored.minus(scored_before)
    temperature = _fitted(make(setting)(validation), [pair.target for pair in validation])
    calibrated = judge.with_temperature(lambda _: judgements, temperature)(pairs)
    return Run(judgements, calibrated, temperature, spent, scored)


def _fitted(judgements: Sequence[Judgement], targets: Sequence[float]) -> float:
    """A model that answers no validation pair is shown as it is: a run is not lost for it."""
    try:
        return judge.fit_judge_temperature(judgements, targets)
    except ValueError as nothing:
        print(f"not calibrated: {nothing}", file=sys.stderr)
        return 1.0


def matched(runs: Mapping[str, Run]) -> MakeJudge:
    """Self-consistency that takes as many tokens as the structured judge did, as near as whole chains come."""
    if missing := {CHAIN, STRUCTURED} - runs.keys():
        raise ValueError(f"{MATCHED!r} needs the tokens of {', '.join(sorted(missing))}; name them before it")
    chains = runs[STRUCTURED].spent.tokens / max(runs[CHAIN].spent.tokens, 1)
    return _reasoning(max(round(chains), 1), 0.7)
