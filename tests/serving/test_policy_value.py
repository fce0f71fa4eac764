"""Regret with known outcomes, and the value of another policy from logged traffic."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving


def test_regret_by_hand_with_one_row_of_penalties_or_one_for_each():
    qualities = jnp.array([[0.5, 0.9], [0.8, 0.9]])
    models = jnp.array([0, 1])
    np.testing.assert_allclose(serving.routing_regret(qualities, jnp.array([0, 0.2]), models), [0.2, 0.1], rtol=1e-5)
    each = jnp.array([[0, 0.2], [0.4, 0.0]])
    np.testing.assert_allclose(serving.routing_regret(qualities, each, models), [0.2, 0], rtol=1e-5)


def test_another_policy_is_valued_without_running_it():
    # Model 1 is chosen a quarter of the time and brings .8, model 0 brings .3; the other policy chooses it always.
    rng = np.random.default_rng(0)
    chosen = rng.random(20_000) < 0.25
    rewards = (rng.random(20_000) < np.where(chosen, 0.8, 0.3)).astype(np.float32)
    propensities = np.where(chosen, 0.25, 0.75).astype(np.float32)
    value = serving.logged_value(*map(jnp.asarray, (rewards, propensities, chosen.astype(np.float32))))
    assert value.numerator.shape == (20_000,)
    assert float(value.numerator.sum() / value.denominator.sum()) == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(5000))
