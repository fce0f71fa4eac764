"""Tenants do not see each other, and a rebuilt index loses nothing."""

import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import Change
from tests.serving.nearest import WIDTH, assert_nearest, vectors

INDEX = serving.exact_index(WIDTH, capacity=4)
SHARED, ANN, BOB = 0, 1, 2
QUERY = np.float32([[1, 2, 3, 4]])


@pytest.fixture
def states():
    """Bob has the query itself, Ann and the pool what is near; ids 20, 10 to 13 and 0."""
    made = {}
    for partition, ids in ((SHARED, [0]), (ANN, [10, 11, 12, 13]), (BOB, [20])):
        rows = QUERY + (partition != BOB) * 0.1 * vectors(len(ids), seed=partition)
        made = serving.insert_in_partition(INDEX, made, partition, ids, rows)
    return made


def found(states, partitions, k=6):
    return sorted(each for each in serving.search_partitions(INDEX, states, partitions, QUERY, k).ids[0].tolist())


def test_only_named_partitions_are_searched(states):
    assert found(states, [ANN]) == [-1, -1, 10, 11, 12, 13]
    assert found(states, [ANN, SHARED]) == [-1, 0, 10, 11, 12, 13]
    assert found(states, [BOB], k=1) == [20]


def test_nearer_vectors_of_others_take_no_place(states):
    """Ann asks for 4 and has 4, although Bob has a nearer one: a filter behind the search would return 3."""
    assert found(states, [ANN], k=4) == [10, 11, 12, 13]


def test_without_a_name_nothing_is_found(states):
    for partitions in ([], [7]):
        assert_nearest(serving.search_partitions(INDEX, states, partitions, QUERY, 3), QUERY, {}, 3)


def test_hits_of_partitions_are_merged(states):
    stored = {}
    for partition in (SHARED, ANN, BOB):
        ids, rows = INDEX.contents(states[partition])
        stored |= dict(zip(ids.tolist(), rows, strict=True))
    assert_nearest(serving.search_partitions(INDEX, states, [BOB, SHARED, ANN], QUERY, 5), QUERY, stored, 5)


def test_deletion(states):
    assert found(serving.delete_from_partitions(INDEX, states, [0, 11, 20]), [SHARED, ANN, BOB]) == [-1] * 3 + [
        10,
        12,
        13,
    ]
    left = serving.delete_partition(states, ANN)
    assert set(left) == {SHARED, BOB} and set(states) == {SHARED, ANN, BOB}
    assert serving.delete_partition(left, ANN).keys() == left.keys()


def test_wrong_partitions_are_refused(states):
    with pytest.raises(ValueError, match="partitions: expected each once"):
        found(states, [ANN, ANN])
    with pytest.raises(ValueError, match="partitions: expected 0 to 2147483647, got -1"):
        found(states, [-1])
    with pytest.raises(ValueError, match="k: expected at least 1"):
        found(states, [], k=0)
    with pytest.raises(ValueError, match=r"queries: expected \[N, 4\]"):
        serving.search_partitions(INDEX, states, [ANN], QUERY[:, :2], 1)


@pytest.mark.parametrize(
    "index", [serving.ivf_index(WIDTH, clusters=4, probes=4, recent=4), serving.library_index(WIDTH)]
)
def test_nothing_is_lost_while_an_index_is_rebuilt(index):
    """Changes come before, while and after it is rebuilt; a dictionary does the same."""
    rows = vectors(30)
    old = index.insert(index.init(), np.arange(20), rows[:20])
    changes = [
        Change(np.arange(18, 24), rows[:6]),  # replaces 18 and 19
        Change([2, 19, 21]),
        Change([2], rows[29:]),  # comes back
        Change([]),
        Change([22], rows[28:29]),
        Change([5, 5]),
    ]
    stored = dict(enumerate(rows[:20])) | {18 + place: rows[place] for place in range(6)}
    for gone in (19, 21, 5):
        del stored[gone]
    stored |= {2: rows[29], 22: rows[28]}
    rebuilt = serving.rebuild_index(index, old)
    for change in changes:
        old = serving.apply_changes(index, old, [change])
    rebuilt = serving.apply_changes(index, rebuilt, changes)
    for state in (old, rebuilt):
        assert_nearest(index.search(state, rows[:3], 8), rows[:3], stored, 8)
        assert index.contents(state)[0].tolist() == sorted(stored)


def test_an_index_is_rebuilt_into_another_kind():
    index, other = serving.exact_index(WIDTH), serving.library_index(WIDTH)
    state = index.insert(index.init(), [4, 6], vectors(2))
    moved = serving.rebuild_index(index, state, into=other)
    assert_nearest(other.search(moved, QUERY, 3), QUERY, {4: vectors(2)[0], 6: vectors(2)[1]}, 3)


def test_a_change_without_a_vector_for_each_id_is_refused():
    with pytest.raises(ValueError):
        serving.apply_changes(INDEX, INDEX.init(), [Change([1, 2], vectors(1))])
