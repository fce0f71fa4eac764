"""Retrieval: exact, in clusters, and by a library, on the same vectors in the same run."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign import serving
from jaxalign.serving import VectorIndex
from tools.benchmarks.measure import Table

NEAREST = 10
DIRECTIONS = 64  # in which topics lie, as embeddings of texts lie in few of theirs
SPREAD, NOISE = 0.7, 0.3  # of vectors around their topic, in these directions and in all
PATIENCE = 20.0  # seconds of single inserts: each copies the exact index


class Case(NamedTuple):
    """Vectors around random directions, and what is asked of them."""

    rows: int
    width: int
    topics: int
    queries: int
    inserts: int  # single ones, after all rows are there


HEADER = (
    "vectors",
    "index",
    "recall@10",
    "p50 ms",
    "p99 ms",
    "GiB",
    "build s",
    "inserts / s",
    "one insert, longest ms",
)
CASES = (Case(100_000, 384, 1000, 200, 3000), Case(1_000_000, 384, 10_000, 200, 3000))


def table(rounds: int) -> Table:
    """A hundred thousand and a million vectors of all-MiniLM's width.

    Args:
      rounds: how often all queries are asked.
    """
    return Table(
        title="retrieval",
        notes=(
            "`serving.exact_index`, `ivf_index` and `library_index` (usearch) with their own settings, on float32",
            f"vectors of width 384 around overlapping topics in {DIRECTIONS} directions: one query at a time,",
            f"in turns; recall of the {NEAREST} nearest against the exact index. Build: all vectors in one insert,",
            "compilation too. Inserts: one at a time into the full index, each waited for; `ivf_index` writes its",
            "blocks anew once in between. GiB: arrays of the state, or the library's own count. Goal: p99 under 5 ms",
            "at a million.",
        ),
        header=HEADER,
        rows=(cells for case in CASES for cells in rows(case, rounds)),
    )


def indexes(width: int) -> dict[str, VectorIndex]:
    """The indexes by name; the first is what the others' recall is measured against."""
    return {
        "exact": serving.exact_index(width),
        "IVF": serving.ivf_index(width),
        "usearch": serving.library_index(width),
    }


def rows(case: Case, rounds: int) -> Iterator[tuple[str, ...]]:
    """Cells of each index on one case."""
    vectors, queries = example(case)
    named = indexes(case.width)
    states, build = {}, {}
    for name, index in named.items():
        states[name], build[name] = fill(index, vectors)
    hits, seconds = ask(named, states, queries, rounds)
    sizes = {name: gibibytes(state) for name, state in states.items()}
    for name, index in named.items():
        each = insert_one_by_one(index, states.pop(name), case)
        found = [len(set(a) & set(b)) / NEAREST for a, b in zip(hits[name], hits["exact"], strict=True)]
        yield (
            f"{case.rows:,}",
            name,
            f"{np.mean(found):.3f}",
            *(f"{1e3 * np.quantile(seconds[name], share):.2f}" for share in (0.5, 0.99)),
            f"{sizes[name]:.2f}",
            f"{build[name]:,.0f}",
            f"{len(each) / sum(each):,.0f}",
            f"{1e3 * max(each):,.1f}",
        )


def example(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around topics, which overlap, and queries near some of the vectors."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((DIRECTIONS, case.width), dtype=np.float32) / DIRECTIONS**0.5
    topics = rng.standard_normal((case.topics, DIRECTIONS), dtype=np.float32)

    def around(places):
        inside = topics[places] + SPREAD * rng.standard_normal((len(places), DIRECTIONS), dtype=np.float32)
        return inside @ directions + NOISE * rng.standard_normal((len(places), case.width), dtype=np.float32)

    vectors = around(rng.integers(case.topics, size=case.rows))
    asked = vectors[rng.choice(case.rows, case.queries)]
    return vectors, asked + NOISE * rng.standard_normal(asked.shape, dtype=np.float32)


def fill(index: VectorIndex, vectors: np.ndarray) -> tuple[Any, float]:
    """A state with all vectors, and the seconds that it took."""
    start = time.perf_counter()
    state = index.insert(index.init(), np.arange(len(vectors)), vectors)
    wait(state)
    return state, time.perf_counter() - start


def ask(named: dict, states: dict, queries: np.ndarray, rounds: int) -> tuple[dict, dict]:
    """What each index finds for each query, and the seconds of each call; the first few calls are not timed."""
    hits: dict[str, list] = {}
    seconds: dict[str, list[float]] = {name: [] for name in named}
    for name, index in named.items():
        hits[name] = [index.search(states[name], query[None], NEAREST).ids[0].tolist() for query in queries]
    for _ in range(rounds):
        for first in range(0, len(queries), 100):  # what is measured at the same time shares what else runs
            for name, index in named.items():
                for query in queries[first : first + 100]:
                    start = time.perf_counter()
                    wait(index.search(states[name], query[None], NEAREST))
                    seconds[name].append(time.perf_counter() - start)
    return hits, seconds


def insert_one_by_one(index: VectorIndex, state: Any, case: Case) -> list[float]:
    """The seconds of single inserts of new vectors; the first two, which compile, are not counted."""
    vectors = np.random.default_rng(1).standard_normal((case.inserts, case.width), dtype=np.float32)
    seconds, begun = [], time.perf_counter()
    for number, vector in enumerate(vectors):
        start = time.perf_counter()
        state = index.insert(state, [case.rows + number], vector[None])
        wait(state)
        seconds.append(time.perf_counter() - start)
        if time.perf_counter() - begun > PATIENCE and number > 5:
            break
    return seconds[2:]


def wait(state: Any) -> None:
    """The library's state is no pytree, and is ready when its call returns."""
    jax.block_until_ready(state)


def gibibytes(state: Any) -> float:
    """Bytes of a state's arrays, or what the library says of its own."""
    leaves = jax.tree.leaves(state)
    return sum(leaf.nbytes if isinstance(leaf, jax.Array) else leaf.memory_usage for leaf in leaves) / 2**30
