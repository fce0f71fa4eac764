"""PLaD: preference-based distillation with pseudo-preference pairs (arXiv 2406.02886), beside other ways to distil.

    ./tools/run experiments.plad          # a larger decoder teaches a smaller one, quality is known; minutes on a CPU
    ./tools/run experiments.plad table    # all methods, five seeds that nothing was chosen on
    ./tools/run experiments.plad imperfect   # a teacher that errs, whose text is often the worse one
    ./tools/run experiments.plad long     # long open texts: many are right, none can be learnt by heart
    ./tools/run experiments.plad lora     # a student kept small: adapters of rank 2
    ./tools/run experiments.plad files --teacher-outputs FILE   # a recorded teacher; --student DIR, --data FOLDER
    ./tools/run experiments.plad files --teacher http://HOST:8000/v1 --teacher-name NAME --data FOLDER   # a server's
    ./tools/run experiments.plad tldr --teacher-outputs FILE    # a T5-large as student, one of the paper's families

Hypothesis (the paper's): a student too small to imitate its teacher word for word learns more from "the teacher's text
is better than mine" than from more imitation. Here: in each preset, the greedy texts of "PLaD ranking" are better than
those of "seq-KD", which is as many more steps of imitation, and its likelihood ranks a common pool of texts better; the
interval of the differences from seed to seed says whether it held.

Seen so far, on seeds 1 to 5 of ``table``: the student stays as good as it was with PLaD, and gains with more imitation,
in greedy quality and in ranking: refuted there. With a teacher that errs (``imperfect``) neither gains, and imitating
the better text does. ``long`` and ``lora`` are not made. With pairs of temperature 0.7 from a fixed snapshot, at
imitation's rate (``--negative-temperature 0.7 --refresh 1000 --pair-rate 1``), it got worse on each of five seeds.
experiments/RESULTS.md has what came out, on what, in what time.

Every method begins with the same supervised fine-tuning on the teacher's texts and takes as many further steps. Figures
are held-out with 95 % intervals: quality of greedy and sampled texts, of the best and the likeliest of some samples,
and how a policy's likelihood ranks a pool of texts of the warm start and the teacher, which is the same for all.

Departures: the method is recalled from the abstract and from tables at second hand, so no table is matched, and steps
and rates of ``tldr`` are ours; the student's texts are refreshed, each round being a training of its own; decoders of
the sequence world instead of T5, GPT-Neo and LLaMA-2. A divergence on the student's own texts has no gradient through
their choice (MiniLLM's policy gradient; GKD leaves it out too), and KL, JSD and TVD see the teacher's logits.
"""

import dataclasses
import functools
import pathlib
from typing import Literal

import jax

from experiments.common import alpacaeval_task, machines, origin, pretrained, report, stages
from experiments.common.fields import Count, CountOrNone, Positive, Rate, Share, check_names, is_url, replace
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

    task: Literal["sequences", "walks", "files"] = "sequences"  # made: short or long open texts; or texts from files
    taught_by: Teacher = Teacher()  # files: who writes or wrote the texts
    data: pathlib.Path | None = None  # files: folder with validation.parquet, graded lists
    as_chat: bool = False  # files: a prompt that is a text becomes a user's message, in the student's chat template
    student: str = ""  # a Hugging Face directory or hub id; empty: from scratch, of the size below
    size: tuple[Count, Count] = (64, 3)  # width and layers of the student
    teacher_size: tuple[Count, Count] = (64, 4)  # made: likewise of the teacher
    teacher_errors: Share = 0.05  # made: of the letters that the teacher learns from; the student errs in 0.3
    imitation_steps: tuple[Count, Count] = (400, 300)  # made: of which teacher and student are the result
    vocab_size: Count = 2048  # tokens of the tokenizer that a student from scratch gets
    limits: tuple[Count, Count] = (9, 8)  # tokens of a prompt and of a response
    num_prompts: Count = 2048  # to learn from
    warm_steps: Count = 100  # of supervised fine-tuning on the teacher's texts
    steps: Count = 100  # of each method
    batch: Count = 64  # prompts of a step
    learning_rate: Rate = 3e-4  # at its peak
    pair_rate: Rate = 0.1  # of the learning rate, for methods that learn from pairs
    refresh: Count = 25  # steps between fresh texts of the student
    negative_temperature: Positive = 1.0  # of these texts
    computing: stages.Computing = stages.Computing()
    adapter: stages.Adapter = stages.Adapter()
    beta: Positive = 1.0  # the margin in nats
    # each gets a row of the tables
    methods: tuple[Method, ...] = ("seq-KD", "better text", "PLaD ranking")
    first_seed: CountOrNone = 0  # the table is of others than the seed that something was chosen on
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/plad")  # the folder of the run; the same command continues in it


DEFAULT = Config()
CONFIRMING = {"first_seed": 1, "seeds": 5}
PLACES = ("seq-KD", "better text", "PLaD ranking", "PLaD + likelihood", "PLaD + KL", "PLaD fixed pairs")
ON_TEXTS = ("seq-KD", "PLaD ranking", "PLaD margin", "PLaD + likelihood")
PRESETS = {
    "default": DEFAULT,
    "table": replace(DEFAULT, methods=tuple(METHODS), **CONFIRMING, output=pathlib.Path("runs/plad-table")),
    "imperfect": replace(
        DEFAULT, teacher_errors=0.3, methods=PLACES, **CONFIRMING, output=pathlib.Path("runs/plad-imperfect")
    ),
    "long": replace(
        DEFAULT,
        task="walks",
        imitation_steps=(600, 200),
        limits=(9, 26),
        methods=PLACES,
        beta=4.0,
        **CONFIRMING,
        output=pathlib.Path("runs/plad-long"),
    ),
    "lora": replace(
        DEFAULT,
        lora_rank=2,
        learning_rate=3e-3,
        refresh=DEFAULT.steps,
        methods=PLACES[:-1],
        **CONFIRMING,
        output=pathlib.Path("runs/plad-lora"),
    ),
    "files": replace(
        DEFAULT,
        task="files",
        size=(128, 4),
        limits=(64, 192),
        num_prompts=4096,
        warm_steps=300,
        batch=8,
        beta=10.0,
        methods=ON_TEXTS,
        output=pathlib.Path("runs/plad-files"),
    ),
    "tldr": replace(
        DEFAULT,
        task="files",
        student="google/t5-v1_1-large",
        limits=(1024, 128),
        num_prompts=100_000,
        warm_steps=4000,
        steps=4000,
        batch=32,
        learning_rate=2e-5,
        refresh=1000,
        methods=ON_TEXTS,
        output=pathlib.Path("runs/plad-tldr"),
    ),
}
CONDITIONS = {
    "sequences": "Of the paper's conditions, a better teacher known by its texts is met; long open texts are not (3 to "
    "6 letters, one right answer), nor is a student that more imitation cannot help.",
    "walks": "Of the paper's conditions, a better teacher known by its texts and long open texts are met; a student "
    "that more imitation cannot help is not.",
    "files": "Of the paper's conditions, real texts of a better teacher are met; a student that writes readable text "
    "of its own is, if --student names a pretrained one.",
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
        may_differ=("output", "first_seed", "seeds", "methods"),
        files={"data": alpacaeval_task.FILES, "teacher_outputs": ()},
        models=("teacher", "student"),
    )
    print(CONDITIONS[config.task], flush=True)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    runs = [run_seed(config, seed, config.output / f"seed-{seed}") for seed in seeds]
    tables = compared([tables for tables, _ in runs])
    spread = report.spread(config.seeds, "prompts")
    first = config.output / f"seed-{config.first_seed}"
    folders = {method: first / learning.folder_name(method) for method in config.methods}
    sections = figures.sections(folders, runs[0][1])
    asked = sorted(config.output.glob("seed-*/teacher.jsonl")) if is_url(config.taught_by.teacher) else []
    told = {"conditions": CONDITIONS[config.task]} | ({"cost": asked_cost(asked)} if asked else {})
    return report.report_tables(run, f"PLaD: {config.task}", tables, caption=spread, sections=sections, told=told)


def compared(by_seed: list[dict[str, report.Figures]]) -> dict[str, report.Figures]:
    """Averages over seeds, and of several compares methods with others of the same seed: seeds differ more."""
    tables = report.summarise_tables(by_seed)
    for base in ("warm start", "seq-KD") if len(by_seed) > 1 else ():
        if base in tables["held-out"]:
            figures_of = [of_seed["held-out"] for of_seed in by_seed]
            tables[f"held-out, minus {base} of the same seed"] = report.minus(figures_of, lambda name, base=base: base)
    return tables


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
        learnt = learning.learn(config, world, method, start, place, learn_key)
        policies[method] = learnt.policy
        costs[method] = processes.first(functools.partial(learning.cost, learnt, place))
        # The adapter of a later round is for the model of the one before.
        if not config.adapter.lora_rank or learnt.rounds > 1:
            stages.export(place / "hf", learnt.policy, world.tokenizer)
    if world.teacher is not None:
        policies["teacher"] = world.teacher
    held_out = world.evaluate(policies, test_key)
    reliability = {}
    if world.pool is not None:
        pool = world.pool(start, jax.random.fold_in(test_key, 2))
        for name, policy in policies.items():
            graded = figures.grade(policy, pool)
            held_out[name] |= figures.likelihood_figures(graded)
            reliability[name] = figures.likelihood_curve(graded)
    return {"held-out": held_out, "cost": costs}, reliability


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__, RATES)
