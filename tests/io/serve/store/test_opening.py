import json
import subprocess
import sys

import pytest

from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import Store, StoreError
from tests.io.serve.conftest import execute
from tests.io.serve.store import made
from tests.processes import ROOT


def test_it_is_a_store(store):
    assert isinstance(store, Store)


def test_what_was_kept_is_there_when_opened_again(place):
    store = open_store(*place)
    who = store.identify("a", "u", "s")
    made.add(store, who, "x")
    born = store.born()
    store.close()
    store = open_store(*place)
    assert store.identify("a", "u", "s") == who and store.born() == born
    assert made.add(store, who, "y") == [2] and len(store.changes(0)) == 2
    store.close()


def test_a_closed_store_says_so(place):
    store = open_store(*place)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.tenants()


def test_a_store_of_another_format_is_refused(place):
    store = open_store(*place)
    with store._database.writing("*") as transaction:
        transaction.change("UPDATE meta SET value = '999' WHERE key = 'format'")
    store.close()
    with pytest.raises(StoreError, match=r"format 999.*reads format 1.*name another (folder|database)"):
        open_store(*place)


OPENED = "import sys; from jaxalign.io.serve.store import opening; print(opening.open_store(*sys.argv[1:]).born())"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_three_processes_may_make_it_at_once(kind, tmp_path, postgres):
    url = "sqlite"
    if kind == "postgresql":
        execute(postgres.url(), "CREATE DATABASE at_once")
        url = postgres.url("at_once")
    command = [sys.executable, "-c", OPENED, url, tmp_path]
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({child.communicate()[0] for child in children}) == 1
    assert [child.returncode for child in children] == [0, 0, 0]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:geheim@host/database",
        "postgresql://user@host/database?password=geheim",
        "postgresql://user:geheim@host:port:port/database",  # cannot be read
        "postgres://user:geheim@host/database",
        "mysql:geheim",
    ],
)
def test_a_url_with_a_password_or_of_another_kind_is_refused_and_not_shown(url, tmp_path):
    with pytest.raises(ValueError, match="^store: ") as caught:
        open_store(url, tmp_path)
    assert "geheim" not in str(caught.value) and caught.value.__cause__ is None


def test_without_a_client_of_postgresql_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "jaxalign.io.serve.store.postgres", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'jaxalign\[serving\]'"):
        open_store("postgresql://user@host/database", tmp_path)
    open_store("sqlite", tmp_path).close()


def test_it_needs_neither_jax_nor_a_client_of_postgresql():
    program = (
        "import sys, jaxalign.io.serve.store.opening; print(*({'jax', 'psycopg', 'pgvector'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


SHARED = """
import json, sys
from jaxalign.io.serve.store.opening import open_store
from tests.io.serve.store import made
*place, holder = sys.argv[1:]
store = open_store(*place)
who = store.identify("a", "u", "s")
print("ready", flush=True)
sys.stdin.readline()
led = [store.begin_flight(str(key), who.tenant, who.user, holder, 1000.0).state == "lead" for key in range(20)]
held = [store.lease(str(name), holder, 1000.0) for name in range(20)]
print(json.dumps([led, held, [made.add(store, who, "x")[0] for _ in range(20)]]))
"""


def test_two_processes_share_it(place):
    """Each flight has one leader and each lease one holder; ids are given once and the feed has them in order."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([sys.executable, "-c", SHARED, *place, holder], cwd=ROOT, **pipes) for holder in "ab"]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    first, second = (json.loads(child.communicate()[0]) for child in children)
    for ours, theirs in zip(first[0] + first[1], second[0] + second[1], strict=True):
        assert ours != theirs
    store = open_store(*place)
    assert sorted(first[2] + second[2]) == [change.subject for change in store.changes(0)] == list(range(1, 41))
    store.close()
