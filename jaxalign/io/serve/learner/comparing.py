"""Comparisons of two versions of a policy, by ratings that neither has learnt from.

The value of a version is estimated from traffic that other versions decided, by the chances with which they and it
choose a model. Load is left out: what it takes off a score passes.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxalign import serving
from jaxalign.io.serve.learner.buffers import HeldOut
from jaxalign.serving import Policy
from jaxalign.serving.inputs import pad_rows

RESAMPLES = 500
LEAST_WEIGHT = 10.0  # rows' worth of weight of each version, below which nothing is said
CONFIDENCE = 0.995  # high, because versions are compared round after round on the same rows
LEAST_DIFFERENCE = 1e-3  # of mean rewards that counts; float32 alone makes smaller ones


class Compared(NamedTuple):
    """Two versions by the same rows."""

    value: float  # mean reward: rating less what the cost takes off
    other: float  # that of the other version
    worse: bool  # the first one clearly
    rows: int


class Dials(NamedTuple):
    """What the settings say of rewards and choices."""

    costs: tuple[float, ...]
    cost_weight: float
    stray: float


def compare(policy: Policy, other: Policy, rows: Sequence[HeldOut], dials: Dials) -> Compared | None:
    """Compares two versions; None where the rows say too little.

    Args:
      policy: the first version.
      other: the other one.
      rows: ratings that neither has learnt from.
      dials: the settings.
    """
    if not rows:
        return None
    rewards = jnp.array([each.rating - dials.cost_weight * each.cost for each in rows], jnp.float32)
    propensities = jnp.array([each.propensity for each in rows], jnp.float32)
    mine, others = (
        serving.logged_value(rewards, propensities, jnp.asarray(_chances(each, rows, dials)))
        for each in (policy, other)
    )
    (gains, weights), (other_gains, other_weights) = (map(np.asarray, each) for each in (mine, others))
    if min(_effective(weights), _effective(other_weights)) < LEAST_WEIGHT:
        return None
    drawn = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    differences = _means(gains[drawn], weights[drawn]) - _means(other_gains[drawn], other_weights[drawn])
    return Compared(
        float(_means(gains, weights)),
        float(_means(other_gains, other_weights)),
        bool(np.quantile(differences, CONFIDENCE) < -LEAST_DIFFERENCE),
        len(rows),
    )


def _means(gains: np.ndarray, weights: np.ndarray) -> np.ndarray | np.floating:
    return gains.sum(-1) / np.maximum(weights.sum(-1), 1e-6)


def _effective(weights: np.ndarray) -> float:
    """How many rows of equal weight say as much (Kish)."""
    return float(weights.sum() ** 2 / max((weights**2).sum(), 1e-12))


def _chances(policy: Policy, rows: Sequence[HeldOut], dials: Dials) -> Float[np.ndarray, "N"]:
    contexts = pad_rows(np.stack([each.context for each in rows]))
    propensities = np.asarray(_propensities(policy, contexts, dials=dials))[: len(rows)]
    return propensities[np.arange(len(rows)), [each.model for each in rows]]


@functools.partial(jax.jit, static_argnames="dials")
def _propensities(policy: Policy, contexts, *, dials: Dials):
    penalties = dials.cost_weight * jnp.array(dials.costs, jnp.float32)
    logits = serving.router_logits(policy.router.params, contexts)
    return serving.choose_models(jax.random.key(0), logits, penalties, least=dials.stray).propensities
