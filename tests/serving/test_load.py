"""What cost and load take off, and the moving average of the load."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving


def test_the_average_does_not_depend_on_how_often_it_is_read():
    once = serving.update_load(jnp.float32(0.2), 1.0, 6.0, half_life=3.0)
    twice = serving.update_load(jnp.float32(0.2), 1.0, 2.0, half_life=3.0)
    twice = serving.update_load(twice, 1.0, 4.0, half_life=3.0)
    assert float(once) == pytest.approx(0.25 * 0.2 + 0.75) == float(twice)


def test_penalties_by_hand():
    costs = jnp.array([0.25, 1.0])
    dials = dict(cost_weight=0.1, load_weight=2.0, steepness=3.0, threshold=0.5)
    np.testing.assert_allclose(serving.cost_penalties(costs, jnp.float32(0.5), **dials), [0.025, 0.1], rtol=1e-6)
    # Above the threshold by 0.2: 0.1 + 2 tanh(0.6).
    expected = 0.1 + 2 * np.tanh(0.6)
    np.testing.assert_allclose(serving.cost_penalties(costs, jnp.float32(0.7), **dials), expected * costs, rtol=1e-5)
