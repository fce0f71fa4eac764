"""SQLite: one file, for the processes of one machine."""

import contextlib
import functools
import heapq
import json
import os
import pathlib
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxalign.io.serve.store import schema
from jaxalign.io.serve.store.connections import Connections
from jaxalign.io.serve.store.database import Tenants
from jaxalign.io.serve.store.protocol import StoreError

_WORDS = {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "blob": "BLOB", "vector": "BLOB"}
_LOCKS = re.compile(r"\s+FOR (UPDATE|KEY SHARE)( OF \w+)?")
_SEARCHED = 4096  # vectors at a time
_PRAGMAS = (
    "PRAGMA synchronous=FULL",  # what was acknowledged outlives a power cut
    "PRAGMA secure_delete=ON",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",  # no texts in temporary files
    "PRAGMA journal_size_limit=67108864",
)


class SqliteDatabase:
    """A database in a file."""

    def __init__(self, path: str | os.PathLike, patience: float = 5.0):
        """Opens the file, and makes it and its tables if they are not there.

        Args:
          path: the file; its folder is made.
          patience: seconds that a call waits while another process writes.

        Raises:
          StoreError: it cannot be opened, is no store, or is one of another format.
        """
        self._path, self._patience = pathlib.Path(path), patience
        self._connections = Connections(self._connect, lambda connection: True, 64, patience)
        self._writer = threading.Lock()  # threads queue here, since SQLite's own waiting is by polling
        try:
            with self._explained():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # it has the texts of users
                self._prepare()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def reading(self, tenants: Tenants) -> Iterator["_Transaction"]:
        """Gives a transaction that sees one moment. SQLite does not check ``tenants``; statements name theirs."""
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextlib.contextmanager
    def writing(self, tenants: Tenants) -> Iterator["_Transaction"]:
        """Gives a transaction that is committed when the block ends, and rolled back when it raises."""
        with self._alone(), self._transaction("BEGIN IMMEDIATE") as transaction:
            yield transaction

    in_order = writing  # SQLite has one writer at a time

    def pack(self, vector: np.ndarray) -> bytes:
        """Returns the bytes of a vector [D], float32, low byte first."""
        return np.ascontiguousarray(vector, "<f4").tobytes()

    def unpack(self, value: bytes) -> np.ndarray:
        """Returns a vector [D] float32."""
        return np.frombuffer(value, "<f4").astype(np.float32)

    def index(self, embedder: int, width: int) -> None:
        """Does nothing: all vectors of the partitions are compared."""

    def nearest(
        self, embedder: int, width: int, partitions: Sequence[int], query: np.ndarray, k: int
    ) -> list[tuple[int, float]]:
        """Returns ids and cosines of the nearest examples; it compares all vectors of the partitions."""
        length = float(np.linalg.norm(query))
        best: list[tuple[float, int]] = []
        with self.reading("*") as transaction:
            found = transaction.cursor(
                "SELECT example, request FROM vectors WHERE embedder = ? AND partition_id IN ?", embedder, partitions
            )
            while length and (batch := found.fetchmany(_SEARCHED)):
                vectors = np.frombuffer(b"".join(row[1] for row in batch), "<f4").reshape(len(batch), width)
                lengths = np.linalg.norm(vectors, axis=1) * length
                cosines = np.divide(vectors @ query, lengths, out=np.zeros(len(batch), np.float32), where=lengths > 0)
                some = [(float(cosines[at]), -batch[at][0]) for at in np.flatnonzero(lengths)]
                best = heapq.nlargest(k, best + some)
        return [(-negative, cosine) for cosine, negative in best]

    def scrub(self) -> None:
        """Writes the file anew and empties the log; others wait to write meanwhile, about 5 seconds for a gigabyte.

        ``secure_delete`` puts zeros over deleted rows, but not over copies of them that SQLite left in gaps of pages
        when it moved rows from one to another.

        Raises:
          StoreError: the disk is too full, or another process reads from the log all the time.
        """
        with self._alone(), self._explained(), self._connections.lend() as connection:
            connection.execute("PRAGMA temp_store=FILE")  # a copy of the file, without what was deleted
            try:
                connection.execute("VACUUM")
                [kept, *_] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute("PRAGMA temp_store=MEMORY")
        if kept:
            raise StoreError(
                f"store {self._path}: another process read from {self._path.name}-wal for over {self._patience} s, so "
                "that it could not be emptied; end it"
            )

    def close(self) -> None:
        """Closes the connections; later calls raise StoreError."""
        self._connections.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._patience, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        connection.create_function("clock", 0, time.time)
        connection.create_function("contains", 2, lambda text, part: part.casefold() in text.casefold())
        return connection

    def _prepare(self) -> None:
        deadline = time.monotonic() + self._patience
        with self._connections.lend() as connection:
            while True:  # SQLite does not wait for others that change the mode at the same time
                try:
                    connection.execute("PRAGMA journal_mode=WAL")
                    break
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
        with self.writing("*") as transaction:
            if not transaction.rows("SELECT 1 FROM sqlite_master WHERE name = 'meta'"):
                for statement in [*schema.statements(_WORDS), schema.BORN]:
                    transaction.change(statement)
                transaction.change("INSERT INTO meta VALUES ('born', CAST(clock() AS TEXT))")
            [(found,)] = transaction.rows("SELECT value FROM meta WHERE key = 'format'")
        if found != str(schema.FORMAT):
            raise StoreError(schema.refuse(found, str(self._path), "name another folder"))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._writer.acquire(timeout=self._patience):
            raise StoreError(f"store {self._path}: other threads wrote for over {self._patience} s; ask later")
        try:
            yield
        finally:
            self._writer.release()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator["_Transaction"]:
        with self._explained(), self._connections.lend() as connection:
            connection.execute(begin)
            try:
                yield _Transaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite has rolled back by itself where the disk is full
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns errors of the file and its locks into StoreErrors; those of statements are bugs and stay."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError):
            raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"store {self._path}: {error}. {_remedy(error)}") from error


class _Transaction:
    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def cursor(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(_own_words(statement), _own_values(values))

    def rows(self, statement: str, *values: Any) -> list[tuple]:
        return self.cursor(statement, *values).fetchall()

    def change(self, statement: str, *values: Any) -> int:
        return self.cursor(statement, *values).rowcount

    def each(self, statement: str, many: Sequence[tuple]) -> None:
        self._connection.executemany(_own_words(statement), [_own_values(values) for values in many])

    def made(self, statement: str, many: Sequence[tuple]) -> list[tuple]:
        return [self.rows(statement, *values)[0] for values in many]


@functools.cache
def _own_words(statement: str) -> str:
    return _LOCKS.sub("", statement).replace("IN ?", "IN (SELECT value FROM json_each(?))")


def _own_values(values: Sequence[Any]) -> list[Any]:
    return [json.dumps(list(value)) if isinstance(value, list | tuple) else value for value in values]


def _remedy(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # of an OSError 0
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "Another process writes to it for too long: end it"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return "Free space on its disk"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "Put a good copy in its place, or remove it: a new one is made"
    return "Correct the path or its permissions"
