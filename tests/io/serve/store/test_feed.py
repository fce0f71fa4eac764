import concurrent.futures

import pytest

from jaxalign.io.serve.store.rows import Change, ExampleUpdate
from tests.io.serve.store import made


@pytest.fixture
def who(store):
    return store.identify("a", "u", "s")


def test_the_feed_tells_what_changed_in_order(store, who):
    first, second = made.add(store, who, "x", "y")
    store.update_examples([ExampleUpdate(second, 0.5, 0.0, 0.0, 0.0, 0), ExampleUpdate(999, 0.5, 0.0, 0.0, 0.0, 0)])
    store.delete_examples([first, 999])
    store.save_policy("p", b"", {})
    store.choose_policy("p")
    expected = [("put", first), ("put", second), ("put", second), ("delete", first), ("policy", 0)]
    changes = store.changes(0)
    assert [(change.kind, change.subject) for change in changes] == expected
    assert [change.seq for change in changes] == sorted({change.seq for change in changes})
    assert store.changes(changes[1].seq) == changes[2:] and store.changes(changes[-1].seq) == []
    assert store.changes(0, limit=2) == changes[:2]


def test_a_position_that_the_feed_no_longer_has(store, who):
    made.add(store, who, "x", "y")
    last = store.changes(0)[-1].seq
    assert store.compact(keep_seconds=-1.0)["feed"] == 2  # all is older than in a second
    assert store.changes(0) is None and store.changes(last - 1) is None
    assert store.changes(last) == []
    assert store.snapshot("e")[0] == last
    [id] = made.add(store, who, "z")
    assert store.changes(last) == [Change(last + 1, "put", id)]
    assert store.compact(keep_seconds=1000.0)["feed"] == 0


def test_a_position_of_another_store(store, who):
    """One that was lost and made anew: its indices start anew too."""
    made.add(store, who, "x")
    assert store.changes(99) is None


def test_a_reader_misses_nothing_of_many_writers(store, who):
    """Numbers rise in the order of commits: what was read once is never preceded by something new."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(made.add, store, who, "x") for _ in range(60)]
        seen, position = [], 0
        while not (done := all(writer.done() for writer in writers)) or store.changes(position):
            changes = store.changes(position)
            seen += [change.subject for change in changes]
            position = changes[-1].seq if changes else position
    assert done and sorted(seen) == sorted(id for writer in writers for id in writer.result())
