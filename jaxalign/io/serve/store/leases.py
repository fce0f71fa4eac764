"""What only one does at a time: jobs under a lease, and upstream calls that equal requests share.

Times are compared on the database's clock. A lease or flight whose time is over stays its holder's until another takes
it.
"""

from jaxalign.io.serve.store.database import Database, Transaction
from jaxalign.io.serve.store.identities import present_users
from jaxalign.io.serve.store.rows import Flight
from jaxalign.io.serve.store.texts import check_name

_LEASE = """
INSERT INTO leases (name, holder, expires) VALUES (?, ?, clock() + ?)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
WHERE leases.holder = excluded.holder OR leases.expires <= clock() RETURNING name
"""
_LEAD = """
INSERT INTO flights (tenant, key, user_id, holder, expires) VALUES (?, ?, ?, ?, clock() + ?)
ON CONFLICT (tenant, key) DO UPDATE
SET user_id = excluded.user_id, holder = excluded.holder, expires = excluded.expires, body = NULL
WHERE flights.expires <= clock() RETURNING key
"""
_RENEW = "UPDATE flights SET expires = clock() + ? WHERE key = ? AND holder = ? AND body IS NULL"
_FINISH = "UPDATE flights SET body = ?, expires = clock() + ? WHERE key = ? AND holder = ? AND body IS NULL"


class Leases:
    """Gives leases."""

    def __init__(self, database: Database):
        self._database = database

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Takes or renews a lease, and says whether the holder has it now."""
        check_name("lease", name)
        with self._database.writing("*") as transaction:
            return bool(transaction.rows(_LEASE, name, holder, float(seconds)))

    def release(self, name: str, holder: str) -> None:
        """Gives a lease back, if the holder has it."""
        with self._database.writing("*") as transaction:
            transaction.change("DELETE FROM leases WHERE name = ? AND holder = ?", name, holder)


class Flights:
    """Lets one of equal requests make the upstream call."""

    def __init__(self, database: Database):
        self._database = database

    def begin_flight(self, key: str, tenant: int, user: int, holder: str, seconds: float) -> Flight:
        """Says whether the caller makes the upstream call of this key, waits for it, or has its answer. Tenants never
        share an answer, whatever the key. A user that was deleted leads, and nothing is kept."""
        check_name("flight", key)
        with self._database.reading([tenant]) as transaction:  # those who wait ask often, and write nothing
            found = _find(transaction, tenant, key)
        if found:
            return found
        with self._database.writing([tenant]) as transaction:
            if not present_users(transaction, [user]):
                return Flight("lead")
            if transaction.rows(_LEAD, tenant, key, user, holder, float(seconds)):
                return Flight("lead")
            return _find(transaction, tenant, key) or Flight("wait")

    def renew_flight(self, key: str, holder: str, seconds: float) -> bool:
        """Says whether the holder still leads, and if so extends its time."""
        with self._database.writing("*") as transaction:
            return transaction.change(_RENEW, float(seconds), key, holder) > 0

    def finish_flight(self, key: str, holder: str, body: bytes, seconds: float) -> bool:
        """Keeps the answer for so many seconds, if the holder still leads: long enough for those who wait."""
        with self._database.writing("*") as transaction:
            return transaction.change(_FINISH, body, float(seconds), key, holder) > 0

    def abandon_flight(self, key: str, holder: str) -> None:
        """Lets the next caller lead, if the holder leads."""
        with self._database.writing("*") as transaction:
            transaction.change("DELETE FROM flights WHERE key = ? AND holder = ? AND body IS NULL", key, holder)


def _find(transaction: Transaction, tenant: int, key: str) -> Flight | None:
    rows = transaction.rows("SELECT body FROM flights WHERE tenant = ? AND key = ? AND expires > clock()", tenant, key)
    if not rows:
        return None
    return Flight("wait") if rows[0][0] is None else Flight("done", rows[0][0])
