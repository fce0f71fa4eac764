"""The pairs that judges are compared on, and the model that they ask."""

import random
from typing import NamedTuple

from experiments.common.llm import reports_world
from experiments.common.llm.engine import Engine, open_engine
from experiments.common.llm.simulated_judge import SimulatedJudge
from jaxalign import data
from jaxalign.data import JudgedPairColumns, PreferencePair
from jaxalign.io.llm.ledger import Ledger


class JudgeWorld(NamedTuple):
    """Pairs with known answers."""

    validation: list[PreferencePair]
    test: list[PreferencePair]


def open_judge(config, ledger: Ledger) -> Engine:
    """The model that judges; see :func:`~experiments.common.llm.engine.open_engine`."""
    return SimulatedJudge().open(ledger) if config.task == "made" else open_engine(config, ledger)


def make_world(config, seed: int) -> JudgeWorld:
    """What ``config.task`` names; real pairs are drawn at random, prompts being on one side only.

    Raises:
      ValueError: if a file is missing, or too few pairs are there.
    """
    num_validation, num_test = config.num_pairs
    if config.task == "made":
        pairs = reports_world.make_pairs(seed, num_validation + num_test)
        return JudgeWorld(pairs[:num_validation], pairs[num_validation:])
    if config.data is None:
        raise ValueError("expected --data with the pairs to judge, got none")
    if config.task == "llmbar":
        pairs = data.read_parquet(config.data / "pairs.parquet", data.LLMBAR).records
    else:
        prompt, first, second, label = config.columns
        pairs = data.read_file(config.data, JudgedPairColumns(prompt, first, second, label)).records
    return JudgeWorld(*split_pairs(pairs, num_validation, num_test, seed))


def split_pairs(
    pairs: list[PreferencePair], num_validation: int, num_test: int, seed: int
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Validation and test pairs without a common prompt; the test takes what is there, up to ``num_test``."""
    order = random.Random(seed).sample(pairs, len(pairs))
    validation = order[:num_validation]
    prompts = {str(pair.prompt) for pair in validation}
    test = [pair for pair in order[num_validation:] if str(pair.prompt) not in prompts][:num_test]
    if not validation or not test:
        raise ValueError(f"expected pairs to calibrate on and others to test on, got {len(pairs)}; ask for fewer")
    return validation, test
