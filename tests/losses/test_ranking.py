"""Ranking losses: values derived by hand, and the traps of listwise optimisation. test_sharded.py has the last one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import log

from jaxalign import losses
from jaxalign.losses.common import reduce_pairs

RANKED = [  # all seven, for what holds for each
    losses.pointwise_mse_loss,
    losses.pointwise_sigmoid_loss,
    losses.pairwise_hinge_loss,
    losses.pairwise_logistic_loss,
    losses.list_mle_loss,
    losses.softmax_loss,
    losses.lambda_loss,
]
OF_PAIRS = [losses.pairwise_hinge_loss, losses.pairwise_logistic_loss, losses.lambda_loss]

# Lists of three and the sum of each loss over them.
BY_HAND = [
    # (1 - 0.5)^2 + (0.5 - 0)^2 + (0 - 2)^2
    (losses.pointwise_mse_loss, [0.5, 0.0, 2.0], [1.0, 0.5, 0.0], 0.25 + 0.25 + 4.0),
    # sigma(0) = 1/2, sigma(log 3) = 3/4, sigma(-log 3) = 1/4
    (
        losses.pointwise_sigmoid_loss,
        [0.0, log(3), -log(3)],
        [1.0, 0.25, 0.0],
        log(2) + log(4) - 0.25 * log(3) + log(4 / 3),
    ),
    # pairs (0, 1), (0, 2), (1, 2): 1 - 0.5, 1 + 1.5, 1 + 2
    (losses.pairwise_hinge_loss, [0.5, 0.0, 2.0], [1.0, 0.5, 0.0], 0.5 + 2.5 + 3.0),
    # e^-(s_i - s_j) is 1/2, 2 and 4
    (losses.pairwise_logistic_loss, [log(2), 0.0, log(4)], [1.0, 0.5, 0.0], log(1.5) + log(3) + log(5)),
    # weights 1, 2, 3 chosen in the order 2, 3, 1: (2/6) (3/4) (1/1) = 1/4
    (losses.list_mle_loss, [0.0, log(2), log(3)], [0.1, 0.9, 0.5], log(4)),
    # labels become [0, 1/2, 1/2], probabilities are [1/6, 1/3, 1/2]
    (losses.softmax_loss, [0.0, log(2), log(3)], [0.0, 0.2, 0.2], 0.5 * log(3) + 0.5 * log(2)),
    # gains 1, sqrt(2) - 1, 0; scores put the items on ranks 2, 3, 1, discounts log 3, log 4, log 2
    (
        losses.lambda_loss,
        [log(2), 0.0, log(4)],
        [1.0, 0.5, 0.0],
        (2 - 2**0.5) * (1 / log(3) - 1 / log(4)) * log(1.5)
        + (1 / log(2) - 1 / log(3)) * log(3)
        + (2**0.5 - 1) * (1 / log(2) - 1 / log(4)) * log(5),
    ),
]


@pytest.mark.parametrize("loss, scores, labels, expected", BY_HAND)
def test_value_by_hand(loss, scores, labels, expected):
    np.testing.assert_allclose(loss(jnp.array(scores), jnp.array(labels)), expected, rtol=1e-6)


@pytest.mark.parametrize("loss, scores, labels, expected", BY_HAND)
def test_a_padded_slot_changes_nothing(loss, scores, labels, expected, allow_nans):
    where = jnp.array([True, True, False, True])
    scores, labels = (jnp.array([*x[:2], jnp.nan, x[2]]) for x in (scores, labels))
    value, grad = jax.jit(jax.value_and_grad(lambda s: loss(s, labels, where=where)))(scores)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert np.isfinite(grad).all() and grad[2] == 0 and grad[0] != 0


@pytest.mark.parametrize("loss", RANKED[2:])
def test_a_list_with_one_valid_item_has_nothing_to_rank(loss):
    scores, labels, where = jnp.array([3.0, 5.0]), jnp.array([0.2, 0.9]), jnp.array([True, False])
    value, grad = jax.jit(jax.value_and_grad(lambda s: loss(s, labels, where=where)))(scores)
    assert value == 0
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize("normalization", ["list", "pairs"])
@pytest.mark.parametrize("loss", OF_PAIRS)
def test_an_all_tied_list_is_zero_with_zero_gradient(loss, normalization):
    scores, labels = jnp.array([3.0, 5.0, 1.0]), jnp.full(3, 0.5)
    value, grad = jax.jit(jax.value_and_grad(lambda s: loss(s, labels, normalization=normalization)))(scores)
    assert value == 0
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize(
    "loss, labels",
    [
        (losses.lambda_loss, [1.0, 0.5, 0.0]),  # all scores tie, as at the first step of training
        (losses.list_mle_loss, [1.0, 0.5, 0.5]),
    ],
)
def test_ties_depend_on_storage_order_unless_a_key_breaks_them(loss, labels):
    labels, order = jnp.array(labels), jnp.array([2, 0, 1])
    scores = jnp.zeros(3) if loss is losses.lambda_loss else jnp.array([0.3, -0.2, 0.9])

    @jax.jit
    def grads(order, key):
        return jax.grad(lambda s: loss(s[order], labels[order], key=key))(scores)

    assert np.abs(grads(jnp.arange(3), None) - grads(order, None)).max() > 0.05
    keys = jax.random.split(jax.random.key(0), 3000)
    stored, shuffled = jax.vmap(jax.vmap(grads, (None, 0)), (0, None))(jnp.stack([jnp.arange(3), order]), keys)
    assert jnp.std(stored, axis=0).max() > 0.05
    np.testing.assert_allclose(stored.mean(axis=0), shuffled.mean(axis=0), atol=0.02)


@pytest.mark.parametrize("loss", RANKED)
def test_all_take_a_key(loss):
    """So that a table of them needs no wrappers; without ties it changes nothing."""
    scores, labels = jnp.array([0.3, -0.2, 0.9]), jnp.array([1.0, 0.5, 0.0])
    assert loss(scores, labels, key=jax.random.key(0)) == loss(scores, labels)


def test_softmax_takes_labels_of_any_sum():
    scores, labels = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5, 0.25, 0.0])
    np.testing.assert_allclose(losses.softmax_loss(scores, labels), losses.softmax_loss(scores, labels / 7), rtol=1e-6)
    value, grad = jax.value_and_grad(losses.softmax_loss)(scores, jnp.zeros(3))
    assert value == 0
    np.testing.assert_array_equal(grad, 0)


def test_the_two_normalizations_are_different_numbers():
    # The hinge list from above: three pairs, sum 6. A list of two equal scores, padded: one pair, 1.
    scores = jnp.array([[0.5, 0.0, 2.0], [0.0, 0.0, 0.0]])
    labels = jnp.array([[1.0, 0.5, 0.0], [1.0, 0.0, 0.5]])
    where = jnp.array([[True, True, True], [True, True, False]])
    loss = functools.partial(losses.pairwise_hinge_loss, scores, labels, where=where)
    assert loss(normalization="list") == (6 + 1) / 2
    assert loss(normalization="pairs") == (6 + 1) / (3 + 1)
    with pytest.raises(ValueError, match="'list' or 'pairs', got 'batch'"):
        reduce_pairs(jnp.zeros((2, 2)), jnp.ones((2, 2), bool), jnp.ones(2, bool), "batch", jnp.mean)


def test_lambda_of_the_printed_algorithm_is_k_log_2_over_the_number_of_pairs_times_the_equation():
    rng = np.random.default_rng(0)
    scores, labels = jnp.asarray(rng.normal(size=5), jnp.float32), jnp.asarray(rng.random(5), jnp.float32)
    printed = losses.lambda_loss(scores, labels, normalization="pairs", discount_fn=losses.log2_discount)
    np.testing.assert_allclose(printed, losses.lambda_loss(scores, labels) * 5 * log(2) / 10, rtol=1e-6)


def test_beta_is_inside_the_scores():
    # The margin is 1 in units of beta times the log-ratio: 1 - 0.1 * 5.
    log_ratios, labels = jnp.array([5.0, 0.0]), jnp.array([1.0, 0.0])
    np.testing.assert_allclose(losses.pairwise_hinge_loss(0.1 * log_ratios, labels), 0.5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_large_scores_are_exact(dtype):
    scores, labels = jnp.array([-1e4, 1e4, 0.0], dtype), jnp.array([1.0, 0.5, 0.0], dtype)
    size = float(scores[1])  # 9984 in bfloat16
    # Pairs (0, 1), (0, 2), (1, 2) with differences -2, -1, 1 sizes.
    assert losses.pairwise_logistic_loss(scores, labels) == 3 * size
    assert losses.pairwise_hinge_loss(scores, labels) == 3 * size + 2
    # The worst item first, of all three: 2 sizes; then the best of two: 0.
    assert losses.list_mle_loss(scores, labels) == 2 * size
    assert losses.softmax_loss(scores, jnp.array([1.0, 0.0, 0.0], dtype)) == 2 * size
    # log(1 - sigma(s)) of the second and of the third; log sigma of the first and half of the second.
    np.testing.assert_allclose(losses.pointwise_sigmoid_loss(scores, labels), size + 0.5 * size + log(2), rtol=1e-6)


@pytest.mark.parametrize("loss", [losses.pairwise_logistic_loss, losses.list_mle_loss])
def test_lists_of_two_are_dpo(loss):
    rng = np.random.default_rng(0)
    chosen, rejected = (jnp.asarray(-rng.random((2, 6)) * 9, jnp.float32) for _ in range(2))
    expected = losses.dpo_loss(chosen[0], rejected[0], chosen[1], rejected[1], beta=0.3)
    scores = 0.3 * jnp.stack([chosen[0] - chosen[1], rejected[0] - rejected[1]], axis=-1)
    np.testing.assert_allclose(loss(scores, jnp.tile(jnp.array([1.0, 0.0]), (6, 1))), expected, rtol=1e-6)


def test_ablations_of_the_lambda_weight():
    # Ranks 2, 3, 1 as above; only pair (0, 2) and pair (1, 2) have gains, of 1.
    scores, labels = jnp.array([log(2), 0.0, log(4)], jnp.float32), jnp.array([1.0, 1.0, 0.0])
    constant_gain = (1 / log(2) - 1 / log(3)) * log(3) + (1 / log(2) - 1 / log(4)) * log(5)
    ablation = functools.partial(losses.lambda_loss, scores)
    np.testing.assert_allclose(ablation(labels, gain_fn=None), constant_gain, rtol=1e-6)
    np.testing.assert_allclose(ablation(3 * labels, gain_fn=lambda x: x), 3 * constant_gain, rtol=1e-6)
    np.testing.assert_allclose(ablation(labels, discount_fn=None), log(3) + log(5), rtol=1e-6)
    np.testing.assert_allclose(ablation(2 * labels, discount_fn=None), 3 * (log(3) + log(5)), rtol=1e-6)
    # D(r) = 1 / (4 - r), so 1 / D is 2, 1, 3.
    linear = ablation(labels, gain_fn=None, discount_fn=lambda r: 1 / (4 - r))
    np.testing.assert_allclose(linear, 1 * log(3) + 2 * log(5), rtol=1e-6)
    for normalization in ("list", "pairs"):
        width = 3 if normalization == "pairs" else 1
        constant = losses.lambda_loss(scores, labels, gain_fn=None, discount_fn=None, normalization=normalization)
        logistic = losses.pairwise_logistic_loss(scores, labels, normalization=normalization)
        np.testing.assert_allclose(constant, width * logistic, rtol=1e-6)


def test_no_gradient_through_the_lambda_weight():
    # Gains that depend on what is differentiated would show up: with labels = scores the gradient of the gain is not 0.
    scores = jnp.array([0.9, 0.5, 0.1])
    whole = jax.grad(lambda s: losses.lambda_loss(s, s))(scores)
    fixed = jax.grad(lambda s: losses.lambda_loss(s, scores))(scores)
    np.testing.assert_array_equal(whole, fixed)
