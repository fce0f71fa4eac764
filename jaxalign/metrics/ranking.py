"""How well scores order lists.

Every metric returns a :class:`~jaxalign.numerics.Ratio` summed over the leading axes, so that batches and shards add
up; ``.value`` divides. One Ratio entry per list, as :func:`~jaxalign.metrics.bootstrap_interval` wants, comes from
``jax.vmap(metric)``.

Equal scores give the expectation over all ways to break the tie, so that no metric depends on the order in which a list
is stored. That matters most where it is easiest to miss: before training an implicit reward is 0 everywhere.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxalign.numerics import Ratio, differences, exponential_gain, log2_discount, masked, ratio, safe_divide

Scores = Num[Array, "*batch K"]
Where = Bool[Array, "*batch K"] | None


def ndcg_metric(
    scores: Scores,
    labels: Scores,
    *,
    where: Where = None,
    topn: int | None = None,
    gain_fn: Callable[[Array], Array] = exponential_gain,
    discount_fn: Callable[[Array], Array] = log2_discount,
) -> Ratio:
    """Computes the normalised discounted cumulative gain (NDCG), averaged over lists.

    It is ``sum_i gain(label_i) / discount(rank_i)``, over its value for the order of the labels. A list without any
    gain has no NDCG and is not counted (some libraries count it as 0).

    Equal scores give the expectation over all ways to break the tie.

    Args:
      scores: ``[..., K]``, any scale, higher is better; a NaN of a real item makes the metric NaN.
      labels: ``[..., K]``, any scale, higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      topn: ranks beyond it add nothing; None takes all.
      gain_fn: gain of the labels, elementwise; ``2^label - 1`` by default.
      discount_fn: discount of the ranks (1 = best), elementwise; ``log2(1 + rank)`` by default.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over lists: batches add up, ``.value`` divides, and ``jax.vmap`` gives one per
      list.

    Source: Jarvelin and Kekalainen, 2002; the gain of Burges et al., 2005.
    """
    where, scores, labels = masked(where, scores, labels)
    ranks = jnp.arange(1.0, scores.shape[-1] + 1.0)
    discounts = jnp.where(ranks <= (topn or scores.shape[-1]), 1 / discount_fn(ranks), 0.0)
    gains = jnp.where(where, gain_fn(labels), 0.0)
    achieved = jnp.sum(gains * _expected_discounts(scores, where, discounts), axis=-1)
    ideal = jnp.sum(gains * _expected_discounts(labels, where, discounts), axis=-1)
    return ratio(safe_divide(achieved, ideal), where=ideal != 0)


def mrr_metric(
    scores: Scores, labels: Scores, *, where: Where = None, threshold: float | None = None, topn: int | None = None
) -> Ratio:
    """Computes the mean reciprocal rank (MRR): one over the rank of the first relevant item, averaged over lists.

    Equal scores give the expectation over all ways to break the tie.

    Args:
      scores: ``[..., K]``, any scale, higher is better; a NaN of a real item makes the metric NaN.
      labels: ``[..., K]``, any scale, higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      threshold: items with labels of at least that are relevant; None takes those with the highest label of their list.
      topn: a list counts 0 where no relevant item is among that many first ones; None takes all.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over lists: batches add up, ``.value`` divides, and ``jax.vmap`` gives one per
      list.
    """
    where, scores, labels = masked(where, scores, labels)
    if threshold is None:
        threshold = jnp.max(labels, axis=-1, keepdims=True, where=where, initial=-jnp.inf)
    relevant = where & (labels >= threshold)
    first, last = _rank_ranges(scores, where)
    block = jnp.min(first, axis=-1, keepdims=True, where=relevant, initial=scores.shape[-1] + 1)
    tied = where & (first == block)
    values = _expected_reciprocal_rank(
        block,
        jnp.sum(tied, axis=-1, keepdims=True),
        jnp.sum(tied & relevant, axis=-1, keepdims=True),
        scores.shape[-1],
        topn or scores.shape[-1],
    )
    # A NaN compares false with everything, which would leave its item without a rank instead of the metric without one.
    undefined = jnp.any(where & (last < first), axis=-1)
    return ratio(jnp.where(undefined, jnp.nan, values), where=jnp.any(where, axis=-1))


def precision_metric(
    scores: Scores, labels: Scores, *, where: Where = None, topn: int, threshold: float = 1.0
) -> Ratio:
    """Computes the precision at a depth (P@k): the share of relevant items among the first ones, averaged over lists.

    A list without any relevant item has nothing to find and is not counted (some libraries count it as 0). A list of
    fewer items than ``topn`` is taken as it is long. Equal scores give the expectation over all ways to break the tie.

    Args:
      scores: ``[..., K]``, any scale, higher is better; a NaN of a real item makes the metric NaN.
      labels: ``[..., K]``, any scale, higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      topn: how many of the first items count, 1 or more.
      threshold: items with labels of at least that are relevant.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over lists: batches add up, ``.value`` divides, and ``jax.vmap`` gives one per
      list.

    Raises:
      ValueError: if topn is below 1.

    >>> print(precision_metric(jnp.array([0.9, 0.5, 0.1]), jnp.array([0.0, 1.0, 1.0]), topn=2).value)
    0.5
    """
    if topn < 1:
        raise ValueError(f"topn: expected 1 item or more, got {topn}")
    where, scores, labels = masked(where, scores, labels)
    relevant = where & (labels >= threshold)
    within = jnp.where(jnp.arange(scores.shape[-1]) < topn, 1.0, 0.0)
    found = jnp.sum(jnp.where(relevant, 1.0, 0.0) * _expected_discounts(scores, where, within), axis=-1)
    taken = jnp.minimum(jnp.sum(where, axis=-1), topn)
    return ratio(safe_divide(found, taken), where=jnp.any(relevant, axis=-1))


def kendall_tau_metric(scores: Scores, labels: Scores, *, where: Where = None) -> Ratio:
    """Computes Kendall's tau-b, averaged over lists.

    It is ``(concordant - discordant) / sqrt(pairs untied in scores * pairs untied in labels)``, in [-1, 1]. Lists whose
    labels are all equal are not counted; a list whose scores are all equal says nothing and counts as 0.

    Args:
      scores: ``[..., K]``, any scale, higher is better; a NaN of a real item makes the metric NaN.
      labels: ``[..., K]``, any scale, higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over lists: batches add up, ``.value`` divides, and ``jax.vmap`` gives one per
      list.

    Source: Kendall, 1945.
    """
    where, scores, labels = masked(where, scores, labels)
    pairs = _pairs(where)
    score_signs = jnp.where(pairs, _order(scores), 0.0)
    label_signs = jnp.where(pairs, _order(labels), 0.0)
    agreement = jnp.sum(score_signs * label_signs, axis=(-2, -1))
    untied_scores = jnp.sum(jnp.abs(score_signs), axis=(-2, -1))
    untied_labels = jnp.sum(jnp.abs(label_signs), axis=(-2, -1))
    # Two roots, because the product of the counts leaves the exact integers of float32 at K = 65.
    tau = safe_divide(agreement, jnp.sqrt(untied_scores) * jnp.sqrt(untied_labels))
    return ratio(tau, where=untied_labels != 0)


def spearman_rho_metric(scores: Scores, labels: Scores, *, where: Where = None) -> Ratio:
    """Computes Spearman's rank correlation, averaged over lists: Pearson's of ranks, where ties share a mean rank.

    It is in [-1, 1]. Lists whose labels are all equal are not counted; a list whose scores are all equal counts as 0.

    Args:
      scores: ``[..., K]``, any scale, higher is better; a NaN of a real item makes the metric NaN.
      labels: ``[..., K]``, any scale, higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over lists: batches add up, ``.value`` divides, and ``jax.vmap`` gives one per
      list.

    >>> print(spearman_rho_metric(jnp.array([1.0, 3.0, 2.0]), jnp.array([0.1, 0.2, 0.3])).value)
    0.5

    Source: Spearman, 1904.
    """
    where, scores, labels = masked(where, scores, labels)
    score_ranks, label_ranks = _centred_ranks(scores, where), _centred_ranks(labels, where)
    covariance = jnp.sum(score_ranks * label_ranks, axis=-1)
    score_spread, label_spread = (jnp.sum(ranks**2, axis=-1) for ranks in (score_ranks, label_ranks))
    rho = safe_divide(covariance, jnp.sqrt(score_spread * label_spread))
    return ratio(rho, where=label_spread != 0)


def pairwise_accuracy_metric(
    scores: Scores,
    labels: Scores,
    *,
    where: Where = None,
    min_gap: float = 0.0,
    lengths: Num[Array, "*batch K"] | None = None,
    length_tolerance: float = 0.1,
) -> Ratio:
    """Computes the share of pairs that scores order as labels do; equal scores count one half.

    Pairs with unequal labels count, all alike. With ``lengths`` only pairs of like length do: the share that a mere
    preference for length cannot explain. The yardstick "longer wins" is this metric with lengths as scores.

    Args:
      scores: ``[..., K]``, any scale, higher is better; a NaN of a real item makes the metric NaN.
      labels: ``[..., K]``, any scale, higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      min_gap: pairs count whose labels differ by that or more, in the unit of the labels.
      lengths: ``[..., K]``, in any unit; None counts pairs of all lengths.
      length_tolerance: pairs count whose lengths differ by at most this share of the longer one.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over pairs: parts add up, ``.value`` divides.
    """
    where, scores, labels = masked(where, scores, labels)
    gaps = differences(labels)
    counted = _pairs(where) & (gaps > 0) & (gaps >= min_gap)
    if lengths is not None:
        where, lengths = masked(where, lengths)
        counted &= length_matched(lengths[..., :, None], lengths[..., None, :], tolerance=length_tolerance)
    return ratio(0.5 + 0.5 * _order(scores), where=counted)


def length_matched(
    lengths: Num[Array, "*#batch"], other_lengths: Num[Array, "*#batch"], *, tolerance: float = 0.1
) -> Bool[Array, "*batch"]:
    """Returns True where two lengths differ by at most ``tolerance`` of the longer one; two empty ones match.

    Args:
      lengths, other_lengths: ``[...]``, of shapes that broadcast, in any unit.
      tolerance: share of the longer one, in [0, 1].
    """
    gap = jnp.abs(lengths - other_lengths)
    return gap <= tolerance * jnp.maximum(lengths, other_lengths)


def _order(values: Float[Array, "*batch K"]) -> Float[Array, "*batch K K"]:
    """The sign of ``values[i] - values[j]``; 0 for two equal infinities too, NaN where one of them is NaN."""
    mine, other = values[..., :, None], values[..., None, :]
    return jnp.where(mine == other, 0.0, jnp.sign(mine - other))


def _pairs(where: Bool[Array, "*batch K"]) -> Bool[Array, "*batch K K"]:
    return where[..., :, None] & where[..., None, :]


def _rank_ranges(
    scores: Float[Array, "*batch K"], where: Bool[Array, "*batch K"]
) -> tuple[Int[Array, "*batch K"], Int[Array, "*batch K"]]:
    """The first and the last rank (from 1) that each item can have, depending on how ties are broken; 1 if masked."""
    mine, other = scores[..., :, None], scores[..., None, :]
    first = 1 + jnp.sum((other > mine) & where[..., None, :], axis=-1)
    last = jnp.sum((other >= mine) & where[..., None, :], axis=-1)
    return jnp.where(where, first, 1), jnp.where(where, last, 1)


def _centred_ranks(values: Float[Array, "*batch K"], where: Bool[Array, "*batch K"]) -> Float[Array, "*batch K"]:
    """Half of (items below - items above) each one: its mean rank from below, minus the mean of all; 0 if masked."""
    return 0.5 * jnp.sum(jnp.where(_pairs(where), _order(values), 0.0), axis=-1)


def _expected_discounts(scores, where, discounts: Float[Array, "K"]) -> Float[Array, "*batch K"]:
    """Each item's discount, averaged over the ranks that it shares with equal scores."""
    first, last = _rank_ranges(scores, where)
    cumulative = jnp.concatenate([jnp.zeros(1), jnp.cumsum(discounts)])
    share = (cumulative[last] - cumulative[first - 1]) / (last - first + 1)
    return jnp.where(where, share, 0.0)


def _expected_reciprocal_rank(first, size, relevant, num_items: int, topn: int) -> Float[Array, "*batch"]:
    """The mean of 1/rank of the first relevant item when ``size`` items in random order share the ranks from ``first``.

    It comes after position p with probability ``prod_{q <= p} (size - relevant - q) / (size - q)``.
    """
    position = jnp.arange(num_items).reshape((1,) * (first.ndim - 1) + (num_items,))
    irrelevant_left = jnp.maximum(size - relevant - position, 0)
    items_left = jnp.maximum(size - position, 1)
    later = jnp.cumprod(irrelevant_left / items_left, axis=-1)
    reached = jnp.concatenate([jnp.ones_like(later[..., :1]), later[..., :-1]], axis=-1)
    rank = first + position
    inside = (position < size) & (rank <= topn)
    return jnp.sum(jnp.where(inside, (reached - later) / rank, 0.0), axis=-1)
