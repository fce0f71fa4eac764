"""Losses of scalar reward models on pairs of responses. Lists take the ranking losses, rewards being the scores.

A preference says nothing about where rewards lie, only about their differences: centring keeps them near 0. The two are
added pair by pair and reduced together::

    each = lambda values, where: values
    pairs = bradley_terry_loss(first, second, preferences, where=where, reduce_fn=each)
    pairs = pairs + 0.01 * centering_loss(first, second, where=where, reduce_fn=each)
    loss = numerics.ratio(pairs, where=where)
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.typing import ReduceFn


def bradley_terry_loss(
    first_rewards: Float[Array, "*batch"],
    second_rewards: Float[Array, "*batch"],
    preferences: Float[Array, "*batch"] | ScalarLike = 1.0,
    *,
    margin: Float[Array, "*batch"] | ScalarLike = 0.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the cross-entropy of the preference :math:`q` under the Bradley-Terry model of the reward difference.

    .. math:: -q \log\sigma(\Delta) - (1-q) \log\sigma(-\Delta), \quad \Delta = r_1 - r_2 - (2q-1)\,m

    Args:
      first_rewards, second_rewards: ``[...]``, rewards of the two responses to one prompt, any scale. A NaN of a real
        pair makes the loss NaN, which stops a run.
      preferences: :math:`q`, ``[...]`` or one number: the probability that the first response is better, in [0, 1]: 1
        where it is, 0 where the second is, 0.5 for a tie.
      margin: :math:`m \ge 0`, ``[...]`` or one number: how much higher the better response's reward should be, in units
        of reward. At q = 1 it is Llama 2's; at q = 0 the same with the responses exchanged; at a tie it is none, since
        neither should be ahead.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    >>> print(bradley_terry_loss(jnp.array([0.0]), jnp.array([0.0])))
    0.6931472

    Source: Bradley and Terry (1952); InstructGPT (arXiv 2203.02155), equation 1; RRM (arXiv 2409.13156) for ties;
    Llama 2 (arXiv 2307.09288), equation 2, for the margin.
    """
    shape = first_rewards.shape
    # Only a scalar is spread: an array of another shape would compare pairs with each other's labels.
    preferences, margin = (
        jnp.full(shape, value, jnp.float32) if jnp.ndim(value) == 0 else value for value in (preferences, margin)
    )
    where, first, second, preferences, margin = numerics.masked(
        where, first_rewards, second_rewards, preferences, margin
    )
    difference = first - second - (2 * preferences - 1) * margin
    per_pair = -preferences * jax.nn.log_sigmoid(difference) - (1 - preferences) * jax.nn.log_sigmoid(-difference)
    return reduce_fn(per_pair, where=where)


def centering_loss(
    first_rewards: Float[Array, "*batch"],
    second_rewards: Float[Array, "*batch"],
    *,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    """Centres the rewards of a pair: :math:`(r_1 + r_2)^2`, to be added with a small coefficient such as 0.01.

    Args:
      first_rewards, second_rewards: ``[...]``, rewards of the two responses to one prompt, any scale. A NaN of a real
        pair makes the loss NaN, which stops a run.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in squared units of reward.

    Source: Eisenstein et al. (arXiv 2312.09244); TRL's ``center_rewards_coefficient``.
    """
    where, first, second = numerics.masked(where, first_rewards, second_rewards)
    return reduce_fn(jnp.square(first + second), where=where)
