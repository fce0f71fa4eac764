"""PLaD: preference-based distillation with pseudo-preference pairs (arXiv 2406.02886), beside other ways to distil.

    ./tools/run experiments.plad          # a larger decoder teaches a smaller one, quality is known; minutes on a CPU
    ./tools/run experiments.plad table    # all methods, five seeds
    ./tools/run experiments.plad files --teacher-outputs FILE   # a recorded teacher; --student DIR, --data FOLDER
    ./tools/run experiments.plad files --teacher http://HOST:8000/v1 --teacher-name NAME --data FOLDER   # a server's
    ./tools/run experiments.plad tldr --teacher-outputs FILE    # a T5-large as student, one of the paper's families

Claims: a student too small to imitate its teacher word for word learns more from "the teacher's text is better than
mine" than from more imitation. Every method begins with the same supervised fine-tuning on the teacher's texts and
takes as many further steps; figures are held-out with 95 % intervals: quality, length, and whether likelihood ranks
texts of known quality. What each one cost stands beside them. experiments/RESULTS.md has what came out, with hardware
and duration.

Departures: the method is recalled from the abstract and from tables at second hand, so no table is matched, and steps
and rates of ``tldr`` are ours; decoders of the sequence world instead of T5, GPT-Neo and LLaMA-2. A divergence on the
student's own texts has no gradient through their choice (MiniLLM's policy gradient; GKD leaves it out too), and KL, JSD
and TVD see the teacher's logits.
"""

import dataclasses
import functools
import pathlib
from typing import Literal

import jax

from experiments.common import alpacaeval_task, machines, origin, pretrained, report, stages
from experiments.common.fields import Count, Positive, Rate, check_names, is_url
from experiments.common.llm.server import settings
from experiments.plad import figures, learning, worlds
from experiments.plad.file_world import Teacher
from experiments.plad.methods import METHODS
from experiments.plad.texts import asked_cost
from jaxalign.io import edge
from jaxalign.io.cluster import processes
from jaxalign.io.run import run_folder

Method = Literal[*METHODS]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["sequences", "files"] = "sequences"  # a world made on the spot, or texts from files
    taught_by: Teacher = Teacher()  # files: who writes or wrote the texts
    data: pathlib.Path | None = None  # files: folder with validation.parquet, graded lists
    student: str = ""  # a Hugging Face directory or hub id; empty: from scratch, of the size below
    size: tuple[Count, Count] = (64, 3)  # width and layers of the student
    teacher_size: tuple[Count, Count] = (64, 4)  # sequences: likewise of the teacher
    vocab_size: Count = 2048  # tokens of the tokenizer that a student from scratch gets
    limits: tuple[Count, Count] = (9, 8)  # tokens of a prompt and of a response
    num_prompts: Count = 4096  # to learn from
    warm_steps: Count = 100  # of supervised fine-tuning on the teacher's texts
    steps: Count = 150  # of each method
    batch: Count = 64  # prompts of a step
    learning_rate: Rate = 3e-4  # at its peak
    computing: stages.Computing = stages.Computing()
    adapter: stages.Adapter = stages.Adapter()
    beta: Positive = 1.0  # the margin in nats
    # each gets a row of the tables
    methods: tuple[Method, ...] = ("SFT", "seq-KD", "reverse KL", "PLaD ranking", "PLaD + likelihood")
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/plad")  # the folder of the run; the same command continues in it


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "table": dataclasses.replace(DEFAULT, methods=tuple(METHODS), seeds=5, output=pathlib.Path("runs/plad-table")),
    "files": dataclasses.replace(
        DEFAULT,
        task="files",
        size=(128, 4),
        limits=(64, 192),
        warm_steps=300,
        steps=100,
        batch=8,
        beta=10.0,
        methods=("seq-KD", "PLaD ranking", "PLaD margin", "PLaD + likelihood"),
        output=pathlib.Path("runs/plad-files"),
    ),
    "tldr": dataclasses.replace(
        DEFAULT,
        task="files",
        student="google/t5-v1_1-large",
        limits=(1024, 128),
        num_prompts=100_000,
        warm_steps=4000,
        steps=4000,
        batch=32,
        learning_rate=2e-5,
        methods=("seq-KD", "PLaD ranking", "PLaD margin", "PLaD + likelihood"),
        output=pathlib.Path("runs/plad-tldr"),
    ),
}


RATES = pretrained.Rates(
    "student",
    lambda config: {"learning_rate": pretrained.rate("imitation", adapter=config.adapter.lora_rank > 0)},
)


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, METHODS)
    run_folder.open_run(
        config.output,
        settings(config),
        experiment="plad",
        may_differ=("output", "seeds", "methods"),
        files={"data": alpacaeval_task.FILES, "teacher_outputs": ()},
        models=("teacher", "student"),
    )
    runs = [run_seed(config, seed, config.output / f"seed-{seed}") for seed in range(config.seeds)]
    by_seed, reliability = [tables for tables, _ in runs], runs[0][1]
    tables = report.summarise_tables(by_seed)
    if config.seeds > 1:  # warm starts differ from seed to seed, often by more than methods do
        gains = [report.subtract(tables["held-out"], "warm start") for tables in by_seed]
        tables["held-out, minus the warm start of the same seed"] = report.summarise(gains)
    spread = report.spread(config.seeds, "prompts")
    folders = {method: config.output / "seed-0" / learning.folder_name(method) for method in config.methods}
    sections = figures.sections(folders, reliability)
    asked = sorted(config.output.glob("seed-*/teacher.jsonl")) if is_url(config.taught_by.teacher) else []
    told = {"cost": asked_cost(asked)} if asked else {}
    return report.report_tables(run, f"PLaD: {config.task}", tables, caption=spread, sections=sections, told=told)


def run_seed(config: Config, seed: int, directory: pathlib.Path):
    """Runs all methods from one warm start: held-out figures and costs by method, curves of quality by likelihood."""
    world_key, warm_key, learn_key, test_key = jax.random.split(jax.random.key(seed), 4)
    world = worlds.make_world(config, seed, directory, world_key)
    learning.check_methods(config.methods, world)
    start = learning.warm_start(config, world, directory / "warm", warm_key)
    if config.adapter.lora_rank:  # what the methods' adapters are for, once
        stages.export(directory / "warm" / "hf", start, world.tokenizer)
    policies, costs = {"warm start": start}, {}
    for method in config.methods:
        place = directory / learning.folder_name(method)
        rounds = learning.learn(config, world, method, start, place, learn_key)
        policies[method] = rounds[-1]
        costs[method] = processes.first(functools.partial(learning.cost, method, rounds, place))
        # The adapter of a later round is for the model of the one before.
        if not config.adapter.lora_rank or len(rounds) > 2:
            stages.export(place / "hf", policies[method], world.tokenizer)
    if world.teacher is not None:
        policies["teacher"] = world.teacher
    held_out = world.evaluate(policies, test_key)
    reliability = {}
    if world.graded is not None:
        for name, policy in policies.items():
            graded = figures.grade(policy, world.graded)
            held_out[name] |= figures.likelihood_figures(graded)
            reliability[name] = figures.likelihood_curve(graded)
    return {"held-out": held_out, "cost": costs}, reliability


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__, RATES)
