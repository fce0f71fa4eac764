import sqlite3
import stat
import threading

import numpy as np
import pytest

from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import SHARED, ExampleUpdate, Vectors
from jaxalign.io.serve.store.sql_store import SqlStore
from jaxalign.io.serve.store.sqlite import SqliteDatabase
from tests import full_disk
from tests.io.serve.store import made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "store.sqlite"


@pytest.fixture
def store(path):
    store = SqlStore(SqliteDatabase(path, patience=0.05))
    yield store
    store.close()


def files(path):
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_only_its_user_reads_the_files(store, path):
    made.add(store, store.identify("a", "u", "s"), "x")
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def fill(store, who, other, secret, vector, times):
    """Rows of two users in turn, of many sizes, so that pages are shared, split and joined."""
    sizes = np.random.default_rng(0).integers(0, 3000, times)
    for at, size in enumerate(sizes):
        for asker, text, value in ((who, secret, vector), (other, "harmless", np.ones(256, np.float32))):
            tenant, partition = (asker.tenant, asker.partition) if at % 3 else (SHARED, asker.shared)
            row = made.example(asker, text + "x" * size, text, tenant=tenant, partition=partition)
            [id] = store.add_examples([row], "e", [Vectors(value, value)])
            shown = {"examples": (id,), "owners": (asker.user,), "query": value.tobytes()}
            for person in (who, other):
                store.add_interactions([made.interaction(person, f"{id}-{person.user}", request=text, **shown)])
        if at % 5 == 4:
            store.delete_examples([id - 3])


def test_no_byte_of_a_deleted_user_stays_in_the_files(store, path):
    name, secret = "someone@somewhere", "the text that nobody may read"
    vector = np.random.default_rng(1).normal(size=256).astype(np.float32)
    who, other = store.identify("a", name, "s"), store.identify("a", "other", "s")
    fill(store, who, other, secret, vector, 100)
    store.begin_flight("k", who.tenant, who.user, "h", 1000.0)
    store.finish_flight("k", "h", secret.encode(), 1000.0)
    traces = [name.encode(), secret.encode(), vector.tobytes()[:32], vector.tobytes()[-32:]]
    assert all(trace in files(path) for trace in traces)
    store.delete_user("a", name)
    assert not any(trace in files(path) for trace in traces)
    assert files(path).count(b"harmless") > 100


def test_copies_that_sqlite_left_in_gaps_of_pages_are_gone_too(store, path):
    """Rows that grow and shrink move between pages. With these draws SQLite 3.40 leaves 18 copies of the text, which
    zeros over deleted rows do not reach."""
    draw = np.random.default_rng(19)
    names = {"u": "the text ", "other": "harmless ", "third": "harmless "}
    texts = {store.identify("a", name, "s"): text for name, text in names.items()}
    users, ids = list(texts), []
    of = {who.user: text for who, text in texts.items()}
    for at in range(150):
        who = users[draw.integers(3)]
        sizes = draw.integers(1, 200), draw.integers(1, 30)
        ids += made.add(store, who, texts[who] * sizes[0], response=texts[who] * sizes[1])
        [changed] = store.examples([ids[draw.integers(len(ids))]])
        response = of[changed.user] * draw.integers(1, 100)
        store.update_examples(
            [ExampleUpdate(changed.id, 0.5, 1.0, 1.0, 1.0, 1, response, 1)], "e", {changed.id: np.ones(2)}
        )
        if at % 3 == 0:
            store.delete_examples([ids.pop(draw.integers(len(ids)))])
    assert files(path).count(b"the text") > 1000
    store.delete_user("a", "u")
    assert b"the text" not in files(path) and b"harmless" in files(path)


def test_the_file_is_written_anew_only_if_someone_was_deleted(store):
    """Else whoever deletes names that are not there would keep the store busy."""
    store.identify("a", "u", "s")
    scrub, calls = store._database.scrub, []
    store._database.scrub = lambda: calls.append(scrub())
    for user in ("unknown", "u", "u", "unknown"):
        store.delete_user("a", user)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "again", [lambda store: store.delete_user("a", "u"), lambda store: store.compact(keep_seconds=1e9)]
)
def test_a_reader_that_keeps_the_log_is_told_and_a_later_call_makes_up(store, path, again):
    made.add(store, store.identify("a", "u", "s"), "the text")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM examples").fetchall()
    with pytest.raises(StoreError, match="store.sqlite-wal.*delete once more"):
        store.delete_user("a", "u")
    assert store.counts()["examples"] == 0 and b"the text" in files(path)
    reader.close()
    again(store)
    assert b"the text" not in files(path)


def test_a_locked_file_is_told_and_reading_goes_on(store, path):
    who = store.identify("a", "u", "s")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked.*Another process writes"):
        made.add(store, who, "x")
    assert store.identify("a", "u", "s") == who and store.examples([1]) == []
    writer.close()
    assert made.add(store, who, "x") == [1]


def test_a_thread_that_writes_for_too_long_is_told(store):
    who = store.identify("a", "u", "s")
    told = []

    def add():
        try:
            made.add(store, who, "x")
        except StoreError as error:
            told.append(str(error))

    thread = threading.Thread(target=add)
    with store._database.writing("*"):
        thread.start()
        thread.join()
    assert "other threads wrote" in told[0]


def test_a_full_disk_is_told_and_nothing_is_lost(store, path):
    who = store.identify("a", "u", "s")
    kept = []
    with full_disk.limited(1_000_000), pytest.raises(StoreError, match="Free space"):
        while True:
            kept += made.add(store, who, "x" * 5000, "y" * 5000)
    assert len(kept) > 10
    assert [example.id for example in store.find_examples(order="created", limit=1000)] == kept[::-1]
    assert [change.subject for change in store.changes(0)] == kept
    assert store.counts()["vectors"] == len(kept)
    more = made.add(store, who, "z")
    assert [change.subject for change in store.changes(0)] == kept + more


def test_what_is_no_store_is_told(path):
    path.parent.mkdir()
    path.write_text("something else" * 1000)
    with pytest.raises(StoreError, match="not a database.*Put a good copy"):
        SqliteDatabase(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="path or its permissions"):
        SqliteDatabase(path)


def test_an_error_in_a_block_undoes_it(store):
    with pytest.raises(ZeroDivisionError), store._database.writing("*") as transaction:
        transaction.change("INSERT INTO tenants (name) VALUES ('a')")
        raise ZeroDivisionError
    assert store.tenants() == {}


def test_a_wrong_statement_is_no_store_error(store):
    """It is a bug, which a server must not take for a store that is away."""
    with pytest.raises(sqlite3.IntegrityError), store._database.writing("*") as transaction:
        transaction.change("INSERT INTO users (tenant, name) VALUES (999, 'u')")
