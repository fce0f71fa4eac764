"""How near predicted numbers come to measured ones, such as binding affinities.

For Spearman's correlation there is :func:`jaxalign.metrics.spearman_rho_metric`, with predictions as scores and
targets as labels of one list; it compares all pairs, so that 5,000 entries take 100 MB for each of its arrays.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign.numerics import Ratio, masked, ratio, safe_divide

Values = Num[Array, "..."]
Where = Bool[Array, "..."] | None


class PearsonMoments(NamedTuple):
    """Count, means and sums around the means; moments of parts are added by ``+``, and by nothing else.

    Plain sums of squares would add up more simply and lose the variance of values that lie far from 0 in float32.
    """

    count: Float[Array, ""]
    prediction_mean: Float[Array, ""]
    target_mean: Float[Array, ""]
    prediction_spread: Float[Array, ""]  # sum of squares around the mean
    target_spread: Float[Array, ""]
    covariation: Float[Array, ""]  # sum of products around the means

    def __add__(self, other: "PearsonMoments") -> "PearsonMoments":
        count = self.count + other.count
        share = safe_divide(other.count, count)
        weight = self.count * share
        prediction_gap = other.prediction_mean - self.prediction_mean
        target_gap = other.target_mean - self.target_mean
        return PearsonMoments(
            count,
            self.prediction_mean + prediction_gap * share,
            self.target_mean + target_gap * share,
            self.prediction_spread + other.prediction_spread + prediction_gap**2 * weight,
            self.target_spread + other.target_spread + target_gap**2 * weight,
            self.covariation + other.covariation + prediction_gap * target_gap * weight,
        )

    @property
    def correlation(self) -> Float[Array, ""]:
        """Pearson's r in [-1, 1]; 0 where predictions or targets are all equal, or nothing was counted."""
        return safe_divide(self.covariation, jnp.sqrt(self.prediction_spread) * jnp.sqrt(self.target_spread))


def squared_error_metric(predictions: Values, targets: Values, *, where: Where = None) -> Ratio:
    """Computes the mean squared error, in the squared unit of the targets.

    Args:
      predictions, targets: ``[...]``, predicted and measured numbers in one unit; a NaN of a real entry makes the
        result NaN.
      where: ``[...]``, True where a target was measured, None for all; masked entries may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over entries: parts add up, ``.value`` divides.

    Raises:
      ValueError: if shapes differ.
    """
    where, predictions, targets = masked(where, predictions, targets)
    return ratio((predictions - targets) ** 2, where=where)


def absolute_error_metric(predictions: Values, targets: Values, *, where: Where = None) -> Ratio:
    """Computes the mean absolute error (MAE), in the unit of the targets.

    Args:
      predictions, targets: ``[...]``, predicted and measured numbers in one unit; a NaN of a real entry makes the
        result NaN.
      where: ``[...]``, True where a target was measured, None for all; masked entries may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over entries: parts add up, ``.value`` divides.

    Raises:
      ValueError: if shapes differ.
    """
    where, predictions, targets = masked(where, predictions, targets)
    return ratio(jnp.abs(predictions - targets), where=where)


def rmse(predictions: Values, targets: Values, *, where: Where = None) -> Float[Array, ""]:
    """Computes the root of the mean squared error (RMSE); 0 where nothing counts.

    Over batches, it is the root of the added-up :func:`squared_error_metric`.

    Args:
      predictions, targets: ``[...]``, predicted and measured numbers in one unit; a NaN of a real entry makes the
        result NaN.
      where: ``[...]``, True where a target was measured, None for all; masked entries may hold anything, NaN included.

    Returns:
      A scalar, in the unit of the targets.

    Raises:
      ValueError: if shapes differ.

    >>> print(rmse(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
    1.4142135
    """
    return jnp.sqrt(squared_error_metric(predictions, targets, where=where).value)


def pearson_moments(predictions: Values, targets: Values, *, where: Where = None) -> PearsonMoments:
    """Computes what Pearson's correlation is made of, so that parts add up; ``.correlation`` gives it.

    Args:
      predictions, targets: ``[...]``, predicted and measured numbers in one unit; a NaN of a real entry makes the
        result NaN.
      where: ``[...]``, True where a target was measured, None for all; masked entries may hold anything, NaN included.

    Returns:
      Moments whose ``+`` joins parts and whose ``.correlation`` is in [-1, 1].

    Raises:
      ValueError: if shapes differ.

    >>> moments = pearson_moments(jnp.array([1.0, 3.0, 2.0]), jnp.array([1.0, 2.0, 3.0]))
    >>> print(f"{moments.correlation:.3f}")
    0.500

    Source: sums around means, and their addition, as in Chan, Golub and LeVeque, 1979.
    """
    where, predictions, targets = masked(where, predictions, targets)
    (prediction_mean, count), (target_mean, _) = _mean(predictions, where), _mean(targets, where)
    x = jnp.where(where, predictions - prediction_mean, 0)
    y = jnp.where(where, targets - target_mean, 0)
    spreads = (jnp.sum(product, dtype=jnp.float32) for product in (x * x, y * y, x * y))
    return PearsonMoments(count, prediction_mean, target_mean, *spreads)


def _mean(values, where) -> tuple[Float[Array, ""], Float[Array, ""]]:
    total = ratio(values, where=where)
    return total.value, total.denominator
