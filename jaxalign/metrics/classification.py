"""How well scores find the labels of items that have several of them, such as the functions of proteins.

Fmax is protein-centric, as CAFA and DeepFRI define it. At a threshold t a protein has the predictions
``scores >= t``. Precision is averaged over the proteins with a prediction, recall over all proteins that have a term,
and Fmax is the best harmonic mean of the two over thresholds. Proteins without any term have no recall and are left
out, like those not annotated.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num, Shaped

from jaxalign.numerics import safe_divide

Scores = Num[Array, "proteins terms"]
Labels = Shaped[Array, "proteins terms"]
HostScores = Num[Array, "proteins terms"] | Num[np.ndarray, "proteins terms"]
HostLabels = Shaped[Array, "proteins terms"] | Shaped[np.ndarray, "proteins terms"]
# "_": a wrong length is told by _check_shapes, in its own words.
Where = Bool[Array, "_"] | None
HostWhere = Bool[Array, "_"] | Bool[np.ndarray, "_"] | None

TWENTY_THRESHOLDS = tuple(step / 20 for step in range(20))
"""0, 0.05, ..., 0.95: those of HeMeNet's code, where 1 is not among them."""


class FmaxTable(NamedTuple):
    """Sums per threshold, so that the tables of shards and batches add up; thresholds must be the same ones."""

    precision_sum: Float[Array, "thresholds"]
    predicted: Float[Array, "thresholds"]  # proteins with a prediction
    recall_sum: Float[Array, "thresholds"]
    proteins: Float[Array, ""]

    def __add__(self, other: "FmaxTable") -> "FmaxTable":
        return FmaxTable(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def precision(self) -> Float[Array, "thresholds"]:
        """0 where nothing was predicted."""
        return safe_divide(self.precision_sum, self.predicted)

    @property
    def recall(self) -> Float[Array, "thresholds"]:
        """0 where there is no protein."""
        return safe_divide(self.recall_sum, self.proteins)

    @property
    def fmax(self) -> Float[Array, ""]:
        """The best F over the table's thresholds, in [0, 1]; 0 for an empty table."""
        return jnp.max(safe_divide(2 * self.precision * self.recall, self.precision + self.recall))


def fmax_table(
    scores: Scores,
    labels: Labels,
    *,
    thresholds: Sequence[float] | Float[Array, "thresholds"] = TWENTY_THRESHOLDS,
    where: Where = None,
) -> FmaxTable:
    """Computes precision and recall at fixed thresholds; ``.fmax`` is a lower bound of :func:`exact_fmax`.

    Fmax is protein-centric: at a threshold t a protein has the predictions ``scores >= t``. Precision is averaged over
    the proteins with a prediction, recall over all proteins that have a term, and Fmax is the best harmonic mean of the
    two over thresholds. Proteins without any term have no recall and are left out, like those not annotated.

    Args:
      scores: ``[proteins, terms]``, probabilities in [0, 1]; a NaN of a counted protein makes the result NaN.
      labels: ``[proteins, terms]``, 1 where a protein has a term, else 0.
      thresholds: ``[thresholds]``, in the unit of the scores.
      where: ``[proteins]``, True where a protein was annotated in this task, None for all. A missing annotation is not
        a negative one: such a protein is left out, and its row may hold anything, NaN included.

    Returns:
      Sums per threshold, which add up over shards and batches that use the same thresholds.

    Raises:
      ValueError: if shapes differ.

    >>> scores, labels = jnp.array([[0.9, 0.3], [0.2, 0.6]]), jnp.array([[1, 1], [0, 1]])
    >>> table = fmax_table(scores, labels, thresholds=(0.25, 0.5))
    >>> print(table.precision, table.recall, table.fmax)
    [1. 1.] [1.   0.75] 1.0

    Source: Radivojac et al., 2013 (CAFA); Gligorijevic et al., 2021 (DeepFRI); thresholds of HeMeNet (arXiv
    2404.01693).
    """
    where, scores, labels = _real_rows(where, scores, labels)
    positives = jnp.sum(labels, axis=1)
    counted = where & (positives > 0)

    def sums(threshold):
        predictions = counted[:, None] & (scores >= threshold)
        hits = jnp.sum(jnp.where(predictions, labels, 0), axis=1)
        size = jnp.sum(predictions, axis=1, dtype=jnp.float32)
        parts = (safe_divide(hits, size), size > 0, safe_divide(hits, positives))
        return tuple(jnp.sum(jnp.where(counted, part, 0), dtype=jnp.float32) for part in parts)

    # One threshold after another: the [thresholds, proteins, terms] array would not fit for gene ontology.
    precision_sum, predicted, recall_sum = jax.lax.map(sums, jnp.asarray(thresholds, scores.dtype))
    # A NaN compares false with every threshold and would pass for "not predicted".
    unknown = jnp.any(counted[:, None] & jnp.isnan(scores))
    precision_sum = jnp.where(unknown, jnp.nan, precision_sum)
    return FmaxTable(precision_sum, predicted, recall_sum, jnp.sum(counted, dtype=jnp.float32))


def exact_fmax(scores: HostScores, labels: HostLabels, *, where: HostWhere = None) -> float:
    """Returns Fmax over all thresholds, that is over all distinct scores, in [0, 1]; 0 if no protein has a term.

    Fmax is protein-centric: at a threshold t a protein has the predictions ``scores >= t``. Precision is averaged over
    the proteins with a prediction, recall over all proteins that have a term, and Fmax is the best harmonic mean of the
    two over thresholds. Proteins without any term have no recall and are left out, like those not annotated.

    It is computed on the host, in float64, by one sort of all scores: each prediction that a falling threshold adds
    changes precision and recall of its protein only. Equal scores enter together, so that ties give no order that a
    threshold could not.

    Args:
      scores: ``[proteins, terms]``, higher is likelier, any scale; a NaN of a counted protein makes the result NaN.
      labels: ``[proteins, terms]``, 1 where a protein has a term, else 0.
      where: ``[proteins]``, True where a protein was annotated in this task, None for all. A missing annotation is not
        a negative one: such a protein is left out, and its row may hold anything, NaN included.

    Raises:
      ValueError: if shapes differ.

    >>> exact_fmax(np.array([[0.9, 0.3], [0.2, 0.6]]), np.array([[1, 1], [0, 1]]))
    1.0

    Source: Radivojac et al., 2013 (CAFA); Gligorijevic et al., 2021 (DeepFRI). The walk over sorted scores is that of
    TorchDrug's ``f1_max``, which breaks ties by storage order and divides recall by all proteins, those without a term
    included.
    """
    _check_shapes(where, scores, labels)
    scores, labels = np.asarray(scores), np.asarray(labels) > 0
    counted = labels.any(axis=1) if where is None else labels.any(axis=1) & np.asarray(where)
    scores, labels = scores[counted].astype(np.float32 if scores.dtype.itemsize <= 4 else np.float64), labels[counted]
    if not counted.any():
        return 0.0
    if np.isnan(scores).any():
        return float("nan")
    order = np.argsort(-scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    hits = np.cumsum(np.take_along_axis(labels, order, axis=1), axis=1, dtype=np.int32)
    del order
    # Within each protein, what its n-th prediction adds to its precision and to its recall.
    precision_gain = np.diff(hits / np.arange(1, hits.shape[1] + 1), axis=1, prepend=0.0).ravel()
    recall_gain = np.diff(hits / hits[:, -1:], axis=1, prepend=0.0).ravel()
    first = np.zeros(hits.shape, bool)
    first[:, 0] = True
    # Each row is a sorted run, which a stable (merging) sort makes use of; it also keeps a protein's own order.
    falling = np.argsort(-ordered.ravel(), kind="stable")
    ordered = ordered.ravel()[falling]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    precision = np.cumsum(precision_gain[falling])[ends] / np.cumsum(first.ravel()[falling])[ends]
    recall = np.cumsum(recall_gain[falling])[ends] / len(hits)
    total = precision + recall
    return float(np.max(np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)))


def average_precision(scores: Scores, labels: Labels, *, where: Where = None) -> Float[Array, ""]:
    """Computes the area under precision over recall of all protein-term pairs (micro AUPR); 0 without a positive.

    It is ``sum_n (recall_n - recall_{n-1}) precision_n`` over distinct scores, falling: no interpolation, and equal
    scores enter together. It is no Ratio: a ranking of all pairs is no sum over batches.

    Args:
      scores: ``[proteins, terms]``, higher is likelier, any scale; a NaN of a counted protein makes the result NaN.
      labels: ``[proteins, terms]``, 1 where a protein has a term, else 0.
      where: ``[proteins]``, True where a protein was annotated in this task, None for all. A missing annotation is not
        a negative one: such a protein is left out, and its row may hold anything, NaN included.

    Returns:
      A scalar in [0, 1].

    Raises:
      ValueError: if shapes differ.

    >>> print(average_precision(jnp.array([[0.9, 0.3], [0.2, 0.6]]), jnp.array([[1, 0], [0, 1]])))
    1.0

    Source: ``auprc`` of GearNet (arXiv 2203.06125), which breaks ties by storage order; as here,
    ``sklearn.metrics.average_precision_score(average="micro")``.
    """
    where, scores, labels = _real_rows(where, scores, labels)
    real = jnp.broadcast_to(where[:, None], scores.shape)
    return _average_precision(scores.ravel(), labels.ravel(), real.ravel())


def macro_average_precision(scores: Scores, labels: Labels, *, where: Where = None) -> Float[Array, ""]:
    """Averages :func:`average_precision` of each term by itself over the terms that some protein has; 0 if none.

    Args:
      scores: ``[proteins, terms]``, higher is likelier, any scale; a NaN of a counted protein makes the result NaN.
      labels: ``[proteins, terms]``, 1 where a protein has a term, else 0.
      where: ``[proteins]``, True where a protein was annotated in this task, None for all. A missing annotation is not
        a negative one: such a protein is left out, and its row may hold anything, NaN included.

    Returns:
      A scalar in [0, 1].

    Raises:
      ValueError: if shapes differ.

    Source: DeepFRI's macro AUPR; ``sklearn.metrics.average_precision_score(average="macro")`` counts terms without a
    positive as 0 instead.
    """
    where, scores, labels = _real_rows(where, scores, labels)
    per_term = jax.vmap(_average_precision, in_axes=(1, 1, None))(scores, labels, where)
    present = jnp.any(labels > 0, axis=0)
    return safe_divide(jnp.sum(jnp.where(present, per_term, 0)), jnp.sum(present))


def _average_precision(scores, labels, where) -> Float[Array, ""]:
    """The mean over the positives of one ranking ``[items]`` of the precision at the end of their block of ties."""
    keys, masked, labels = jax.lax.sort((-scores, ~where, labels), num_keys=1)
    hits = jnp.cumsum(labels.astype(jnp.int32))
    # Masked items share the score 0 with real ones, so that their number has to be counted and not inferred.
    taken = jnp.cumsum(~masked, dtype=jnp.int32)
    ends = jnp.append(keys[1:] != keys[:-1], True)
    last = jax.lax.cummin(jnp.where(ends, jnp.arange(len(keys)), len(keys) - 1), reverse=True)
    precision = hits[last] / jnp.maximum(taken[last], 1)
    total = jnp.sum(jnp.where(labels > 0, precision, 0), dtype=jnp.float32)
    unknown = jnp.any(jnp.isnan(keys))
    return jnp.where(unknown, jnp.nan, safe_divide(total, hits[-1].astype(jnp.float32)))


def _real_rows(where: Where, scores: Scores, labels: Labels) -> tuple[Array, Array, Array]:
    """The mask, and scores and labels (0 or 1) in float32 or wider, 0 in the rows of masked proteins."""
    _check_shapes(where, scores, labels)
    if where is None:
        where = jnp.ones(scores.shape[0], bool)
    dtype = jnp.promote_types(scores.dtype, jnp.float32)
    scores = jnp.where(where[:, None], scores, 0).astype(dtype)
    return where, scores, jnp.where(where[:, None], labels > 0, False).astype(dtype)


def _check_shapes(where, scores, labels) -> None:
    if scores.shape != labels.shape or (where is not None and where.shape != scores.shape[:1]):
        raise ValueError(
            f"expected scores and labels of one shape [proteins, terms] and where [proteins], got {scores.shape}, "
            f"{labels.shape} and {None if where is None else where.shape}; a mask of pairs has no place here"
        )
