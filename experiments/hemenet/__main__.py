"""HeMeNet (arXiv 2404.01693): one equivariant network for affinities and functions of proteins, labels missing.

    ./tools/run experiments.hemenet              # proteins made on the spot, tasks of their geometry; minutes on a CPU
    ./tools/run experiments.hemenet ablations    # without heterogeneity, side chains, task-aware readout; five seeds
    ./tools/run experiments.hemenet mirror       # handedness and distances: features of order 2 beside HeMeNet
    ./tools/run experiments.hemenet shared --data FOLDER       # real structures, whatever labels there are
    ./tools/run experiments.hemenet protein_mt --data FOLDER   # the benchmark, with the paper's settings

Claims: tasks that share an encoder help each other where labels are missing; relations, side chains and the task-aware
readout each help. What came out is in experiments/RESULTS.md. A trained network predicts in ``./tools/run
tools.predict_protein``; what a FOLDER holds is in ``experiments/hemenet/benchmark.py``.

Departures: the rate falls linearly, not at plateaus of the validation loss; batches hold a number of edges, not of
proteins, and one device computes them; batch norms take their statistics from the training set after training; and no
number of the paper's tables was at hand, so none is matched.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Annotated, Literal

import jax

from experiments.common import machines, origin, report
from experiments.common.fields import Count, CountOrNone, Range, Rate, check_names
from experiments.hemenet import benchmark, figures, methods, world
from experiments.hemenet.methods import METHODS
from experiments.hemenet.task import ProteinWorld
from jaxalign import protein
from jaxalign.io import edge
from jaxalign.io.run import run_folder

Method = Literal[*METHODS]
MadeTask = Literal[*world.TASKS]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"  # proteins made on the spot, or structures from files
    data: pathlib.Path | None = None  # files: the folder with structures/ and annotations/
    num_workers: CountOrNone = 0  # files: processes that read structures
    tasks: tuple[MadeTask, ...] = ("interface", "fold", "site")  # made: what is to be predicted
    num_graphs: tuple[Count, Count] = (1000, 400)  # made: to learn from, and held out
    num_layers: Count = 3  # of the encoder
    width: Count = 48  # of a node
    edge_width: Count = 24  # of an edge
    num_heads: Count = 4  # of attention over edges
    dropout: Annotated[float, Range(0, 0.99)] = 0.1  # share of features that are left out in training
    batch: tuple[Count, Count, Count] = (4096, 768, 16)  # at most so many edges, nodes and graphs
    steps: Count = 300  # of each network
    learning_rate: Rate = 1e-3  # at its peak
    methods: tuple[Method, ...] = ("multi-task", "single-task")  # each gets a row of the tables
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/hemenet")  # the folder of the run; the same command continues in it


DEFAULT = Config()
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
        DEFAULT, methods=tuple(METHODS), seeds=5, output=pathlib.Path("runs/hemenet-ablations")
    ),
    "mirror": dataclasses.replace(
        DEFAULT,
        tasks=("hand", "interface"),
        methods=("multi-task", "tensor field"),
        output=pathlib.Path("runs/hemenet-mirror"),
    ),
    "shared": dataclasses.replace(
        DEFAULT,
        task="files",
        batch=(8192, 1600, 8),
        steps=60,
        methods=("multi-task",),
        output=pathlib.Path("runs/hemenet-shared"),
    ),
    "protein_mt": PUBLISHED,
}


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, METHODS)
    run_folder.open_run(
        config.output,
        config,
        experiment="hemenet",
        may_differ=("output", "seeds", "methods", "num_workers"),
        files={"data": ("structures/**/*", "annotations/**/*")},
    )
    by_seed = [run_seed(config, seed, config.output / f"seed-{seed}") for seed in range(config.seeds)]
    tables = report.summarise_tables(by_seed)
    spread = report.spread(config.seeds, "rows")
    runs = {name: config.output / "seed-0" / name for name in config.methods if not METHODS[name].one_task_each}
    sections = [report.draw(report.Curve("Loss of all tasks", "loss", runs))] if runs else []
    return report.report_tables(run, f"HeMeNet: {config.task}", tables, caption=spread, sections=sections)


def run_seed(config: Config, seed: int, directory: pathlib.Path) -> dict[str, report.Figures]:
    """Returns a table for each test and task, a row for each method."""
    edges, nodes, graphs = config.batch
    sizes = protein.batch_sizes(
        protein.BatchSize(edges=edges, nodes=nodes, graphs=graphs, chains=4 * graphs), count=methods.NUM_SIZES
    )
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
