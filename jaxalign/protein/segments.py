"""Sums over the rows that belong together: edges to a node, nodes of a chain, of a graph.

Shared arguments: ``values [M, ...]``, one row an edge or a node; ``ids [M]``, the segment of each row; ``where [M]``,
True for rows that count. Rows that do not count may hold anything, NaN and ids out of range included.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def segment_sum(
    values: Float[Array, "m *rest"], ids: Int[Array, "m"], num_segments: int, where: Bool[Array, "m"]
) -> Float[Array, "segments *rest"]:
    """The sum of each segment; 0 for an empty one.

    >>> print(segment_sum(jnp.array([1.0, 2.0, 4.0]), jnp.array([0, 0, 9]), 2, jnp.array([True, True, False])))
    [3. 0.]
    """
    values = jnp.where(_like(where, values), values, 0)
    return jax.ops.segment_sum(values, jnp.where(where, ids, 0), num_segments)


def segment_mean(
    values: Float[Array, "m *rest"], ids: Int[Array, "m"], num_segments: int, where: Bool[Array, "m"]
) -> Float[Array, "segments *rest"]:
    """The mean of each segment; 0 for an empty one."""
    count = segment_sum(where.astype(values.dtype), ids, num_segments, where)
    total = segment_sum(values, ids, num_segments, where)
    return total / _like(jnp.maximum(count, 1), total)


def segment_max(
    values: Float[Array, "m *rest"], ids: Int[Array, "m"], num_segments: int, where: Bool[Array, "m"]
) -> Float[Array, "segments *rest"]:
    """The greatest value of each segment, which an empty one has none of: 0."""
    lowest = jnp.finfo(values.dtype).min
    values = jnp.where(_like(where, values), values, lowest)
    top = jax.ops.segment_max(values, jnp.where(where, ids, 0), num_segments)
    return jnp.where(top > lowest, top, 0)


def segment_softmax(
    logits: Float[Array, "m *rest"], ids: Int[Array, "m"], num_segments: int, where: Bool[Array, "m"]
) -> Float[Array, "m *rest"]:
    """Weights that sum to one in each segment; 0 for rows that do not count."""
    safe_ids = jnp.where(where, ids, 0)
    top = jax.lax.stop_gradient(segment_max(logits, ids, num_segments, where))
    # Masked before the exponential: an infinite weight times zero would be NaN in the gradient.
    shifted = jnp.where(_like(where, logits), logits - top[safe_ids], 0)
    weights = jnp.where(_like(where, logits), jnp.exp(shifted), 0)
    total = segment_sum(weights, ids, num_segments, where)
    return weights / jnp.where(total > 0, total, 1)[safe_ids]


def _like(flags: Array, values: Array) -> Array:
    """``flags [M]`` with as many axes as ``values``."""
    return flags.reshape(flags.shape + (1,) * (values.ndim - flags.ndim))
