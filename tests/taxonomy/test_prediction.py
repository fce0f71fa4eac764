"""Sets of classes from probabilities: by hand, and against walks in Python on random graphs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign.taxonomy import Taxonomy, classes_above, most_specific, sure_classes, sure_path, top_classes
from tests.taxonomy import graphs

#   animal (0)      stone (4)
#   pet (1)  wild (2)
#   dog (3), below pet and wild
TAXONOMY = Taxonomy(("animal", "pet", "wild", "dog", "stone"), ((), (0,), (0,), (1, 2), ()))


def members(sets):
    return [tuple(np.flatnonzero(row).tolist()) for row in np.atleast_2d(np.array(sets))]


def test_top_classes_by_hand():
    probabilities = jnp.array([[0.1, 0.9, 0.5, 0.5, 0.5], [0.2, 0.2, 0.2, 0.2, 0.3]])
    assert members(top_classes(probabilities, 1)) == [(1,), (4,)]
    assert members(top_classes(probabilities, 3)) == [(1, 2, 3), (0, 1, 4)]
    assert members(top_classes(probabilities, 5)) == [(0, 1, 2, 3, 4)] * 2
    for k in 0, 6:
        with pytest.raises(ValueError, match=f"k: expected from 1 to the number of classes, 5, got {k}"):
            top_classes(probabilities, k)


def test_classes_above_by_hand():
    probabilities = jnp.array([[0.1, 0.9, 0.5, 0.4, 0.5], [0.2, 0.1, 0.1, 0.1, 0.3]])
    assert members(classes_above(probabilities, 0.5)) == [(1, 2, 4), ()]
    assert members(classes_above(probabilities, 0.5, least=2)) == [(1, 2, 4), (0, 4)]
    assert members(classes_above(probabilities, jnp.array([0.0, 1.0, 0.6, 0.4, 0.5]))) == [(0, 3, 4), (0,)]
    with pytest.raises(ValueError, match=r"thresholds: expected one, or one for each class \(5,\), got \(4,\)"):
        classes_above(probabilities, jnp.ones(4))


@pytest.mark.parametrize(
    "probabilities, classes, path",
    [
        ([0.9, 0.8, 0.3, 0.7, 0.1], (0, 1, 3), (0, 1, 3)),  # dog by way of pet, and wild is not said
        ([0.9, 0.8, 0.7, 0.6, 0.1], (0, 1, 2, 3), (0, 1, 3)),
        ([0.9, 0.8, 0.7, 0.4, 0.6], (0, 1, 2, 4), (0, 1)),  # stops at an inner class
        ([0.9, 0.4, 0.3, 0.8, 0.1], (0,), (0,)),  # dog is sure, and nothing that leads to it
        ([0.6, 0.9, 0.2, 0.9, 0.7], (0, 1, 3, 4), (4,)),  # the best root is a leaf
        ([0.4, 0.9, 0.9, 0.9, 0.3], (), ()),  # no root is sure
        ([0.5, 0.5, 0.5, 0.5, 0.5], (0, 1, 2, 3, 4), (0, 1, 3)),
    ],
)
def test_walks_by_hand(probabilities, classes, path):
    probabilities = jnp.array(probabilities)
    assert members(sure_classes(TAXONOMY, probabilities, 0.5)) == [classes]
    assert members(sure_path(TAXONOMY, probabilities, 0.5)) == [path]


def test_thresholds_of_classes():
    probabilities = jnp.array([0.9, 0.8, 0.7, 0.6, 0.1])
    thresholds = jnp.array([0.5, 0.85, 0.5, 0.5, 0.5])
    assert members(sure_classes(TAXONOMY, probabilities, thresholds)) == [(0, 2, 3)]
    assert members(sure_path(TAXONOMY, probabilities, thresholds)) == [(0,)]  # the best child is not sure
    assert members(sure_path(TAXONOMY, jnp.zeros(5), -jnp.inf)) == [(0, 1, 3)]


def test_most_specific_by_hand():
    sets = jnp.array([[1, 1, 0, 1, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    assert members(most_specific(TAXONOMY, sets)) == [(3,), (1, 2), (3, 4), ()]


def walk_classes(taxonomy, sure):
    found, waiting = set(), list(taxonomy.roots)
    while waiting:
        if sure[number := waiting.pop()]:
            found.add(number)
            waiting += taxonomy.children[number]
    return tuple(sorted(found))


def walk_path(taxonomy, probabilities, threshold):
    path, options = [], taxonomy.roots
    while options and probabilities[best := max(options, key=lambda each: (probabilities[each], -each))] >= threshold:
        path.append(best)
        options = taxonomy.children[best]
    return tuple(sorted(path))


@pytest.mark.parametrize("seed", range(4))
def test_walks_equal_those_in_python(seed):
    taxonomy = graphs.random_taxonomy(seed)
    rng = np.random.default_rng(seed)
    # Rounded, so that children are tied.
    probabilities = np.float32(np.round(rng.uniform(size=(20, 30)) ** 0.3, 1))
    threshold = np.float32(0.6)
    sets = jax.jit(functools.partial(sure_classes, taxonomy, thresholds=0.6))(probabilities)
    paths = jax.jit(functools.partial(sure_path, taxonomy, thresholds=0.6))(probabilities)
    assert members(sets) == [walk_classes(taxonomy, row >= threshold) for row in probabilities]
    assert members(paths) == [walk_path(taxonomy, row, threshold) for row in probabilities]
    # The path's classes are among those that are sure, and its end is one class.
    assert not np.any(np.array(paths) & ~np.array(sets))
    ends = jax.jit(functools.partial(most_specific, taxonomy))(paths)
    assert set(np.array(ends).sum(axis=1).tolist()) <= {0, 1}


@pytest.mark.parametrize("seed", range(2))
def test_most_specific_has_the_same_closure(seed):
    taxonomy = graphs.random_taxonomy(seed)
    sets = taxonomy.close_upwards(np.random.default_rng(seed).uniform(size=(20, 30)) < 0.1)
    ends = np.array(most_specific(taxonomy, jnp.array(sets)))
    np.testing.assert_array_equal(taxonomy.close_upwards(ends), sets)
    assert ends.sum() < sets.sum()


FUNCTIONS = {
    "top": functools.partial(top_classes, k=2),
    "above": functools.partial(classes_above, thresholds=0.5, least=1),
    "classes": functools.partial(sure_classes, TAXONOMY, thresholds=0.5),
    "path": functools.partial(sure_path, TAXONOMY, thresholds=0.5),
    "ends": lambda probabilities: most_specific(TAXONOMY, probabilities > 0.5),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jit_vmap_batches_and_precision(name):
    function = FUNCTIONS[name]
    probabilities = jnp.array(np.random.default_rng(5).integers(0, 9, (2, 3, 5)) / 8, jnp.float32)
    whole = function(probabilities)
    assert whole.shape == (2, 3, 5) and whole.dtype == bool
    np.testing.assert_array_equal(jax.jit(function)(probabilities), whole)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.vmap(function)))(probabilities), whole)
    np.testing.assert_array_equal(function(probabilities.astype(jnp.bfloat16)), whole)
    assert function(probabilities[:0]).shape == (0, 3, 5)


def test_another_number_of_classes():
    for function in (
        functools.partial(sure_classes, thresholds=0.5),
        functools.partial(sure_path, thresholds=0.5),
        lambda taxonomy, probabilities: most_specific(taxonomy, probabilities > 0),
    ):
        with pytest.raises(ValueError, match=r"expected a last axis of 5 classes as the taxonomy has, got \(2, 4\)"):
            function(TAXONOMY, jnp.zeros((2, 4)))
