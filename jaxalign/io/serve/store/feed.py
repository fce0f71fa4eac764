"""The feed by which indices follow the store: entries with numbers that rise in the order of commits."""

from collections.abc import Iterable

from jaxalign.io.serve.store.database import Database, Transaction
from jaxalign.io.serve.store.rows import Change


class Feed:
    """Reads the feed."""

    def __init__(self, database: Database):
        self._database = database

    def changes(self, after: int, limit: int = 1000) -> list[Change] | None:
        """Returns what followed a position, in order; None where the feed does not have it, so that a snapshot is
        needed: it no longer reaches back, or the position is of another store."""
        with self._database.reading("*") as transaction:
            if not feed_floor(transaction) <= after <= feed_head(transaction):
                return None
            rows = transaction.rows(
                "SELECT seq, kind, subject FROM feed WHERE seq > ? ORDER BY seq LIMIT ?", after, limit
            )
        return [Change(*row) for row in rows]


def put_on_feed(transaction: Transaction, kind: str, subjects: Iterable[int]) -> None:
    """Writes entries.

    Args:
      transaction: one that is in order.
      kind: of :class:`~jaxalign.io.serve.store.rows.Change`.
      subjects: what the entries are about, in order.
    """
    transaction.each(
        "INSERT INTO feed (kind, subject, created) VALUES (?, ?, clock())", [(kind, subject) for subject in subjects]
    )


def feed_floor(transaction: Transaction) -> int:
    """Returns the number of the last entry that was deleted, 0 if none was.

    Args:
      transaction: any.
    """
    return int(transaction.rows("SELECT value FROM meta WHERE key = 'floor'")[0][0])


def feed_head(transaction: Transaction) -> int:
    """Returns the number of the last entry.

    Args:
      transaction: any.
    """
    [(head,)] = transaction.rows("SELECT max(seq) FROM feed")
    return feed_floor(transaction) if head is None else head
