"""PLaD's calibration losses: values derived by hand, and what they are in terms of other losses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import losses, numerics

# Margins of 1, 3, -2 and 2 nats.
CHOSEN, REJECTED = jnp.array([-3.0, -1.0, -6.0, -2.0]), jnp.array([-4.0, -4.0, -4.0, -4.0])
# Quality differs by 0.5, 1, 0 and -0.25.
CHOSEN_SCORES, REJECTED_SCORES = jnp.array([0.75, 1.0, 0.5, 0.25]), jnp.array([0.25, 0.0, 0.5, 0.5])


def each(values, where):
    return values


def test_ranking_by_hand():
    # 2 - 1, 2 - 3 < 0, 2 + 2, 2 - 2.
    values = losses.ranking_calibration_loss(CHOSEN, REJECTED, beta=2.0, reduce_fn=each)
    np.testing.assert_array_equal(values, [1, 0, 4, 0])
    # Chosen rises and rejected falls where the margin is not reached, by one half each for a mean of two.
    slopes = jax.grad(functools.partial(losses.ranking_calibration_loss, beta=2.0), argnums=(0, 1))
    np.testing.assert_array_equal(slopes(CHOSEN[:2], REJECTED[:2]), [[-0.5, 0], [0.5, 0]])


def test_margin_by_hand():
    # 4 * 0.5 - 1, 4 * 1 - 3, 0 + 2, -1 - 2 < 0.
    values = losses.margin_calibration_loss(CHOSEN, REJECTED, CHOSEN_SCORES, REJECTED_SCORES, beta=4.0, reduce_fn=each)
    np.testing.assert_array_equal(values, [1, 1, 2, 0])
    # Exchanging a pair whose scores are the other way round asks for its own margin: 4 * 0.25 + 2.
    swapped = losses.margin_calibration_loss(REJECTED, CHOSEN, REJECTED_SCORES, CHOSEN_SCORES, beta=4.0, reduce_fn=each)
    assert swapped[3] == 3


def test_logistic_by_hand():
    # Shortfalls log 3 and -log 3: log(1 + 3) and log(1 + 1/3).
    chosen, rejected = jnp.zeros(2), jnp.log(jnp.array([3.0, 1 / 3]))
    values = losses.ranking_calibration_loss(chosen, rejected, beta=0.0, penalty_fn=jax.nn.softplus, reduce_fn=each)
    np.testing.assert_allclose(values, np.log([4, 4 / 3]), rtol=1e-6)


def test_ranking_in_terms_of_other_losses():
    ranking = functools.partial(losses.ranking_calibration_loss, CHOSEN, REJECTED, beta=2.0, reduce_fn=each)
    hinge = losses.hinge_dpo_loss(CHOSEN, REJECTED, jnp.zeros(4), jnp.zeros(4), beta=0.5, reduce_fn=each)
    np.testing.assert_allclose(ranking(), 2.0 * hinge, rtol=1e-6)
    simpo = losses.simpo_loss(CHOSEN, REJECTED, beta=1.0, margin=2.0, reduce_fn=each)
    np.testing.assert_allclose(ranking(penalty_fn=jax.nn.softplus), simpo, rtol=1e-6)
    # Constant differences of quality are a constant margin.
    margin = losses.margin_calibration_loss(CHOSEN, REJECTED, jnp.ones(4), jnp.zeros(4), beta=2.0, reduce_fn=each)
    np.testing.assert_array_equal(margin, ranking())


def test_averages_with_beta_per_token():
    # Where all responses have four tokens, both forms are the same up to the factor 4.
    keys = jax.random.split(jax.random.key(0), 2)
    chosen, rejected = (-jax.random.exponential(key, (5, 4)) for key in keys)
    averages = losses.ranking_calibration_loss(
        losses.average_logps(chosen), losses.average_logps(rejected), beta=2.0 / 4, reduce_fn=each
    )
    sums = losses.ranking_calibration_loss(chosen.sum(-1), rejected.sum(-1), beta=2.0, reduce_fn=each)
    np.testing.assert_allclose(4 * averages, sums, rtol=1e-5, atol=1e-6)


def test_regularised_by_hand():
    # Ranking values 1, 0, 4, 0; half of the negative gold log-probabilities 1, 2, 3, 4; the third pair is masked.
    gold, where = jnp.array([-1.0, -2.0, -3.0, -4.0]), jnp.array([True, True, False, True])
    total = losses.ranking_calibration_loss(
        CHOSEN, REJECTED, beta=2.0, where=where, reduce_fn=losses.regularized(numerics.ratio, -0.5 * gold)
    )
    assert total == numerics.Ratio(1 + 0.5 + 1 + 2, 3.0)


def test_regularising_terms_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        losses.ranking_calibration_loss(
            CHOSEN, REJECTED, beta=2.0, reduce_fn=losses.regularized(numerics.ratio, jnp.zeros(1))
        )
