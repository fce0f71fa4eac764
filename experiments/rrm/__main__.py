"""RRM: robust reward model training (Liu et al., arXiv 2409.13156), a reward model that looks at the prompt.

    ./tools/run experiments.rrm                            # a world with a planted artifact; minutes on a CPU
    ./tools/run experiments.rrm claims                     # at equal passes and at equal steps, seeds 1 to 5
    ./tools/run experiments.rrm ablations                  # without the filter, without neutral triplets, filter only
    ./tools/run experiments.rrm curve                      # with the artifact in 0 to 30 % of the training pairs
    ./tools/run experiments.rrm alpacaeval --data FOLDER   # real lists; --backbone DIR for a pretrained model

Claims: pairs of one prompt cannot tell what a response owes to the prompt from what it owes to its own looks. Pairs
that bring in responses to other prompts can, so the reward model follows an artifact less: in the paper, with 30 % of
the chosen responses marked, 20 % of its choices change against 25 %. Hypotheses for the made world: (1) with the
artifact in 30 % of the chosen responses RRM is more accurate than RM where it says nothing; (2) without it RRM loses
at most .03. Each variant is trained from the same start and sees the originals as often as any other, unless its name
says whose steps it takes; figures are held-out, with 95 % bootstrap intervals over prompts, beside "longer wins" and
random scores.

Seen on seeds 1 to 5 (``claims``): the artifact changes fewer of RRM's choices, and RRM is calibrated where the artifact
is at random; both hypotheses are open, by intervals from seed to seed; RM in RRM's steps is as accurate, and less
calibrated. experiments/RESULTS.md has what came out, with hardware and duration.

Departures from the paper: small models, and a scalar Bradley-Terry reward instead of a pairwise generative one. In the
made world a tenth of all responses have the artifact anyway: to models from scratch a word that no pair has means
nothing, and RRM, which learns that strange responses lose, would hold it against any. Threshold and share are recalled,
not checked. "filter only" sees the originals that the filter finds informative once more, instead of triplets.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

import jax
from jaxtyping import Array

from experiments.common import alpacaeval_task, machines, origin, pretrained, report
from experiments.common.fields import Count, CountOrNone, Rate, Share, check_names, flattened
from experiments.common.report import Figures
from experiments.common.rewards import figures, stages, worlds
from experiments.common.rewards.task import RewardTask
from experiments.common.stages import Computing
from experiments.common.task import Policy
from experiments.rrm.variants import VARIANTS, training_pairs, with_artifact
from jaxalign.data import PreferencePair
from jaxalign.io import edge
from jaxalign.io.report import Curves
from jaxalign.io.report.figures import Series
from jaxalign.io.run import run_folder

Variant = Literal[*VARIANTS]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["sequences", "alpacaeval"] = "sequences"  # a world made on the spot, or lists from files
    data: pathlib.Path | None = None  # alpacaeval: folder with train.parquet and validation.parquet
    as_chat: bool = False  # alpacaeval: a prompt that is a text becomes a user's message, in the model's template
    backbone: str = ""  # a Hugging Face directory or hub id; empty: a decoder from scratch, of the size below
    size: tuple[Count, Count] = (64, 3)  # width and layers
    vocab_size: Count = 2048  # tokens of the tokenizer that alpacaeval trains
    limits: tuple[Count, Count] = (9, 9)  # tokens of a prompt and of a response
    num_pairs: Count = 4096  # of training
    computing: Computing = Computing()
    pretraining: stages.Pretraining = stages.Pretraining(pretrain_steps=300)
    variants: tuple[Variant, ...] = ("RM", "RRM")  # each gets a row of the tables; RM is always there
    rates: tuple[Share, ...] = (0.3,)  # of the chosen responses, planted with the artifact; models for each
    base_rate: Share = 0.1  # of all responses, chosen or not, that have the artifact anyway
    share: Share = 0.2  # of the triplets that are scored
    threshold: Share = 0.2  # a triplet is kept if the probability is off its target by as much
    steps: Count = 256  # of RM; the others see the originals as often, so they take more
    batch: Count = 64  # pairs of a step
    learning_rate: Rate = 1e-3  # at its peak
    seeds: Count = 1  # repetitions of everything, of which figures are means
    first_seed: CountOrNone = 0  # of these; what was chosen on seed 0 is confirmed on others
    output: pathlib.Path = pathlib.Path("runs/rrm")  # the folder of the run; the same command continues in it


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "claims": dataclasses.replace(
        DEFAULT,
        variants=("RM", "RRM", "RRM in RM's steps", "RM in RRM's steps", "no filter"),
        rates=(0.0, 0.3),
        seeds=5,
        first_seed=1,
        output=pathlib.Path("runs/rrm-claims"),
    ),
    "ablations": dataclasses.replace(
        DEFAULT,
        variants=("RM", "RRM", "no filter", "no neutral", "filter only"),
        seeds=3,
        output=pathlib.Path("runs/rrm-ablations"),
    ),
    "curve": dataclasses.replace(DEFAULT, rates=(0.0, 0.05, 0.1, 0.2, 0.3), output=pathlib.Path("runs/rrm-curve")),
    "alpacaeval": dataclasses.replace(
        DEFAULT,
        task="alpacaeval",
        size=(128, 4),
        limits=(64, 192),
        num_pairs=4096,
        pretraining=stages.Pretraining(pretrain_steps=300, pretrain_batch=(8, 512)),
        rates=(0.0, 0.05, 0.1, 0.2, 0.3),
        base_rate=0.0,
        share=0.05,
        steps=200,
        batch=16,
        learning_rate=3e-4,
        output=pathlib.Path("runs/rrm-alpacaeval"),
    ),
}


RATES = pretrained.Rates("backbone", lambda config: {"learning_rate": pretrained.reward_rate(config.backbone)})


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("variants", config.variants, VARIANTS)
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="rrm",
        may_differ=("output", "seeds", "first_seed", "variants", "rates"),
        files={"data": alpacaeval_task.FILES},
        models=("backbone",),
    )
    runs = [
        run_seed(config, seed, config.output / f"seed-{seed}")
        for seed in range(config.first_seed, config.first_seed + config.seeds)
    ]
    tables = report.summarise_tables([tables for tables, _ in runs])
    if config.seeds > 1:
        tables |= gains([tables for tables, _ in runs])
    spread = report.spread(config.seeds, "prompts")
    axes = "% of chosen responses in training", "% of choices changed"
    sections = [Curves("Choices that the artifact changes", curve(config, tables), *axes)]
    sections += figures.sections(tables, runs[0][1])
    return report.report_tables(run, f"RRM: {config.task}", tables, caption=spread, sections=sections)


def run_seed(config: Config, seed: int, directory: pathlib.Path):
    """Trains all variants at all rates: figures by test and by rule, and reliability curves on the first test."""
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
    start_key, artifact_key, train_key = jax.random.split(jax.random.key(seed), 3)
    backbone = stages.start_backbone(
        config.backbone, config.size, config.computing, config.pretraining, task, directory, start_key
    )
    start = stages.on_backbone(backbone, start_key)
    judges = {}
    for rate in config.rates:
        pairs = with_artifact(task.pairs, task.artifact, artifact_key, base_rate=config.base_rate, rate=rate)
        rewards = train_variants(config, task, pairs, start, directory, f"-{rate:g}", train_key, seed=seed)
        for variant, reward in rewards.items():
            judges[rule_name(variant, rate)] = stages.make_judge(task, reward, limits=config.limits)
    return figures.evaluate(task, judges)


def train_variants(
    config: Config,
    task: RewardTask,
    pairs: list[PreferencePair],
    start: Policy,
    directory: pathlib.Path,
    ending: str,
    key: Array,
    *,
    seed: int,
) -> dict[str, Policy]:
    """The reward model of each variant, RM's first; their folders are exported, and end with ``ending``."""
    rewards: dict[str, Policy] = {}

    @functools.cache
    def seen(kind: str):
        probabilities_fn = functools.partial(stages.probabilities, task, rewards.get("RM"), limits=config.limits)
        filtered = {"share": config.share, "threshold": config.threshold}
        return training_pairs(kind, pairs, probabilities_fn, **filtered, seed=seed)

    for name in dict.fromkeys(("RM", *config.variants)):  # the plain one first: it is the others' filter
        variant, place = VARIANTS[name], directory / f"{folder_name(name)}{ending}"
        rewards[name] = stages.train_reward(
            task,
            seen(variant.sees),
            start,
            place,
            key,
            limits=config.limits,
            batch=config.batch,
            steps=round(config.steps * len(seen(variant.as_long_as)) / len(pairs)),
            learning_rate=config.learning_rate,
        )
        stages.export(place / "hf", rewards[name], task)
    return rewards


def gains(by_seed: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    """Returns tables of what each variant has more of than RM with the same pairs and of the same seed."""
    found = {
        f"{title}, minus RM of the same seed": report.minus([t[title] for t in by_seed], _rm_of_the_same_pairs)
        for title in by_seed[0]
    }
    return {title: table for title, table in found.items() if table}


def _rm_of_the_same_pairs(name: str) -> str:
    variant, comma, pairs = name.partition(", ")
    return f"RM{comma}{pairs}" if comma else name


def folder_name(variant: str) -> str:
    """Returns the name of a variant as that of a folder."""
    return variant.replace(" ", "-").replace("'", "")


def rule_name(variant: str, rate: float) -> str:
    return f"{variant}, artifact in {rate:.0%}"


def curve(config: Config, tables: Mapping[str, Figures]) -> Series:
    """Tells how often the artifact changes a choice on the first test, by the share of training pairs that had it."""
    table = next(iter(tables.values()))
    return {
        variant: (
            [100 * rate for rate in config.rates],
            [100 * table[rule_name(variant, rate)]["choice changed"].value for rate in config.rates],
        )
        for variant in dict.fromkeys(("RM", *config.variants))
    }


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__, RATES)
