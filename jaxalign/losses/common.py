"""What the ranking losses share: preferred pairs, and sums over lists and pairs."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxalign import numerics
from jaxalign.typing import ReduceFn


def log_sum_exp_excess(scores: Float[Array, "*batch K"], pool: Bool[Array, "*batch K K"]) -> Float[Array, "*batch K"]:
    """``logsumexp(scores[pool[i]]) - scores[i]``, at least over i itself.

    Differences first: log-sum-exp minus score loses digits when scores are large. Item i always takes part, so that
    the rows of masked items, whose values nobody reads, are not -inf.
    """
    itself = jnp.broadcast_to(jnp.eye(scores.shape[-1], dtype=bool), pool.shape)
    return jax.nn.logsumexp(jnp.where(pool | itself, -numerics.differences(scores), -jnp.inf), axis=-1)


def preferred_pairs(labels: Float[Array, "*batch K"], where: Bool[Array, "*batch K"]) -> Bool[Array, "*batch K K"]:
    """True at [i, j] where both items are valid and i has the higher label."""
    return (labels[..., :, None] > labels[..., None, :]) & where[..., :, None] & where[..., None, :]


def reduce_lists(per_item: Float[Array, "*batch K"], where: Bool[Array, "*batch K"], reduce_fn: ReduceFn) -> Any:
    """Sums the valid items of each list, then reduces over the lists that have one."""
    return reduce_fn(jnp.sum(jnp.where(where, per_item, 0), axis=-1), where=jnp.any(where, axis=-1))


def reduce_pairs(
    per_pair: Float[Array, "*batch K K"],
    pairs: Bool[Array, "*batch K K"],
    where: Bool[Array, "*batch K"],
    normalization: str,
    reduce_fn: ReduceFn,
) -> Any:
    """Reduces losses of pairs over lists or over pairs, as ``normalization`` says."""
    per_pair = jnp.where(pairs, per_pair, 0)
    if normalization == "list":
        return reduce_lists(jnp.sum(per_pair, axis=-1), where, reduce_fn)
    if normalization == "pairs":
        return reduce_fn(per_pair, where=pairs)
    raise ValueError(f"normalization must be 'list' or 'pairs', got {normalization!r}")
