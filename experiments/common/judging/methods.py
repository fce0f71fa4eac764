"""The judges that experiments compare, by name, and the model that they ask."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.common.judging.simulated_judge import SimulatedJudge
from experiments.common.llm.engine import Engine, counting, open_engine
from experiments.common.llm.server import LanguageModel
from jaxalign import judge
from jaxalign.data import PreferencePair, render_comparison
from jaxalign.io.llm.fitting import LeftOut
from jaxalign.io.llm.service import Ledger
from jaxalign.judge import JudgeFn, JudgeTask, StructuredConfig
from jaxalign.judge.prompts import QUESTION
from jaxalign.judge.selection import Selector

TASKS = {"rating": judge.RATING, "summarisation": judge.SUMMARISATION, "retrieval": judge.RETRIEVAL}
LONGER, CHAIN, STRUCTURED = "longer wins", "chain of thought", "structured"


class JudgeSetup(NamedTuple):
    """What all judges of a comparison share."""

    engine: Engine
    task: JudgeTask
    structured: StructuredConfig
    max_tokens: int  # of a chain of thought


MakeJudge = Callable[[JudgeSetup], JudgeFn]


def open_judge(flags: LanguageModel, folder: pathlib.Path, ledger: Ledger, *, simulated: bool) -> Engine:
    """Opens the model that judges: a simulated one, or what the flags name, as :func:`open_engine` does."""
    return counting(SimulatedJudge().open(ledger) if simulated else open_engine(flags, folder, ledger))


def make_setup(
    engine: Engine,
    *,
    question: str,
    num_aspects: int,
    num_candidates: int,
    temperature: float,
    max_tokens: int,
    seed: int,
) -> JudgeSetup:
    """Makes what all judges share; a chain of thought has twice as many tokens as a contrast.

    Args:
      engine: the model that judges.
      question: what it is asked about the texts, a name in ``TASKS``.
      num_aspects: that texts are compared by.
      num_candidates: contrasts of each aspect, of which one is chosen.
      temperature: of contrasts.
      max_tokens: of a contrast.
      seed: of everything that is drawn.
    """
    structured_config = StructuredConfig(
        num_aspects, num_candidates, temperature=temperature, max_tokens=max_tokens, seed=seed
    )
    return JudgeSetup(engine, TASKS[question], structured_config, max_tokens=2 * max_tokens)


def structured(select: Selector = judge.knockout, **changes: object) -> MakeJudge:
    return lambda setup: judge.make_structured_judge(
        setup.engine.generate,
        setup.engine.score_options,
        setup.task,
        dataclasses.replace(setup.structured, **changes),
        select=select,
    )


def reasoning(n: int, temperature: float) -> MakeJudge:
    return lambda setup: judge.make_reasoning_judge(
        setup.engine.generate,
        setup.task,
        n=n,
        temperature=temperature,
        max_tokens=setup.max_tokens,
        seed=setup.structured.seed,
    )


METHODS: Mapping[str, MakeJudge] = {
    LONGER: lambda setup: judge.judge_by_length,
    "direct": lambda setup: judge.make_direct_judge(setup.engine.score_options, setup.task),
    CHAIN: reasoning(1, 0.0),
    "self-consistency": reasoning(5, 0.7),
    STRUCTURED: structured(),
    "structured, round robin": structured(judge.round_robin),
    "structured, pointwise": structured(judge.pointwise),
    "structured, random": structured(judge.make_random()),
    "structured, no comparator": structured(judge.first, num_candidates=1),
    "structured, no aspects": structured(num_aspects=0),
    "structured, joint": structured(joint=True),
}


def name_left_out(left_out: LeftOut, task: JudgeTask, pairs: Sequence[PreferencePair]) -> dict[str, str]:
    """Names the pairs that did not fit into the model's context in one step or more, with reasons."""
    names = {
        render_comparison(shown.prompt, shown.first, shown.second, task.kind): pair.id or f"pair {number + 1}"
        for number, pair in enumerate(pairs)
        for shown in (pair, pair.swapped())
    }
    heads = {prompt.rpartition(f"\n\n{QUESTION} ")[0]: reason for prompt, reason in left_out.reasons.items()}
    return {names[head]: reason for head, reason in heads.items() if head in names}
