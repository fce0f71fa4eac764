"""Every public loss as a case of the shared battery (test_battery.py, test_sharded.py)."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import losses, numerics

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # read when test_trl.py imports it; a warning otherwise


@dataclasses.dataclass
class Case:
    """A loss with its hyperparameters set, and how to make inputs for it. The last axis is a list or a batch."""

    name: str
    loss: Callable[..., Any]  # (*inputs, where=, reduce_fn=)
    make: Callable[..., tuple[np.ndarray, ...]]  # (rng, shape, scale) -> inputs, the ones to differentiate by first
    shape: tuple[int, ...]
    width_matters: bool = False  # the value depends on the padded width by definition
    splits: bool = True  # the loss of a batch is the sum of those of its parts

    def value_and_grads(self, inputs, where):
        """The mean over what counts, and its gradients."""
        floats = tuple(i for i, x in enumerate(inputs) if x.dtype != bool)
        mean = lambda *x: self.loss(*x, where=where, reduce_fn=numerics.masked_mean)  # noqa: E731
        return jax.value_and_grad(mean, argnums=floats)(*inputs)

    @functools.cached_property
    def compiled(self):
        """The same, compiled once for all tests of the battery."""
        return jax.jit(self.value_and_grads)


def scores_and_labels(rng, shape, scale):
    return scale * rng.normal(size=shape), rng.random(size=shape)


def logps(count):
    def make(rng, shape, scale):
        return tuple(-scale * np.abs(rng.normal(size=shape)) for _ in range(count))

    return make


def marked_logps(rng, shape, scale):
    return *logps(2)(rng, shape, scale), rng.random(size=shape) < 0.5


def rewards(rng, shape, scale):
    return scale * rng.normal(size=shape), scale * rng.normal(size=shape)


def rewards_and_preferences(rng, shape, scale):
    return *rewards(rng, shape, scale), rng.choice([0.0, 0.3, 0.5, 1.0], size=shape)


def bradley_terry_with_margins(first, second, preferences, margin, **rest):
    return losses.bradley_terry_loss(first, second, preferences, margin=margin, **rest)


def rewards_preferences_and_margins(rng, shape, scale):
    return *rewards_and_preferences(rng, shape, scale), rng.random(size=shape)


def ranking(name, loss, width_matters=False, **settings):
    return Case(name, functools.partial(loss, **settings), scores_and_labels, (16, 5), width_matters)


def preference(name, loss, inputs=4, splits=True, **settings):
    make = logps(inputs) if isinstance(inputs, int) else inputs
    return Case(name, functools.partial(loss, **settings), make, (16,), splits=splits)


def wpo_dpo_loss(*logps_and_weights, reduce_fn, **rest):
    *logps, weights = logps_and_weights
    return losses.dpo_loss(*logps, beta=0.3, reduce_fn=losses.weighted(reduce_fn, weights), **rest)


def regularized_calibration_loss(*logps, reduce_fn, **rest):
    chosen, rejected, gold = logps
    reduce_fn = losses.regularized(reduce_fn, -0.5 * gold)
    return losses.ranking_calibration_loss(chosen, rejected, beta=1.0, reduce_fn=reduce_fn, **rest)


def logps_and_scores(rng, shape, scale):
    return *logps(2)(rng, shape, scale), rng.random(size=shape), rng.random(size=shape)


def of_three_classes(first, second, third, place, **rest):
    """One array for each class, and one in [0, 1] that says which of them is a text's."""
    labels = jnp.minimum((3 * jnp.where(place >= 0, place, 0)).astype(int), 2)  # of padding, which may be NaN, anything
    logits = jnp.stack([first, second, third], axis=-1)
    return losses.softmax_cross_entropy_loss(logits, labels, **rest)


def of_two_labels(first, second, first_label, second_label, **rest):
    logits, labels = jnp.stack([first, second], axis=-1), jnp.stack([first_label, second_label], axis=-1)
    return losses.sigmoid_cross_entropy_loss(logits, labels, **rest)


def of_two_masked_labels(first, second, first_label, second_label, *, where=None, **rest):
    """A text that counts does so with both classes."""
    logits, labels = jnp.stack([first, second], axis=-1), jnp.stack([first_label, second_label], axis=-1)
    where = None if where is None else jnp.stack([where, where], axis=-1)
    return losses.masked_sigmoid_cross_entropy_loss(logits, labels, where=where, **rest)


def three_logits(rng, shape, scale):
    return *(scale * rng.normal(size=shape) for _ in range(3)), rng.random(size=shape)


def two_logits(rng, shape, scale):
    return *rewards(rng, shape, scale), rng.choice([0.0, 0.3, 1.0], size=shape), rng.choice([0.0, 1.0], size=shape)


def divergence(score_fn):
    return losses.with_divergence(losses.dpo_loss, score_fn)


CASES = [
    ranking("pointwise_mse_loss", losses.pointwise_mse_loss),
    ranking("pointwise_sigmoid_loss", losses.pointwise_sigmoid_loss),
    ranking("pairwise_hinge_loss", losses.pairwise_hinge_loss),
    ranking("pairwise_hinge_loss-pairs", losses.pairwise_hinge_loss, normalization="pairs"),
    ranking("pairwise_logistic_loss", losses.pairwise_logistic_loss),
    ranking("pairwise_logistic_loss-pairs", losses.pairwise_logistic_loss, normalization="pairs"),
    ranking("list_mle_loss", losses.list_mle_loss),
    ranking("softmax_loss", losses.softmax_loss),
    ranking("pairwise_hinge_loss-dcg", losses.pairwise_hinge_loss, lambdaweight_fn=losses.dcg_lambdaweight),
    ranking("pairwise_hinge_loss-labeldiff", losses.pairwise_hinge_loss, lambdaweight_fn=losses.labeldiff_lambdaweight),
    ranking("lambda_loss", losses.lambda_loss),
    ranking("lambda_loss-pairs", losses.lambda_loss, True, normalization="pairs", discount_fn=losses.log2_discount),
    ranking("lambda_loss-constant_gain", losses.lambda_loss, gain_fn=None),
    ranking("lambda_loss-constant_discount", losses.lambda_loss, discount_fn=None),
    preference("dpo_loss", losses.dpo_loss, beta=0.3, label_smoothing=0.1),
    preference("robust_dpo_loss", losses.robust_dpo_loss, beta=0.3, label_smoothing=0.1),
    preference("hinge_dpo_loss", losses.hinge_dpo_loss, beta=0.3),
    preference("ipo_loss", losses.ipo_loss, beta=0.3),
    preference("exo_pair_loss", losses.exo_pair_loss, beta=0.3),
    preference("discopop_loss", losses.discopop_loss, beta=0.3),
    preference("nca_pair_loss", losses.nca_pair_loss, beta=0.3),
    preference("bco_pair_loss", losses.bco_pair_loss, beta=0.3),
    preference("sppo_hard_loss", losses.sppo_hard_loss, beta=0.3),
    preference("apo_zero_loss", losses.apo_zero_loss, beta=0.3),
    preference("apo_down_loss", losses.apo_down_loss, beta=0.3),
    preference("aot_loss", losses.aot_loss, splits=False, beta=0.3),
    preference("aot_unpaired_loss", losses.aot_unpaired_loss, splits=False, beta=0.3, label_smoothing=0.1),
    preference("sft_loss", losses.sft_loss, inputs=1),
    preference("cpo_loss", losses.cpo_loss, inputs=2, beta=0.3),
    preference("simpo_loss", losses.simpo_loss, inputs=2, beta=2.0, margin=0.5),
    preference("alphapo_loss", losses.alphapo_loss, inputs=2, beta=2.0, margin=0.5, alpha=0.25),
    preference("orpo_loss", losses.orpo_loss, inputs=2, beta=0.1),
    preference("ranking_calibration_loss", losses.ranking_calibration_loss, inputs=2, beta=1.0),
    preference(
        "ranking_calibration_loss-logistic",
        losses.ranking_calibration_loss,
        inputs=2,
        beta=1.0,
        penalty_fn=jax.nn.softplus,
    ),
    preference("ranking_calibration_loss-regularized", regularized_calibration_loss, inputs=3),
    preference("margin_calibration_loss", losses.margin_calibration_loss, inputs=logps_and_scores, beta=3.0),
    preference("kto_loss", losses.kto_loss, inputs=marked_logps, kl=0.2, beta=0.3, undesirable_weight=1.5),
    preference("apo_zero_unpaired_loss", losses.apo_zero_unpaired_loss, inputs=marked_logps, beta=0.3),
    preference("bco_loss", losses.bco_loss, inputs=marked_logps, shift=0.2, beta=0.3, desirable_weight=0.5),
    preference("bradley_terry_loss", losses.bradley_terry_loss, inputs=rewards_and_preferences),
    preference("bradley_terry_loss-first_wins", losses.bradley_terry_loss, inputs=rewards, margin=0.5),
    preference("bradley_terry_loss-margins", bradley_terry_with_margins, inputs=rewards_preferences_and_margins),
    preference("centering_loss", losses.centering_loss, inputs=rewards),
    preference("softmax_cross_entropy_loss", of_three_classes, inputs=three_logits),
    preference("sigmoid_cross_entropy_loss", of_two_labels, inputs=two_logits),
    preference("masked_sigmoid_cross_entropy_loss", of_two_masked_labels, inputs=two_logits),
    preference("dpo_loss-forward_kl", divergence(losses.forward_kl_score), beta=0.3),
    preference("dpo_loss-js_divergence", divergence(losses.js_divergence_score), beta=0.3),
    preference("dpo_loss-alpha_divergence", divergence(losses.make_alpha_divergence_score(0.5)), beta=0.3),
    preference("dpo_loss-weighted", wpo_dpo_loss, inputs=5),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request) -> Case:
    return request.param


@pytest.fixture
def cases() -> dict[str, Case]:
    return {case.name: case for case in CASES}
