"""Which candidates are shown together: useful ones that differ, within a budget of tokens, the best one last.

The paper combines examples by their utilities and leaves the rule open. This one is ours: greedy maximal marginal
relevance (Carbonell and Goldstein, 1998), at most 5 examples. Source: IC-Cache (arXiv 2501.12689), the selector.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxalign.serving.table import NONE

MOST_EXAMPLES = 5  # in a prompt (ours)
TRADE_OFF = 0.7  # the weight of utility against that of being different (ours)


class Combination(NamedTuple):
    """M places for each of B requests, filled from the front, in the order in which a prompt shows the examples."""

    positions: Int[Array, "B M"]  # among the candidates; -1 where there are fewer than M
    where: Bool[Array, "B M"]
    utilities: Float[Array, "B M"]  # 0 where there is none


@functools.partial(jax.jit, static_argnames="max_examples")
def combine_examples(
    utilities: Float[Array, "B k"],
    vectors: Float[Array, "B k D"],
    tokens: Int[Array, "B k"],
    where: Bool[Array, "B k"],
    *,
    threshold: ArrayLike,
    budget: ArrayLike,
    max_examples: int = MOST_EXAMPLES,
    trade_off: ArrayLike = TRADE_OFF,
) -> Combination:
    r"""Chooses examples one after the other, each the one of highest marginal relevance that still fits the budget.

    .. math:: \lambda u_i - (1 - \lambda) \max_{j \text{ chosen}} \cos(v_i, v_j)

    The first chosen is the most useful one that fits; it is shown last, next to the question. Of equal candidates the
    earlier one is taken.

    Args:
      utilities: ``[B, k]``, of each candidate for its request, 0 to 1.
      vectors: ``[B, k, D]``, the candidates' unit vectors.
      tokens: ``[B, k]``, what each adds to the prompt, 0 or more.
      where: ``[B, k]``, True for candidates; the others may hold anything finite.
      threshold: the least utility of an example, for all requests or ``[B]``; see :func:`best_threshold`.
      budget: the most tokens of all examples together, for all requests or ``[B]``.
      max_examples: M, the most examples for a request.
      trade_off: :math:`\lambda`, 0 to 1; 1 is by utility alone.

    Returns:
      The choice for each request. It compiles once for each B, k, D and M.
    """
    batch = utilities.shape[:1]
    threshold = jnp.broadcast_to(jnp.float32(threshold), batch)
    budget = jnp.broadcast_to(jnp.int32(budget), batch)
    one = functools.partial(_combine, max_examples=max_examples, trade_off=trade_off)
    return jax.vmap(one)(utilities, vectors, tokens, where & (utilities >= threshold[:, None]), budget)


def _combine(utilities, vectors, tokens, where, budget, *, max_examples, trade_off) -> Combination:
    """The choice for one request; arrays have no batch axis."""

    def choose(state, place):
        free, nearest, left = state
        relevance = trade_off * utilities - (1 - trade_off) * nearest
        relevance = jnp.where(free & (tokens <= left), relevance, -jnp.inf)
        best = jnp.argmax(relevance)
        found = jnp.isfinite(relevance[best])
        cosines = vectors @ vectors[best]
        # Until something is chosen nothing is near; then the nearest counts, even at a cosine below 0.
        nearest = jnp.where(place > 0, jnp.maximum(nearest, cosines), cosines)
        left = jnp.where(found, left - tokens[best], left)
        return (free.at[best].set(free[best] & ~found), nearest, left), jnp.where(found, best, NONE)

    state = where, jnp.zeros_like(utilities), budget
    _, chosen = jax.lax.scan(choose, state, jnp.arange(max_examples))
    return _best_last(chosen, utilities)


def _best_last(chosen: Int[Array, "M"], utilities: Float[Array, "k"]) -> Combination:
    places = jnp.arange(len(chosen))
    count = jnp.sum(chosen >= 0)
    found = places < count
    positions = jnp.where(found, chosen[jnp.where(found, count - 1 - places, 0)], NONE)
    return Combination(positions, found, jnp.where(found, utilities[positions], 0))
