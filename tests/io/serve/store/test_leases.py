import concurrent.futures
import threading

import pytest

from jaxalign.io.serve.store.rows import Flight
from tests.io.serve.store import made

LONG, OVER = 1000.0, -1.0  # seconds: not over within a test, and over at once
LEAD, WAIT = Flight("lead"), Flight("wait")


@pytest.fixture
def who(store):
    return store.identify("a", "u", "s")


def at_once(count, call):
    """What ``call`` gives for each number, from threads that start together."""
    gate = threading.Barrier(count)

    def run(number):
        gate.wait()
        return call(number)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_a_lease_is_of_one_holder(store):
    assert store.lease("job", "a", LONG) and store.lease("job", "a", LONG)
    assert not store.lease("job", "b", LONG) and store.lease("other", "b", LONG)
    store.release("job", "b")  # not its own
    assert not store.lease("job", "b", LONG)
    store.release("job", "a")
    assert store.lease("job", "b", LONG)


def test_a_lease_that_is_over_passes_on(store):
    store.lease("job", "a", OVER)
    assert store.lease("job", "b", LONG) and not store.lease("job", "a", LONG)


def test_one_of_many_gets_a_lease(store):
    assert sum(at_once(20, lambda number: store.lease("job", str(number), LONG))) == 1
    store.lease("old", "a", OVER)
    assert sum(at_once(20, lambda number: store.lease("old", str(number), LONG))) == 1


def test_a_flight_is_led_by_one_and_its_answer_is_for_all(store, who):
    def begin(holder):
        return store.begin_flight("k", who.tenant, who.user, holder, LONG)

    assert begin("a") == LEAD and begin("b") == WAIT
    assert not store.finish_flight("k", "b", b"wrong", LONG) and not store.renew_flight("k", "b", LONG)
    store.abandon_flight("k", "b")  # not its own
    assert begin("b") == WAIT
    assert store.renew_flight("k", "a", LONG) and store.finish_flight("k", "a", b"\x00body", LONG)
    assert begin("b") == Flight("done", b"\x00body")
    assert not store.finish_flight("k", "a", b"twice", LONG) and not store.renew_flight("k", "a", LONG)
    store.abandon_flight("k", "a")
    assert begin("b") == Flight("done", b"\x00body")


def test_an_abandoned_flight_is_led_by_the_next(store, who):
    assert store.begin_flight("k", who.tenant, who.user, "a", LONG) == LEAD
    store.abandon_flight("k", "a")
    assert store.begin_flight("k", who.tenant, who.user, "b", LONG) == LEAD
    assert not store.finish_flight("k", "a", b"", LONG)


def test_a_leader_whose_time_is_over_leads_until_another_does(store, who):
    assert store.begin_flight("k", who.tenant, who.user, "a", OVER) == LEAD
    assert store.renew_flight("k", "a", OVER)
    assert store.begin_flight("k", who.tenant, who.user, "b", LONG) == LEAD
    assert not store.renew_flight("k", "a", LONG) and not store.finish_flight("k", "a", b"", LONG)
    assert store.finish_flight("k", "b", b"", OVER)
    assert store.begin_flight("k", who.tenant, who.user, "c", LONG) == LEAD  # the answer is too old


def test_of_fifty_one_leads_and_when_its_time_is_over_one_other(store, who):
    def begin(key):
        return lambda number: store.begin_flight(key, who.tenant, who.user, str(number), LONG)

    assert sorted(at_once(50, begin("k"))) == [LEAD] + [WAIT] * 49
    store.begin_flight("old", who.tenant, who.user, "dead", OVER)
    assert sorted(at_once(50, begin("old"))) == [LEAD] + [WAIT] * 49


def test_tenants_share_no_flight(store, who):
    other = store.identify("b", "u", "s")
    assert store.begin_flight("k", who.tenant, who.user, "a", LONG) == LEAD
    store.finish_flight("k", "a", b"mine", LONG)
    assert store.begin_flight("k", other.tenant, other.user, "b", LONG) == LEAD


def test_a_deleted_user_leads_and_nothing_is_kept(store, who):
    store.delete_user("a", "u")
    for holder in "ab":
        assert store.begin_flight("k", who.tenant, who.user, holder, LONG) == LEAD
    assert not store.finish_flight("k", "a", b"", LONG) and store.counts()["flights"] == 0


def test_a_flight_of_a_user_who_is_deleted_meanwhile_keeps_nothing(store, who):
    other = store.identify("a", "other", "s")
    store.begin_flight("k", who.tenant, who.user, "a", LONG)
    store.delete_user("a", "u")
    assert not store.finish_flight("k", "a", b"", LONG)
    assert store.begin_flight("k", other.tenant, other.user, "b", LONG) == LEAD


def test_a_long_key_is_refused(store, who):
    with pytest.raises(ValueError, match="expected a name"):
        store.begin_flight("k" * 600, who.tenant, who.user, "a", LONG)
    with pytest.raises(ValueError, match="expected a name"):
        store.lease("k" * 600, "a", LONG)
    assert made.add(store, who, "x")
