"""Metrics of sets of classes that stand in a hierarchy, as arrays with the classes on the last axis.

``classes`` restricts a metric of sets to some of the classes: those of one level (``levels == 1``), rare ones
(``counts < 10``), or all but the roots. Each metric is a :class:`~jaxalign.numerics.Ratio` summed over the leading
axes; one entry per item, as :func:`~jaxalign.metrics.bootstrap_interval` wants, comes from ``jax.vmap``.

Two metrics of TELEClass (arXiv 2403.00165) are one thing in the paper and another in its code:

- Precision at k: the paper divides by ``min(k, labels of the item)``, :func:`attainable_precision_metric`; the code by
  k, :func:`~jaxalign.metrics.precision_metric`.
- MRR: the paper averages ``1 / rank`` over the labels of an item, :func:`label_mrr_metric`, of which an item of three
  labels gets 0.61 at most; the code, :func:`filtered_mrr_metric`, takes the other labels of the item out first and gets
  to 1. Figures above 0.61 in the paper's tables are the code's.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, Shaped

from jaxalign.numerics import Ratio, ratio, safe_divide

Sets = Shaped[Array, "*batch C"]
Scores = Num[Array, "*batch C"]
# "_": a wrong shape is told below, in its own words.
Where = Bool[Array, "*_"] | None
Classes = Bool[Array, "_"] | None


def example_f1_metric(predictions: Sets, labels: Sets, *, where: Where = None, classes: Classes = None) -> Ratio:
    """Computes Example-F1: the F1 of each item's set of classes, ``2 |T & P| / (|T| + |P|)``, averaged over items.

    Args:
      predictions: ``[..., C]``, 1 or True for the classes that an item is given, else 0.
      labels: ``[..., C]``, 1 or True for the classes that it has, else 0.
      where: ``[...]``, True for real items, None for all; masked ones may hold anything, NaN included.
      classes: ``[C]``, True for the classes that count, None for all.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over items: batches add up, ``.value`` divides. Items that neither have nor
      are given any of the classes have no F1 and are not counted.

    Raises:
      ValueError: if shapes differ.

    >>> print(example_f1_metric(jnp.array([1, 1, 0, 1]), jnp.array([1, 1, 1, 0])).value)  # 2 * 2 / (3 + 3)
    0.6666667

    Source: TELEClass (arXiv 2403.00165).
    """
    hits, predicted, actual = _sizes(predictions, labels, where, classes)
    return ratio(safe_divide(2 * hits, predicted + actual), where=predicted + actual > 0)


def hierarchical_metrics(
    predictions: Sets, labels: Sets, ancestors: Bool[Array, "_ _"], *, where: Where = None, classes: Classes = None
) -> dict[str, Ratio]:
    """Computes hierarchical precision, recall and F1: those of all pairs of item and class, ancestors included.

    Both sets of an item are closed upwards first, so that a class near the right one is less wrong than one far away.

    Args:
      predictions: ``[..., C]``, 1 or True for the classes that an item is given, else 0.
      labels: ``[..., C]``, 1 or True for the classes that it has, else 0.
      ancestors: ``[C, C]``, True at ``[c, a]`` where class a is class c or stands anywhere above it.
      where: ``[...]``, True for real items, None for all; masked ones may hold anything, NaN included.
      classes: ``[C]``, True for the classes that count once the sets are closed, None for all. What stands above
        everything says nothing: leave out a single root.

    Returns:
      ``"precision"``, ``"recall"`` and ``"f1"``, a :class:`~jaxalign.numerics.Ratio` over pairs each: batches add up,
      ``.value`` divides.

    Raises:
      ValueError: if shapes differ.

    >>> ancestors = jnp.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]], bool)  # a root with two children
    >>> scores = hierarchical_metrics(jnp.array([0, 0, 1]), jnp.array([0, 1, 0]), ancestors)
    >>> print(scores["f1"].value)  # the root of both is right
    0.5

    Source: Kiritchenko et al., 2005, Functional annotation of genes using hierarchical text categorization.
    """
    if ancestors.shape != (labels.shape[-1],) * 2:
        raise ValueError(f"ancestors: expected {(labels.shape[-1],) * 2} as labels have classes, got {ancestors.shape}")
    closed = [(sets > 0).astype(jnp.float32) @ ancestors.astype(jnp.float32) for sets in (predictions, labels)]
    hits, predicted, actual = (jnp.sum(each) for each in _sizes(*closed, where, classes))
    return {
        "precision": Ratio(hits, predicted),
        "recall": Ratio(hits, actual),
        "f1": Ratio(2 * hits, predicted + actual),
    }


def attainable_precision_metric(scores: Scores, labels: Sets, *, where: Where = None, topn: int) -> Ratio:
    """Computes precision at k with ``min(k, labels of the item)`` below, so that each item can reach 1.

    Equal scores give the expectation over all ways to break the tie.

    Args:
      scores: ``[..., C]``, higher is likelier, any scale; a NaN of a counted item makes the metric NaN.
      labels: ``[..., C]``, 1 or True for the classes that an item has, else 0.
      where: ``[...]``, True for real items, None for all; masked ones may hold anything, NaN included.
      topn: k, how many of the highest scores count, 1 or more.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over items: batches add up, ``.value`` divides. Items without labels have
      nothing to find and are not counted.

    Raises:
      ValueError: if shapes differ, or topn is below 1.

    >>> print(attainable_precision_metric(jnp.array([0.9, 0.5, 0.1]), jnp.array([1, 0, 1]), topn=3).value)
    1.0

    Source: TELEClass (arXiv 2403.00165).
    """
    if topn < 1:
        raise ValueError(f"topn: expected 1 class or more, got {topn}")
    scores, has = _ranked(scores, labels, where)
    within = jnp.where(jnp.arange(scores.shape[-1]) < topn, 1.0, 0.0)
    found = jnp.sum(jnp.where(has, _mean_over_ties(scores, within), 0.0), axis=-1)
    size = jnp.sum(has, axis=-1)
    return ratio(_defined(scores, safe_divide(found, jnp.minimum(size, topn))), where=size > 0)


def label_mrr_metric(scores: Scores, labels: Sets, *, where: Where = None) -> Ratio:
    """Computes the mean reciprocal rank of all labels: ``1 / rank``, averaged over an item's labels, then over items.

    A perfect order of an item with n labels gives ``(1 + 1/2 + ... + 1/n) / n``. Equal scores give the expectation over
    all ways to break the tie.

    Args:
      scores: ``[..., C]``, higher is likelier, any scale; a NaN of a counted item makes the metric NaN.
      labels: ``[..., C]``, 1 or True for the classes that an item has, else 0.
      where: ``[...]``, True for real items, None for all; masked ones may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over items: batches add up, ``.value`` divides. Items without labels are not
      counted.

    Raises:
      ValueError: if shapes differ.

    >>> print(label_mrr_metric(jnp.array([0.9, 0.5, 0.1]), jnp.array([1, 1, 0])).value)  # (1 + 1/2) / 2
    0.75

    Source: TELEClass (arXiv 2403.00165), as its text defines MRR.
    """
    scores, has = _ranked(scores, labels, where)
    reciprocal = _mean_over_ties(scores, 1 / jnp.arange(1.0, scores.shape[-1] + 1.0))
    size = jnp.sum(has, axis=-1)
    per_item = safe_divide(jnp.sum(jnp.where(has, reciprocal, 0.0), axis=-1), size)
    return ratio(_defined(scores, per_item), where=size > 0)


def filtered_mrr_metric(scores: Scores, labels: Sets, *, where: Where = None) -> Ratio:
    """Computes the mean reciprocal rank of all pairs of item and label, each ranked among the classes that are wrong.

    The rank of a label is one plus the number of classes that the item does not have and that score as high or higher:
    its other labels are filtered out, and a tie counts against it. A perfect order gives 1.

    Args:
      scores: ``[..., C]``, higher is likelier, any scale; a NaN of a counted item makes the metric NaN.
      labels: ``[..., C]``, 1 or True for the classes that an item has, else 0.
      where: ``[...]``, True for real items, None for all; masked ones may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over pairs of item and label: an item of many labels weighs more. Batches add
      up, ``.value`` divides.

    Raises:
      ValueError: if shapes differ.

    >>> print(filtered_mrr_metric(jnp.array([0.9, 0.5, 0.5]), jnp.array([1, 1, 0])).value)  # (1 + 1/2) / 2
    0.75

    Source: the evaluation code of TELEClass (arXiv 2403.00165).
    """
    scores, has = _ranked(scores, labels, where)
    below, _ = _below(scores, scores)
    # Places instead of scores, so that -1 is lower than any of them, where a score may be -inf.
    below_wrong, _ = _below(jnp.where(has, -1, below), below)
    ranks = 1 + scores.shape[-1] - below_wrong
    return ratio(_defined(scores, 1 / ranks), where=has)


def _sizes(predictions, labels, where, classes) -> tuple[Float[Array, "*batch"], ...]:
    """How many classes of each item are hits, predictions and labels; 0 for masked items."""
    counted = _items(where, predictions, labels)[..., None]
    if classes is not None:
        if classes.shape != labels.shape[-1:]:
            raise ValueError(f"classes: expected a mask {labels.shape[-1:]} as labels have, got {classes.shape}")
        counted = counted & jnp.broadcast_to(classes, labels.shape)
    # Booleans, so that NaN of a masked item is no number that could be multiplied.
    given, has = counted & (predictions > 0), counted & (labels > 0)
    return tuple(jnp.sum(sets, axis=-1, dtype=jnp.float32) for sets in (given & has, given, has))


def _ranked(scores, labels, where) -> tuple[Num[Array, "*batch C"], Bool[Array, "*batch C"]]:
    """Scores, 0 in masked items, and the labels that count."""
    counted = _items(where, scores, labels)[..., None]
    return jnp.where(counted, scores, 0), counted & (labels > 0)


def _items(where: Where, first, labels) -> Bool[Array, "*batch"]:
    if first.shape != labels.shape or (where is not None and where.shape != labels.shape[:-1]):
        raise ValueError(
            f"expected two arrays of one shape [..., C] and where [...], got {first.shape}, {labels.shape} and "
            f"{None if where is None else where.shape}"
        )
    return jnp.ones(labels.shape[:-1], bool) if where is None else where


def _below(values, queries) -> tuple[Int[Array, "*batch C"], Int[Array, "*batch C"]]:
    """How many of an item's values are lower than each query, and how many lower or equal; by sorting, not by pairs."""
    rows = jnp.sort(values, axis=-1).reshape(-1, values.shape[-1]), queries.reshape(-1, values.shape[-1])
    found = (jax.vmap(functools.partial(jnp.searchsorted, side=side))(*rows) for side in ("left", "right"))
    return tuple(each.reshape(values.shape) for each in found)


def _mean_over_ties(scores, of_rank: Float[Array, "C"]) -> Float[Array, "*batch C"]:
    """What each class's rank, from 1, is worth, averaged over the ranks that it shares with equal scores."""
    below, up_to = _below(scores, scores)
    cumulative = jnp.concatenate([jnp.zeros(1), jnp.cumsum(of_rank)])
    num_classes = scores.shape[-1]
    return (cumulative[num_classes - below] - cumulative[num_classes - up_to]) / (up_to - below)


def _defined(scores, values):
    """Values with an item's classes last, or one per item: NaN where a score of the item is NaN."""
    undefined = jnp.any(jnp.isnan(scores), axis=-1)
    return jnp.where(undefined if values.ndim < scores.ndim else undefined[..., None], jnp.nan, values)
