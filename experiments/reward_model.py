"""Reward models of three kinds: scalar on pairs, scalar on whole lists, and pairwise generative.

    ./tools/run experiments.reward_model                            # a world with a known truth; minutes on a CPU
    ./tools/run experiments.reward_model pairwise                   # all three kinds there; more minutes
    ./tools/run experiments.reward_model alpacaeval --data FOLDER   # real lists; --backbone DIR for a pretrained model

Claims: none of a paper's; this is what RRM and LiPO label with. ``bradley-terry`` gives each response a number and
learns from pairs (InstructGPT, arXiv 2203.02155); ``listwise`` learns the same kind of number from graded lists with
LiPO's lambda loss (arXiv 2402.01878); ``pairwise`` reads two responses and writes which is better, and ranks a list by
all its comparisons in both orders (arXiv 2402.01878, 2409.13156). All start from one backbone; the pairwise kind, which
learns from one token a comparison, sees more batches, and is still near chance in the made world after 800 of them.
Figures are held-out with 95 % bootstrap intervals over prompts, beside "longer wins" and random scores.

Departures: the ``pairwise`` kind needs a decoder, so with an encoder as backbone leave it out.
"""

import dataclasses
import pathlib
from typing import Annotated, Literal

import jax

from experiments.common import alpacaeval_task, machines, origin, pretrained, report
from experiments.common.fields import Count, Range, Rate, check_names, flattened
from experiments.common.rewards import figures, kinds, worlds
from experiments.common.rewards.stages import Pretraining, start_backbone
from experiments.common.stages import Computing
from jaxalign.io import edge
from jaxalign.io.run import run_folder

Kind = Literal[*kinds.TRAIN]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["sequences", "alpacaeval"] = "sequences"  # a world made on the spot, or lists from files
    data: pathlib.Path | None = None  # alpacaeval: folder with train.parquet and validation.parquet
    as_chat: bool = False  # alpacaeval: a prompt that is a text becomes a user's message, in the model's template
    backbone: str = ""  # a Hugging Face directory or hub id; empty: a decoder from scratch, of the size below
    size: tuple[Count, Count] = (64, 5)  # width and layers; comparing takes more of them than scoring
    vocab_size: Count = 2048  # tokens of the tokenizer that alpacaeval trains
    limits: tuple[Count, Count] = (10, 9)  # tokens of a prompt and of a response
    num_pairs: Count = 4096  # of training
    computing: Computing = Computing()
    pretraining: Pretraining = Pretraining()
    kinds: tuple[Kind, ...] = ("bradley-terry", "listwise")  # each gets a row of the tables
    list_size: Annotated[int, Range(2)] = 8  # responses of a list of listwise training
    steps: Count = 400  # of the kinds that score one response
    verdict_steps: Count = 1400  # of the pairwise kind, which learns from one token a comparison
    batch: Count = 32  # pairs; lists make up as many responses
    learning_rate: Rate = 1e-3  # at its peak
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/reward_model")  # the folder of the run; the same command continues in it


DEFAULT = Config()
ALL = tuple(kinds.TRAIN)
PRESETS = {
    "default": DEFAULT,
    "pairwise": dataclasses.replace(DEFAULT, kinds=ALL, output=pathlib.Path("runs/reward_model-pairwise")),
    "alpacaeval": dataclasses.replace(
        DEFAULT,
        task="alpacaeval",
        kinds=ALL,
        size=(128, 4),
        limits=(64, 192),
        pretraining=Pretraining(pretrain_batch=(8, 512)),
        steps=200,
        verdict_steps=400,
        batch=16,
        learning_rate=3e-4,
        output=pathlib.Path("runs/reward_model-alpacaeval"),
    ),
}


RATES = pretrained.Rates("backbone", lambda config: {"learning_rate": pretrained.reward_rate(config.backbone)})


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    run = origin.begin(__spec__.name, PRESETS, config)
    check_names("kinds", config.kinds, kinds.TRAIN)
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="reward_model",
        may_differ=("output", "seeds", "kinds"),
        files={"data": alpacaeval_task.FILES},
        models=("backbone",),
    )
    runs = [run_seed(config, seed, config.output / f"seed-{seed}") for seed in range(config.seeds)]
    tables = report.summarise_tables([tables for tables, _ in runs])
    spread, sections = report.spread(config.seeds, "prompts"), figures.sections(tables, runs[0][1])
    return report.report_tables(run, f"Reward models: {config.task}", tables, caption=spread, sections=sections)


def run_seed(config: Config, seed: int, directory: pathlib.Path):
    """Trains all kinds from one backbone: figures by test and by rule, and reliability curves on the first test."""
    task = worlds.make_task(
        config.task,
        config.data,
        config.output,
        seed=seed,
        backbone=config.backbone,
        vocab_size=config.vocab_size,
        limits=config.limits,
        num_pairs=config.num_pairs,
        as_chat=config.as_chat,
    )
    start_key, train_key = jax.random.split(jax.random.key(seed))
    backbone = start_backbone(
        config.backbone, config.size, config.computing, config.pretraining, task, directory, start_key
    )
    sizes = kinds.Sizes(
        limits=config.limits,
        batch=config.batch,
        list_size=config.list_size,
        steps=config.steps,
        verdict_steps=config.verdict_steps,
        learning_rate=config.learning_rate,
    )
    judges = {kind: kinds.TRAIN[kind](sizes, task, backbone, directory / kind, train_key) for kind in config.kinds}
    return figures.evaluate(task, judges)


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__, RATES)
