"""Speed and memory, each beside the naive form: ``./tools/run tools.bench [--table NAME | --peer trl] [--rounds N]``.

Numbers are ratios from one run: both forms take turns, and the time ratio is the median over the rounds, so a machine
that is busy with something else slows both. Memory is XLA's count of temporary buffers, which does not depend on the
machine's load. A few minutes on 2 CPU cores. On an accelerator whose time is short, see ``tools/accelerator.py``.
"""

import importlib
import math
import time
from typing import Literal, get_args

import tyro

from jaxalign.io import edge
from tools.benchmarks.measure import Table, describe_machine, within

Name = Literal[
    *("token_logps", "shared_prompt", "packed_lists", "generation", "jobs", "relation_features", "remat"),
    *("training_grid", "attention", "kernels", "similarity", "candidate_search", "retrieval"),
]
OF_MODELS = ("generation", "training_grid")
"""Tables that can be had of some models only."""


def main(
    table: Name | Literal["all"] = "all",
    peer: Literal["trl"] | None = None,
    rounds: int = 7,
    models: tuple[str, ...] = (),
    seconds: float = math.inf,
) -> None:
    """Print tables in Markdown, each row when it is measured.

    Args:
        table: which one.
        peer: the table of this library instead: its training steps against ours. Needs the extra ``test``.
        rounds: timed calls of each form.
        models: rows of these published models only, where a table has any (generation, training_grid).
        seconds: no row is begun later than this.
    """
    edge.check_least(1, rounds=rounds)
    deadline = time.monotonic() + seconds
    print(describe_machine(), flush=True)
    names = ("peers.table",) if peer else get_args(Name) if table == "all" else (table,)
    for name in names:
        print()
        for line in within(make_table(name, rounds, models).lines(), deadline):
            print(line, flush=True)


def make_table(name: str, rounds: int, models: tuple[str, ...]) -> Table:
    """Imported when its turn comes: no table needs the libraries of another."""
    module = importlib.import_module(f"tools.benchmarks.{name}")
    return module.table(rounds, models) if name in OF_MODELS else module.table(rounds)


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
