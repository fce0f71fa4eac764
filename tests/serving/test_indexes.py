"""What all indexes do alike: exact, in clusters (all of them scanned), and by the library."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest

from jaxalign import serving
from tests.serving.nearest import WIDTH, assert_nearest, vectors

INDEXES = {
    "exact": serving.exact_index(WIDTH, capacity=4),
    "clusters": serving.ivf_index(WIDTH, clusters=4, probes=4, recent=4),
    "library": serving.library_index(WIDTH, threads=1),
}
QUERIES = vectors(3, seed=9)
BANK = vectors(24, seed=1)  # what a vector of each id may be, and BANK[::-1] another


@pytest.fixture(params=INDEXES)
def index(request):
    return INDEXES[request.param]


def some_ids(most):
    return st.lists(st.integers(0, 23), max_size=most, unique=True)


STEPS = st.lists(st.one_of(st.tuples(st.sampled_from((BANK, BANK[::-1])), some_ids(8)), some_ids(4)), max_size=8)


@pytest.mark.parametrize("name", INDEXES)
@hypothesis.settings(max_examples=20, derandomize=True)
@hypothesis.given(steps=STEPS)
def test_any_sequence_of_inserts_and_deletes(name, steps):
    """A dictionary does the same; an id that is inserted again has its new vector only."""
    index, stored = INDEXES[name], {}
    state = index.init()
    for step in steps:
        if isinstance(step, tuple):
            bank, ids = step
            state = index.insert(state, np.array(ids, np.int32), bank[ids])
            stored |= dict(zip(ids, bank[ids], strict=True))
        else:
            state = index.delete(state, step)
            stored = {each: vector for each, vector in stored.items() if each not in step}
    assert_nearest(index.search(state, QUERIES, 5), QUERIES, stored, 5)
    ids, found = index.contents(state)
    assert ids.tolist() == sorted(stored) and ids.dtype == np.int32
    if stored:
        expected = np.stack([stored[each] for each in sorted(stored)])
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_cosines_by_hand(index):
    """(3, 4) has the cosine .6 with (1, 0) whatever the lengths; the opposite of a query has -1."""
    rows = np.array([[3.0, 4.0, 0, 0], [-2.0, 0, 0, 0], [1e-20, 0, 0, 0]], np.float32)
    state = index.insert(index.init(), [5, 6, 7], rows)
    hits = index.search(state, [[1e20, 0, 0, 0]], 4)
    assert hits.ids.tolist() == [[7, 5, 6, -1]]
    np.testing.assert_allclose(hits.similarities[0], [1, 0.6, -1, -np.inf], atol=1e-6)


def test_equal_vectors_are_all_found(index):
    rows = np.tile(np.float32([[1, 2, 3, 4]]), (6, 1))
    state = index.insert(index.init(), np.arange(6), rows)
    hits = index.search(state, rows[:1], 6)
    assert sorted(hits.ids[0].tolist()) == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(hits.similarities, 1, atol=1e-6)


def test_nothing_to_do(index):
    state = index.insert(index.init(), [], np.zeros((0, WIDTH)))
    assert_nearest(index.search(state, QUERIES, 2), QUERIES, {}, 2)
    state = index.delete(index.insert(state, [3], BANK[:1]), [])
    assert index.delete(state, [8, 8, 9]) is state  # nothing is copied for ids of others
    assert_nearest(index.search(state, QUERIES, 2), QUERIES, {3: BANK[0]}, 2)
    assert index.search(state, np.zeros((0, WIDTH)), 2).ids.shape == (0, 2)


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        ([0], np.ones((1, 3)), r"vectors: expected \[N, 4\], got \[1, 3\]; embed"),
        ([0], np.ones(4), r"vectors: expected \[N, 4\], got \[4\]"),
        ([0, 1], np.array([[1.0] * 4, [1, np.nan, 1, 1]]), r"finite.*got \[1.0, nan, 1.0\]... in row 1 \(1 such"),
        ([0], np.zeros((1, 4)), "not all 0.*leave such rows out"),
        ([0], np.full((1, 4), 1e39), "finite"),
        ([-1], np.ones((1, 4)), r"ids: expected 0 to 2147483647, got -1 to -1; leave out"),
        ([2**31], np.ones((1, 4)), "ids: expected 0 to 2147483647"),
        ([0.5], np.ones((1, 4)), r"ids: expected integers \[N\], got float64 \[1\]"),
        ([3, 2, 3], np.ones((3, 4)), "ids: expected each once, got 3 more than once; keep"),
        ([3, 2], np.ones((3, 4)), "one vector for each id, got 2 ids and 3 vectors"),
    ],
)
def test_wrong_rows_are_refused(index, ids, rows, message):
    with pytest.raises(ValueError, match=message), np.errstate(over="ignore"):
        index.insert(index.init(), ids, rows)


def test_wrong_queries_and_deletes_are_refused(index):
    state = index.init()
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        index.search(state, QUERIES, 0)
    with pytest.raises(ValueError, match=r"queries: expected \[N, 4\], got \[3, 2\]"):
        index.search(state, QUERIES[:, :2], 1)
    with pytest.raises(ValueError, match="ids: expected 0 to 2147483647, got -2 to 1"):
        index.delete(state, [1, -2])


@pytest.mark.parametrize("name", ["exact", "clusters"])
def test_states_never_change(name):
    """What an old state says is what it said before: searches may go on in it."""
    index = INDEXES[name]
    old = index.insert(index.init(), np.arange(6), BANK[:6])
    before = jax.tree.map(np.array, old)
    index.delete(index.insert(old, np.arange(3, 9), BANK[10:16]), [0, 4])
    jax.tree.map(np.testing.assert_array_equal, before, old)


@pytest.mark.parametrize("name", ["exact", "clusters"])
def test_deleted_vectors_are_in_no_array(name):
    """Also those that were replaced before: a vector tells much of its text."""
    index = INDEXES[name]
    secret, other = np.float32([[0, 0, 3, 4]]), np.float32([[1, 2, 0, 0]])
    state = index.insert(index.init(), np.arange(6), np.concatenate([np.tile(other, (5, 1)), secret]))
    state = index.delete(index.insert(state, [5], other), [5])
    for leaf in jax.tree.leaves(state):
        assert not np.isclose(leaf, 0.8).any()  # secret's unit vector ends so, and nothing of other's


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (serving.exact_index, {"capacity": 0}),
        (serving.ivf_index, {"probes": 0}),
        (serving.ivf_index, {"clusters": 0}),
        (serving.library_index, {"expansion_search": 0}),
        (serving.library_index, {"threads": -1}),
    ],
)
def test_wrong_settings_are_refused(make, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}: expected at least .*, got {value}"):
        make(WIDTH, **wrong)
