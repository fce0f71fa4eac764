"""Labels in [0, 1] from comparisons of the responses of a list, and from their ranks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign import numerics


def labels_from_preferences(
    preferences: Float[Array, "*batch K K"], *, where: Bool[Array, "*batch K"] | None = None
) -> Float[Array, "*batch K"]:
    r"""Returns each response's average chance to win against one of its list, itself included, ``[..., K]`` in [0, 1].

    .. math:: \psi_k = \mathrm{mean}_i \Psi_{ki}, \quad \Psi_{ij} = (P_{ij} + 1 - P_{ji}) / 2, \quad \Psi_{ii} = 1/2

    Args:
      preferences: ``[..., K, K]``, :math:`P_{ij}`, the probability that response i beats response j. When a model made
        it from an ordered pair, i was the first of the two; averaging both orders takes its position bias out. It
        changes nothing when :math:`P_{ij} + P_{ji} = 1` already. The diagonal is not read.
      where: ``[..., K]``, True for real responses, None for all. Labels of masked ones are 0, and entries of P that
        involve one are not read.

    >>> print(labels_from_preferences(jnp.array([[0.0, 0.9], [0.3, 0.0]])))
    [0.65 0.35]

    Source: LiPO (arXiv 2402.01878), section on labels from a pairwise reward-ranking model.
    """
    if where is None:
        where = jnp.ones(preferences.shape[:-1], bool)
    same = jnp.broadcast_to(jnp.eye(preferences.shape[-1], dtype=bool), preferences.shape)
    pairs = where[..., :, None] & where[..., None, :] & ~same
    _, preferences = numerics.masked(pairs, preferences)
    both_orders = jnp.where(pairs, (preferences + 1 - jnp.swapaxes(preferences, -1, -2)) / 2, 0)
    wins = jnp.sum(both_orders, axis=-1) + jnp.where(where, 0.5, 0)
    return numerics.safe_divide(wins, jnp.sum(where, axis=-1, keepdims=True))


def labels_from_ranks(
    ranks: Num[Array, "*batch K"], *, where: Bool[Array, "*batch K"] | None = None
) -> Float[Array, "*batch K"]:
    r"""Returns the labels of lists that are only ranked: average chances to win, ``[..., K]`` in [0, 1].

    Response i beats j with probability :math:`\Psi_{ij}`: 1 if it ranks above j, 0 if below, 1/2 at equal ranks and
    against itself.

    Args:
      ranks: ``[..., K]``, 1 = best; they need not be consecutive.
      where: ``[..., K]``, True for real responses, None for all. Labels of masked ones are 0, and their ranks may be
        anything.

    >>> print(labels_from_ranks(jnp.array([2, 1])))
    [0.25 0.75]

    Source: LiPO (arXiv 2402.01878), rank-only data.
    """
    where, ranks = numerics.masked(where, ranks)
    mine, other = ranks[..., :, None], ranks[..., None, :]
    return labels_from_preferences(jnp.where(mine == other, 0.5, jnp.where(mine < other, 1.0, 0.0)), where=where)


def preferences_from_rewards(rewards: Float[Array, "*batch K"]) -> Float[Array, "*batch K K"]:
    r"""Returns what a scalar reward model says of each pair: :math:`P_{ij} = \sigma(r_i - r_j)`, ``[..., K, K]``.

    Args:
      rewards: ``[..., K]``, the rewards :math:`r`, in log-odds.

    >>> print(jnp.round(preferences_from_rewards(jnp.array([0.0, jnp.log(3.0)])), 2))
    [[0.5  0.25]
     [0.75 0.5 ]]

    Source: Bradley and Terry (1952).
    """
    return jax.nn.sigmoid(numerics.differences(rewards))
