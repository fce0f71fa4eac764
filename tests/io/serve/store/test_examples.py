import numpy as np
import pytest

from jaxalign.io.serve.store.rows import SHARED, ExampleUpdate
from tests.io.serve.store import made


@pytest.fixture
def who(store):
    return store.identify("a", "u", "s")


def update(id, **others):
    return ExampleUpdate(id, quality=0.5, gain=2.0, offloads=3.0, updated=4.0, replays=1)._replace(**others)


def test_what_is_added_is_there(store, who):
    row = made.example(who, "why?", "so", tokens=9, quality=0.5, cost=0.25)
    [id] = store.add_examples([row], "e", made.vectors([1, 2]))
    [found] = store.examples([id])
    assert found._asdict() | row._asdict() == found._asdict()
    assert (found.gain, found.offloads, found.replays) == (0, 0, 0)
    assert store.born() <= found.updated <= found.created


def test_nothing_added_is_nothing(store):
    assert store.add_examples([], "e", []) == []


def test_ids_are_never_given_twice(store, who):
    first = made.add(store, who, "x", "y")
    assert store.delete_examples(first) == 2
    assert not set(made.add(store, who, "x", "y")) & set(first)


def test_texts_are_of_the_tenants_that_are_asked_for(store, who):
    other = store.identify("b", "u", "s")
    [mine] = made.add(store, who, "mine")
    [theirs] = made.add(store, other, "theirs")
    [pool] = made.add(store, other, "the pool's", tenant=SHARED, partition=other.shared)
    ids = [mine, theirs, pool, 999]
    assert store.texts([who.tenant], ids) == {mine: ("mine", "a response")}
    assert store.texts([who.tenant, SHARED], ids) == {mine: ("mine", "a response"), pool: ("the pool's", "a response")}
    assert store.texts([], ids) == {} and store.texts([who.tenant], []) == {}


def test_a_text_is_kept_whatever_it_is(store, who):
    texts = ["'; DROP TABLE examples; --", "%s ? {} \\", "é\u202e\U0001f600", "", "x" * 100_000]
    ids = made.add(store, who, *texts)
    assert [store.examples([id])[0].request for id in ids] == texts


def test_characters_that_not_every_store_keeps_are_replaced(store, who):
    """By U+FFFD; two halves of a surrogate pair are a character."""
    [id] = made.add(store, who, "a\0b\ud800c", response="\ud83d\ude00")
    assert store.texts([who.tenant], [id]) == {id: ("a\ufffdb\ufffdc", "\U0001f600")}


def test_update(store, who):
    first, second = made.add(store, who, "x", "y")
    store.update_examples([update(first), update(999)])
    changed, unchanged = store.examples([first, second])
    assert (changed.quality, changed.gain, changed.offloads, changed.updated) == (0.5, 2.0, 3.0, 4.0)
    assert changed.replays == 1
    assert (changed.response, changed.tokens) == ("a response", 7)
    assert (unchanged.quality, unchanged.gain) == (0.75, 0)


def test_a_new_response_replaces_its_vector_and_those_of_other_embedders(store, who):
    first, second = made.add(store, who, "x", "y")
    store.add_vectors("other", dict(zip([first, second], made.vectors([5, 6], [7, 8]), strict=True)))
    store.update_examples([update(first, response="better", tokens=3)], "e", {first: np.array([8.0, 9.0])})
    (one, its), (two, unchanged) = store.with_vectors([first, second], "e")
    assert (one.response, one.tokens, two.response) == ("better", 3, "a response")
    np.testing.assert_array_equal(its.request, [1, 0])  # made.add: [1, 0] and [1, 1]
    np.testing.assert_array_equal(its.response, [8, 9])
    np.testing.assert_array_equal(unchanged.response, [1, 1])
    assert [each is None for _, each in store.with_vectors([first, second], "other")] == [True, False]


def test_a_new_response_comes_with_its_vector(store, who):
    [id] = made.add(store, who, "x")
    with pytest.raises(ValueError, match="vectors of the new responses"):
        store.update_examples([update(id, response="better")], "e")
    assert store.examples([id])[0].response == "a response"


def test_a_batch_with_one_bad_vector_is_not_kept(store, who):
    bad = made.vectors([1, 2], [np.nan, 0])
    with pytest.raises(ValueError, match="finite"):
        store.add_examples([made.example(who)] * 2, "e", bad)
    made.add(store, who, "x")
    with pytest.raises(ValueError, match="width 2, got 3"):
        store.add_examples([made.example(who)], "e", made.vectors([1, 2, 3]))
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        store.add_examples([made.example(who)] * 2, "e", made.vectors([1, 2], [1, 2, 3]))
    with pytest.raises(ValueError, match="got 1 for 2"):
        store.add_examples([made.example(who)] * 2, "e", made.vectors([1, 2]))
    assert store.counts()["examples"] == 1


def test_deleted_examples_are_gone_with_their_vectors(store, who):
    first, second = made.add(store, who, "x", "y")
    assert store.delete_examples([first, 999, first]) == 1
    assert store.delete_examples([first]) == 0
    assert [found.id for found in store.examples([first, second])] == [second]
    assert store.counts()["vectors"] == 1


def test_an_example_of_a_deleted_user_is_not_added(store, who):
    """Its request was under way while the user was deleted."""
    other = store.identify("a", "other", "s")
    store.delete_user("a", "u")
    first, second = store.add_examples([made.example(who), made.example(other)], "e", made.vectors([1, 2], [3, 4]))
    assert first == 0 and [found.user for found in store.examples([first, second])] == [other.user]
    assert [change.subject for change in store.changes(0)][-1] == second


def test_pages_for_operators(store, who):
    other = store.identify("b", "u", "s")
    one, two, three = made.add(store, who, "Apples", "pears", "apples and Pears")
    [four] = made.add(store, other, "APPLES", response="plums")
    store.update_examples([update(two, gain=5.0, replays=2, offloads=0.0), update(four, gain=1.0, replays=3)])

    def ids(**asked):
        return [found.id for found in store.find_examples(**asked)]

    assert ids() == [two, four, three, one]  # by gain 5, 1, 0, 0; the later first among equals
    assert ids(order="offloads") == [four, three, two, one]  # 3, 0, 0, 0
    assert ids(order="replays") == [four, two, three, one]  # 3, 2, 0, 0
    assert ids(order="created") == [four, three, two, one]
    assert ids(contains="apples") == [four, three, one]
    assert ids(contains="PLUMS") == [four]  # in the response
    assert ids(contains="%") == [] and ids(contains="'") == []
    assert ids(tenant=who.tenant) == [two, three, one] and ids(tenant=999) == []
    assert ids(limit=2) == [two, four] and ids(limit=2, offset=1) == [four, three]


def test_an_unknown_order_is_refused(store):
    with pytest.raises(ValueError, match="expected one of"):
        store.find_examples(order="id; DROP TABLE examples")
