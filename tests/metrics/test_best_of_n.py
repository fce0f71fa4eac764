import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import metrics

best_of_n_metric = jax.jit(metrics.best_of_n_metric, static_argnums=2)


def by_enumeration(scores, values, n):
    """The mean over all subsets of n responses of the value of the best; several best ones share it."""

    def best(subset):
        top = max(scores[item] for item in subset)
        return np.mean([values[item] for item in subset if scores[item] == top])

    return np.mean([best(subset) for subset in itertools.combinations(range(len(scores)), n)])


def test_by_hand():
    # The best of three responses by score is drawn in 2 of 3 pairs, the middle one is best in the third.
    scores, values = np.float32([[3, 2, 1]]), np.float32([[10, 40, 70]])
    assert best_of_n_metric(scores, values, 1) == (40.0, 1.0)
    np.testing.assert_allclose(best_of_n_metric(scores, values, 2), ((2 * 10 + 40) / 3, 1.0), rtol=1e-6)
    assert best_of_n_metric(scores, values, 3) == (10.0, 1.0)


@pytest.mark.parametrize("n", range(1, 8))
def test_equals_enumeration(n):
    rng = np.random.default_rng(n)
    scores, values = rng.integers(0, 4, size=(5, 7)), rng.normal(size=(5, 7))  # four levels: many ties
    expected = [by_enumeration(*lists, n) for lists in zip(scores, values, strict=True)]
    scores, values = scores.astype(np.float32), values.astype(np.float32)
    ours = jax.jit(jax.vmap(lambda scores, values: metrics.best_of_n_metric(scores, values, n)))(scores, values)
    np.testing.assert_allclose(ours.value, expected, rtol=1e-5, atol=1e-6)


def test_equal_scores_give_the_mean():
    values = np.float32([1, 2, 6])
    for n in 1, 2, 3:
        np.testing.assert_allclose(best_of_n_metric(np.zeros(3, np.float32), values, n).value, 3, rtol=1e-6)


def test_binomials_do_not_overflow():
    # C(200, 100) is 9e58. With n = K only the best counts.
    values = np.arange(200, dtype=np.float32)
    np.testing.assert_allclose(best_of_n_metric(values, values, 200).value, 199, rtol=1e-5)
    # The expected maximum of n of 0..K-1 is n (K + 1) / (n + 1) - 1.
    expected = 100 * 201 / 101 - 1
    np.testing.assert_allclose(best_of_n_metric(values, values, 100).value, expected, rtol=1e-5)


def test_prompts_with_too_few_responses_are_not_counted():
    scores, where = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([[True, True, False], [True, True, True]])
    assert best_of_n_metric(scores, scores, 3, where=where) == (5.0, 1.0)
    # With n = 2 both count: 1 for the first; (2 * 5 + 4) / 3 for the second.
    np.testing.assert_allclose(best_of_n_metric(scores, scores, 2, where=where), (1 + 14 / 3, 2), rtol=1e-6)


@pytest.mark.parametrize("n", [0, 4])
def test_n_must_fit(n):
    with pytest.raises(ValueError, match=f"between 1 and the 3 responses of a prompt, got {n}"):
        metrics.best_of_n_metric(jnp.ones(3), jnp.ones(3), n)


def test_divergence_of_many_equally_likely_responses_reaches_the_bound():
    """Best of n among K ranks, drawn independently: rank k (of K, lowest first) wins with (k/K)^n - ((k-1)/K)^n."""
    for n in 1, 4, 16:
        steps = np.arange(20_001) / 20_000
        chosen = np.diff(steps**n)
        chosen = chosen[chosen > 0]
        divergence = np.sum(chosen * np.log(chosen * 20_000))
        bound = float(metrics.best_of_n_kl_bound(n))
        np.testing.assert_allclose(bound, divergence, atol=1e-3)
    # Two equally likely responses: the better one wins with 1 - 2^-n, so the divergence stays below log 2.
    wins = 1 - 2.0**-16
    assert wins * np.log(2 * wins) + (1 - wins) * np.log(2 * (1 - wins)) < np.log(2) < bound


def test_divergence_by_hand():
    np.testing.assert_allclose(metrics.best_of_n_kl_bound(jnp.array([1, 2])), [0, np.log(2) - 0.5], atol=1e-6)
