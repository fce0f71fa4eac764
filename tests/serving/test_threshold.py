"""The dynamic utility threshold: by hand, and on planted gains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import threshold as thresholds

VALUES = [0.1, 0.3, 0.5, 0.7, 0.9]


def test_averages_by_hand():
    """Threshold 1: gains 1 and 2 count fully in one batch, and .99^2 each after two more."""
    state = serving.init_thresholds(VALUES)
    state = serving.record_gains(state, np.array([1, 0, 1, -1]), np.array([1.0, 0.5, 2.0, 9.0], np.float32))
    np.testing.assert_allclose(state.gains, [0.5, 3, 0, 0, 0])
    np.testing.assert_allclose(state.counts, [1, 2, 0, 0, 0])
    state = serving.record_gains(state, np.array([1, 1]), np.array([0.0, 0.0], np.float32))
    np.testing.assert_allclose(state.gains, [0.5, 3 * 0.99**2, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(state.counts, [1, 2 * 0.99**2 + 2, 0, 0, 0], rtol=1e-6)


def test_a_single_gain_does_not_decide():
    """Averages 1 (once) and .9 (9 times), of all .91: drawn to it, (1 + .91) / 2 = .955 and (8.1 + .91) / 10 = .901."""
    state = thresholds.Thresholds(jnp.array([0.2, 0.4]), jnp.array([1.0, 8.1]), jnp.array([1.0, 9.0]))
    assert serving.best_threshold(state) == jnp.float32(0.2)
    negative = serving.record_gains(serving.init_thresholds(VALUES), np.array([0]), np.array([-1.0], np.float32))
    # (-1 - 1) / 2 = -1 for the one that was tried, -1 for the others: none is known to be better.
    assert serving.best_threshold(negative) == jnp.float32(0.1)


def test_the_share_of_sampled_requests():
    """Of 2000 requests 20 % are sampled: 80 each of 5 thresholds, and the best one gets the other 1600 as well."""
    state = serving.record_gains(serving.init_thresholds(VALUES), np.array([3, 0]), np.array([1, 0], np.float32))
    keys = jax.random.split(jax.random.key(0), 2000)
    indices, values = jax.vmap(serving.try_threshold, in_axes=(None, 0, None))(state, keys, 0.2)
    counts = np.bincount(indices, minlength=5)
    assert abs(counts[[0, 1, 2, 4]] - 80).max() < 40 and abs(counts[3] - 1680) < 80
    np.testing.assert_array_equal(values, np.float32(VALUES)[indices])


def test_finds_the_best_and_follows_a_change():
    """Gains have a standard deviation of 1 around .5 - |threshold - best|, and the best moves."""
    rng = np.random.default_rng(1)
    draw = jax.jit(jax.vmap(serving.try_threshold, in_axes=(None, 0, None)))
    state, shares = serving.init_thresholds(VALUES), []
    for best in (0.7, 0.3):
        for batch in range(60):
            indices, values = draw(state, jax.random.split(jax.random.key(batch), 64), 0.3)
            gains = 0.5 - np.abs(np.asarray(values) - best) + rng.normal(size=64)
            state = serving.record_gains(state, indices, gains.astype(np.float32))
            shares.append(np.mean(np.asarray(values) == np.float32(best)))
    assert np.mean(shares[30:60]) > 0.5 and np.mean(shares[90:]) > 0.5 and np.mean(shares[60:64]) < 0.3


def test_there_must_be_a_value():
    with pytest.raises(ValueError, match="expected at least one value"):
        serving.init_thresholds([])
