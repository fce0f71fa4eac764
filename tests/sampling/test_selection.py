import math

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxalign import sampling


def from_strengths(strengths):
    """P(i beats j) = sigmoid(strength i - strength j)."""
    strengths = np.asarray(strengths, np.float32)
    return jnp.asarray(1 / (1 + np.exp(strengths[None] - strengths[:, None])))


def test_best_of_n_by_hand(allow_nans):
    rewards = jnp.array([[0.0, 3.0, -1.0], [-5.0, -4.0, jnp.nan], [jnp.nan, jnp.inf, -9.0]])
    where = jnp.array([[True, True, True], [True, True, False], [False, False, True]])
    assert sampling.best_of_n(rewards, where=where).tolist() == [1, 1, 2]
    assert sampling.best_of_n(jnp.array([1.0, 2.0])).tolist() == 1


def test_best_of_n_breaks_ties_by_key():
    rewards = jnp.array([1.0, 2.0, 2.0, 2.0])
    drawn = {int(sampling.best_of_n(rewards, key=jax.random.key(seed))) for seed in range(40)}
    assert drawn == {1, 2, 3}
    assert int(sampling.best_of_n(rewards)) == 1


def test_round_robin_by_hand():
    # Both orders averaged: 0 beats 1 with (0.9 + 1 - 0.3) / 2 = 0.8 and 2 with (0.3 + 1 - 0.8) / 2 = 0.25; 1 beats 2
    # with (0.6 + 1 - 0.4) / 2 = 0.6. Expected wins: 0 has 1.05, 1 has 0.8, 2 has 1.15.
    preferences = jnp.array([[0.0, 0.9, 0.3], [0.3, 0.0, 0.6], [0.8, 0.4, 0.0]])
    assert sampling.round_robin_ranks(preferences).tolist() == [2, 3, 1]


def test_round_robin_leaves_masked_responses_out(allow_nans):
    # 1 beats 0, but 0 beats 2 by far and 1 loses to 2: without 2 the better one is 1, with it 0.
    preferences = jnp.array([[0.5, 0.4, 1.0], [0.6, 0.5, 0.1], [0.0, 0.9, 0.5]])
    assert sampling.round_robin_ranks(preferences).tolist() == [1, 3, 2]
    masked = preferences.at[2].set(jnp.nan).at[:, 2].set(jnp.nan)
    assert sampling.round_robin_ranks(masked, where=jnp.array([True, True, False])).tolist() == [2, 1, 3]


def test_round_robin_breaks_ties_by_key():
    ties = jnp.full((3, 3), 0.5)
    assert sampling.round_robin_ranks(ties).tolist() == [1, 2, 3]
    drawn = {tuple(sampling.round_robin_ranks(ties, key=jax.random.key(seed)).tolist()) for seed in range(60)}
    assert len(drawn) == 6


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(strengths=st.permutations(range(9)), count=st.integers(1, 9), seed=st.none() | st.integers(0, 99))
def test_knockout_finds_the_ends_in_the_fewest_comparisons(strengths, count, seed):
    """n responses in any places need ceil(3n / 2) - 2 comparisons, none for a single one."""
    places = np.sort(np.random.default_rng(0 if seed is None else seed).permutation(9)[:count])
    where = np.isin(np.arange(9), places)
    key = None if seed is None else jax.random.key(seed)
    found = _knockout(from_strengths(strengths), jnp.asarray(where), key)
    real = np.where(where, strengths, np.nan)
    assert int(found.best) == np.nanargmax(real) and int(found.worst) == np.nanargmin(real)
    assert int(found.comparisons) == max(math.ceil(3 * count / 2) - 2, 0)


@jax.jit
def _knockout(preferences, where, key):
    return sampling.knockout(preferences, where=where, key=key)


def test_knockout_takes_a_batch_and_both_orders():
    # In one order 0 beats 1 with 0.6; the other order says 1 beats 0 with 0.8.
    biased = jnp.array([[0.5, 0.6], [0.8, 0.5]])
    found = sampling.knockout(jnp.stack([biased, biased.T]))
    assert found.best.tolist() == [1, 0] and found.worst.tolist() == [0, 1] and found.comparisons.tolist() == [1, 1]


def test_knockout_draws_who_meets_whom():
    """0 beats 1 beats 2 beats 0: whoever meets the winner of the other two last wins."""
    cycle = jnp.array([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]])
    results = [_knockout(cycle, np.ones(3, bool), jax.random.key(seed)) for seed in range(40)]
    assert {int(found.best) for found in results} == {0, 1, 2}
    assert all(int(found.comparisons) == 3 for found in results)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_all_ties_still_have_two_ends(seed):
    key = None if seed is None else jax.random.key(seed)
    found = _knockout(np.full((4, 4), 0.5, np.float32), np.ones(4, bool), key)
    assert int(found.best) != int(found.worst)


def test_an_empty_list_gives_an_index(allow_nans):
    where = jnp.zeros(3, bool)
    assert int(sampling.best_of_n(jnp.full(3, jnp.nan), where=where)) == 0
    assert [int(x) for x in sampling.knockout(jnp.full((3, 3), jnp.nan), where=where)] == [0, 0, 0]
