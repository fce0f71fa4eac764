"""Reward models of three kinds: scalar on pairs, scalar on whole lists, and pairwise generative.

    ./tools/run experiments.reward_model                            # a world with a known truth; minutes on a CPU
    ./tools/run experiments.reward_model alpacaeval --data FOLDER   # real lists; --backbone DIR for a pretrained model

Claims: none of a paper's; this is what RRM and LiPO label with. ``bradley-terry`` gives each response a number and
learns from pairs (InstructGPT, arXiv 2203.02155); ``listwise`` learns the same kind of number from graded lists with
LiPO's lambda loss (arXiv 2402.01878); ``pairwise`` reads two responses and writes which is better, and ranks a list by
all its comparisons in both orders (arXiv 2402.01878, 2409.13156). All start from one backbone; the pairwise kind, which
learns from one token a comparison, sees more batches.
Figures are held-out with 95 % bootstrap intervals over prompts, beside "longer wins" and random scores.

Departures: the ``pairwise`` kind needs a decoder, so with an encoder as backbone leave it out.
"""

import dataclasses
import pathlib
from typing import Literal

import jax

from experiments.common import machines, report
from experiments.common.rewards import figures, kinds, worlds
from experiments.common.rewards.stages import start_backbone
from jaxalign.io import edge, writers


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["sequences", "alpacaeval"] = "sequences"
    data: pathlib.Path | None = None  # alpacaeval: folder with train.parquet and validation.parquet
    backbone: str = ""  # a Hugging Face directory or hub id; empty: a decoder from scratch, of the size below
    size: tuple[int, int] = (64, 5)  # width and layers; comparing takes more of them than scoring
    vocab_size: int = 2048  # of the tokenizer that alpacaeval trains
    limits: tuple[int, int] = (10, 9)  # tokens of a prompt and of a response
    num_pairs: int = 4096  # of training
    pretrain_steps: int = 400  # of the decoder from scratch, on demonstrations
    pretrain_batch: tuple[int, int] = (32, 64)  # rows, and tokens in each
    pretrain_learning_rate: float = 3e-3
    kinds: tuple[str, ...] = ("bradley-terry", "listwise", "pairwise")
    list_size: int = 8  # of listwise training
    steps: int = 400
    verdict_steps: int = 1400  # of the pairwise kind, which learns from one token a comparison
    batch: int = 32  # pairs; lists make up as many responses
    learning_rate: float = 1e-3
    seeds: int = 1
    output: pathlib.Path = pathlib.Path("runs/reward_model")


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "alpacaeval": dataclasses.replace(
        DEFAULT,
        task="alpacaeval",
        size=(128, 4),
        limits=(64, 192),
        pretrain_batch=(8, 512),
        steps=200,
        verdict_steps=400,
        batch=16,
        learning_rate=3e-4,
        output=pathlib.Path("runs/reward_model-alpacaeval"),
    ),
}


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    unknown = set(config.kinds) - kinds.TRAIN.keys()
    if unknown:
        raise ValueError(f"unknown kinds {sorted(unknown)}; there are {', '.join(kinds.TRAIN)}")
    writers.write_config(config.output, config)
    runs = [run_seed(config, seed, config.output / f"seed-{seed}") for seed in range(config.seeds)]
    tables = {test: report.summarise([tables[test] for tables, _ in runs]) for test in runs[0][0]}
    spread = "95 % bootstrap intervals over prompts" if config.seeds == 1 else f"means of {config.seeds} seeds"
    sections = figures.sections(tables, runs[0][1])
    return report.report_tables(
        config.output, f"Reward models: {config.task}", tables, caption=spread, sections=sections
    )


def run_seed(config: Config, seed: int, directory: pathlib.Path):
    """All kinds from one backbone: figures by test and by rule, and reliability curves on the first test."""
    task = worlds.make_task(config, seed)
    start_key, train_key = jax.random.split(jax.random.key(seed))
    backbone = start_backbone(config, task, directory, start_key)
    judges = {kind: kinds.TRAIN[kind](config, task, backbone, directory / kind, train_key) for kind in config.kinds}
    return figures.evaluate(task, judges)


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS)
