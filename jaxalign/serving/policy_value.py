"""What routing policies are worth: regret where every model's outcome is known, and estimates from logged traffic."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxalign.numerics import Ratio


def routing_regret(
    qualities: Float[Array, "N M"], penalties: Float[Array, "M"] | Float[Array, "N M"], models: Int[Array, "N"]
) -> Float[Array, "N"]:
    """Computes how much less each request brought than the best model for it would have.

    Args:
      qualities: ``[N, M]``, of every model's answer, in [0, 1].
      penalties: ``[M]`` or ``[N, M]``, what a model costs, on the scale of quality.
      models: ``[N]``, which one was chosen.

    Returns:
      ``[N]``, 0 or more; its running sum is the cumulative regret.

    >>> print(routing_regret(jnp.array([[0.5, 0.9]]), jnp.array([0.0, 0.1]), jnp.array([0])))
    [0.3]
    """
    values = qualities - jnp.broadcast_to(penalties, qualities.shape)
    return values.max(-1) - values[jnp.arange(values.shape[0]), models]


def logged_value(rewards: Float[Array, "N"], propensities: Float[Array, "N"], chances: Float[Array, "N"]) -> Ratio:
    r"""Estimates the mean reward that another policy would have had on logged traffic.

    .. math:: \hat v = \sum_i w_i r_i \big/ \sum_i w_i, \quad w_i = \pi(m_i \mid x_i) / \mu(m_i \mid x_i)

    Args:
      rewards: :math:`r`, ``[N]``, of the answers that were given.
      propensities: :math:`\mu`, ``[N]``, the chance with which the policy of that time chose the logged model; above 0.
      chances: :math:`\pi`, ``[N]``, the chance with which the other policy chooses the same model.

    Returns:
      The two sums by row, ``[N]`` each, so that intervals can be had by resampling rows. The sum of weights says how
      many rows speak: where it is small, the estimate is worth little.

    Source: Swaminathan and Joachims (2015), self-normalised inverse propensity scores.
    """
    weights = chances / propensities
    return Ratio(weights * rewards, weights)
