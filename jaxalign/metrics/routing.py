"""Metrics of routing between a weak and a strong model, from what each of them scores on the same items.

A router gives each item a number; the items with the highest ones go to the strong model. All shares of strong calls
from 0 to 1 together are a curve of quality, which begins at the weak model's and ends at the strong model's. Random
routing is the straight line between both ends, and the oracle routes by ``strong_scores - weak_scores`` itself.

Shared arguments: ``weak_scores`` and ``strong_scores`` ``[N]``, the quality of each model's answer, higher is better,
such as 1 for right and 0 for wrong. ``routing_scores`` ``[N]``, any scale: the higher, the sooner an item goes to the
strong model; equal ones count as their expectation over a random order. ``weights`` ``[N]``, how often each item
counts, of 0 or more and not all 0, None for once each: :func:`bootstrap_statistic` resamples by them.

Source: RouteLLM (arXiv 2406.18665), section 3.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num, PRNGKeyArray

from jaxalign.metrics.preference import Interval


class RoutingCurve(NamedTuple):
    """The quality that a router reaches at each share of strong calls; between two points it is a straight line."""

    shares: Float[Array, "M"]  # of calls that go to the strong model, from 0 to 1; M is the number of items and 1
    quality: Float[Array, "M"]  # the mean score of the answers


def routing_curve(
    weak_scores: Num[Array, "N"],
    strong_scores: Num[Array, "N"],
    routing_scores: Num[Array, "N"],
    *,
    weights: Num[Array, "N"] | None = None,
) -> RoutingCurve:
    """Computes the mean quality when the k items with the highest routing scores go to the strong model, k = 0 to N.

    Args:
      weak_scores: ``[N]``, the quality of the weak model's answers.
      strong_scores: ``[N]``, the quality of the strong model's answers.
      routing_scores: ``[N]``, higher goes to the strong model sooner; the oracle's are ``strong_scores - weak_scores``.
      weights: ``[N]``, how often each item counts, None for once each.

    Returns:
      The N + 1 points of the curve.

    >>> routing_curve(jnp.array([0, 1]), jnp.array([1, 1]), jnp.array([0.9, 0.2])).quality.tolist()
    [0.5, 1.0, 1.0]
    """
    weak, strong, scores = (jnp.asarray(each, jnp.float32) for each in (weak_scores, strong_scores, routing_scores))
    weights = jnp.ones_like(weak) if weights is None else jnp.asarray(weights, jnp.float32)
    order = jnp.argsort(-scores)
    weights, gains, scores = weights[order], (strong - weak)[order], scores[order]
    # Within a group of equal scores any order is as likely, so each of its items gains as much as their mean.
    groups = jnp.cumsum(jnp.concatenate([jnp.zeros(1, bool), scores[1:] != scores[:-1]]))
    gained, counted = (jax.ops.segment_sum(each, groups, len(scores)) for each in (weights * gains, weights))
    gains = (gained / jnp.where(counted > 0, counted, 1))[groups]
    total = jnp.sum(weights)
    shares, above = (jnp.concatenate([jnp.zeros(1), jnp.cumsum(each)]) / total for each in (weights, weights * gains))
    return RoutingCurve(shares, jnp.sum(weights * weak[order]) / total + above)


def performance_gap_recovered(
    quality: Float[ArrayLike, "..."], weak: Float[ArrayLike, "..."], strong: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Computes which part of the gap between two models a router closes: ``(quality - weak) / (strong - weak)``.

    It is 0 for the weak model and 1 for the strong one, and an oracle exceeds 1 where the weak model is sometimes right
    alone.

    Args:
      quality: ``[...]``, the mean quality of the routed answers.
      weak: ``[...]``, the mean quality of the weak model, of a shape that broadcasts.
      strong: ``[...]``, the mean quality of the strong model.

    Returns:
      ``[...]``, the share of the gap; NaN where both models are equal, which leaves nothing to recover.

    Source: RouteLLM (arXiv 2406.18665), equation 4.
    """
    gap = jnp.asarray(strong, jnp.float32) - weak
    return jnp.where(gap == 0, jnp.nan, (quality - jnp.asarray(weak)) / jnp.where(gap == 0, 1, gap))


def average_performance_gap_recovered(
    weak_scores: Num[Array, "N"],
    strong_scores: Num[Array, "N"],
    routing_scores: Num[Array, "N"],
    *,
    weights: Num[Array, "N"] | None = None,
) -> Float[Array, ""]:
    """Computes APGR: the area under the gap recovered, as a function of the share of strong calls.

    The points are all shares 0, 1/N, 2/N, ..., 1 with straight lines between them (the trapezoidal rule), of which
    RouteLLM's ten are a coarse version. Routing at random has an expectation of 1/2, and equal routing scores have
    exactly that.

    Args:
      weak_scores: ``[N]``, the quality of the weak model's answers.
      strong_scores: ``[N]``, the quality of the strong model's answers, better on average.
      routing_scores: ``[N]``, higher goes to the strong model sooner.
      weights: ``[N]``, how often each item counts, None for once each.

    Returns:
      A scalar, 1/2 for random routing; NaN where both models are equally good.

    Source: RouteLLM (arXiv 2406.18665), equation 5.
    """
    curve = routing_curve(weak_scores, strong_scores, routing_scores, weights=weights)
    recovered = _recovered(curve)
    return jnp.sum(jnp.diff(curve.shares) * (recovered[1:] + recovered[:-1]) / 2)


def call_performance_threshold(
    weak_scores: Num[Array, "N"],
    strong_scores: Num[Array, "N"],
    routing_scores: Num[Array, "N"],
    share_of_gap: float,
    *,
    weights: Num[Array, "N"] | None = None,
) -> Float[Array, ""]:
    """Computes CPT: the least share of strong calls that recovers this share of the gap between the two models.

    Args:
      weak_scores: ``[N]``, the quality of the weak model's answers.
      strong_scores: ``[N]``, the quality of the strong model's answers, better on average.
      routing_scores: ``[N]``, higher goes to the strong model sooner.
      share_of_gap: what is to be recovered, in (0, 1]; RouteLLM reports .5 and .8.
      weights: ``[N]``, how often each item counts, None for once each.

    Returns:
      A scalar in [0, 1], where the curve first reaches it; random routing has ``share_of_gap`` itself. NaN where both
      models are equally good.

    Raises:
      ValueError: if ``share_of_gap`` is not in (0, 1].

    Source: RouteLLM (arXiv 2406.18665), section 3.
    """
    if not 0 < share_of_gap <= 1:
        raise ValueError(f"share_of_gap: expected a number above 0 and up to 1, got {share_of_gap}")
    curve = routing_curve(weak_scores, strong_scores, routing_scores, weights=weights)
    recovered = _recovered(curve)
    # The last point is 1 up to rounding, whatever the order: a crossing always exists.
    reached = (recovered[1:] >= share_of_gap).at[-1].set(True)
    after = jnp.argmax(reached) + 1
    low, high = recovered[after - 1], recovered[after]
    rise = jnp.where(high > low, high - low, 1)
    part = jnp.clip((share_of_gap - low) / rise, 0, 1)
    return curve.shares[after - 1] + part * (curve.shares[after] - curve.shares[after - 1])


def bootstrap_statistic(
    key: PRNGKeyArray,
    statistic: Callable[..., Float[Array, "..."]],
    number: int,
    *data: Any,
    level: float = 0.95,
    num_resamples: int = 2_000,
) -> Interval:
    """Computes a percentile bootstrap interval of any statistic of N items, by resampling the items.

    What is no quotient of sums, such as an area under a curve, has no
    :func:`~jaxalign.metrics.bootstrap_interval`; its difference between two systems on the same items is one statistic
    of both, which keeps their pairing.

    Args:
      key: consumed.
      statistic: ``statistic(times, *data)`` takes how often each item was drawn, ``[N]``, and returns numbers,
        ``[...]``; it is traced.
      number: N, of 1 or more.
      *data: what the statistic is of, arrays. Those that it closes over instead are constants of the program, which
        takes long to compile where they are large.
      level: the probability that the interval should cover, in (0, 1).
      num_resamples: more of them cost time and make the ends steadier.

    Returns:
      Both ends of the interval ``[...]``, in the unit of the statistic.

    Raises:
      ValueError: if ``number`` is below 1.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    if number < 1:
        raise ValueError(f"number: expected at least 1 item to resample, got {number}")
    return _percentiles(key, level, data, statistic, number, num_resamples)


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def _percentiles(key, level, data, statistic, number: int, num_resamples: int) -> Interval:
    def resample(key):
        times = jnp.zeros(number).at[jax.random.randint(key, (number,), 0, number)].add(1.0)
        return statistic(times, *data)

    statistics = jax.lax.map(resample, jax.random.split(key, num_resamples), batch_size=20)
    return Interval(*jnp.quantile(statistics, jnp.stack([1 - level, 1 + level]) / 2, axis=0))


def _recovered(curve: RoutingCurve) -> Float[Array, "M"]:
    return performance_gap_recovered(curve.quality, curve.quality[0], curve.quality[-1])
