"""What the losses share: masking of the inputs, ranks, and pairs."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from jaxalign.typing import ReduceFn


def masked(where: Bool[Array, "..."] | None, *arrays: Shaped[Array, "..."]) -> tuple[Array, ...]:
    """``where`` (all True for None) and the arrays, in float32 or wider and 0 in masked entries.

    The select comes before any arithmetic, so that NaN in padding reaches neither value nor gradient.

    Raises:
      ValueError: if the shapes differ; broadcasting would compare an item with those of another list.
    """
    if where is None:
        where = jnp.ones(arrays[0].shape, bool)
    shapes = [array.shape for array in (*arrays, where)]
    if len(set(shapes)) > 1:
        raise ValueError(f"expected inputs and where of one shape, got {shapes}; broadcast them before the call")
    dtype = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    return where, *(jnp.where(where, array, 0).astype(dtype) for array in arrays)


def ranks(
    values: Float[Array, "*batch K"], where: Bool[Array, "*batch K"], key: PRNGKeyArray | None
) -> Float[Array, "*batch K"]:
    """1 for the highest value; masked items come last; ties by storage order, or at random when there is a ``key``.

    Counts the items ahead of each one: K is small, and a comparison of all pairs fuses where a sort does not.
    """
    index = jnp.broadcast_to(jnp.arange(values.shape[-1]), values.shape)
    draw = index if key is None else jax.random.uniform(key, values.shape)
    ahead = jnp.zeros((*values.shape, values.shape[-1]), bool)
    # From the least to the most important criterion: each decides where it differs and leaves the rest as it was.
    for criterion in (-index, -draw, values, where):
        mine, other = criterion[..., :, None], criterion[..., None, :]
        ahead = jnp.where(other == mine, ahead, other > mine)
    return 1 + jnp.sum(ahead, axis=-1, dtype=values.dtype)


def differences(values: Float[Array, "*batch K"]) -> Float[Array, "*batch K K"]:
    """``values[i] - values[j]`` for all pairs."""
    return values[..., :, None] - values[..., None, :]


def log_sum_exp_excess(scores: Float[Array, "*batch K"], pool: Bool[Array, "*batch K K"]) -> Float[Array, "*batch K"]:
    """``logsumexp(scores[pool[i]]) - scores[i]``, at least over i itself.

    Differences first: log-sum-exp minus score loses digits when scores are large. Item i always takes part, so that
    the rows of masked items, whose values nobody reads, are not -inf.
    """
    itself = jnp.broadcast_to(jnp.eye(scores.shape[-1], dtype=bool), pool.shape)
    return jax.nn.logsumexp(jnp.where(pool | itself, -differences(scores), -jnp.inf), axis=-1)


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
