"""When a preference is asked for, of whom, and what wins say."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import serving

sample_opponents, update_posterior = (
    jax.jit(serving.sample_opponents),
    jax.jit(serving.update_posterior, static_argnames="decay"),
)


def test_the_spread_is_the_standard_deviation_and_its_relative_form_has_no_scale():
    confidences = jnp.array([[0.9, 0.5], [0.09, 0.05], [0.0, 0.0]])
    np.testing.assert_allclose(serving.confidence_spread(confidences), [0.2, 0.02, 0], rtol=1e-5)
    # 0.9 / 1.4 and 0.5 / 1.4 lie 0.2 / 1.4 from their mean.
    np.testing.assert_allclose(serving.relative_confidence_spread(confidences), [1 / 7, 1 / 7, 0], rtol=1e-5)


def test_models_that_look_alike_are_compared_and_no_more_than_a_share():
    spread = jnp.concatenate([jnp.full(4000, 0.05), jnp.full(10, 0.1)])
    asked = serving.wants_feedback(jax.random.key(0), spread, share=0.25)
    assert not asked[4000:].any()
    assert abs(float(asked[:4000].mean()) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert serving.wants_feedback(jax.random.key(0), spread)[:4000].all()


def test_posteriors_count_what_took_place_and_older_comparisons_less():
    posterior = serving.init_posterior(3)
    winners, losers = jnp.array([0, 0, 2]), jnp.array([1, 2, 1])
    posterior = update_posterior(posterior, winners, losers, jnp.array([True, True, False]))
    assert posterior.wins.tolist() == [2, 0, 0] and posterior.losses.tolist() == [0, 1, 1]
    posterior = update_posterior(posterior, winners, losers, jnp.array([False, False, True]), decay=0.5)
    assert posterior.wins.tolist() == [1, 0, 1] and posterior.losses.tolist() == [0, 1.5, 0.5]


def test_opponents_are_others_and_the_better_one_more_often():
    posterior = serving.BetaPosterior(jnp.array([90.0, 0.0, 8.0]), jnp.array([0.0, 8.0, 0.0]))
    drawn = sample_opponents(jax.random.key(0), posterior, jnp.zeros(1000, jnp.int32))
    assert (drawn > 0).all() and (drawn == 2).mean() > 0.99
    even = sample_opponents(jax.random.key(0), serving.init_posterior(3), jnp.full(4000, 1))
    assert (even != 1).all() and abs(float((even == 0).mean()) - 0.5) < 4 * 0.5 / np.sqrt(4000)
