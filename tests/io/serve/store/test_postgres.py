import threading

import numpy as np
import psycopg
import pytest

from jaxalign.io.serve.store import postgres_schema, postgres_search, schema
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.postgres import PostgresDatabase
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import SHARED, Traffic, Vectors
from jaxalign.io.serve.store.sql_store import SqlStore
from tests.io.serve.conftest import execute
from tests.io.serve.store import made


@pytest.fixture
def store(database):
    store = open_store(database, "")
    yield store
    store.close()


def row_everywhere(store, tenant):
    """A row in each table that has tenants."""
    who = store.identify(tenant, "u", "s")
    [id] = made.add(store, who, f"of {tenant}")
    store.add_interactions([made.interaction(who, tenant, examples=(id,), owners=(who.user,))])
    store.add_feedback([made.rating(who, tenant)])
    store.begin_flight("k", who.tenant, who.user, tenant, 1000.0)
    store.add_traffic([Traffic(1, who.tenant, "m", 1)])
    return who


def test_other_tenants_rows_are_not_there_whatever_the_statement(store):
    a, b = row_everywhere(store, "a"), row_everywhere(store, "b")
    made.add(store, a, "the pool's", tenant=SHARED, partition=a.shared)
    with store._database.reading([a.tenant]) as transaction:
        for table in schema.BY_TENANT:
            assert set(transaction.rows(f"SELECT tenant FROM {table}")) == {(a.tenant,)}, table
        assert transaction.rows("SELECT name FROM tenants") == [("a",)]
    with store._database.reading([SHARED, b.tenant]) as transaction:
        assert set(transaction.rows("SELECT tenant FROM examples")) == {(SHARED,), (b.tenant,)}
    with store._database.reading([]) as transaction:
        for table in ["tenants", *schema.BY_TENANT]:
            assert transaction.rows(f"SELECT * FROM {table}") == [], table


def test_every_table_with_a_tenant_is_closed(store):
    with store._database.reading("*") as transaction:
        with_tenant = transaction.rows(
            "SELECT table_name::text FROM information_schema.columns WHERE table_schema = 'jaxalign' "
            "AND column_name = 'tenant'"
        )
        closed = transaction.rows(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'jaxalign'::regnamespace AND relrowsecurity "
            "AND relforcerowsecurity"
        )
    assert {name for (name,) in with_tenant} == set(schema.BY_TENANT)
    assert {name for (name,) in closed} == {"tenants", *schema.BY_TENANT}


def test_nobody_writes_rows_of_other_tenants(store):
    a, b = row_everywhere(store, "a"), row_everywhere(store, "b")
    with store._database.writing([a.tenant]) as transaction:
        assert transaction.change("UPDATE examples SET gain = 9") == 1
        assert transaction.change("DELETE FROM interactions") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege), store._database.writing([a.tenant]) as transaction:
        transaction.change("UPDATE examples SET tenant = ?", b.tenant)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), store._database.writing([a.tenant]) as transaction:
        transaction.change("INSERT INTO users (tenant, name) VALUES (?, 'v')", b.tenant)
    assert [example.gain for example in store.find_examples(tenant=b.tenant)] == [0]


def test_the_role_can_do_nothing_else(store, database):
    """Neither make nor drop tables, nor take itself out of the policies."""
    for statement in ("DROP TABLE feed", "CREATE TABLE t (i int)", "ALTER TABLE examples DISABLE ROW LEVEL SECURITY"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), store._database.writing("*") as transaction:
            transaction.change(statement)
    [(powers,)] = execute(
        database,
        f"SELECT rolsuper OR rolbypassrls OR rolcanlogin FROM pg_roles WHERE rolname = '{postgres_schema.ROLE}'",
    )
    assert not powers


def test_without_a_word_on_tenants_no_row_is_there(store, database):
    row_everywhere(store, "a")
    with psycopg.connect(database) as connection:
        connection.execute(f"SET ROLE {postgres_schema.ROLE}")
        assert connection.execute("SELECT * FROM jaxalign.examples").fetchall() == []


def test_a_user_without_powers_makes_a_store_where_the_administrator_prepared_it(store, postgres):
    """And is told what to ask for where not. ``store`` has made the role of the cluster."""
    execute(postgres.url(), "CREATE DATABASE plain")
    execute(postgres.url(), "CREATE ROLE plain LOGIN")
    url = postgres.url("plain").replace("postgres@", "plain@")
    with pytest.raises(StoreError, match="CREATE EXTENSION vector; CREATE ROLE jaxalign_rows NOLOGIN"):
        open_store(url, "")
    execute(postgres.url("plain"), "CREATE EXTENSION vector")
    execute(postgres.url("plain"), "GRANT jaxalign_rows TO plain")
    execute(postgres.url("plain"), "GRANT CREATE ON DATABASE plain TO plain")
    plain = open_store(url, "")
    a = row_everywhere(plain, "a")
    row_everywhere(plain, "b")
    with plain._database.reading([a.tenant]) as transaction:
        assert transaction.rows("SELECT tenant FROM examples") == [(a.tenant,)]
    plain.close()


def waiting(database):
    """Whether a transaction waits for an advisory lock."""
    return execute(database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0][0] > 0


def test_an_entry_of_the_feed_is_not_followed_by_a_lower_number(store, database):
    """The second writer waits, though it asks while the first has not committed."""
    who = store.identify("a", "u", "s")
    other = open_store(database, "")
    second = threading.Thread(target=made.add, args=(other, who, "second"))
    with store._database.in_order("*") as transaction:
        transaction.change("INSERT INTO feed (kind, subject, created) VALUES ('put', 999, 0)")
        second.start()
        while not waiting(database):
            assert second.is_alive()
        assert other.changes(0) == []
    second.join()
    assert [change.subject for change in other.changes(0)] == [999, 1]
    other.close()


def test_a_stopped_server_is_told_and_the_same_store_works_again_after_it(store, postgres):
    who = store.identify("a", "u", "s")
    made.add(store, who, "before")
    postgres.stop()
    try:
        for _ in range(3):
            with pytest.raises(StoreError, match="Start the server"):
                store.identify("a", "u", "s")
        with pytest.raises(StoreError, match="Start the server"):
            open_store(postgres.url(), "")
    finally:
        postgres.start()
    assert store.identify("a", "u", "s") == who
    ids = made.add(store, who, "after")
    assert [change.subject for change in store.changes(0)] == [1, *ids]


def test_a_server_that_was_restarted_between_two_calls_is_not_noticed(store, postgres):
    """Idle connections have ended, and none is used."""
    gate = threading.Barrier(4)

    def hold():
        with store._database.reading("*"):
            gate.wait()

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    postgres.stop()
    postgres.start()
    assert store.tenants() == {}


def test_a_call_that_waits_for_too_long_is_told(database):
    store = SqlStore(PostgresDatabase(database, most=1, patience=0.05))
    with store._database.reading("*"), pytest.raises(StoreError, match="all 1 connections"):
        store.tenants()
    assert store.tenants() == {}
    store.close()


def test_a_server_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StoreError, match="Start the server"):
        open_store(f"postgresql://user@/database?host={tmp_path}", "")


def test_a_search_of_few_among_many_uses_the_index_and_returns_k(store, monkeypatch):
    """One vector in fifty is of the partition: without iterative scans the index finds less than ten."""
    monkeypatch.setattr(postgres_search, "FEW", 10)
    who, rare = store.identify("a", "u", "s"), store.identify("a", "u", "rare")
    values = np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32)
    rows = [made.example(who if at % 50 else rare) for at in range(2000)]
    ids = store.add_examples(rows, "e", [Vectors(value, value) for value in values])
    cosines = values @ values[7] / np.linalg.norm(values, axis=1)
    expected = [ids[at] for at in sorted(range(0, 2000, 50), key=lambda at: -cosines[at])[:10]]
    statement, asked = postgres_search.by_index(1, 8), (values[7], [rare.partition], values[7], 10)
    with store._database.reading("*") as transaction:
        found = postgres_search.nearest(transaction, 1, 8, [rare.partition], values[7], 10)
        assert "vectors_hnsw_1" in str(transaction.rows("EXPLAIN " + statement, *asked))
        assert len(transaction.rows(statement, *asked)) == 10
        transaction.rows("SELECT set_config('hnsw.iterative_scan', 'off', true)")
        assert len(transaction.rows(statement, *asked)) < 10  # what the setting is for
    assert [id for id, _ in found] == expected


def test_a_search_that_the_index_gives_up_compares_all(store, monkeypatch):
    monkeypatch.setattr(postgres_search, "FEW", 0)
    who = store.identify("a", "u", "s")
    ids = made.add(store, who, "x", "y", "z")
    assert [id for id, _ in store.nearest([who.partition], "e", np.array([1, 2]), 10)] == ids[
        ::-1
    ]  # [1, 2] [1, 1] [1, 0]
