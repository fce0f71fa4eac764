"""Relative positions as T5 has them: a bias on attention logits for each head and bucket of distances.

Near distances have a bucket each; farther ones share buckets that widen with the logarithm of the distance.

Source: T5 (arXiv 1910.10683), section 2.1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def bucket_distances(
    distances: Int[np.ndarray, "..."], *, bidirectional: bool, num_buckets: int, max_distance: int
) -> Int[np.ndarray, "..."]:
    """The bucket, from 0 to ``num_buckets - 1``, of each distance in tokens: position of the key less the query's.

    Bidirectional, the upper half of the buckets is that of keys behind the query; otherwise such keys, which a causal
    query does not see, have the bucket of distance 0. From ``max_distance`` on all share the last.

    >>> print(bucket_distances(np.array([-130, -9, -8, -1, 0, 1]), bidirectional=False, num_buckets=8, max_distance=16))
    [7 6 6 1 0 0]
    """
    buckets = num_buckets // 2 if bidirectional else num_buckets
    length = np.abs(distances) if bidirectional else np.maximum(-distances, 0)
    exact = buckets // 2
    # float32, as trained models had it: at a bucket's edge float64 rounds to the other side.
    log_ratio = np.log(np.maximum(length, 1).astype(np.float32) / np.float32(exact))
    share = log_ratio / np.float32(np.log(max_distance / exact)) * np.float32(buckets - exact)
    far = np.minimum(exact + share.astype(np.int32), buckets - 1)
    first = np.where(distances > 0, buckets, 0) if bidirectional else 0
    return (first + np.where(length < exact, length, far)).astype(np.int32)


def distances_between(queries: int, keys: int) -> Int[np.ndarray, "Q S"]:
    """The distances of keys at 0, 1, ... from queries at 0, 1, ..."""
    return np.arange(keys)[None] - np.arange(queries)[:, None]


def look_up(table: Float[Array, "buckets H"], buckets: Int[np.ndarray, "*shape"]) -> Float[Array, "H *shape"]:
    """Each head's bias at each place, float32."""
    return jnp.moveaxis(table.astype(jnp.float32)[buckets], -1, 0)
