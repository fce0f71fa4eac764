"""PostgreSQL with pgvector: one store for the gateways of many machines.

It takes PostgreSQL 14 and pgvector 0.8 or later. A pooler between must keep sessions, since they have settings.
"""

import contextlib
import functools
import selectors
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxalign.io.serve.store import postgres_schema, postgres_search
from jaxalign.io.serve.store.connections import Connections
from jaxalign.io.serve.store.database import Tenants
from jaxalign.io.serve.store.protocol import StoreError

try:
    import pgvector.psycopg
    import psycopg
    import psycopg.conninfo
except ImportError as error:
    raise ImportError(
        f"a store in PostgreSQL needs psycopg and pgvector: pip install 'jaxalign[serving]' ({error})"
    ) from error

_ORDERED = 7_271_002  # the advisory lock of transactions whose numbers rise in the order of commits
_SETTINGS = "SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'"
# A server whose machine is gone is noticed within seconds (the last in milliseconds).
_NETWORK = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"


class PostgresDatabase:
    """A database on a server, by a few connections. It is usable again by itself after the server was away."""

    def __init__(self, url: str, most: int = 8, patience: float = 5.0):
        """Connects, and makes the tables if they are not there.

        Args:
          url: ``postgresql://USER@HOST/DATABASE``; the password comes from the environment variable PGPASSWORD.
          most: the number of connections at once.
          patience: seconds that a call waits for one of them.

        Raises:
          ValueError: the URL has a password, or cannot be read.
          StoreError: the database cannot be reached, lacks pgvector or rights, or has a store of another format.
        """
        self._settings = read_url(url)
        place = [self._settings.get(name, "") for name in ("host", "port", "dbname")]
        self._name = "PostgreSQL " + " ".join(filter(None, place))
        with self._explained(), psycopg.connect(autocommit=True, **self._settings) as connection:
            postgres_schema.prepare(connection, self._name)
        self._connections = Connections(self._connect, _usable, most, patience)

    @contextlib.contextmanager
    def reading(self, tenants: Tenants) -> Iterator["_Transaction"]:
        """Gives a transaction that sees one moment, of these tenants, and changes nothing."""
        with self._transaction(_READ, tenants) as transaction:
            yield transaction

    @contextlib.contextmanager
    def writing(self, tenants: Tenants) -> Iterator["_Transaction"]:
        """Gives a transaction that is committed when the block ends, and rolled back when it raises."""
        with self._transaction(_WRITE, tenants) as transaction:
            yield transaction

    @contextlib.contextmanager
    def in_order(self, tenants: Tenants) -> Iterator["_Transaction"]:
        """Gives a writing transaction that ends before the next of its kind begins."""
        with self._transaction(_WRITE, tenants) as transaction:
            transaction.rows("SELECT pg_advisory_xact_lock(?)", _ORDERED)
            yield transaction

    def pack(self, vector: np.ndarray) -> np.ndarray:
        """Returns a vector [D] as it is: pgvector takes arrays."""
        return np.ascontiguousarray(vector, np.float32)

    def unpack(self, value: Any) -> np.ndarray:
        """Returns a vector [D] float32."""
        return value.to_numpy()

    def index(self, embedder: int, width: int) -> None:
        """Makes the HNSW index of an embedder's vectors if it is not there, as the tables' owner."""
        with self._explained(), self._connections.lend() as connection:
            postgres_search.make_index(connection, self._name, embedder, width)

    def nearest(
        self, embedder: int, width: int, partitions: Sequence[int], query: np.ndarray, k: int
    ) -> list[tuple[int, float]]:
        """Returns ids and cosines of the nearest examples, by the HNSW index."""
        with self.reading("*") as transaction:
            return postgres_search.nearest(transaction, embedder, width, partitions, self.pack(query), k)

    def scrub(self) -> None:
        """Does nothing: no query sees deleted rows, and the server uses their space again."""

    def close(self) -> None:
        """Closes the connections; later calls raise StoreError."""
        self._connections.close()

    def _connect(self) -> psycopg.Connection:
        connection = psycopg.connect(autocommit=True, **self._settings)
        try:
            connection.execute(_SETTINGS)
            connection.execute(postgres_schema.SEARCH_PATH)
            pgvector.psycopg.register_vector(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _transaction(self, begin: str, tenants: Tenants) -> Iterator["_Transaction"]:
        seen = "*" if tenants == "*" else ",".join(str(int(tenant)) for tenant in tenants)
        with self._explained(), self._connections.lend() as connection:
            try:
                # One round trip; in several statements it cannot be prepared.
                connection.execute(f"{begin}; {postgres_schema.become(seen)}", prepare=False)
                yield _Transaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(psycopg.Error):  # the connection is gone, and the transaction with it
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns errors of the server and its locks into StoreErrors; those of statements are bugs and stay."""
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
            raise StoreError(f"store {self._name}: {str(error).strip()}. {_remedy(error)}") from error


class _Transaction:
    def __init__(self, connection: psycopg.Connection):
        self._connection = connection

    def rows(self, statement: str, *values: Any) -> list[tuple]:
        return self._connection.execute(_own_words(statement), _own_values(values), binary=True).fetchall()

    def change(self, statement: str, *values: Any) -> int:
        return self._connection.execute(_own_words(statement), _own_values(values)).rowcount

    def each(self, statement: str, many: Sequence[tuple]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_own_words(statement), [_own_values(values) for values in many])

    def made(self, statement: str, many: Sequence[tuple]) -> list[tuple]:
        with self._connection.cursor(binary=True) as cursor:
            cursor.executemany(_own_words(statement), [_own_values(values) for values in many], returning=True)
            return [each.fetchone() for each in cursor.results()]


def read_url(url: str) -> dict[str, Any]:
    """Returns the settings of a connection.

    Args:
      url: ``postgresql://USER@HOST/DATABASE``, with further settings of libpq after ``?``.

    Raises:
      ValueError: it has a password, or cannot be read. The message does not show it.
    """
    try:
        settings = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise ValueError("store: expected postgresql://USER@HOST/DATABASE, got a URL that cannot be read") from None
    if settings.get("password") is not None:
        raise ValueError(
            "store: the URL has a password, which configs and logs would show; take it out and set the environment "
            "variable PGPASSWORD"
        )
    return {"application_name": "jaxalign"} | _NETWORK | settings


@functools.cache
def _own_words(statement: str) -> str:
    return statement.replace("IN ?", "= ANY(?)").replace("?", "%s")


def _own_values(values: Sequence[Any]) -> list[Any]:
    return [list(value) if isinstance(value, tuple) else value for value in values]


def _usable(connection: psycopg.Connection) -> bool:
    """Says whether a connection has not ended: an idle one has nothing to read but its end."""
    if connection.closed:
        return False
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return not selector.select(0)


def _remedy(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.QueryCanceled):
        return "Other transactions take too long; ask later"
    if isinstance(error, psycopg.errors.DiskFull):
        return "Free space on the server's disk"
    return "Start the server, or correct the store's URL and PGPASSWORD"
