"""The rounds of a walk down a taxonomy, as arrays: which classes a round can come to, and from where.

A row is a class in a round, and a class has as many rows as there are lengths of ways down to it: one in a tree. Rows
of all rounds are numbered on; row 0 stands for nothing.
"""

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int

from jaxalign.taxonomy.taxonomy import Classes, Taxonomy

Indices = Int[np.ndarray, "..."] | Int[Array, "..."]

FIRST_COUNT = 3
"""How many children the top chooses; a class that round l comes to chooses l + 1 more."""


class Join(NamedTuple):
    """A plan by which several rows of values become one: that of a place, or the largest one of several places.

    ``several`` ``[M, P]`` has places that are joined, and ``sources`` ``[S]`` a place for each result, among the values
    and what was joined behind them.
    """

    several: Indices
    sources: Indices


class Family(NamedTuple):
    """Parents with as many children, or some less: their rows in the round before, and the children, padded with C."""

    parents: Indices  # [F]
    children: Indices  # [F, K]


class Round(NamedTuple):
    """What a round can come to, as rows in the order of their classes.

    Values on edges come in the order of ``families``, then of ``others``: edges of parents so few children that all are
    chosen, by the parents' rows in the round before.
    """

    classes: Indices  # [S]
    families: tuple[Family, ...]
    others: Indices  # [E]
    edges: Join  # edges to rows
    earlier: Join | None  # rows of earlier rounds to rows; None where no class has any


class Plan(NamedTuple):
    """The rounds, and for each class its rows among those of all rounds."""

    rounds: tuple[Round, ...]
    rows: Join


def plan_rounds(taxonomy: Taxonomy) -> Plan:
    """Lays out the arrays of a walk; their shapes depend on the taxonomy alone."""
    rows: list[list[int]] = [[] for _ in taxonomy.names]
    rounds: list[Round] = []
    came_to, total = [taxonomy.roots], 1
    while any(came_to):
        families, others, edges = _lay_out(came_to, FIRST_COUNT + len(rounds), padding=len(taxonomy))
        classes = sorted(edges)
        known = [rows[number] for number in classes]
        earlier = _join([each or [0] for each in known], total) if any(known) else None
        values = sum(family.children.size for family in families) + len(others)
        found = _join([edges[number] for number in classes], values)
        rounds.append(Round(np.array(classes, np.int32), families, others, found, earlier))
        for row, number in enumerate(classes, total):
            rows[number].append(row)
        came_to, total = [taxonomy.children[number] for number in classes], total + len(classes)
    return Plan(tuple(rounds), _join(rows, total))


def _lay_out(came_to: Sequence[Classes], count: int, padding: int) -> tuple[tuple[Family, ...], Indices, dict]:
    """The families and other edges of a round, of the children of each row; and the places of edges to each class."""
    by_size: dict[int, list[int]] = {}
    for parent, children in enumerate(came_to):
        if len(children) > count:
            by_size.setdefault(_round_up(len(children)), []).append(parent)
    families, edges, before = [], collections.defaultdict(list), 0
    for size, parents in sorted(by_size.items()):
        family = np.full((len(parents), size), padding, np.int32)
        for row, parent in enumerate(parents):
            family[row, : len(came_to[parent])] = came_to[parent]
            for place, child in enumerate(came_to[parent], before + row * size):
                edges[child].append(place)
        families.append(Family(np.array(parents, np.int32), family))
        before += family.size
    others = [(row, child) for row, children in enumerate(came_to) if len(children) <= count for child in children]
    for place, (_, child) in enumerate(others, before):
        edges[child].append(place)
    return tuple(families), np.array([row for row, _ in others], np.int32), edges


def _round_up(size: int) -> int:
    """Rounds up to a multiple of 4, or a power of two: few arrays, of little padding."""
    return -(-size // 4) * 4 if size <= 32 else 1 << (size - 1).bit_length()


def _join(places: Sequence[Sequence[int]], values: int) -> Join:
    """Plans the join of ``values`` values at some places each, one place or more."""
    several = [each for each in places if len(each) > 1]
    most = max(map(len, several), default=1)
    padded = [[*each, *[each[0]] * (most - len(each))] for each in several]
    joined = iter(range(values, values + len(several)))
    sources = [each[0] if len(each) == 1 else next(joined) for each in places]
    return Join(np.array(padded, np.int32).reshape(-1, most), np.array(sources, np.int32))
