"""Approximate search in the nearest clusters only (an inverted file, IVF), for more than about 100,000 vectors.

Vectors lie in blocks of one cluster each. A query scans a fixed number of blocks, those whose clusters have the nearest
centres: so clusters may have any sizes, and shapes are static. What came last is in an exact store that is always
scanned; when that is full, all blocks are written anew with it.

Letters in shapes: T blocks of S rows, K clusters, D the width of a vector, N rows that come in, B queries.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxalign.serving import exact, inputs
from jaxalign.serving.blocks import Blocks, choose_clusters, erase, no_blocks, pack
from jaxalign.serving.exact import ExactState
from jaxalign.serving.index import Hits, VectorIndex
from jaxalign.serving.inputs import Numbers


class IvfState(NamedTuple):
    """Vectors in blocks by cluster, and those that came since the blocks were written."""

    recent: ExactState
    blocks: Blocks


def ivf_index(
    width: int, *, probes: int = 48, clusters: int | None = None, recent: int = 2048, seed: int = 0
) -> VectorIndex:
    """Makes an index that compares a query with the vectors of the clusters nearest to it.

    Up to ``recent`` vectors it is exact. When there are more, an insert makes clusters of them, and from then on writes
    the blocks anew each time ``recent`` new vectors have come. Clusters are made anew by an insert when the vectors are
    four times as many as when the clusters were made, or when one cluster has more vectors than a query scans. Such
    inserts take long with many vectors, while searches go on in the state before; :func:`rebuild_index` does the
    same at a time of one's own. States are pytrees and never change: a delete, and an insert that writes blocks, copy
    all vectors, so many at once cost little more than one.

    Args:
      width: how many numbers a vector has, D.
      probes: how many clusters of average size a query scans, p; with all of them the search is exact. Of the ten
        nearest of 70,000 embeddings by all-MiniLM-L6-v2, 16 find .93 and 32 find .96.
      clusters: how many are made of N vectors; None for the power of two nearest to ``sqrt(p N)``, which needs the
        fewest comparisons: K with the centres and p N / K with vectors.
      recent: how many vectors are searched exactly before they go into blocks; the next power of two is taken.
      seed: draws the vectors that centres are made from.

    Returns:
      The index. Its functions raise ValueError for wrong widths, numbers that are not finite, vectors of 0, ids below 0
      or given twice, and k below 1.

    Raises:
      ValueError: if an argument but ``seed`` is below 1.

    Source: Sivic and Zisserman, Video Google, 2003; the clusters by :func:`spherical_kmeans`. EchoLM (arXiv 2501.12689)
    takes one probe and sqrt(N) clusters, which misses a third of the neighbours.
    """
    inputs.check_least(1, width=width, probes=probes, recent=recent, clusters=1 if clusters is None else clusters)
    most = inputs.power_of_two(recent)

    def init() -> IvfState:
        return IvfState(exact.empty(width, min(64, most)), no_blocks(width))

    def insert(state: IvfState, ids: Numbers, vectors: Numbers) -> IvfState:
        ids, vectors = inputs.check_rows(width, ids, vectors)
        if not len(ids):
            return state
        state = _forget(state, inputs.pad_ids(ids))
        if exact.count(state.recent.ids) + len(ids) <= most:
            return state._replace(recent=exact.put(state.recent, ids, vectors))
        added = exact.put(state.recent, ids, vectors)
        number = _count(state._replace(recent=added))
        wanted = min(clusters or _nearest_power(np.sqrt(probes * number)), number)
        chosen = choose_clusters(state.blocks, added, wanted, number, _budget(state.blocks, probes), seed)
        # With its full capacity from the start, so that searches see one shape of it.
        return IvfState(exact.empty(width, most), pack(state.blocks, added, chosen))

    def delete(state: IvfState, ids: Numbers) -> IvfState:
        left = _forget(state, inputs.pad_ids(inputs.check_ids(ids)))
        if _count(left) == _count(state):
            return state
        # Both, wherever the ids are now: what a later insert replaced is still in the other.
        return IvfState(exact.erase(state.recent, left.recent.ids), erase(left.blocks))

    def search(state: IvfState, queries: Numbers, k: int) -> Hits:
        inputs.check_least(1, k=k)
        queries = inputs.check_vectors(width, queries, "queries")
        if not len(state.blocks.owners):
            hits = exact.search_exactly(state.recent, inputs.pad_rows(queries), k)
        else:
            hits = search_blocks(state, inputs.pad_rows(queries), k, _budget(state.blocks, probes))
        return exact.first(hits, len(queries))

    def contents(state: IvfState) -> tuple[np.ndarray, np.ndarray]:
        parts = zip(
            exact.live_rows(state.recent.ids, state.recent.vectors),
            exact.live_rows(state.blocks.ids, state.blocks.vectors),
            strict=True,
        )
        ids, vectors = (np.concatenate(part) for part in parts)
        order = np.argsort(ids)
        return ids[order], vectors[order]

    return VectorIndex(init, insert, delete, search, contents)


@functools.partial(jax.jit, static_argnames=("k", "budget"))
def search_blocks(state: IvfState, queries: Float[Array, "B D"], k: int, budget: int) -> Hits:
    """Returns the k nearest rows among the recent ones and those of the blocks with the nearest centres.

    Args:
      state: the vectors, some of them in blocks.
      queries: ``[B, D]``, of any length.
      k: how many hits; a program is compiled for each.
      budget: how many blocks each query scans, at most T.
    """
    blocks = state.blocks

    def scan(query):
        near = jnp.where(blocks.owners >= 0, (blocks.centres @ query)[blocks.owners], -jnp.inf)
        chosen = jax.lax.top_k(near, budget)[1]
        similarities = jnp.matmul(blocks.vectors[chosen], query, precision="highest")
        return exact.best(blocks.ids[chosen].ravel(), similarities.ravel(), k)

    # One query after the other: the blocks of many at once would need gigabytes.
    found = jax.lax.map(scan, inputs.unit(queries))
    recent = exact.search_exactly(state.recent, queries, k)
    together = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=-1), recent, found)
    return exact.best(*together, k)


def _budget(blocks: Blocks, probes: int) -> int:
    """How many blocks a query scans: the average number of a cluster's, ``probes`` times."""
    number = len(blocks.owners)
    return min(number, -(-probes * number // max(len(blocks.centres), 1)))


def _count(state: IvfState) -> int:
    return exact.count(state.recent.ids) + exact.count(state.blocks.ids)


def _nearest_power(number: float) -> int:
    return 2 ** round(np.log2(number))


def _forget(state: IvfState, ids: Int[np.ndarray, "N"]) -> IvfState:
    recent = state.recent._replace(ids=exact.forget(state.recent.ids, ids))
    if not len(state.blocks.owners):
        return state._replace(recent=recent)
    return IvfState(recent, state.blocks._replace(ids=exact.forget(state.blocks.ids, ids)))
