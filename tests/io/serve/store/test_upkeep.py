import concurrent.futures
import time

import pytest

from jaxalign.io.serve.store.rows import SHARED, Deleted, Identity
from tests.io.serve.store import made

ALL, NOTHING = -1.0, 1e9  # seconds for which rows are kept: none is younger than in a second


@pytest.fixture
def who(store):
    return store.identify("a", "u", "s")


def test_all_of_a_user_is_deleted_and_nothing_of_others(store, who):
    other, stranger = store.identify("a", "other", "s"), store.identify("b", "u", "s")
    mine = made.add(store, who, "x", "y")
    [pool] = made.add(store, who, "z", tenant=SHARED, partition=who.shared)
    [kept] = made.add(store, other, "kept")
    shown = {"examples": (pool, kept), "owners": (who.user, other.user)}
    store.add_interactions(
        [
            made.interaction(who, "its own"),
            made.interaction(stranger, "shown its example", **shown),
            made.interaction(other, "kept", examples=(kept,), owners=(other.user,)),
        ]
    )
    store.add_feedback([made.rating(who, "its own"), made.rating(stranger, "shown its example")])
    store.add_feedback([made.rating(other, "kept"), made.rating(other, "to come")])
    for key, asker in (("k", who), ("led", who), ("kept", other)):
        store.begin_flight(key, asker.tenant, asker.user, key, 1000.0)
    store.finish_flight("k", "k", b"", 1000.0)
    before = store.changes(0)[-1].seq

    assert store.delete_user("a", "u") == Deleted(examples=3, interactions=2, feedback=2, answers=1)

    told = [(change.kind, change.subject) for change in store.changes(before)]
    assert told == [*(("delete", id) for id in [*mine, pool]), ("user", who.user)]
    assert [example.id for example in store.find_examples()] == [kept]
    assert [each.id for each in store.interactions(pending=False, limit=9)] == ["kept"]
    assert [told.feedback.interaction for told in store.untold(9)] == ["kept"]
    rest = {"users": 2, "examples": 1, "vectors": 1, "shown": 1, "feedback": 2, "flights": 1}
    assert store.counts().items() >= rest.items()
    assert store.delete_user("a", "u") == store.delete_user("nobody", "u") == Deleted(0, 0, 0, 0)
    again = store.identify("a", "u", "s")
    assert again.user > who.user and again._replace(user=0) == who._replace(user=0)


def test_a_user_is_deleted_while_others_write_for_it(store):
    """All calls return, and the last deletion leaves nothing, whatever was under way."""
    other = store.identify("a", "other", "s")

    def write(number):
        who = store.identify("a", "u", "s")
        [id] = made.add(store, who, "x")
        store.add_vectors("late", {id: made.vectors([1, 2])[0]})
        row = made.interaction(other, f"shown {number}", owners=(who.user,))
        store.add_interactions([row, made.interaction(who, f"own {number}")])
        store.begin_flight(f"{number % 3}", who.tenant, who.user, f"{number}", 1000.0)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, number) for number in range(30)]
        deleted = [store.delete_user("a", "u") for _ in range(5)]
        for writer in writers:
            writer.result()
    store.delete_user("a", "u")
    left = {
        table: store.counts()[table] for table in ("users", "examples", "vectors", "interactions", "shown", "flights")
    }
    assert left == {"users": 1, "examples": 0, "vectors": 0, "interactions": 0, "shown": 0, "flights": 0}
    assert len(deleted) == 5


def test_old_interactions_go_with_their_feedback(store, who):
    now = time.time()
    store.add_interactions([made.interaction(who, "old"), made.interaction(who, "new", created=now)])
    store.add_interactions([made.interaction(who, f"old{number}") for number in range(501)])  # over one transaction's
    store.add_feedback([made.rating(who, "old", created=now), made.rating(who, "new")])
    store.add_feedback([made.rating(who, "never came"), made.rating(who, "to come", created=now)])
    found = store.compact(keep_seconds=1000.0)
    assert (found["interactions"], found["feedback"]) == (502, 2)  # "old" and "never came"
    assert [each.id for each in store.interactions(pending=False, limit=9)] == ["new"]
    assert store.counts()["feedback"] == 2


def test_what_is_over_goes(store, who):
    for name, seconds in (("over", -1.0), ("not", 1000.0)):
        store.lease(name, "a", seconds)
        store.begin_flight(name, who.tenant, who.user, "a", seconds)
    found = store.compact(keep_seconds=NOTHING)
    assert {table: rows for table, rows in found.items() if rows} == {"leases": 1, "flights": 1}
    assert not store.lease("not", "b", 1.0)


def test_the_latest_policies_stay_and_the_one_in_use(store):
    for name in "abcde":
        store.save_policy(name, b"", {})
    store.choose_policy("b")
    assert store.compact(keep_seconds=NOTHING, keep_policies=2)["policies"] == 2
    assert [version.name for version in store.list_policies()] == ["b", "d", "e"]


def test_policies_without_one_in_use(store):
    for name in "abc":
        store.save_policy(name, b"", {})
    assert store.compact(keep_seconds=NOTHING, keep_policies=1)["policies"] == 2
    assert [version.name for version in store.list_policies()] == ["c"]


def test_vectors_of_embedders_that_are_no_longer_used_go(store, who):
    ids = made.add(store, who, "x", "y", embedder="old")
    store.add_vectors("new", dict(zip(ids, made.vectors([1, 2], [3, 4]), strict=True)))
    assert store.compact(keep_seconds=NOTHING)["vectors"] == 0
    assert store.compact(keep_seconds=ALL)["vectors"] == 2
    assert [vectors is None for _, vectors in store.with_vectors(ids, "old")] == [True, True]
    assert [vectors is None for _, vectors in store.with_vectors(ids, "new")] == [False, False]
    made.add(store, who, "z", embedder="old")  # it is used again


def test_counts(store, who):
    made.add(store, who, "x")
    found = store.counts()
    assert {table: rows for table, rows in found.items() if rows} == {
        "tenants": 1, "users": 1, "partitions": 2, "embedders": 1, "examples": 1, "vectors": 1, "feed": 1
    }  # fmt: skip


def test_born_once(store):
    assert store.born() == store.born() <= time.time()
    assert isinstance(store.identify("a", "u", "s"), Identity)
