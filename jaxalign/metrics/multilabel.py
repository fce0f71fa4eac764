"""Metrics of items that have several labels, or none: F1 of label sets, and how well scores rank the labels of an item.

``labels`` has 1 where an item has a label, else 0. Precision, NDCG and MRR ask where the labels of an item stand in the
order of its scores. An item without any label has no such place: it is left out of these and counted.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from jaxalign.metrics.ranking import mrr_metric, ndcg_metric, precision_metric
from jaxalign.numerics import Ratio, ratio, safe_divide

Items = Shaped[Array, "items labels"]
# "_": a wrong length is told by _rows, in its own words.
Where = Bool[Array, "_"] | None

_ROWS_AT_ONCE = 256


class LabelCounts(NamedTuple):
    """Counts per label; those of shards and batches add up."""

    hits: Float[Array, "labels"]  # items that have the label and were given it
    predicted: Float[Array, "labels"]  # items that were given the label
    actual: Float[Array, "labels"]  # items that have it

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        return LabelCounts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def f1(self) -> Float[Array, "labels"]:
        """F1 of each label, ``2 hits / (predicted + actual)``; 0 for a label that no item has or was given."""
        return safe_divide(2 * self.hits, self.predicted + self.actual)

    @property
    def micro_f1(self) -> Float[Array, ""]:
        """F1 of all pairs of item and label, in [0, 1]; with one label for each item it is the accuracy."""
        return safe_divide(2 * jnp.sum(self.hits), jnp.sum(self.predicted + self.actual))

    @property
    def macro_f1(self) -> Float[Array, ""]:
        """The mean F1 of the labels that some item has or was given; others have no F1 and are left out."""
        return safe_divide(jnp.sum(self.f1), self.num_counted)

    @property
    def num_counted(self) -> Float[Array, ""]:
        """How many labels the macro-F1 is averaged over."""
        return jnp.sum(self.predicted + self.actual > 0, dtype=jnp.float32)


def label_counts(predictions: Items, labels: Items, *, where: Where = None) -> LabelCounts:
    """Counts hits, predictions and true labels, for micro- and macro-F1.

    Args:
      predictions: ``[items, labels]``, 1 or True where an item is given a label, else 0; for instance
        ``probabilities >= 0.5``. For one label for each item, ``jax.nn.one_hot`` of the class.
      labels: ``[items, labels]``, 1 or True where an item has a label, else 0.
      where: ``[items]``, True for real items, None for all; masked ones may hold anything, NaN included.

    Returns:
      Counts per label, which add up over shards and batches; ``.micro_f1`` and ``.macro_f1`` divide. Items without
      labels count: what they are given is wrong.

    Raises:
      ValueError: if shapes differ.

    >>> counts = label_counts(jnp.array([[1, 1, 0], [0, 1, 0]]), jnp.array([[1, 0, 0], [0, 1, 0]]))
    >>> print(counts.micro_f1, counts.macro_f1)  # 4 / 5; 1 and 2 / 3, and a label that does not occur
    0.8 0.8333334

    Source: ``sklearn.metrics.f1_score``, with ``zero_division=nan`` for the macro-F1; its default counts labels that
    occur nowhere as 0.
    """
    where = _rows(where, predictions, labels)
    # Booleans, so that NaN of a masked item is no number that could be multiplied.
    given, has = where[:, None] & (predictions > 0), where[:, None] & (labels > 0)
    return LabelCounts(*(jnp.sum(pairs, axis=0, dtype=jnp.float32) for pairs in (given & has, given, has)))


def label_ranking_metrics(
    scores: Num[Array, "items labels"], labels: Items, *, where: Where = None, topn: Sequence[int] = (1, 3, 5)
) -> dict[str, Ratio]:
    """Computes precision and NDCG at several depths, and MRR, of the labels in the order of an item's scores.

    Items without any label are left out of all of them: nothing can be found for them, and MRR would be the rank of
    whatever comes first. Equal scores give the expectation over all ways to break the tie.

    Args:
      scores: ``[items, labels]``, higher is likelier, any scale; a NaN of a counted item makes the result NaN.
      labels: ``[items, labels]``, 1 or True where an item has a label, else 0.
      where: ``[items]``, True for real items, None for all; masked ones may hold anything, NaN included.
      topn: how many of the highest scores count, 1 or more each.

    Returns:
      Ratios over items, which add up over batches: ``"precision@1"``, ``"ndcg@1"`` and so on for each depth,
      ``"mrr"``, and ``"labelled"``, the share of the real items that have a label.

    Raises:
      ValueError: if shapes differ, or a depth is below 1.

    >>> scores, labels = jnp.array([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1]]), jnp.array([[0, 1, 1], [0, 0, 0]])
    >>> report = label_ranking_metrics(scores, labels, topn=(1, 2))
    >>> print(report["precision@2"].value, report["mrr"].value, report["labelled"].value)
    0.5 0.5 0.5

    Source: AttrPrompt (arXiv 2306.15895), whose code gives items without labels an MRR of 1.
    """
    if not all(depth >= 1 for depth in topn):
        raise ValueError(f"topn: expected depths of 1 or more, got {tuple(topn)}")
    where = _rows(where, scores, labels)
    has = where[:, None] & (labels > 0)
    labelled = jnp.any(has, axis=1)
    counted = jnp.broadcast_to(labelled[:, None], scores.shape)

    named = {}
    for depth in topn:
        named[f"precision@{depth}"] = functools.partial(precision_metric, topn=depth)
        named[f"ndcg@{depth}"] = functools.partial(ndcg_metric, topn=depth)
    named["mrr"] = functools.partial(mrr_metric, threshold=1.0)

    def of_item(item):
        scores, relevant, where = item
        return [metric(scores, relevant, where=where) for metric in named.values()]

    # Some items at a time: each takes comparisons of all pairs of labels.
    per_item = jax.lax.map(of_item, (scores, has.astype(jnp.float32), counted), batch_size=_ROWS_AT_ONCE)
    report = dict(zip(named, jax.tree.map(jnp.sum, per_item), strict=True))
    return report | {"labelled": ratio(labelled.astype(jnp.float32), where=where)}


def _rows(where: Where, first: Items, labels: Items) -> Bool[Array, "items"]:
    if first.shape != labels.shape or (where is not None and where.shape != labels.shape[:1]):
        raise ValueError(
            f"expected two arrays of one shape [items, labels] and where [items], got {first.shape}, {labels.shape} "
            f"and {None if where is None else where.shape}"
        )
    return jnp.ones(labels.shape[0], bool) if where is None else where
