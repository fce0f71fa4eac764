"""The least utility of an example, chosen by what it brings: the paper's dynamic utility threshold.

Several thresholds are tried on sampled requests; the one with the best average efficiency gain is applied to the
others. What is fixed here is ours: a sampled request gets each threshold with equal chances, and an average forgets, so
that it follows a change. The caller defines the efficiency gain, for instance quality won minus the cost of the tokens.
Source: IC-Cache (arXiv 2501.12689), the example selector.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from jaxalign.numerics import safe_divide

MEMORY = 0.99  # what one gain of a threshold leaves of the weight of its earlier ones: about the last 100 count (ours)


class Thresholds(NamedTuple):
    """T thresholds, and the decayed sum and count of the efficiency gains that were seen with each."""

    values: Float[Array, "T"]
    gains: Float[Array, "T"]
    counts: Float[Array, "T"]


def init_thresholds(values: Sequence[float]) -> Thresholds:
    """Returns thresholds that have not been tried.

    Args:
      values: those to try, in any order; each request gets one of them.

    Raises:
      ValueError: no value.
    """
    if not len(values):
        raise ValueError("thresholds: expected at least one value to try, got none")
    zero = jnp.zeros(len(values))
    return Thresholds(jnp.asarray(values, jnp.float32), zero, zero)


@jax.jit
def try_threshold(
    state: Thresholds, key: PRNGKeyArray, explore_share: ArrayLike
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """Draws the threshold of a request: with a chance of ``explore_share`` any, otherwise the best.

    For many requests: ``jax.vmap(try_threshold, in_axes=(None, 0, None))`` with a key each.

    Args:
      state: what is known of the thresholds.
      key: draws; consumed.
      explore_share: the share of requests that are sampled, 0 to 1.

    Returns:
      The index of the threshold, which :func:`record_gains` wants back, and its value.
    """
    sampled, drawn = jax.random.split(key)
    anyone = jax.random.randint(drawn, (), 0, len(state.values))
    index = jnp.where(jax.random.uniform(sampled) < explore_share, anyone, _best(state))
    return index, state.values[index]


@jax.jit
def record_gains(
    state: Thresholds,
    indices: Int[Array, "N"] | Int[np.ndarray, "N"],
    gains: Float[Array, "N"] | Float[np.ndarray, "N"],
) -> Thresholds:
    """Adds the efficiency gains of requests to the averages of their thresholds.

    Args:
      state: what is known of the thresholds.
      indices: ``[N]``, which threshold each request had; -1 for none.
      gains: ``[N]``, what the request gained by its examples, in any unit, finite.
    """
    rows = jnp.where(indices < 0, len(state.values), indices)
    new = jnp.zeros_like(state.counts).at[rows].add(1.0, mode="drop")
    stays = MEMORY**new
    total = jnp.zeros_like(state.gains).at[rows].add(gains, mode="drop")
    return Thresholds(state.values, stays * state.gains + total, stays * state.counts + new)


def best_threshold(state: Thresholds) -> Float[Array, ""]:
    """Returns the threshold with the best average gain, the first of equal ones.

    Each average is drawn towards that of all by one gain of that size, so that a single lucky request does not decide,
    and a threshold that was not tried counts as average.

    Args:
      state: what is known of the thresholds.

    >>> state = record_gains(init_thresholds([0.2, 0.5]), jnp.array([0, 1, 1]), jnp.array([0.1, 0.3, 0.4]))
    >>> print(best_threshold(state))
    0.5
    """
    return state.values[_best(state)]


def _best(state: Thresholds) -> Int[Array, ""]:
    overall = safe_divide(state.gains.sum(), state.counts.sum())
    return jnp.argmax((state.gains + overall) / (state.counts + 1))
