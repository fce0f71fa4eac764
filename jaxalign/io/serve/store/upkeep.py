"""Deletion of a user, of what is old, and counts."""

from typing import Any

from jaxalign.io.serve.store import schema
from jaxalign.io.serve.store.database import Database, Transaction
from jaxalign.io.serve.store.feed import put_on_feed
from jaxalign.io.serve.store.policies import IN_USE
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import Deleted

# In (SELECT clock() - ?) the clock is asked once, so that indices serve.
_ROWS = 500  # that one transaction deletes, so that nobody waits long
_USER = "SELECT u.id FROM users u JOIN tenants t ON t.id = u.tenant WHERE t.name = ? AND u.name = ? FOR UPDATE OF u"
# Those of others too that were shown an example of the user: their responses may repeat it.
_SEEN = "(SELECT id FROM interactions WHERE user_id = ? UNION SELECT interaction FROM shown WHERE user_id = ?)"
_TO_SCRUB = "INSERT INTO meta VALUES ('scrub', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_OLD_FEEDBACK = """
DELETE FROM feedback WHERE seq IN (SELECT f.seq FROM feedback f WHERE f.created < (SELECT clock() - ?)
  AND NOT EXISTS (SELECT 1 FROM interactions i WHERE i.id = f.interaction) LIMIT ?)
"""
_OLD_VECTORS = """
DELETE FROM vectors WHERE embedder = ? AND example IN (SELECT example FROM vectors WHERE embedder = ? LIMIT ?)
"""
_OLD_POLICIES = f"""
DELETE FROM policies WHERE seq NOT IN (SELECT seq FROM policies ORDER BY seq DESC LIMIT ?)
  AND name <> COALESCE({IN_USE}, '')
"""


class Upkeep:
    """Deletes and counts."""

    def __init__(self, database: Database):
        self._database = database

    def delete_user(self, tenant: str, user: str) -> Deleted:
        """Deletes all that is a user's. StoreError is raised too where the rows are deleted but their bytes could not
        be removed from the files; the same call again, or ``compact``, makes up for that."""
        deleted = Deleted(0, 0, 0, 0)
        with self._database.in_order("*") as transaction:
            for (id,) in transaction.rows(_USER, tenant, user):
                deleted = _delete(transaction, id)
                transaction.change(_TO_SCRUB, str(id))
        try:
            self._scrub()
        except StoreError as error:
            raise StoreError(
                f"{deleted}, but bytes of it may be left in the files. {error}; then delete once more"
            ) from error
        return deleted

    def compact(self, *, keep_seconds: float, keep_policies: int = 20) -> dict[str, int]:
        """Deletes what is too old, and says how many rows of each table."""
        keep = float(keep_seconds)
        interactions, feedback = self._old_interactions(keep)
        feedback += self._drain(_OLD_FEEDBACK, keep)
        vectors = sum(self._drain(_OLD_VECTORS, number, number) for number in self._old_embedders(keep))
        self._scrub()
        with self._database.writing("*") as transaction:
            policies = transaction.change(_OLD_POLICIES, keep_policies)
            leases = transaction.change("DELETE FROM leases WHERE expires <= clock()")
            flights = transaction.change("DELETE FROM flights WHERE expires <= (SELECT clock())")
        return {
            "interactions": interactions,
            "feedback": feedback,
            "feed": self._trim_feed(keep),
            "vectors": vectors,
            "policies": policies,
            "leases": leases,
            "flights": flights,
        }

    def counts(self) -> dict[str, int]:
        """Returns how many rows each table has."""
        with self._database.reading("*") as transaction:
            return {table: transaction.rows(f"SELECT count(*) FROM {table}")[0][0] for table in schema.TABLES}

    def born(self) -> float:
        """Returns when the store was made, in seconds since 1970."""
        with self._database.reading("*") as transaction:
            return float(transaction.rows("SELECT value FROM meta WHERE key = 'born'")[0][0])

    def close(self) -> None:
        """Closes the connections; later calls raise StoreError."""
        self._database.close()

    def _scrub(self) -> None:
        """Removes what deleted users left in files, unless that was done since."""
        with self._database.reading("*") as transaction:
            due = transaction.rows("SELECT value FROM meta WHERE key = 'scrub'")
        if due:
            self._database.scrub()
            with self._database.writing("*") as transaction:  # another user may have been deleted meanwhile
                transaction.change("DELETE FROM meta WHERE key = 'scrub' AND value = ?", *due[0])

    def _old_interactions(self, keep: float) -> tuple[int, int]:
        interactions = feedback = 0
        while True:
            with self._database.in_order("*") as transaction:
                rows = transaction.rows(
                    "SELECT id FROM interactions WHERE created < (SELECT clock() - ?) ORDER BY created LIMIT ?",
                    keep,
                    _ROWS,
                )
                ids = [id for (id,) in rows]
                feedback += transaction.change("DELETE FROM feedback WHERE interaction IN ?", ids)
                interactions += transaction.change("DELETE FROM interactions WHERE id IN ?", ids)
            if len(ids) < _ROWS:
                return interactions, feedback

    def _old_embedders(self, keep: float) -> list[int]:
        """Embedders that nobody used for so long, but for the one that was used last."""
        with self._database.reading("*") as transaction:
            rows = transaction.rows("SELECT id, used < clock() - ? FROM embedders ORDER BY used DESC, id DESC", keep)
        return [id for id, old in rows[1:] if old]

    def _trim_feed(self, keep: float) -> int:
        with self._database.in_order("*") as transaction:
            [(last,)] = transaction.rows("SELECT max(seq) FROM feed WHERE created < clock() - ?", keep)
            if last is None:
                return 0
            transaction.change("UPDATE meta SET value = ? WHERE key = 'floor'", str(last))
        return self._drain("DELETE FROM feed WHERE seq IN (SELECT seq FROM feed WHERE seq <= ? LIMIT ?)", last)

    def _drain(self, statement: str, *values: Any) -> int:
        """Runs a statement that deletes at most so many rows, its last value, until it finds fewer."""
        total = 0
        while True:
            with self._database.in_order("*") as transaction:
                found = transaction.change(statement, *values, _ROWS)
            total += found
            if found < _ROWS:
                return total


def _delete(transaction: Transaction, user: int) -> Deleted:
    """Deletes the rows of a user and tells the feed."""
    rows = transaction.rows("SELECT id FROM examples WHERE user_id = ? ORDER BY id FOR UPDATE", user)
    examples = [id for (id,) in rows]
    feedback = transaction.change(f"DELETE FROM feedback WHERE interaction IN {_SEEN}", user, user)
    interactions = transaction.change(f"DELETE FROM interactions WHERE id IN {_SEEN}", user, user)
    answers = transaction.change("DELETE FROM flights WHERE user_id = ? AND body IS NOT NULL", user)
    for table in ("flights", "shown", "examples"):
        transaction.change(f"DELETE FROM {table} WHERE user_id = ?", user)
    transaction.change("DELETE FROM users WHERE id = ?", user)
    put_on_feed(transaction, "delete", examples)
    put_on_feed(transaction, "user", [user])
    return Deleted(len(examples), interactions, feedback, answers)
