"""What the store asks of a database, so that SQLite and PostgreSQL run the same statements.

Statements are SQL that both understand, with four words that each database puts into its own:

- ``?`` is a value, and ``IN ?`` a list of values;
- ``clock()`` is the database's time in seconds since 1970, so that processes with different clocks agree;
- ``contains(text, part)`` looks for a part without regard to case;
- ``FOR UPDATE`` and ``FOR KEY SHARE`` lock rows; SQLite has one writer at a time and leaves them out.

A transaction is of tenants: rows of others are not there for it, if the database can see to that (PostgreSQL's
row-level security), whatever its statements say. ``"*"`` is for what serves all tenants: indices, learning, upkeep.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

Tenants = Sequence[int] | Literal["*"]


@runtime_checkable
class Transaction(Protocol):
    """Runs statements that are kept together or not at all."""

    def rows(self, statement: str, *values: Any) -> list[tuple]:
        """Returns the rows that a statement gives."""

    def change(self, statement: str, *values: Any) -> int:
        """Returns how many rows a statement changed."""

    def each(self, statement: str, many: Sequence[tuple]) -> None:
        """Runs a statement once for each tuple of values."""

    def made(self, statement: str, many: Sequence[tuple]) -> list[tuple]:
        """Runs a statement that gives one row, once for each tuple of values, and returns the rows."""


@runtime_checkable
class Database(Protocol):
    """Opens transactions; all its methods raise StoreError where the database is gone, locked or full."""

    def reading(self, tenants: Tenants) -> AbstractContextManager[Transaction]:
        """Gives a transaction that sees one moment of the database and changes nothing."""

    def writing(self, tenants: Tenants) -> AbstractContextManager[Transaction]:
        """Gives a transaction that is committed when the block ends, and rolled back when it raises."""

    def in_order(self, tenants: Tenants) -> AbstractContextManager[Transaction]:
        """Gives a writing transaction that ends before the next of its kind begins, so that numbers which it gives
        rise in the order of commits: who has read number 7 never misses a 6 that comes later. What changes many rows
        is of this kind too, so that no two wait for each other."""

    def pack(self, vector: np.ndarray) -> Any:
        """Returns a vector [D] as a value of statements."""

    def unpack(self, value: Any) -> np.ndarray:
        """Returns a vector [D] float32 from what a row has of it."""

    def index(self, embedder: int, width: int) -> None:
        """Makes what speeds up the search among an embedder's vectors, if it is not there."""

    def nearest(
        self, embedder: int, width: int, partitions: Sequence[int], query: np.ndarray, k: int
    ) -> list[tuple[int, float]]:
        """Returns ids and cosines of at most ``k`` examples of these partitions, the nearest first."""

    def scrub(self) -> None:
        """Removes what deleted rows left in files, as far as the database can do that."""

    def close(self) -> None:
        """Closes the connections; later calls raise StoreError."""
