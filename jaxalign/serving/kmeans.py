"""Spherical k-means: centres of unit vectors, for an index that looks at the nearest clusters only."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.serving import inputs

BLOCK = 1024  # rows whose cosines with all centres are held at once


@functools.partial(jax.jit, static_argnames=("num_clusters", "iterations"))
def spherical_kmeans(
    key: PRNGKeyArray,
    vectors: Float[Array, "N D"],
    *,
    where: Bool[Array, "N"],
    num_clusters: int,
    iterations: int = 10,
) -> Float[Array, "K D"]:
    """Finds centres that are near to many vectors by cosine.

    It starts from different rows; each round gives every row to its nearest centre, and makes each centre the direction
    of its rows' sum. Centres without a row start again from the rows that are farthest from their own.

    Args:
      key: chooses the rows to start from; consumed.
      vectors: ``[N, D]``, of length 1.
      where: ``[N]``, True for real rows; others may hold any finite numbers.
      num_clusters: K, at most N; a program is compiled for each.
      iterations: rounds.

    Returns:
      ``[K, D]``, of length 1. With fewer than K real rows some centres have none.

    Raises:
      ValueError: if ``num_clusters`` is not from 1 to N.

    Source: Dhillon and Modha, Concept Decompositions for Large Sparse Text Data Using Clustering, 2001.
    """
    if not 1 <= num_clusters <= len(vectors):
        raise ValueError(f"num_clusters: expected 1 to {len(vectors)} (the rows), got {num_clusters}; ask for fewer")
    order = jnp.where(where, jax.random.uniform(key, where.shape), -1)
    centres = vectors[jax.lax.top_k(order, num_clusters)[1]]

    def improve(_, centres):
        clusters, similarities = nearest_centres(vectors, centres)
        clusters = jnp.where(where, clusters, num_clusters)  # out of range: not added to any
        sums = jax.ops.segment_sum(vectors, clusters, num_clusters)
        counts = jax.ops.segment_sum(jnp.ones_like(clusters), clusters, num_clusters)
        farthest = jax.lax.top_k(jnp.where(where, -similarities, -jnp.inf), num_clusters)[1]
        empty = counts == 0
        again = vectors[farthest[jnp.cumsum(empty) - 1]]
        return jnp.where(empty[:, None], again, inputs.unit(sums))

    return jax.lax.fori_loop(0, iterations, improve, centres)


@jax.jit
def nearest_centres(
    vectors: Float[Array, "N D"], centres: Float[Array, "K D"]
) -> tuple[Int[Array, "N"], Float[Array, "N"]]:
    """Finds the nearest centre of each vector by cosine.

    Args:
      vectors: ``[N, D]``, of length 1.
      centres: ``[K, D]``, of length 1.

    Returns:
      The number of each vector's centre, and its cosine with it; both ``[N]``.
    """

    def nearest(vector):
        similarities = centres @ vector
        place = jnp.argmax(similarities)
        return place.astype(jnp.int32), similarities[place]

    return jax.lax.map(nearest, vectors, batch_size=min(BLOCK, len(vectors)))
