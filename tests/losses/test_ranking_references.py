"""Ranking losses against plain loops in float64, and against rax."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rax

from jaxalign import losses

BATCH, WIDTH = 6, 7


@pytest.fixture
def lists():
    rng = np.random.default_rng(0)
    scores, labels = 3 * rng.normal(size=(BATCH, WIDTH)), rng.random((BATCH, WIDTH))
    labels[:, 3] = labels[:, 1]  # ties
    where = rng.random((BATCH, WIDTH)) < 0.7
    where[0], where[1] = True, False
    return scores, labels, where


def pairs(s, y):
    return [(i, j) for i in range(len(s)) for j in range(len(s)) if y[i] > y[j]]


def mse(s, y):
    return sum((b - a) ** 2 for a, b in zip(s, y, strict=True))


def sigmoid(s, y):
    return sum(
        -b * math.log(1 / (1 + math.exp(-a))) - (1 - b) * math.log(1 / (1 + math.exp(a)))
        for a, b in zip(s, y, strict=True)
    )


def hinge(s, y):
    return sum(max(0.0, 1 - (s[i] - s[j])) for i, j in pairs(s, y))


def logistic(s, y):
    return sum(math.log(1 + math.exp(-(s[i] - s[j]))) for i, j in pairs(s, y))


def list_mle(s, y):
    order = sorted(range(len(s)), key=lambda i: -y[i])
    return -sum(math.log(math.exp(s[i]) / sum(math.exp(s[j]) for j in order[k:])) for k, i in enumerate(order))


def softmax(s, y):
    return -sum(b / sum(y) * math.log(math.exp(a) / sum(map(math.exp, s))) for a, b in zip(s, y, strict=True))


def lambda_(s, y):
    rank = {i: r for r, i in enumerate(sorted(range(len(s)), key=lambda i: -s[i]), start=1)}
    discount = {i: 1 / math.log(1 + r) for i, r in rank.items()}
    return sum(
        abs(2 ** y[i] - 2 ** y[j]) * abs(discount[i] - discount[j]) * math.log(1 + math.exp(-(s[i] - s[j])))
        for i, j in pairs(s, y)
    )


@pytest.mark.parametrize(
    "loss, reference",
    [
        (losses.pointwise_mse_loss, mse),
        (losses.pointwise_sigmoid_loss, sigmoid),
        (losses.pairwise_hinge_loss, hinge),
        (losses.pairwise_logistic_loss, logistic),
        (losses.list_mle_loss, list_mle),
        (losses.softmax_loss, softmax),
        (losses.lambda_loss, lambda_),
    ],
)
def test_plain_loops(loss, reference, lists, float64):
    scores, labels, where = lists
    per_list = [reference(s[w], y[w]) for s, y, w in zip(scores, labels, where, strict=True) if w.any()]
    value = jax.jit(lambda s, y, w: loss(s, y, where=w, reduce_fn=jnp.mean))(*map(jnp.asarray, lists))
    assert value.dtype == jnp.float64
    np.testing.assert_allclose(value, np.mean(per_list), rtol=1e-10)


def value_and_grad(loss, lists, **settings):
    scores, labels, where = lists
    # rax broadcasts ranks freely and hides NaN behind its masks.
    with jax.numpy_rank_promotion("allow"), jax.debug_nans(False):
        function = functools.partial(loss, labels=jnp.asarray(labels), where=jnp.asarray(where), **settings)
        return jax.jit(jax.value_and_grad(function))(jnp.asarray(scores))


@pytest.mark.parametrize(
    "loss, settings, rax_loss, rax_settings",
    [
        (losses.pairwise_hinge_loss, {}, rax.pairwise_hinge_loss, {}),
        (losses.pairwise_logistic_loss, {}, rax.pairwise_logistic_loss, {}),
        (
            losses.lambda_loss,
            {"discount_fn": losses.log2_discount},
            rax.pairwise_logistic_loss,
            {"lambdaweight_fn": rax.dcg_lambdaweight},
        ),
    ],
)
def test_rax_over_all_pairs_of_the_batch(loss, settings, rax_loss, rax_settings, lists, float64):
    value, grad = value_and_grad(loss, lists, normalization="pairs", reduce_fn=jnp.mean, **settings)
    rax_value, rax_grad = value_and_grad(rax_loss, lists, **rax_settings)
    np.testing.assert_allclose(value, rax_value, rtol=1e-9)
    np.testing.assert_allclose(grad, rax_grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "loss, rax_loss, rax_settings",
    [
        (losses.pointwise_mse_loss, rax.pointwise_mse_loss, {}),
        (losses.pointwise_sigmoid_loss, rax.pointwise_sigmoid_loss, {}),
        (losses.pairwise_hinge_loss, rax.pairwise_hinge_loss, {}),
        (losses.pairwise_logistic_loss, rax.pairwise_logistic_loss, {}),
        (losses.list_mle_loss, rax.listmle_loss, {}),
        (losses.softmax_loss, rax.softmax_loss, {"label_fn": rax.utils.normalize_probabilities}),
    ],
)
def test_rax_over_lists(loss, rax_loss, rax_settings, lists, float64):
    value, grad = value_and_grad(loss, lists, reduce_fn=jnp.mean)
    rax_value, rax_grad = value_and_grad(rax_loss, lists, reduce_fn=jnp.sum, **rax_settings)
    count = lists[2].any(axis=-1).sum()
    np.testing.assert_allclose(value, rax_value / count, rtol=1e-9)
    np.testing.assert_allclose(grad, rax_grad / count, rtol=1e-9, atol=1e-12)
