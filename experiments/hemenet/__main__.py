"""HeMeNet (arXiv 2404.01693): one equivariant network for affinities and functions of proteins, labels missing.

    ./tools/run experiments.hemenet              # made proteins, two tasks that share what there is to learn; minutes
    ./tools/run experiments.hemenet ablations    # without heterogeneity, side chains, task-aware readout; five seeds
    ./tools/run experiments.hemenet unrelated    # tasks that share nothing: what sharing costs; five seeds
    ./tools/run experiments.hemenet mirror       # handedness and surroundings: features of order 2 beside HeMeNet
    ./tools/run experiments.hemenet shared --data FOLDER       # real structures, whatever labels there are
    ./tools/run experiments.hemenet protein_mt --data FOLDER   # the benchmark, with the paper's settings

Claims of the paper: tasks that share an encoder help each other where labels are missing; relations, side chains and
the task-aware readout each help. Made proteins meet what the first claim needs: the labels of one task are functions of
another's, and few of them are known. Settings were chosen on seed 0; ``--first-seed 1`` leaves it out. Hypotheses,
stated before the runs:

- ``family``, with one label in twelve: multi-task is above single-task, with as many updates in all and with as many a
  task, although single-task networks see only proteins with their labels, and so each label more often. ``motif``, with
  all its labels, gains nothing from ``family``.
- ``unrelated``: multi-task is not above single-task with as many updates a task, since tasks share nothing.
- Without heterogeneity, the order of neighbours is lost: ``motif`` falls, mainly among alpha-carbons, since the bonds
  between backbone atoms tell the order as well.
- Alpha-carbons alone fall at ``contact``, which side chains decide, and not at ``motif`` and ``family``.
- Whether the task-aware readout helps is open; here, one pair of residues decides, which a mean of all nodes blurs.

Seen so far, on seeds 1 to 5: the first held, with an AUPR of .68 for ``family`` against .44 and .47, much apart from
seed to seed; ``unrelated`` is not made. Without heterogeneity ``motif`` falls by .25, with all atoms as among
alpha-carbons; alpha-carbons fall at ``contact``, by .23, and not at ``motif``; the readout helps, by .15 to .24. What
came out is in experiments/RESULTS.md. A trained network predicts in ``./tools/run tools.predict_protein``; what a
FOLDER holds is in ``experiments/hemenet/benchmark.py``, and what is asked of made proteins in
``experiments/hemenet/labels.py``.

Departures: the rate falls linearly, not at plateaus of the validation loss; batches hold a number of edges, not of
proteins, and one device computes them; batch norms take their statistics from the training set after training; and no
number of the paper's tables was at hand, so none is matched.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import jax

from experiments.common import machines, origin, report
from experiments.common.fields import Count, CountOrNone, Range, Rate, check_names
from experiments.hemenet import benchmark, conditions, figures, labels, methods, world
from experiments.hemenet.methods import METHODS
from experiments.hemenet.task import ProteinWorld
from jaxalign import protein
from jaxalign.io import edge
from jaxalign.io.run import run_folder

Method = Literal[*METHODS]
MadeTask = Literal[*labels.TASKS]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"  # proteins made on the spot, or structures from files
    data: pathlib.Path | None = None  # files: the folder with structures/ and annotations/
    num_workers: CountOrNone = 0  # files: processes that read structures
    tasks: tuple[MadeTask, ...] = ("motif", "family")  # made: what is to be predicted
    num_graphs: tuple[Count, Count] = (1000, 250)  # made: to learn from, and held out
    num_layers: Count = 2  # of the encoder
    width: Count = 48  # of a node
    edge_width: Count = 24  # of an edge
    num_heads: Count = 4  # of attention over edges
    dropout: Annotated[float, Range(0, 0.99)] = 0.1  # share of features that are left out in training
    batch: tuple[Count, Count, Count] = (1024, 256, 8)  # at most so many edges, nodes and graphs
    steps: Count = 600  # of each network; at equal cost, of all networks together
    learning_rate: Rate = 2e-3  # at its peak
    methods: tuple[Method, ...] = ("multi-task", "single-task at equal cost", "single-task")  # each gets a row
    seeds: Count = 1  # repetitions of everything, of which figures are means
    first_seed: CountOrNone = 0  # the seed of the first; settings were chosen on 0
    output: pathlib.Path = pathlib.Path("runs/hemenet")  # the folder of the run; the same command continues in it


DEFAULT = Config()
_DEEPER = dataclasses.replace(
    DEFAULT, num_graphs=(1000, 400), num_layers=3, batch=(4096, 768, 16), steps=300, learning_rate=1e-3
)
PUBLISHED = dataclasses.replace(
    DEFAULT,
    task="files",
    num_layers=6,
    width=256,
    edge_width=128,
    num_heads=8,
    batch=(131_072, 16_384, 32),
    steps=27_000,  # 30 epochs of the 28,871 entries in batches of 32
    learning_rate=1e-4,
    methods=("multi-task",),
    num_workers=8,
    output=pathlib.Path("runs/hemenet-protein-mt"),
)
PRESETS = {
    "default": DEFAULT,
    "ablations": dataclasses.replace(
        DEFAULT,
        tasks=("motif", "family", "contact"),
        steps=1200,
        methods=tuple(name for name in METHODS if not METHODS[name].one_task_each),
        seeds=5,
        output=pathlib.Path("runs/hemenet-ablations"),
    ),
    "unrelated": dataclasses.replace(
        _DEEPER, tasks=("pocket", "fold", "contact"), seeds=5, output=pathlib.Path("runs/hemenet-unrelated")
    ),
    "mirror": dataclasses.replace(
        _DEEPER,
        tasks=("hand", "pocket"),
        methods=("multi-task", "tensor field"),
        output=pathlib.Path("runs/hemenet-mirror"),
    ),
    "shared": dataclasses.replace(
        _DEEPER,
        task="files",
        batch=(8192, 1600, 8),
        steps=60,
        methods=("multi-task",),
        output=pathlib.Path("runs/hemenet-shared"),
    ),
    "protein_mt": PUBLISHED,
}

REFERENCE = "multi-task"
"""The row that others are compared with, seed by seed."""


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, METHODS)
    run_folder.open_run(
        config.output,
        config,
        experiment="hemenet",
        may_differ=("output", "seeds", "first_seed", "methods", "num_workers"),
        files={"data": ("structures/**/*", "annotations/**/*")},
    )
    told = {"condition": conditions.describe_world(config)}
    if config.task == "made":
        told["updates"] = conditions.describe_updates(config, len(config.tasks))
    print(told["condition"], *told.get("updates", ()), sep="\n", flush=True)
    folders = [config.output / f"seed-{config.first_seed + number}" for number in range(config.seeds)]
    by_seed = [run_seed(config, config.first_seed + number, folder) for number, folder in enumerate(folders)]
    tables = report.summarise_tables(by_seed)
    if config.seeds > 1 and REFERENCE in config.methods:
        tables |= gains(by_seed)
    spread = report.spread(config.seeds, "rows")
    runs = {name: folders[0] / name for name in config.methods if not METHODS[name].one_task_each}
    sections = [report.draw(report.Curve("Loss of all tasks", "loss", runs))] if runs else []
    return report.report_tables(run, f"HeMeNet: {config.task}", tables, caption=spread, sections=sections, told=told)


def gains(by_seed: Sequence[Mapping[str, report.Figures]]) -> dict[str, report.Figures]:
    """Returns tables of what each row has more of than multi-task learning of the same seed."""
    return {
        f"{title}, minus {REFERENCE} of the same seed": report.minus(
            [t[title] for t in by_seed], lambda name: REFERENCE
        )
        for title in by_seed[0]
    }


def run_seed(config: Config, seed: int, directory: pathlib.Path) -> dict[str, report.Figures]:
    """Returns a table for each test and task, a row for each method."""
    edges, nodes, graphs = config.batch
    largest = protein.BatchSize(edges=edges, nodes=nodes, graphs=graphs, chains=4 * graphs)
    # Made proteins are alike and fill their batches; what a size more would save goes into compiling it.
    sizes = protein.batch_sizes(largest, count=methods.NUM_SIZES if config.task == "files" else 1)
    worlds: dict[bool, ProteinWorld] = {}
    tables: dict[str, dict[str, report.Row]] = {}
    for name in config.methods:
        method = METHODS[name]
        if method.alpha_carbons not in worlds:
            worlds[method.alpha_carbons] = make_world(config, seed, sizes[-1], alpha_carbons=method.alpha_carbons)
        data = worlds[method.alpha_carbons]
        trained = methods.learn(config, method, data, directory / name, jax.random.key(seed), sizes)
        for test, graphs in data.tests.items():
            if f"{test}: {data.tasks[0].name}" not in tables:
                _enter(tables, test, "mean of training", figures.constants(data, graphs))
            _enter(tables, test, name, figures.evaluate(trained, graphs, sizes))
        for change, error in figures.symmetry_errors(trained[0], data.train, sizes).items():
            print(f"{name}, seed {seed}: {change} changes predictions by at most {error:.1e}")
    return {test: table for test, table in tables.items() if any(table.values())}


def _enter(tables: dict[str, dict[str, report.Row]], test: str, rule: str, by_task: Mapping[str, report.Row]) -> None:
    for task, row in by_task.items():
        tables.setdefault(f"{test}: {task}", {})[rule] = row


def make_world(config: Config, seed: int, largest: protein.BatchSize, *, alpha_carbons: bool) -> ProteinWorld:
    """Makes the proteins that ``config`` names."""
    if config.task == "files":
        return benchmark.make_world(
            config.data, config.output, largest=largest, num_workers=config.num_workers, alpha_carbons=alpha_carbons
        )
    return world.make_world(config.tasks, config.num_graphs, seed, alpha_carbons=alpha_carbons)


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
