"""Choosing among the responses of a list, by rewards or by comparisons.

Everything has to be finite where it counts: :func:`jaxalign.data.score_lists` names the record of a reward that is not.
A list without any real response gives index 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.losses import labels_from_preferences
from jaxalign.numerics import ranks


class Knockout(NamedTuple):
    """What a knockout tournament found, and how many comparisons (in both orders) it took."""

    best: Int[Array, "*batch"]
    worst: Int[Array, "*batch"]
    comparisons: Int[Array, "*batch"]


def best_of_n(
    rewards: Float[Array, "*batch K"], *, where: Bool[Array, "*batch K"] | None = None, key: PRNGKeyArray | None = None
) -> Int[Array, "*batch"]:
    """Returns the index of the response with the highest reward; 0 for a list without a real response.

    Args:
      rewards: ``[..., K]``, finite where ``where`` is True.
      where: ``[..., K]``, True for real responses; None: all.
      key: breaks ties at random. Without it the response that is stored first wins them, which favours a place in the
        list.

    Returns:
      ``[...]``, from 0 to K - 1.

    >>> print(best_of_n(jnp.array([0.1, 0.9, 2.0]), where=jnp.array([True, True, False])))
    1
    """
    where = jnp.ones(rewards.shape, bool) if where is None else where
    return jnp.argmin(ranks(jnp.where(where, rewards, 0), where, key), axis=-1)


def round_robin_ranks(
    preferences: Float[Array, "*batch K K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
) -> Int[Array, "*batch K"]:
    """Ranks the responses of a list by their expected wins against all others.

    Args:
      preferences: ``[..., K, K]``, at [i, j] the probability that response i beats response j, as a model gives it in
        one order. Both orders are averaged; the diagonal is not read.
      where: ``[..., K]``, True for real responses; None: all.
      key: breaks ties at random. Without it the response that is stored first wins them, which favours a place in the
        list.

    Returns:
      ``[..., K]``: the rank of each response, 1 for the best; masked responses come last.

    >>> print(round_robin_ranks(jnp.array([[0.5, 0.1, 0.4], [0.9, 0.5, 0.7], [0.6, 0.3, 0.5]])))
    [3 1 2]
    """
    where = jnp.ones(preferences.shape[:-1], bool) if where is None else where
    return ranks(labels_from_preferences(preferences, where=where), where, key).astype(jnp.int32)


def knockout(
    preferences: Float[Array, "*batch K K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
) -> Knockout:
    """Finds the best and the worst of each list of n responses in ceil(3n / 2) - 2 of its n (n - 1) / 2 comparisons.

    The first round compares the responses two by two; its winners play for the best, its losers for the worst, and the
    one left over by an odd number takes part in both. Of intransitive preferences the result depends on who meets whom,
    which ``key`` draws; without it neighbours meet.

    Args:
      preferences: ``[..., K, K]``, at [i, j] the probability that response i beats response j, as a model gives it in
        one order. Both orders are averaged; the diagonal is not read.
      where: ``[..., K]``, True for real responses; None: all.
      key: draws who meets whom, and breaks ties at random. Without it the response that is stored first wins ties.

    Returns:
      ``Knockout``: the indices of the best and of the worst response, and the number of comparisons, each ``[...]``. A
      list without a real response has index 0.

    Source: RRM (arXiv 2409.13156) ranks responses by tournament; the minimum number of comparisons for both ends is
    Pohl's (1972).
    """
    where = jnp.ones(preferences.shape[:-1], bool) if where is None else where
    draw = jnp.zeros(where.shape) if key is None else jax.random.uniform(key, where.shape)
    preferences = jnp.where(where[..., :, None] & where[..., None, :], preferences, 0.5)
    return Knockout(*jnp.vectorize(_knockout, signature="(k,k),(k),(k)->(),(),()")(preferences, where, draw))


def _knockout(preferences, where, draw):
    """One list; ``draw`` places the responses and breaks ties, the lower number first."""
    size = where.shape[0]
    index = jnp.arange(size)
    order = jnp.lexsort((index, draw, ~where))
    places = jnp.zeros(size, jnp.int32).at[order].set(index)

    def beats(one, other):
        balance = preferences[one, other] - preferences[other, one]
        return (balance > 0) | ((balance == 0) & (places[one] < places[other]))

    players, count = jnp.where(where[order], order, -1), where.sum()
    winners, losers, met = _round(players, beats)
    best, most = _play(winners, beats)
    worst, least = _play(losers, lambda one, other: ~beats(one, other))
    return jnp.where(count > 0, best, 0), jnp.where(count > 0, worst, 0), met + most + least


def _round(players, beats):
    """Winners and losers of neighbours, and how many met. -1, at the end, is nobody; who meets nobody is both."""
    players = jnp.pad(players, (0, len(players) % 2), constant_values=-1)
    one, other = players[::2], players[1::2]
    met, first = other >= 0, beats(one, other)
    return jnp.where(met & ~first, other, one), jnp.where(met & first, other, one), met.sum()


def _play(players, beats):
    """The last winner, and the number of comparisons, of round after round."""
    comparisons = jnp.zeros((), jnp.int32)
    while len(players) > 1:
        players, _, met = _round(players, beats)
        comparisons += met
    return players[0], comparisons
