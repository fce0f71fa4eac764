"""Search for candidate classes: per level for blocks of documents, against a walk in Python for each document."""

import functools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxalign import taxonomy
from tools.benchmarks.measure import Table, median_ratio, take_turns


class Case(NamedTuple):
    """How many documents, and classes by level."""

    documents: int
    levels: tuple[int, ...]


HEADER = ("walk", "documents", "classes", "edges", "Python ms", "ours ms", "time ratio")
PUBLISHED = Case(10_000, (6, 63, 455, 7))


def table(rounds: int) -> Table:
    """Both walks at the size of Amazon-531."""
    return Table(
        title="candidate search",
        notes=(
            "`taxonomy.search_candidates` and `search_candidates_by_path` against a walk in Python for each document,",
            "on random similarities and a taxonomy with as many classes on each level as Amazon-531 and 25 of several",
            "parents. Compilation is not in the times. Goal: at least 50 times faster.",
        ),
        header=HEADER,
        rows=(row(PUBLISHED, by_path, rounds) for by_path in (False, True)),
    )


def row(case: Case, by_path: bool, rounds: int) -> tuple[str, ...]:
    """Cells of one walk."""
    graph = random_layers(0, case.levels)
    similarities = np.random.default_rng(0).normal(0.2, 0.1, (case.documents, len(graph))).astype(np.float32)
    search = taxonomy.search_candidates_by_path if by_path else taxonomy.search_candidates
    forms = {
        "Python": functools.partial(walk_documents, graph, similarities, by_path),
        "ours": functools.partial(search, graph, similarities),
    }
    seconds = take_turns(forms, rounds)
    return (
        "by path" if by_path else "paper",
        f"{case.documents:,}",
        f"{len(graph):,}",
        f"{sum(map(len, graph.parents)):,}",
        f"{1e3 * statistics.median(seconds['Python']):,.0f}",
        f"{1e3 * statistics.median(seconds['ours']):,.0f}",
        f"{median_ratio(seconds['Python'], seconds['ours']):.0f}",
    )


def walk_documents(graph: taxonomy.Taxonomy, similarities: np.ndarray, by_path: bool) -> list[set[int]]:
    """The candidates of each document, one after the other."""
    walk = walk_by_path if by_path else walk_document
    return [walk(graph, row) for row in similarities]


def walk_document(graph: taxonomy.Taxonomy, similarities: Sequence[float]) -> set[int]:
    """Each class chooses the most similar of its children, l + 3 in round l."""
    came_to: set[int] = set()
    families, level = [graph.roots], 0
    while families:
        queue = []
        for children in families:
            for child in sorted(children, key=lambda child: (-similarities[child], child))[: level + 3]:
                if child not in came_to:
                    came_to.add(child)
                    queue.append(child)
        families = [graph.children[parent] for parent in queue]
        level += 1
    return came_to


def walk_by_path(graph: taxonomy.Taxonomy, similarities: Sequence[float]) -> set[int]:
    """The same, but from round 1 on it goes on from the (l + 2)^2 best paths only."""
    came_to: set[int] = set()
    paths: dict[int, float] = {}
    families, level = [graph.roots], 0
    while families:
        looked_at, queue = {}, []
        for children in families:
            for child in children:
                above = [paths[parent] for parent in graph.parents[child] if parent in paths]
                looked_at[child] = similarities[child] + max(above, default=0.0)
            for child in sorted(children, key=lambda child: (-similarities[child], child))[: level + 3]:
                if child not in came_to and child not in queue:
                    queue.append(child)
        paths = looked_at
        if level:
            queue = sorted(queue, key=lambda child: (-paths[child], child))[: (level + 2) ** 2]
        came_to.update(queue)
        families = [graph.children[parent] for parent in queue]
        level += 1
    return came_to


def random_layers(seed: int, levels: Sequence[int], several: int = 25) -> taxonomy.Taxonomy:
    """A tree of so many classes on each level, ``several`` of which have up to four parents on the level above."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *levels])
    more = set(starts[1] + rng.choice(starts[-1] - starts[1], several, replace=False)) if several else set()
    parents = [()] * levels[0]
    for level, size in enumerate(levels[1:]):
        above = np.arange(starts[level], starts[level + 1])
        for number in range(starts[level + 1], starts[level + 1] + size):
            count = min(len(above), int(rng.integers(2, 5))) if number in more else 1
            parents.append(tuple(rng.choice(above, count, replace=False).tolist()))
    return taxonomy.Taxonomy(tuple(f"class {number}" for number in range(starts[-1])), tuple(parents))
