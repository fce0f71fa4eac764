"""The factorised relation features equal the plain ones, in value, gradient and at the points where roots have none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein.relation_features import EPSILON

EDGES, WIDTH, FEATURES = 5, 6, 4


def plain_features(distances, first, second, embeddings, kernel, bias):
    """``Linear(vec(T) / (|T| + eps))`` with ``T = A_i^T D A_j``, as the paper has it."""
    products = jnp.einsum("eca,ecd,edb->eab", embeddings[first], distances, embeddings[second])
    norms = jnp.sqrt(jnp.square(products).sum(axis=(1, 2)))
    return jnp.einsum("eab,abk->ek", products / (norms[:, None, None] + EPSILON), kernel) + bias[None]


def factorised(distances, first, second, *weights):
    return protein.relation_features(protein.element_sums(distances, first, second), *weights)


@pytest.fixture
def arguments():
    rng = np.random.default_rng(0)
    atoms = rng.integers(1, 15, (2, EDGES))
    mask = (np.arange(14) < atoms[0][:, None])[:, :, None] & (np.arange(14) < atoms[1][:, None])[:, None, :]
    distances = np.where(mask, rng.random((EDGES, 14, 14)), 0)
    elements = rng.integers(0, 10, (2, EDGES, 14))
    weights = rng.normal(size=(10, WIDTH)), rng.normal(size=(WIDTH, WIDTH, FEATURES)), rng.normal(size=FEATURES)
    return distances, *elements, *weights


def test_values_and_gradients(float64, arguments):
    def squares(function, *arguments):
        features = function(*arguments)
        return (features**2).sum(), features

    slope_fn = jax.jit(jax.grad(squares, argnums=(1, 4, 5, 6), has_aux=True), static_argnums=0)
    (ours, features), (theirs, expected) = (slope_fn(each, *arguments) for each in (factorised, plain_features))
    np.testing.assert_allclose(features, expected, rtol=1e-10)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_by_hand():
    """Two carbons at one place see an oxygen 2 and 4 away: S has one number, 6, and T = 6 v_c v_o^T."""
    elements = jnp.array([[2, 2]]), jnp.array([[4]])
    sums = protein.element_sums(jnp.array([[[2.0], [4.0]]]), *elements)
    assert float(sums[0, 2, 4]) == 6 == float(sums.sum())
    embeddings = jnp.zeros((10, 2)).at[2].set(jnp.array([3.0, 0.0])).at[4].set(jnp.array([0.0, 1.0]))
    kernel = jnp.zeros((2, 2, 1)).at[0, 1, 0].set(5.0)
    features = protein.relation_features(sums, embeddings, kernel, jnp.array([0.5]))
    np.testing.assert_allclose(features[0, 0], 18 / (18 + 1e-3) * 5 + 0.5, rtol=1e-6)


def test_distances_and_their_slopes():
    here = jnp.array([[[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [9.0, 9.0, 9.0]]])
    where = jnp.array([[[True, True, False]] * 3])
    distances = protein.channel_distances(here, here, where)
    np.testing.assert_allclose(distances[0, :2], [[0, 5, 0], [5, 0, 0]])

    def to_itself(x):
        return protein.channel_distances(x, x, where).sum()

    slope = jax.jit(jax.grad(to_itself))(here)
    assert np.isfinite(slope).all()
    # The first atom is seen by the second and by the third, which is missing only as a sender, and sees the second.
    unit = np.array([-0.6, -0.8, 0]) * 2 - np.ones(3) / np.sqrt(3)
    np.testing.assert_allclose(slope[0, 0], unit, rtol=1e-5)


def test_nothing_between_two_nodes_is_no_nan(arguments):
    _, first, second, *weights = arguments
    none = np.zeros((EDGES, 14, 14), np.float32)
    weights = [w.astype(np.float32) for w in weights]

    def total(distances):
        features = factorised(distances, *map(jnp.asarray, (first, second, *weights)))
        return features.sum(), features

    slope, features = jax.jit(jax.grad(total, has_aux=True))(none)
    np.testing.assert_allclose(features, np.tile(weights[2], (EDGES, 1)), rtol=1e-6)
    assert np.isfinite(slope).all()
