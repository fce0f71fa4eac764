"""The artifact test's figure against its definition, pair by pair."""

import itertools

import jax.numpy as jnp
import numpy as np

from jaxalign import metrics


def test_by_hand():
    # Alone, 2 beats 1. With the cue the weaker becomes 3 and wins (a change); the stronger, 4, still wins (none).
    change = metrics.choice_change_metric(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]))
    assert (change.numerator, change.denominator) == (1, 2)


def test_ties_count_one_half():
    # The cue lifts 1 to a tie with 2: half a change; 2 with the cue stays ahead.
    change = metrics.choice_change_metric(jnp.array([1.0, 2.0]), jnp.array([2.0, 2.5]))
    assert (change.numerator, change.denominator) == (0.5, 2)


def test_a_cue_without_effect_changes_nothing_and_an_overwhelming_one_every_lost_pair():
    scores = jnp.array([[0.3, 0.1, 0.2, 9.0], [1.0, 4.0, 2.0, 3.0]])
    where = jnp.array([[True, True, True, False], [True, True, True, True]])
    assert metrics.choice_change_metric(scores, scores, where=where).value == 0
    # 3 * 2 and 4 * 3 ordered pairs; in half of each the marked response had lost.
    change = metrics.choice_change_metric(scores, scores + 100, where=where)
    assert (change.numerator, change.denominator) == (9, 18)


def test_equals_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    plain, marked = rng.integers(0, 4, (2, 5, 6))
    changes = []
    for row in range(5):
        for i, j in itertools.permutations(range(6), 2):
            before, after = (np.sign(x - plain[row, j]) for x in (plain[row, i], marked[row, i]))
            changes.append(abs(after - before) / 2)
    change = metrics.choice_change_metric(jnp.asarray(plain), jnp.asarray(marked))
    np.testing.assert_allclose(change.value, np.mean(changes), rtol=1e-6)
