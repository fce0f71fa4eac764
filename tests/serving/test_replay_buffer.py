"""The replay buffer: a ring of the latest feedback, draws by priority, weights, forgetting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving

add_feedback, set_priorities = jax.jit(serving.add_feedback), jax.jit(serving.set_priorities)
sample_rows = jax.jit(serving.sample_rows, static_argnames=("batch_size", "alpha", "beta"))
forget_feedback = jax.jit(serving.forget_feedback)


def rows(values, users=None):
    values = jnp.asarray(values, jnp.float32)
    ints = jnp.zeros(len(values), jnp.int32)
    users = ints if users is None else jnp.asarray(users, jnp.int32)
    return serving.Feedback(values[:, None] * jnp.ones((1, 2)), ints, ints - 1, values, users)


def add(buffer, values, where=None, users=None):
    where = jnp.ones(len(values), bool) if where is None else jnp.asarray(where)
    return add_feedback(buffer, rows(values, users), where, jax.random.key(0))


def test_the_oldest_rows_make_room():
    buffer = add(serving.init_buffer(4, 2, 3), [1, 2, 3], where=[True, False, True])
    assert buffer.feedback.outcomes.tolist() == [1, 3, 0, 0] and buffer.priorities.tolist() == [1, 1, 0, 0]
    buffer = add(buffer, [4, 5, 6])
    assert buffer.feedback.outcomes.tolist() == [6, 3, 4, 5] and buffer.added == 5


def test_bootstrap_counts_are_poisson():
    buffer = add(serving.init_buffer(2000, 2, 8), np.arange(2000))
    counts = np.asarray(buffer.bootstrap)
    assert abs(counts.mean() - 1) < 4 / np.sqrt(16000)
    assert abs((counts == 0).mean() - np.exp(-1)) < 4 * np.sqrt(0.37 * 0.63 / 16000)


def test_draws_follow_priorities_and_weights_make_up_for_them():
    buffer = add(serving.init_buffer(8, 2, 1), [1, 2, 3, 4])
    buffer = set_priorities(buffer, jnp.arange(4), jnp.array([1.0, 2.0, 3.0, 0.0]))
    drawn, weights = sample_rows(buffer, jax.random.key(0), 20_000, alpha=1.0, beta=1.0)
    expected = np.array([1, 2, 3, 1e-3]) / 6.001  # a priority never falls to 0, which says "no feedback"
    shares = np.bincount(drawn, minlength=8) / 20_000
    np.testing.assert_allclose(shares[:4], expected, atol=4 * np.sqrt(0.25 / 20_000))
    assert (shares[4:] == 0).all()
    by_row = {int(row): float(weight) for row, weight in zip(drawn, weights, strict=True)}
    assert by_row[0] / by_row[1] == pytest.approx(2, rel=1e-5) and by_row[0] / by_row[2] == pytest.approx(3, rel=1e-5)


def test_alpha_of_0_draws_evenly_and_beta_of_0_weighs_nothing():
    buffer = add(serving.init_buffer(4, 2, 1), [1, 2])
    buffer = set_priorities(buffer, jnp.arange(2), jnp.array([1.0, 9.0]))
    drawn, weights = sample_rows(buffer, jax.random.key(0), 10_000, alpha=0.0, beta=0.0)
    assert abs(float(drawn.mean()) - 0.5) < 4 * 0.5 / 100
    assert (weights == 1).all()


def test_an_empty_buffer_gives_rows_without_weight():
    _, weights = sample_rows(serving.init_buffer(4, 2, 1), jax.random.key(0), 3)
    assert weights.tolist() == [0, 0, 0]


def test_nothing_of_a_forgotten_user_stays_and_nothing_is_drawn_of_it():
    buffer = add(serving.init_buffer(4, 2, 2), [0.25, 0.5, 0.75], users=[7, 8, 7])
    buffer = forget_feedback(buffer, 7)
    assert buffer.feedback.outcomes.tolist() == [0, 0.5, 0, 0]
    assert buffer.feedback.contexts[:, 0].tolist() == [0, 0.5, 0, 0]
    assert buffer.feedback.users.tolist() == [-1, 8, -1, -1] and buffer.priorities.tolist() == [0, 1, 0, 0]
    drawn, _ = sample_rows(buffer, jax.random.key(1), 100)
    assert set(drawn.tolist()) == {1}
    again = set_priorities(buffer, jnp.array([0, 1]), jnp.array([0.9, 0.9]))
    assert again.priorities.tolist() == [0, pytest.approx(0.9), 0, 0]


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0, 2, 3"):
        serving.init_buffer(0, 2, 3)
