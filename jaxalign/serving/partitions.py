"""Tenants that do not see each other: an index state of its own for each, chosen before the search.

A filter behind a search leaks where it is forgotten, and returns too few where most neighbours are others'. Here the
vectors of other partitions are in no array that the search reads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign.serving import exact, inputs
from jaxalign.serving.index import Hits, VectorIndex
from jaxalign.serving.inputs import Numbers

States = Mapping[int, Any]
"""The state of each partition that has one."""


def search_partitions(index: VectorIndex, states: States, partitions: Sequence[int], queries: Numbers, k: int) -> Hits:
    """Finds the k nearest vectors in the partitions that the caller may see: its own, and shared ones if it opts in.

    Args:
      index: what the states are of.
      states: the state of each partition.
      partitions: those to search; without any, nothing is found. One that has no state holds nothing.
      queries: ``[B, D]``, all of one caller.
      k: how many hits.

    Returns:
      The nearest of all these partitions together.

    Raises:
      ValueError: if a partition is below 0 or named twice, or the index refuses ``queries`` or ``k``.
    """
    inputs.check_least(1, k=k)
    named = _check_partitions(partitions)
    found = [index.search(states[partition], queries, k) for partition in named if partition in states]
    if not found:
        rows = len(np.asarray(queries))
        return Hits(jnp.full((rows, k), -1, jnp.int32), jnp.full((rows, k), -jnp.inf))
    if len(found) == 1:
        return found[0]
    return exact.best(*jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=-1), *found), k)


def insert_in_partition(
    index: VectorIndex, states: States, partition: int, ids: Numbers, vectors: Numbers
) -> dict[int, Any]:
    """Inserts vectors into one partition, which is made if it is new.

    Args:
      index: what the states are of.
      states: the state of each partition; not changed.
      partition: where they go.
      ids: ``[N]``. An id belongs to one partition: delete it from where it was before it moves.
      vectors: ``[N, D]``.

    Returns:
      The states, with a new one for this partition.

    Raises:
      ValueError: if the partition is below 0, or the index refuses ids or vectors.
    """
    (partition,) = _check_partitions([partition])
    state = states[partition] if partition in states else index.init()
    return {**states, partition: index.insert(state, ids, vectors)}


def delete_from_partitions(index: VectorIndex, states: States, ids: Numbers) -> dict[int, Any]:
    """Deletes ids wherever they are, as when a user asks for it.

    Args:
      index: what the states are of.
      states: the state of each partition; not changed.
      ids: ``[N]``; unknown ones are passed over.

    Returns:
      The states without them.
    """
    return {partition: index.delete(state, ids) for partition, state in states.items()}


def delete_partition(states: States, partition: int) -> dict[int, Any]:
    """Deletes all that a partition holds.

    Args:
      states: the state of each partition; not changed.
      partition: the one to leave out; one without a state is passed over.

    Returns:
      The other partitions' states.

    Raises:
      ValueError: if the partition is below 0.
    """
    (partition,) = _check_partitions([partition])
    return {other: state for other, state in states.items() if other != partition}


def _check_partitions(partitions: Sequence[int]) -> list[int]:
    named = inputs.check_ids(partitions, "partitions").tolist()
    if len(set(named)) < len(named):
        raise ValueError(f"partitions: expected each once, got {named}; name each only once")
    return named
