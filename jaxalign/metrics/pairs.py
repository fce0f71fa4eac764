"""How well a reward model judges pairs."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign.metrics.ranking import pairwise_accuracy_metric
from jaxalign.numerics import Ratio, masked, ratio

Values = Num[Array, "..."]
Where = Bool[Array, "..."] | None


def preference_accuracy_metric(first: Values, second: Values, target: Values, *, where: Where = None) -> Ratio:
    """Computes the share of pairs whose better response has the higher score; equal scores count one half.

    Pairs with a target of 0.5 have no better response and are not counted. A pairwise model's probability that the
    first response wins is a score against 0.5. On pairs of like length: ``where=length_matched(...)``.

    Args:
      first: ``[...]``, scores of the first responses, any scale.
      second: ``[...]``, scores of the second ones, on the same scale.
      target: ``[...]``, the probability in [0, 1] that the first response is the better one.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over pairs: parts add up, ``.value`` divides.
    """
    where, first, second, target = masked(where, first, second, target)
    scores, labels = jnp.stack([first, second], axis=-1), jnp.stack([target, 1 - target], axis=-1)
    return pairwise_accuracy_metric(scores, labels, where=jnp.stack([where, where], axis=-1))


def longer_wins_metric(first_lengths: Values, second_lengths: Values, target: Values, *, where: Where = None) -> Ratio:
    """Computes the accuracy of the rule "the longer response is better", to stand beside every other figure.

    Unlike a model, the rule has no answer for equal lengths: such pairs are not counted.

    Args:
      first_lengths, second_lengths: ``[...]``, lengths of the first and of the second responses, in any unit.
      target: ``[...]``, the probability in [0, 1] that the first response is the better one.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over pairs: parts add up, ``.value`` divides.
    """
    where, first_lengths, second_lengths, target = masked(where, first_lengths, second_lengths, target)
    unequal = where & (first_lengths != second_lengths)
    return preference_accuracy_metric(first_lengths, second_lengths, target, where=unequal)


def swap_consistency_metric(
    first_shown_wins: Float[Array, "..."], first_shown_wins_swapped: Float[Array, "..."], *, where: Where = None
) -> Ratio:
    """Computes the share of pairs for which a pairwise model names the same response in both orders.

    A probability of exactly 0.5 names either one, which agrees with anything half of the time: a model that always
    says 0.5 scores 0.5, not 1.

    Args:
      first_shown_wins: ``[...]``, the probability in [0, 1] that the response shown first wins, in one order.
      first_shown_wins_swapped: ``[...]``, the same with the two responses exchanged, **not** translated back: a model
        that follows position alone gives the same number twice.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over pairs: parts add up, ``.value`` divides.
    """
    where, plain, swapped = masked(where, first_shown_wins, first_shown_wins_swapped)
    return ratio(0.5 - 0.5 * jnp.sign(plain - 0.5) * jnp.sign(swapped - 0.5), where=where)


def position_bias_metric(
    first_shown_wins: Float[Array, "..."], first_shown_wins_swapped: Float[Array, "..."], *, where: Where = None
) -> Ratio:
    """Computes the mean probability that the response shown first wins, over both orders, minus 0.5; in [-0.5, 0.5].

    Over both orders quality cancels, and what is left is position.

    Args:
      first_shown_wins: ``[...]``, the probability in [0, 1] that the response shown first wins, in one order.
      first_shown_wins_swapped: ``[...]``, the same with the two responses exchanged, **not** translated back: a model
        that follows position alone gives the same number twice.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over pairs: parts add up, ``.value`` divides.
    """
    where, plain, swapped = masked(where, first_shown_wins, first_shown_wins_swapped)
    return ratio((plain - 0.5) / 2 + (swapped - 0.5) / 2, where=where)
