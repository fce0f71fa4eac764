"""A PostgreSQL server for all tests of a session, and a database for each that asks."""

import contextlib
import itertools

import psycopg
import pytest

from jaxalign.io.serve.store.opening import open_store
from tests.postgres import Server

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def prepared(postgres):
    """A database with the tables of a store, of which copies are quick."""
    execute(postgres.url(), "CREATE DATABASE prepared")
    open_store(postgres.url("prepared"), "").close()
    return "prepared"


@contextlib.contextmanager
def new_database(postgres, prepared):
    """Gives the URL of a new store in PostgreSQL."""
    name = f"store{next(NUMBERS)}"
    execute(postgres.url(), f"CREATE DATABASE {name} TEMPLATE {prepared}")
    yield postgres.url(name)
    execute(postgres.url(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(postgres, prepared):
    """The URL of a new store in PostgreSQL."""
    with new_database(postgres, prepared) as url:
        yield url


def execute(url, statement):
    """Runs a statement as the superuser, and returns its rows if it gives any."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None
