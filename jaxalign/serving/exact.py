"""Exact search: the cosines of a query with all vectors, up to about 100,000 of them.

Letters in shapes: C rows of the store, D the width of a vector, N rows that come in, B queries.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxalign.serving import inputs
from jaxalign.serving.index import Hits, VectorIndex
from jaxalign.serving.inputs import Numbers


class ExactState(NamedTuple):
    """Vectors in the rows of a store whose capacity C is a power of two."""

    ids: Int[Array, "C"]  # -1 in free rows
    vectors: Float[Array, "C D"]  # of length 1


def exact_index(width: int, *, capacity: int = 64) -> VectorIndex:
    """Makes an index that compares a query with every vector.

    The capacity doubles when it is full; queries, inserts and deletes are padded to powers of two, changes to at least
    16 rows, so that programs are compiled once for each capacity and power. States are pytrees and never change: an
    insert or delete copies the store. The cosines of all queries of a search with all rows are in memory at once.

    Args:
      width: how many numbers a vector has, D.
      capacity: rows of an empty store; the next power of two is taken.

    Returns:
      The index. Its functions raise ValueError for wrong widths, numbers that are not finite, vectors of 0, ids below 0
      or given twice, and k below 1.

    Raises:
      ValueError: if ``width`` or ``capacity`` is below 1.

    >>> index = exact_index(2)
    >>> state = index.insert(index.init(), [7, 8, 9], [[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]])
    >>> hits = index.search(state, [[1.0, 0.1]], k=2)
    >>> print(hits.ids, hits.similarities.round(2))
    [[7 9]] [[1.   0.77]]
    """
    inputs.check_least(1, width=width, capacity=capacity)

    def insert(state: ExactState, ids: Numbers, vectors: Numbers) -> ExactState:
        ids, vectors = inputs.check_rows(width, ids, vectors)
        return put(state, ids, vectors) if len(ids) else state

    def delete(state: ExactState, ids: Numbers) -> ExactState:
        left = forget(state.ids, inputs.pad_changed(inputs.check_ids(ids)))
        return erase(state, left) if count(left) < count(state.ids) else state

    def search(state: ExactState, queries: Numbers, k: int) -> Hits:
        inputs.check_least(1, k=k)
        queries = inputs.check_vectors(width, queries, "queries")
        return first(search_exactly(state, inputs.pad_rows(queries), k), len(queries))

    def contents(state: ExactState) -> tuple[np.ndarray, np.ndarray]:
        return live_rows(state.ids, state.vectors)

    return VectorIndex(lambda: empty(width, inputs.power_of_two(capacity)), insert, delete, search, contents)


def empty(width: int, capacity: int) -> ExactState:
    """Returns a store without vectors."""
    return ExactState(jnp.full(capacity, -1, jnp.int32), jnp.zeros((capacity, width)))


def put(state: ExactState, ids: Int[np.ndarray, "N"], vectors: Float[np.ndarray, "N D"]) -> ExactState:
    """Inserts rows that were checked, and doubles the capacity as often as they need."""
    padded = inputs.pad_changed(ids)
    state = state._replace(ids=forget(state.ids, padded))
    capacity = max(len(state.ids), inputs.power_of_two(count(state.ids) + len(ids)))
    state = _grow(state, capacity) if capacity > len(state.ids) else state
    return _write(state, padded, inputs.pad_changes(vectors))


@jax.jit
def erase(state: ExactState, left: Int[Array, "C"]) -> ExactState:
    """Returns the store with these ids, and 0 for the vectors of all free rows.

    Args:
      state: the store.
      left: its ids, -1 for those to delete.
    """
    return ExactState(left, clear(left, state.vectors))


@jax.jit
def forget(known: Int[Array, "*rows"], ids: Int[Array, "N"]) -> Int[Array, "*rows"]:
    """Returns the known ids with -1 for those that are among ``ids``."""
    ids = jnp.sort(ids)
    place = jnp.minimum(jnp.searchsorted(ids, known), len(ids) - 1)
    return jnp.where(ids[place] == known, -1, known)


@jax.jit
def clear(ids: Int[Array, "*rows"], vectors: Float[Array, "*rows D"]) -> Float[Array, "*rows D"]:
    """Returns the vectors with 0 in free rows."""
    return jnp.where(ids[..., None] >= 0, vectors, 0)


@functools.partial(jax.jit, static_argnames="k")
def search_exactly(state: ExactState, queries: Float[Array, "B D"], k: int) -> Hits:
    """Returns the k nearest of all rows to queries of any length.

    Args:
      state: the store.
      queries: ``[B, D]``.
      k: how many hits; a program is compiled for each.
    """
    similarities = jnp.matmul(inputs.unit(queries), state.vectors.T, precision="highest")
    return best(jnp.broadcast_to(state.ids, similarities.shape), similarities, k)


def best(ids: Int[Array, "*batch M"], similarities: Float[Array, "*batch M"], k: int) -> Hits:
    """Returns the k most similar of candidates, of which those with the id -1 do not count."""
    similarities = jnp.where(ids >= 0, similarities, -jnp.inf)
    similarities, places = jax.lax.top_k(similarities, min(k, ids.shape[-1]))
    spare = [(0, 0)] * (ids.ndim - 1) + [(0, k - places.shape[-1])]
    ids = jnp.pad(jnp.take_along_axis(ids, places, axis=-1), spare, constant_values=-1)
    return Hits(ids, jnp.pad(similarities, spare, constant_values=-jnp.inf))


def first(hits: Hits, number: int) -> Hits:
    """Returns the hits of the first queries, those behind being padding."""
    return hits if len(hits.ids) == number else Hits(*(each[:number] for each in hits))


def count(ids: Int[Array, "*rows"]) -> int:
    """Returns how many rows are not free."""
    return int(np.count_nonzero(np.asarray(ids) >= 0))


def live_rows(
    ids: Int[Array, "*rows"], vectors: Float[Array, "*rows D"]
) -> tuple[Int[np.ndarray, "N"], Float[np.ndarray, "N D"]]:
    """Returns the ids in rising order, and their vectors, on the host."""
    ids = np.asarray(ids).ravel()
    rows = np.flatnonzero(ids >= 0)
    rows = rows[np.argsort(ids[rows])]
    return ids[rows], np.asarray(vectors).reshape(len(ids), vectors.shape[-1])[rows]


@functools.partial(jax.jit, static_argnames="capacity")
def _grow(state: ExactState, capacity: int) -> ExactState:
    spare = capacity - len(state.ids)
    ids = jnp.pad(state.ids, (0, spare), constant_values=-1)
    return ExactState(ids, jnp.pad(state.vectors, ((0, spare), (0, 0))))


@jax.jit
def _write(state: ExactState, ids: Int[Array, "N"], vectors: Float[Array, "N D"]) -> ExactState:
    """Puts rows, those of the id -1 left out, where the store is free."""
    nowhere = len(state.ids)
    free = jnp.nonzero(state.ids < 0, size=len(ids), fill_value=nowhere)[0]
    rows = jnp.where(ids >= 0, free, nowhere)
    return ExactState(
        state.ids.at[rows].set(ids, mode="drop"), state.vectors.at[rows].set(inputs.unit(vectors), mode="drop")
    )
