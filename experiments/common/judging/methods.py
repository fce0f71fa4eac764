"""The judges that experiments compare, by name, and the model that they ask."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.common.judging.simulated_judge import SimulatedJudge
from experiments.common.llm.engine import Engine, counting, open_engine
from jaxalign import judge
from jaxalign.data import PreferencePair, render_comparison
from jaxalign.io.llm.fitting import LeftOut
from jaxalign.io.llm.service import Ledger
from jaxalign.judge import JudgeFn, JudgeTask, StructuredConfig
from jaxalign.judge.prompts import QUESTION
from jaxalign.judge.selection import Selector

TASKS = {"rating": judge.RATING, "summarisation": judge.SUMMARISATION, "retrieval": judge.RETRIEVAL}
LONGER, CHAIN, STRUCTURED = "longer wins", "chain of thought", "structured"


class Setting(NamedTuple):
    """What all judges of a comparison share."""

    engine: Engine
    task: JudgeTask
    structured: StructuredConfig
    max_tokens: int  # of a chain of thought


MakeJudge = Callable[[Setting], JudgeFn]


def open_judge(config, ledger: Ledger) -> Engine:
    """Opens the model that judges: a simulated one, or what the flags name."""
    made = config.task == "made"
    return counting(SimulatedJudge().open(ledger) if made else open_engine(config.llm, config.output, ledger))


def make_setting(config, engine: Engine, seed: int) -> Setting:
    """Makes what all judges share, as the flags say it."""
    structured_config = StructuredConfig(
        config.num_aspects,
        config.num_candidates,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=seed,
    )
    return Setting(engine, TASKS[config.question], structured_config, max_tokens=2 * config.max_tokens)


def structured(select: Selector = judge.knockout, **changes) -> MakeJudge:
    return lambda setting: judge.make_structured_judge(
        setting.engine.generate,
        setting.engine.score_options,
        setting.task,
        dataclasses.replace(setting.structured, **changes),
        select=select,
    )


def reasoning(n: int, temperature: float) -> MakeJudge:
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
