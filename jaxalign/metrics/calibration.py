"""Whether probabilities mean what they say."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign.numerics import Ratio, masked, ratio, safe_divide


class ReliabilityTable(NamedTuple):
    """Sums per bin of predicted probability, so that the tables of shards and batches add up."""

    count: Float[Array, "bins"]
    probability_sum: Float[Array, "bins"]
    outcome_sum: Float[Array, "bins"]

    def __add__(self, other: "ReliabilityTable") -> "ReliabilityTable":
        return ReliabilityTable(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def mean_probability(self) -> Float[Array, "bins"]:
        """0 in an empty bin."""
        return safe_divide(self.probability_sum, self.count)

    @property
    def mean_outcome(self) -> Float[Array, "bins"]:
        """0 in an empty bin."""
        return safe_divide(self.outcome_sum, self.count)


def reliability_table(
    probabilities: Num[Array, "..."],
    outcomes: Num[Array, "..."],
    *,
    num_bins: int = 10,
    where: Bool[Array, "..."] | None = None,
) -> ReliabilityTable:
    """Counts and sums predictions and outcomes in bins of equal width.

    Args:
      probabilities: ``[...]``, in [0, 1], for instance that the first response of a pair wins; a NaN of a real entry
        makes the result NaN.
      outcomes: ``[...]``, what happened: 0 or 1, or a share in [0, 1] where several judges disagree.
      num_bins: 1 or more; a probability on an edge belongs to the bin above it, 1 to the last.
      where: ``[...]``, True for real entries, None for all; masked ones may hold anything, NaN included.

    Returns:
      Sums per bin, ``[num_bins]``, which add up over shards and batches.

    Raises:
      ValueError: if there is no bin, or shapes differ.
    """
    if num_bins < 1:
        raise ValueError(f"expected one bin or more, got num_bins={num_bins}")
    where, probabilities, outcomes = masked(where, probabilities, outcomes)
    # Edges are compared and not computed with: 0.29 * 100 rounds to 28.999999.
    inner_edges = jnp.linspace(0, 1, num_bins + 1, dtype=probabilities.dtype)[1:-1]
    return tabulate(probabilities, inner_edges, where, probabilities, outcomes)


def tabulate(
    keys: Float[Array, "..."], inner_edges: Float[Array, "inner"], *columns: Num[Array, "..."] | Bool[Array, "..."]
) -> ReliabilityTable:
    """Sums of the three columns in the bins between edges, ``[inner + 1]``; an edge belongs to the bin above it."""
    bins = jnp.searchsorted(inner_edges, keys.ravel(), side="right")
    empty = jnp.zeros(len(inner_edges) + 1, jnp.float32)
    return ReliabilityTable(*(empty.at[bins].add(column.ravel().astype(jnp.float32)) for column in columns))


def expected_calibration_error(table: ReliabilityTable) -> Float[Array, ""]:
    """Computes the expected calibration error (ECE) of a table, a scalar in [0, 1]; 0 for an empty table.

    It is ``sum_b count_b |mean probability_b - mean outcome_b| / sum_b count_b``. It is no Ratio, because errors of
    opposite sign cancel within a bin: add up the tables first, and take the error of the sum. It depends on the bins
    and is biased upwards by about ``sqrt(num_bins / count)``; compare it only at equal bins and counts.

    Args:
      table: counts and sums per bin, from :func:`reliability_table`, added up over all batches.

    Returns:
      A scalar, float32.

    Source: Naeini et al., 2015; Guo et al. (arXiv 1706.04599), equation 3.
    """
    gaps = jnp.abs(table.probability_sum - table.outcome_sum)
    return safe_divide(jnp.sum(gaps), jnp.sum(table.count))


def brier_score_metric(
    probabilities: Num[Array, "..."], outcomes: Num[Array, "..."], *, where: Bool[Array, "..."] | None = None
) -> Ratio:
    """Computes the mean of ``(probability - outcome)^2``; 0.25 for a constant one half where outcomes are 0 and 1.

    Args:
      probabilities: ``[...]``, in [0, 1], for instance that the first response of a pair wins; a NaN of a real entry
        makes the result NaN.
      outcomes: ``[...]``, what happened: 0 or 1, or a share in [0, 1] where several judges disagree.
      where: ``[...]``, True for real entries, None for all; masked ones may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over entries: parts add up, ``.value`` divides.

    Source: Brier, 1950, for two classes and half his sum, as is usual today.
    """
    where, probabilities, outcomes = masked(where, probabilities, outcomes)
    return ratio((probabilities - outcomes) ** 2, where=where)
