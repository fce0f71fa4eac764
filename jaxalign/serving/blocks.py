"""Vectors in blocks of one cluster each, and how they are written anew with vectors that came since.

Letters in shapes: T blocks of S rows, K clusters, D the width of a vector, C rows that came since.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxalign.serving.exact import ExactState, clear
from jaxalign.serving.inputs import power_of_two, quarter_step, unit
from jaxalign.serving.kmeans import nearest_centres, spherical_kmeans

ROWS = 64  # of a block, S: 96 KiB at width 384, so that half a block, lost per cluster, is little
SAMPLE = 32  # vectors for each centre that k-means sees
GROWTH = 4.0  # times as many vectors as centres were made for call for new ones


class Blocks(NamedTuple):
    """Blocks of S rows; those of a cluster follow each other."""

    centres: Float[Array, "K D"]
    owners: Int[Array, "T"]  # the cluster of each block, -1 for none
    ids: Int[Array, "T S"]  # -1 in free rows
    vectors: Float[Array, "T S D"]  # of length 1
    trained: Int[Array, ""]  # how many vectors there were when the centres were made


class Clusters(NamedTuple):
    """Centres, and the cluster of each row of the blocks and of each row that came since."""

    centres: Float[Array, "K D"]
    old: Int[np.ndarray, "R"]  # R = T S
    added: Int[np.ndarray, "C"]
    trained: int


def no_blocks(width: int) -> Blocks:
    """Returns blocks before there are any clusters."""
    none = jnp.zeros((0, width))
    return Blocks(
        none,
        jnp.zeros(0, jnp.int32),
        jnp.zeros((0, ROWS), jnp.int32),
        jnp.zeros((0, ROWS, width)),
        jnp.zeros((), jnp.int32),
    )


def choose_clusters(blocks: Blocks, added: ExactState, wanted: int, number: int, budget: int, seed: int) -> Clusters:
    """Gives each vector a cluster, and makes new centres where those there are have become too few.

    Args:
      blocks: the vectors that have a cluster.
      added: those that came since.
      wanted: how many centres to make, if any are made.
      number: how many vectors there are, in both.
      budget: how many blocks a query scans.
      seed: draws the vectors that centres are made from.
    """
    if len(blocks.centres) and number <= GROWTH * int(blocks.trained):
        old = np.repeat(np.asarray(blocks.owners), ROWS)
        new = np.asarray(nearest_centres(added.vectors, blocks.centres)[0])
        live = np.concatenate([old[np.asarray(blocks.ids).ravel() >= 0], new[np.asarray(added.ids) >= 0]])
        fits = np.bincount(live).max() <= budget * ROWS
        # Vectors that are all alike stay in one cluster however often centres are made.
        if fits or number < 1.25 * int(blocks.trained):
            return Clusters(blocks.centres, old, new, int(blocks.trained))
    rng = np.random.default_rng([seed, number])
    live = np.flatnonzero(np.concatenate([np.asarray(blocks.ids).ravel(), np.asarray(added.ids)]) >= 0)
    drawn = np.sort(rng.choice(live, min(number, SAMPLE * wanted), replace=False)).astype(np.int32)
    places = np.pad(drawn, (0, power_of_two(len(drawn)) - len(drawn)), constant_values=-1)
    key = jax.random.key(int(rng.integers(2**31)))
    sample = _take(blocks.vectors, added.vectors, places)
    centres = spherical_kmeans(key, sample, where=jnp.asarray(places >= 0), num_clusters=wanted)
    old = nearest_centres(blocks.vectors.reshape(-1, centres.shape[1]), centres)[0] if len(blocks.ids) else ()
    return Clusters(centres, np.asarray(old, np.int32), np.asarray(nearest_centres(added.vectors, centres)[0]), number)


def pack(blocks: Blocks, added: ExactState, clusters: Clusters) -> Blocks:
    """Writes blocks of all vectors, without a row of those that were deleted or replaced."""
    ids = np.concatenate([np.asarray(blocks.ids).ravel(), np.asarray(added.ids)])
    cluster = np.concatenate([clusters.old, clusters.added])
    rows = np.flatnonzero(ids >= 0)
    rows = rows[np.argsort(cluster[rows], kind="stable")]
    cluster = cluster[rows]
    number = len(clusters.centres)
    counts = np.bincount(cluster, minlength=number)
    needed = -(-counts // ROWS)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    slots = (np.cumsum(needed) - needed)[cluster] * ROWS + within
    total = quarter_step(int(needed.sum()))
    places = np.full(total * ROWS, -1, np.int32)
    places[slots] = rows
    owners = np.full(total, -1, np.int32)
    owners[: needed.sum()] = np.repeat(np.arange(number), needed)
    vectors = _take(blocks.vectors, added.vectors, places)
    return Blocks(
        clusters.centres,
        jnp.asarray(owners),
        jnp.asarray(np.where(places >= 0, ids[places], -1).reshape(total, ROWS)),
        vectors.reshape(total, ROWS, -1),
        jnp.asarray(clusters.trained, jnp.int32),
    )


@jax.jit
def erase(blocks: Blocks) -> Blocks:
    """Returns blocks in which nothing is left of vectors whose ids are gone: neither they nor their part in a centre.

    Each centre becomes the direction of its rows' sum, as in k-means, and 0 without a row: that of a cluster of one
    vector would be the vector itself.
    """
    vectors = clear(blocks.ids, blocks.vectors)
    owners = jnp.where(blocks.owners >= 0, blocks.owners, len(blocks.centres))  # out of range: not added to any
    sums = jax.ops.segment_sum(jnp.sum(vectors, axis=1), owners, len(blocks.centres))
    return blocks._replace(centres=unit(sums), vectors=vectors)


@jax.jit
def _take(blocks: Float[Array, "T S D"], added: Float[Array, "C D"], places: Int[Array, "M"]) -> Float[Array, "M D"]:
    """The rows of the blocks and, counted on, of what came since, at these places; 0 at those below 0."""
    old = blocks.reshape(-1, added.shape[1])

    def row(place):
        vector = added[place - len(old)]  # out of bounds is clamped
        vector = jnp.where(place < len(old), old[place], vector) if len(old) else vector
        return jnp.where(place >= 0, vector, 0)

    # Some rows at a time: a gather of all from both would need twice their memory.
    return jax.lax.map(row, places, batch_size=min(ROWS, len(places)))
