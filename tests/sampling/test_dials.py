"""Each sequence's own temperature and top-p, against the transforms of that name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import sampling
from jaxalign.sampling.dials import Dials, dialled, dialled_top_p

LOGITS = jnp.array([1.0, 3.0, -2.0, 2.5, 0.0, 2.9, -1.0])


def draws(rule, dials, count=400):
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(jax.vmap(lambda key: rule.choose(LOGITS, key, dials))(keys))


def dials(temperature, top_p=1.0):
    return Dials(jnp.float32(temperature), jnp.float32(top_p))


@pytest.mark.parametrize("rule", [dialled, dialled_top_p])
def test_without_top_p_they_draw_what_sample_draws(rule):
    assert (draws(rule, dials(0)) == 1).all()
    for temperature in (0.5, 2.0):
        theirs = draws(sampling.sample(sampling.temperature(temperature)), ((),))
        np.testing.assert_array_equal(draws(rule, dials(temperature)), theirs)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 0.5), (0.7, 0.9), (2.0, 0.05)])
def test_top_p_keeps_what_the_transform_keeps(temperature, top_p):
    kept = set(draws(sampling.sample(sampling.temperature(temperature), sampling.top_p(top_p)), ((), ())))
    assert set(draws(dialled_top_p, dials(temperature, top_p))) == kept


def test_the_draws_of_what_is_kept_have_its_probabilities():
    """3.0 and 2.9 stay: softmax gives the first 1 / (1 + e^-0.1) = .525."""
    share = (draws(dialled_top_p, dials(1.0, 0.5), 4000) == 1).mean()
    assert abs(share - 0.525) < 4 * (0.525 * 0.475 / 4000) ** 0.5


def test_they_begin_with_what_changes_nothing():
    memory = dialled.init(jnp.zeros(3, int), jnp.ones(3, bool), 7)
    assert (float(memory.temperature), float(memory.top_p)) == (1.0, 1.0)
    assert dialled.update(memory, jnp.int32(3)) is memory
