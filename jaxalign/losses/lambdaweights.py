"""Weights of pairs that turn a pairwise loss into one of a ranking metric: its ``lambdaweight_fn``."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxalign import numerics
from jaxalign.numerics import exponential_gain, log_discount


def dcg_lambdaweight(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
    gain_fn: Callable[[Array], Array] | None = exponential_gain,
    discount_fn: Callable[[Array], Array] | None = log_discount,
) -> Float[Array, "*batch K K"]:
    r"""Weights a pair by what swapping its two items changes in DCG.

    .. math:: \Delta_{ij} = |G(\psi_i) - G(\psi_j)| \, |1/D(r_i) - 1/D(r_j)|

    with :math:`r_i` the rank of item i by score, 1 = highest. rax's function of this name multiplies by K besides.

    Args:
      scores: ``[..., K]``, what ranks the items, any scale.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      key: orders tied scores at random; consumed. With None they rank in storage order.
      gain_fn: G of the labels, elementwise. None leaves the gain factor out (a constant G would make it 0).
      discount_fn: D of the ranks, elementwise. None leaves the discount factor out.

    Returns:
      ``[..., K, K]``, 0 or more and symmetric, 0 where an item is masked. The losses let no gradient flow through it.

    >>> weights = dcg_lambdaweight(jnp.array([0.0, 1.0]), jnp.array([1.0, 0.0]), discount_fn=lambda rank: rank)
    >>> print(weights[0, 1])
    0.5

    Source: LiPO (arXiv 2402.01878), Delta of LiPO-lambda and its ablations; Burges et al., 2006.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    gain = 1.0 if gain_fn is None else jnp.abs(numerics.differences(gain_fn(labels)))
    discount = 1.0
    if discount_fn is not None:
        discount = jnp.abs(numerics.differences(1 / discount_fn(numerics.ranks(scores, where, key))))
    return _of_real_pairs(gain * discount, where, scores.dtype)


def labeldiff_lambdaweight(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "*batch K K"]:
    r"""Weights a pair by how much its labels differ: :math:`|\psi_i - \psi_j|`.

    Args:
      scores: ``[..., K]``; not read, since these weights are the same for every ranking.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      key: not read, since nothing is ranked.

    Returns:
      ``[..., K, K]``, 0 or more and symmetric, 0 where an item is masked. The losses let no gradient flow through it.

    >>> print(labeldiff_lambdaweight(jnp.zeros(2), jnp.array([1.0, 0.25]))[0, 1])
    0.75

    Source: rax (Jagerman et al., 2022), the function of this name.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    return _of_real_pairs(jnp.abs(numerics.differences(labels)), where, scores.dtype)


def _of_real_pairs(weights: Array | float, where: Bool[Array, "*batch K"], dtype) -> Float[Array, "*batch K K"]:
    real = where[..., :, None] & where[..., None, :]
    return jnp.where(real, jnp.asarray(weights, dtype), 0)
