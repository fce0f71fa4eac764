"""Win rates, and how sure one can be of them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray

from jaxalign.numerics import Ratio, masked, ratio, safe_divide


class Interval(NamedTuple):
    """Both ends of a confidence interval."""

    low: Float[Array, "*metrics"]
    high: Float[Array, "*metrics"]


def win_rate_metric(
    scores: Num[Array, "..."], opponent_scores: Num[Array, "..."], *, where: Bool[Array, "..."] | None = None
) -> Ratio:
    """Computes the share of comparisons that ``scores`` win against ``opponent_scores``; a tie counts one half.

    Verdicts of a judge in {0, 0.5, 1} are scores against an opponent of 0.5.

    Args:
      scores: ``[...]``, any scale, higher is better.
      opponent_scores: ``[...]``, on the same scale.
      where: ``[...]``, True for real comparisons, None for all; masked ones may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over comparisons: parts add up, ``.value`` divides.
    """
    where, scores, opponent_scores = masked(where, scores, opponent_scores)
    outcome = jnp.where(scores == opponent_scores, 0.5, 0.5 + 0.5 * jnp.sign(scores - opponent_scores))
    return ratio(outcome, where=where)


def side_by_side_verdict(
    decodes: Float[Array, "*batch N"], *, where: Bool[Array, "*batch N"] | None = None, margin: float = 0.35
) -> Float[Array, "*batch"]:
    """Returns one verdict from N judgements of a pair, ``[...]``: 1 win, 0 loss, 0.5 undecided.

    Args:
      decodes: ``[..., N]``, 1 where the judge prefers our response, 0 where the other one, 0.5 for a tie. Half of them
        should show the two responses in swapped order, already translated back here.
      where: ``[..., N]``, False for judgements that could not be read, None for all read; a pair without any is
        undecided.
      margin: how far the mean must lie beyond 0.5, either way, for a decision; in [0, 0.5].

    Source: the AutoSxS evaluation of LiPO (arXiv 2402.01878): N = 8, four of them swapped.
    """
    where, decodes = masked(where, decodes)
    lead = safe_divide(jnp.sum(jnp.where(where, decodes - 0.5, 0), axis=-1), jnp.sum(where, axis=-1))
    return jnp.where(jnp.abs(lead) > margin, 0.5 + 0.5 * jnp.sign(lead), 0.5)


def bootstrap_interval(
    key: PRNGKeyArray, per_prompt: Ratio, *, level: float = 0.95, num_resamples: int = 10_000
) -> Interval:
    """Computes a percentile bootstrap interval of ``sum(numerator) / sum(denominator)``, by resampling prompts.

    The pairs of one prompt share its difficulty and its responses, so resampling pairs would promise too much: give
    one entry per prompt, for instance from ``jax.vmap(pairwise_accuracy_metric)``. Plain values are a Ratio over ones.
    A difference of two systems on the same prompts is the Ratio of the difference, which keeps their pairing. Many
    metrics of the same prompts take little longer than one: they share the resamples, as they would with one key.

    Args:
      key: consumed.
      per_prompt: numerators and denominators ``[N]``, or ``[N, ...]`` of several metrics, without entries for padding,
        which would be resampled too.
      level: the probability that the interval should cover, in (0, 1).
      num_resamples: quantiles of 10,000 resamples move by about 1 % of the interval's width between keys.

    Returns:
      Both ends of the interval ``[...]``, in the unit of the quotient.

    Raises:
      ValueError: if the two parts of ``per_prompt`` are not of one shape ``[N, ...]`` with N >= 1.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    shapes = jnp.shape(per_prompt.numerator), jnp.shape(per_prompt.denominator)
    if shapes[0] != shapes[1] or not shapes[0] or shapes[0][0] == 0:
        raise ValueError(
            f"expected one numerator and one denominator per prompt, [N] or [N, ...] with N >= 1, got shapes {shapes}"
        )
    return _percentiles(key, Ratio(*(jnp.asarray(part, jnp.float32) for part in per_prompt)), level, num_resamples)


@functools.partial(jax.jit, static_argnames="num_resamples")
def _percentiles(key, parts: Ratio, level, num_resamples: int) -> Interval:
    number = len(parts.numerator)

    def resample(key):
        drawn = jax.random.randint(key, (number,), 0, number)
        times = jnp.zeros(number).at[drawn].add(1.0)
        return Ratio(*(jnp.tensordot(times, part, axes=1, precision="highest") for part in parts)).value

    # The same numbers as one by one; a hundred at once take less than half the time, and little memory.
    statistics = jax.lax.map(resample, jax.random.split(key, num_resamples), batch_size=100)
    return Interval(*jnp.quantile(statistics, jnp.stack([1 - level, 1 + level]) / 2, axis=0))
