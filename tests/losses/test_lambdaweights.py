"""Weights of pairs: values derived by hand, rax's, and losses that are compositions with them."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rax
from numpy import log

from jaxalign import losses, typing

WEIGHTS = [losses.dcg_lambdaweight, losses.labeldiff_lambdaweight]
OF_PAIRS = [losses.pairwise_hinge_loss, losses.pairwise_logistic_loss]


def random_lists():
    rng = np.random.default_rng(0)
    scores, labels = jnp.asarray(rng.normal(size=(6, 7))), jnp.asarray(rng.random((6, 7)))
    return scores, labels, jnp.asarray(rng.random((6, 7)) < 0.7)


def test_dcg_by_hand():
    # Gains 1, sqrt(2) - 1, 0; scores put the items on ranks 2, 3, 1, discounts log 3, log 4, log 2.
    weights = losses.dcg_lambdaweight(jnp.array([0.5, 0.0, 2.0]), jnp.array([1.0, 0.5, 0.0]))
    first, second = (2 - 2**0.5) * (1 / log(3) - 1 / log(4)), 1 / log(2) - 1 / log(3)
    third = (2**0.5 - 1) * (1 / log(2) - 1 / log(4))
    np.testing.assert_allclose(weights, [[0, first, second], [first, 0, third], [second, third, 0]], rtol=1e-6)


def test_factors_left_out_are_one():
    scores, labels, where = random_lists()
    weights = functools.partial(losses.dcg_lambdaweight, scores, labels, where=where)
    gain, discount = weights(discount_fn=None), weights(gain_fn=None)
    np.testing.assert_allclose(gain * discount, weights(), rtol=1e-6)
    np.testing.assert_array_equal(weights(gain_fn=None, discount_fn=None), where[:, :, None] & where[:, None, :])


def test_the_key_orders_tied_scores():
    labels, keys = jnp.array([1.0, 0.0, 0.0]), jax.random.split(jax.random.key(0), 50)
    weights = jax.vmap(lambda key: losses.dcg_lambdaweight(jnp.zeros(3), labels, key=key)[0, 1])(keys)
    by_ranks = [abs(1 / log(i) - 1 / log(j)) for i, j in ((2, 3), (2, 4), (3, 4))]
    assert {round(float(weight), 5) for weight in weights} == {round(weight, 5) for weight in by_ranks}


@pytest.mark.parametrize("lambdaweight_fn", WEIGHTS)
def test_masked_items_have_no_weight(lambdaweight_fn, allow_nans):
    scores, labels, where = random_lists()
    weights = lambdaweight_fn(jnp.where(where, scores, jnp.nan), jnp.where(where, labels, jnp.nan), where=where)
    real = where[:, :, None] & where[:, None, :]
    np.testing.assert_array_equal(jnp.where(real, 0, weights), 0)
    assert (weights >= 0).all() and weights.max() > 0.1


@pytest.mark.parametrize(
    "ours, theirs, factor",
    [
        # rax multiplies DCG's weights by the width of the list, and lays all pairs on one axis.
        (functools.partial(losses.dcg_lambdaweight, discount_fn=losses.log2_discount), rax.dcg_lambdaweight, 7),
        (losses.labeldiff_lambdaweight, rax.labeldiff_lambdaweight, 1),
    ],
)
def test_rax(ours, theirs, factor, float64):
    scores, labels, where = random_lists()
    with jax.numpy_rank_promotion("allow"):
        expected = theirs(scores, labels, where=where).reshape(6, 7, 7)
    # rax keeps the label difference of two masked items, which no loss reads.
    expected = jnp.where(where[:, :, None] & where[:, None, :], expected, 0)
    np.testing.assert_allclose(factor * ours(scores, labels, where=where), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "loss, rax_loss",
    [
        (losses.pairwise_hinge_loss, rax.pairwise_hinge_loss),
        (losses.pairwise_logistic_loss, rax.pairwise_logistic_loss),
    ],
)
@pytest.mark.parametrize("lambdaweight_fn", [rax.dcg_lambdaweight, rax.dcg2_lambdaweight, rax.labeldiff_lambdaweight])
def test_weights_of_rax_fit_losses_of_both(loss, rax_loss, lambdaweight_fn, float64):
    scores, labels, where = random_lists()

    def as_ours(scores, labels, *, where=None, key=None):
        return lambdaweight_fn(scores, labels, where=where).reshape(6, 7, 7)

    with jax.numpy_rank_promotion("allow"), jax.debug_nans(False):
        ours = functools.partial(loss, lambdaweight_fn=as_ours, normalization="pairs", reduce_fn=jnp.mean)
        theirs = functools.partial(rax_loss, lambdaweight_fn=lambdaweight_fn)
        actual, expected = (jax.jit(jax.value_and_grad(f))(scores, labels, where=where) for f in (ours, theirs))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), actual, expected)


def test_the_hinge_variant_of_lipo_lambda_by_hand():
    # Pairs (0, 1), (0, 2), (1, 2) cost 1 - 0.5, 1 + 1.5 and 1 + 2; their weights are those of test_dcg_by_hand.
    scores, labels = jnp.array([0.5, 0.0, 2.0]), jnp.array([1.0, 0.5, 0.0])
    expected = (
        (2 - 2**0.5) * (1 / log(3) - 1 / log(4)) * 0.5
        + (1 / log(2) - 1 / log(3)) * 2.5
        + (2**0.5 - 1) * (1 / log(2) - 1 / log(4)) * 3.0
    )
    value = losses.pairwise_hinge_loss(scores, labels, lambdaweight_fn=losses.dcg_lambdaweight)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_lipo_lambda_is_the_logistic_loss_with_weights_of_dcg():
    scores, labels, where = random_lists()
    key = jax.random.key(0)
    composed = functools.partial(losses.pairwise_logistic_loss, lambdaweight_fn=losses.dcg_lambdaweight)
    assert composed(scores, labels, where=where, key=key) == losses.lambda_loss(scores, labels, where=where, key=key)


@pytest.mark.parametrize("loss", OF_PAIRS)
def test_no_gradient_through_weights(loss):
    scores, labels = jnp.array([0.9, 0.5, 0.1]), jnp.array([1.0, 0.0, 0.5])

    def weights_of(values):
        return lambda scores, labels, *, where=None, key=None: jnp.square(values)[:, None] + jnp.zeros((1, 3))

    moving = jax.grad(lambda s: loss(s, labels, lambdaweight_fn=weights_of(s)))(scores)
    fixed = jax.grad(lambda s: loss(s, labels, lambdaweight_fn=weights_of(scores)))(scores)
    np.testing.assert_array_equal(moving, fixed)
    assert np.abs(fixed).max() > 0.01


def test_weights_are_lambdaweight_fns():
    expected = list(inspect.signature(typing.LambdaweightFn.__call__).parameters)[1:]
    for lambdaweight_fn in WEIGHTS:
        assert isinstance(lambdaweight_fn, typing.LambdaweightFn)
        assert list(inspect.signature(lambdaweight_fn).parameters)[: len(expected)] == expected
