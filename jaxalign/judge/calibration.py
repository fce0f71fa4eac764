"""A judge whose probabilities mean what they say: one temperature, fitted on pairs with known answers."""

import dataclasses
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxalign import metrics
from jaxalign.data import PreferencePair
from jaxalign.judge.verdicts import JudgeFn, Judgement, order_arrays
from jaxalign.prompting import is_read

SUREST = 1e-3
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken: votes are often unanimous."""


def fit_judge_temperature(judgements: Sequence[Judgement], targets: Sequence[float]) -> float:
    """Fits the temperature that makes judgements likeliest; pairs without an answer or a judgement do not count.

    Args:
      judgements: N judgements of a validation split.
      targets: N probabilities that the first text is the better one; 0.5 and NaN are no answer.

    Returns:
      The temperature, above 0; above 1 for a judge that is too sure.

    Raises:
      ValueError: if no pair counts.
    """
    probability, _, _, where = order_arrays(judgements)
    targets = np.asarray(targets, np.float32)
    where = where & np.isfinite(targets) & (targets != 0.5)
    if not where.any():
        raise ValueError(f"no pair to calibrate on: {len(judgements)} judgements, none parsed with a target but 0.5")
    p = jnp.clip(jnp.asarray(probability), SUREST, 1 - SUREST)
    logits = jnp.log(jnp.stack([p, 1 - p], axis=-1))
    return float(metrics.fit_temperature(logits, jnp.asarray(targets < 0.5, jnp.int32), where=jnp.asarray(where)))


def with_temperature(judge_fn: JudgeFn, temperature: float) -> JudgeFn:
    """Makes a judge with calibrated probabilities, ``sigmoid(logit(p) / temperature)``; its orders stay as they were.

    Args:
      judge_fn: the judge to calibrate.
      temperature: above 0, from :func:`fit_judge_temperature`.

    Raises:
      ValueError: if the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"expected a temperature above 0, got {temperature}; fit_judge_temperature finds one")

    def judge(pairs: Sequence[PreferencePair]) -> list[Judgement]:
        return [_calibrate(judgement, temperature) for judgement in judge_fn(pairs)]

    return judge


def _calibrate(judgement: Judgement, temperature: float) -> Judgement:
    p = judgement.probability
    if not is_read(p):
        return dataclasses.replace(judgement, probability=None)
    if p == 0.5:
        return judgement
    # The larger side decides and the other is its complement, so that exchanged texts give exactly 1 - p.
    larger = min(max(p, 1 - p), 1 - SUREST)
    larger = 1 / (1 + math.exp(-math.log(larger / (1 - larger)) / temperature))
    return dataclasses.replace(judgement, probability=larger if p > 0.5 else 1 - larger)
