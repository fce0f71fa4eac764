import numpy as np
import pytest

from jaxalign.io.serve.store.rows import NewExample, Vectors
from tests.io.serve.store import made


@pytest.fixture
def who(store):
    return store.identify("a", "u", "s")


def shown(pairs):
    """Ids and vectors as lists."""
    return {
        example.id: None if vectors is None else [vectors.request.tolist(), vectors.response.tolist()]
        for example, vectors in pairs
    }


def test_snapshot_has_all_in_batches(store, who):
    ids = made.add(store, who, *"vwxyz")
    position, batches = store.snapshot("e", batch=2)
    batches = list(batches)
    assert position == store.changes(0)[-1].seq
    assert [len(batch) for batch in batches] == [2, 2, 1]
    pairs = [pair for batch in batches for pair in batch]
    assert shown(pairs) == {id: [[1, at], [at, 1]] for at, id in enumerate(ids)}  # made.add
    assert pairs[0][0] == store.examples(ids)[0]
    assert pairs[0][1].request.dtype == np.float32


def test_snapshot_of_an_empty_store(store):
    position, batches = store.snapshot("e")
    assert position == 0 and list(batches) == [] and store.changes(0) == []


def test_snapshot_for_another_embedder_has_no_vectors(store, who):
    [id] = made.add(store, who, "x")
    assert [shown(batch) for batch in store.snapshot("new")[1]] == [{id: None}]


def test_snapshot_and_feed_together_miss_nothing(store, who):
    """Changes while batches are read: what the batches do not show, the feed brings."""
    first = made.add(store, who, *"abcd")
    position, batches = store.snapshot("e", batch=2)
    seen = shown(next(batches))
    store.delete_examples([first[0], first[3]])
    [late] = made.add(store, who, "late")
    for batch in batches:
        seen |= shown(batch)
    for change in store.changes(position):
        seen.pop(change.subject, None)
        if change.kind == "put":
            seen |= shown(store.with_vectors([change.subject], "e"))
    assert seen.keys() == {first[1], first[2], late}


def test_vectors_are_added_to_what_is_still_there(store, who):
    first, second, third = made.add(store, who, "x", "y", "z")
    store.delete_examples([second])
    before = store.changes(0)[-1].seq
    store.add_vectors("new", {first: made.vectors([5, 6])[0], second: made.vectors([7, 8])[0]})
    assert shown(store.with_vectors([first, second, third], "new")) == {first: [[5, 6], [6, 5]], third: None}
    assert store.changes(before) == []
    store.add_vectors("new", {})


def test_vectors_that_are_there_stay(store, who):
    """Those that come later may be of a response that was replaced in between."""
    [id] = made.add(store, who, "x")
    store.add_vectors("e", {id: made.vectors([5, 6])[0]})
    assert shown(store.with_vectors([id], "e")) == {id: [[1, 0], [0, 1]]}


def many(store, who, count, width=8, parts=4):
    """Unit vectors from a generator; example number n is in the n-th partition modulo ``parts``."""
    partitions = [store.identify("a", "u", f"scope{part}").partition for part in range(parts)]
    values = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    rows = [NewExample(who.tenant, partitions[at % parts], who.user, "", "", "m", 1, 0.5, 0.5) for at in range(count)]
    return store.add_examples(rows, "e", [Vectors(value, value) for value in values]), values, partitions


def test_nearest_are_those_of_all_comparisons(store, who):
    ids, values, partitions = many(store, who, 200)
    query = values[3] + 0.1
    cosines = values @ query / np.linalg.norm(values, axis=1) / np.linalg.norm(query)
    for some in ([0], [1, 3]):
        there = [at for at in range(200) if at % 4 in some]
        expected = sorted(there, key=lambda at: -cosines[at])[:10]
        found = store.nearest([partitions[part] for part in some], "e", query, 10)
        assert [id for id, _ in found] == [ids[at] for at in expected]
        np.testing.assert_allclose([cosine for _, cosine in found], cosines[expected], rtol=1e-5)


def test_nearest_of_few_are_all_of_them(store, who):
    ids, _, partitions = many(store, who, 6)
    found = store.nearest([partitions[1]], "e", np.ones(8), 10)
    assert {id for id, _ in found} == {ids[1], ids[5]}
    assert store.nearest([999], "e", np.ones(8), 10) == [] and store.nearest([], "e", np.ones(8), 10) == []
    assert store.nearest(partitions, "unknown", np.ones(8), 10) == []


def test_nothing_is_near_to_zeros(store, who):
    first, second = store.add_examples([made.example(who)] * 2, "e", made.vectors([0, 0], [0, 1]))
    assert store.nearest([who.partition], "e", np.array([0, 2]), 5) == [(second, 1.0)]
    assert store.nearest([who.partition], "e", np.zeros(2), 5) == []


def test_a_query_of_another_width_is_refused(store, who):
    made.add(store, who, "x")
    with pytest.raises(ValueError, match=r"shape \(2,\), got \(3,\)"):
        store.nearest([who.partition], "e", np.ones(3), 5)


def test_vectors_too_wide_for_an_index_are_searched(store, who):
    wide = np.eye(2, 2100, dtype=np.float32)
    ids = store.add_examples([made.example(who)] * 2, "wide", [Vectors(each, each) for each in wide])
    assert store.nearest([who.partition], "wide", wide[1], 1) == [(ids[1], 1.0)]
