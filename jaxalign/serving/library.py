"""Approximate search by a library: usearch's graph of neighbours (HNSW), behind the same functions."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxalign.serving import inputs
from jaxalign.serving.index import Hits, VectorIndex
from jaxalign.serving.inputs import Numbers


def library_index(
    width: int, *, connectivity: int = 16, expansion_add: int = 128, expansion_search: int = 64, threads: int = 0
) -> VectorIndex:
    """Makes an index that usearch holds, for a million vectors and more; it needs the extra ``serving``.

    The state is usearch's own object. It is **changed in place**: ``insert`` and ``delete`` return the object that they
    were given, an older state is not kept, and it is no pytree; ``contents`` is how it is saved. usearch marks what is
    deleted and reuses its room later; until then the vector is in memory, so make a new state by
    :func:`rebuild_index` where that must not be.

    Args:
      width: how many numbers a vector has, D.
      connectivity: neighbours that a vector is linked to; more find more, and take memory.
      expansion_add: candidates for them when a vector is inserted.
      expansion_search: candidates in a search; k is taken where it is more.
      threads: of inserts and searches of many; 0 for all cores.

    Returns:
      The index. Its functions raise ValueError for wrong widths, numbers that are not finite, vectors of 0, ids below 0
      or given twice, and k below 1.

    Raises:
      ValueError: if ``threads`` is below 0 or another argument below 1.
      ImportError: by ``init()``, if usearch is not installed.

    Source: Malkov and Yashunin, Hierarchical Navigable Small World graphs (arXiv 1603.09320).
    """
    inputs.check_least(1, width=width, connectivity=connectivity)
    inputs.check_least(1, expansion_add=expansion_add, expansion_search=expansion_search)
    inputs.check_least(0, threads=threads)

    def init() -> Any:
        try:
            from usearch.index import Index
        except ImportError as error:
            raise ImportError("library_index needs usearch; install jaxalign[serving]") from error
        return Index(
            ndim=width,
            metric="cos",
            dtype="f32",
            connectivity=connectivity,
            expansion_add=expansion_add,
            expansion_search=expansion_search,
        )

    def insert(state: Any, ids: Numbers, vectors: Numbers) -> Any:
        ids, vectors = inputs.check_rows(width, ids, vectors)
        if len(ids):
            delete(state, ids)
            state.add(ids.astype(np.uint64), np.asarray(inputs.unit(jnp.asarray(vectors))), threads=threads)
        return state

    def delete(state: Any, ids: Numbers) -> Any:
        ids = np.unique(inputs.check_ids(ids)).astype(np.uint64)
        known = ids[np.asarray(state.contains(ids), bool)] if len(ids) and len(state) else ids[:0]
        if len(known):
            state.remove(known)
        return state

    def search(state: Any, queries: Numbers, k: int) -> Hits:
        inputs.check_least(1, k=k)
        queries = inputs.check_vectors(width, queries, "queries")
        ids = np.full((len(queries), k), -1, np.int32)
        similarities = np.full((len(queries), k), -np.inf, np.float32)
        if len(state) and len(queries):
            found = state.search(queries, min(k, len(state)), threads=threads)
            # usearch leaves out the axis, and the counts, of a single query.
            counts = found.counts if len(queries) > 1 else [len(found)]
            found_ids, distances = np.atleast_2d(found.keys), np.atleast_2d(found.distances)
            for row, number in enumerate(counts):
                ids[row, :number] = found_ids[row, :number]
                similarities[row, :number] = 1 - distances[row, :number]
        return Hits(jnp.asarray(ids), jnp.asarray(similarities))

    def contents(state: Any) -> tuple[np.ndarray, np.ndarray]:
        ids = np.sort(np.asarray(state.keys, np.uint64)) if len(state) else np.zeros(0, np.uint64)
        vectors = np.asarray(state.get(ids)) if len(ids) else np.zeros((0, width))
        return ids.astype(np.int32), vectors.astype(np.float32).reshape(len(ids), width)

    return VectorIndex(init, insert, delete, search, contents)
