"""Speed and memory, each beside the naive form: ``./tools/run tools.bench [--table NAME | --peer trl] [--rounds N]``.

Numbers are ratios from one run: both forms take turns, and the time ratio is the median over the rounds, so a machine
that is busy with something else slows both. Memory is XLA's count of temporary buffers, which does not depend on the
machine's load. A few minutes on 2 CPU cores.
"""

from typing import Literal

import tyro

from tools.benchmarks import generation, packed_lists, relation_features, remat, shared_prompt, step, token_logps
from tools.benchmarks.measure import describe_machine
from tools.benchmarks.peers import table as trl_steps

TABLES = {
    "token_logps": token_logps.table,
    "shared_prompt": shared_prompt.table,
    "packed_lists": packed_lists.table,
    "step": step.table,
    "generation": generation.table,
    "relation_features": relation_features.table,
    "remat": remat.table,
}


Name = Literal[
    "token_logps", "shared_prompt", "packed_lists", "step", "generation", "relation_features", "remat", "all"
]


PEERS = {"trl": trl_steps.table}


def main(table: Name = "all", peer: Literal["trl"] | None = None, rounds: int = 7) -> None:
    """Print tables in Markdown.

    Args:
        table: which one.
        peer: the table of this library instead: its training steps against ours. Needs the extra ``test``.
        rounds: timed calls of each form.
    """
    print(describe_machine())
    chosen = [PEERS[peer]] if peer else TABLES.values() if table == "all" else [TABLES[table]]
    for make_table in chosen:
        print(f"\n{make_table(rounds).render()}", flush=True)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
