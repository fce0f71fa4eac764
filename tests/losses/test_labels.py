import jax.numpy as jnp
import numpy as np

from jaxalign import losses


def test_labels_of_a_model_average_both_orders_and_include_the_item_itself():
    # Both orders averaged: Psi[0, 1] = (0.9 + 1 - 0.3) / 2 = 0.8, Psi[0, 2] = (1.0 + 1 - 0.4) / 2 = 0.8,
    # Psi[1, 2] = (0.6 + 1 - 0.4) / 2 = 0.6; the diagonal is 0.5 whatever the model says of it.
    preferences = jnp.array([[0.1, 0.9, 1.0], [0.3, 0.7, 0.6], [0.4, 0.4, 0.0]])
    expected = [(0.5 + 0.8 + 0.8) / 3, (0.2 + 0.5 + 0.6) / 3, (0.2 + 0.4 + 0.5) / 3]
    np.testing.assert_allclose(losses.labels_from_preferences(preferences), expected, rtol=1e-6)


def test_consistent_preferences_keep_their_values():
    preferences = jnp.array([[0.5, 0.8], [0.2, 0.5]])
    np.testing.assert_allclose(losses.labels_from_preferences(preferences), [0.65, 0.35], rtol=1e-6)


def test_masked_responses_count_neither_as_items_nor_as_opponents(allow_nans):
    where = jnp.array([[True, False, True], [False, False, False]])
    preferences = jnp.full((2, 3, 3), jnp.nan).at[0, 0, 2].set(0.9).at[0, 2, 0].set(0.3)
    expected = [[(0.5 + 0.8) / 2, 0.0, (0.5 + 0.2) / 2], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(losses.labels_from_preferences(preferences, where=where), expected, rtol=1e-6)


def test_labels_of_ranks():
    # Best of three beats two and draws with itself: 2.5 / 3; then 1.5 / 3 and 0.5 / 3.
    np.testing.assert_allclose(losses.labels_from_ranks(jnp.array([2, 3, 1])), [0.5, 1 / 6, 5 / 6], rtol=1e-6)
    # Equal ranks draw: each of the two wins 0.5 + 0.5 + 1 of 3.
    np.testing.assert_allclose(losses.labels_from_ranks(jnp.array([1.0, 1.0, 7.0])), [2 / 3, 2 / 3, 1 / 6], rtol=1e-6)


def test_labels_of_ranks_with_padding():
    ranks, where = jnp.array([[1, 2, 0], [2, 1, 3]]), jnp.array([[True, True, False], [True, True, True]])
    labels = losses.labels_from_ranks(ranks, where=where)
    np.testing.assert_allclose(labels, [[0.75, 0.25, 0.0], [0.5, 5 / 6, 1 / 6]], rtol=1e-6)
