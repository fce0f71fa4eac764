"""Walks by hand, and random graphs against the walk in Python that the benchmark times."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign.taxonomy import Taxonomy, search, search_candidates, search_candidates_by_path
from tests.taxonomy.graphs import random_taxonomy, renumber
from tools.benchmarks.candidate_search import random_layers, walk_by_path, walk_document

GRAPHS = {
    "deep": random_taxonomy(0, 40),
    "deeper": random_taxonomy(1, 60, roots=1),
    "tree": random_taxonomy(2, 40, most_parents=1),
    "wide": random_layers(0, (5, 20, 60), several=10),
    "flat": random_layers(1, (40, 3), several=0),
}
WALKS = [(search_candidates, walk_document), (search_candidates_by_path, walk_by_path)]


def similarities_on_a_grid(seed, documents, classes, steps):
    """Sums of these are exact, so that Python's double precision orders paths as float32 does; few steps give ties."""
    return (np.random.default_rng(seed).integers(0, steps, (documents, classes)) / steps).astype(np.float32)


def expected(walk, taxonomy, similarities):
    found = np.zeros(similarities.shape, bool)
    for row, each in zip(found, similarities.tolist(), strict=True):
        row[list(walk(taxonomy, each))] = True
    return found


@pytest.mark.parametrize("find, walk", WALKS)
@pytest.mark.parametrize("name", GRAPHS)
def test_equals_a_walk_in_python(find, walk, name):
    """Each graph under several numberings of its classes, which have one compiled program."""
    taxonomy = GRAPHS[name]
    for seed in range(4):
        numbered = renumber(taxonomy, seed)
        for steps in (3, 4096):
            similarities = similarities_on_a_grid(seed, 30, len(taxonomy), steps)
            found = find(numbered, similarities, block_size=32)
            np.testing.assert_array_equal(found, expected(walk, numbered, similarities))


def test_pruning_by_path_prunes():
    """Else the test above would say nothing of it."""
    taxonomy = GRAPHS["wide"]
    similarities = similarities_on_a_grid(0, 20, len(taxonomy), 4096)
    plain, pruned = (find(taxonomy, similarities, block_size=32) for find, _ in WALKS)
    assert pruned.sum() < 0.8 * plain.sum()


def test_by_hand():
    """Four roots, of which three are chosen; root 0 then chooses four of its five children, root 3 is not come to."""
    names = ("a", "b", "c", "d", "a1", "a2", "a3", "a4", "a5", "d1")
    taxonomy = Taxonomy(names, ((), (), (), (), (0,), (0,), (0,), (0,), (0,), (3,)))
    row = [0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.3, 0.1, 0.1, 0.9]  # ties: the lowest numbers
    for find, _ in WALKS:
        found = find(taxonomy, np.array([row], np.float32))
        assert np.flatnonzero(found[0]).tolist() == [0, 1, 2, 4, 5, 6, 7]


def test_a_class_of_two_chosen_parents_is_queued_once():
    """Class 9 would take two of nine places in the queue of round 1; with one, the ninth best class is kept too."""
    parents = [(), (), ()] + [(root,) for root in (0, 0, 0, 1, 1, 1)] + [(0, 1)] + [(2,), (2,), (2,), (2,)]
    taxonomy = Taxonomy(tuple(f"class {number}" for number in range(14)), tuple(parents))
    row = [0.9, 0.9, 0.1] + [0.5] * 6 + [0.9] + [0.4, 0.3, 0.2, 0.1]
    found = search_candidates_by_path(taxonomy, np.array([row], np.float32))
    # 3 to 9 are seven classes below 0 and 1, then the two best ones below 2.
    assert np.flatnonzero(found[0]).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_the_best_parent_makes_the_path():
    """Class 3 below 0 and 1: its path is 0.1 + 0.9, not 0.1 + 0.2; twelve others compete for the nine places."""
    parents = [(), (), (), (0, 1)] + [(0,)] * 3 + [(1,)] * 3 + [(2,)] * 4
    taxonomy = Taxonomy(tuple(f"class {number}" for number in range(14)), tuple(parents))
    row = [0.2, 0.9, 0.5, 0.2] + [0.3] * 3 + [0.3] * 3 + [0.4] * 4
    found = search_candidates_by_path(taxonomy, np.array([row], np.float32))
    # 1.2 three times, 1.1 for class 3, 0.9 four times, and of 0.5 three times the first.
    assert np.flatnonzero(found[0]).tolist() == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13]


def test_blocks_and_libraries_make_no_difference():
    taxonomy = GRAPHS["deep"]
    similarities = similarities_on_a_grid(1, 50, 40, 3)
    for find, _ in WALKS:
        whole = find(taxonomy, similarities, block_size=64)
        np.testing.assert_array_equal(find(taxonomy, jnp.asarray(similarities), block_size=32), whole)
        assert find(taxonomy, similarities[:0]).shape == (0, 40)


def test_nothing_is_compiled_after_warm_up():
    """Other documents, any number of them, and other parents in a graph of the same sizes."""
    taxonomy = GRAPHS["deep"]
    for find, _ in WALKS:
        find(taxonomy, similarities_on_a_grid(0, 5, 40, 9), block_size=32)
        before = search._map._cache_size()
        for documents in (1, 31, 32, 33, 100):
            find(taxonomy, similarities_on_a_grid(documents, documents, 40, 9), block_size=32)
        assert search._map._cache_size() == before > 0


def test_what_is_refused(allow_nans):
    taxonomy = random_taxonomy(0, 10)
    similarities = np.zeros((3, 10), np.float32)
    similarities[2, 4] = np.nan
    with pytest.raises(ValueError, match="finite numbers, got one that is not in row 2"):
        search_candidates(taxonomy, similarities, block_size=2)
    with pytest.raises(ValueError, match="one column for each of 10 classes, got 9"):
        search_candidates(taxonomy, similarities[:, :9])
    with pytest.raises(ValueError, match="block_size: expected at least 1, got 0"):
        search_candidates_by_path(taxonomy, similarities, block_size=0)
