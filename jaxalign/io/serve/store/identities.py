"""Tenants, their users, and the scopes of their examples, by numbers."""

from collections.abc import Iterable, Mapping

from jaxalign.io.serve.store.database import Database, Transaction
from jaxalign.io.serve.store.rows import SHARED, Identity
from jaxalign.io.serve.store.texts import check_name

_FOUND = """
SELECT t.id, u.id, p.id, s.id FROM tenants t
JOIN users u ON u.tenant = t.id AND u.name = ? JOIN partitions p ON p.tenant = t.id AND p.scope = ?
JOIN partitions s ON s.tenant = ? AND s.scope = ? WHERE t.name = ?
"""
_NEW_USER = "INSERT INTO users (tenant, name) SELECT id, ? FROM tenants WHERE name = ? ON CONFLICT DO NOTHING"
_NEW_PARTITION = (
    "INSERT INTO partitions (tenant, scope) SELECT id, ? FROM tenants WHERE name = ? ON CONFLICT DO NOTHING"
)


class Identities:
    """Gives numbers to those who ask."""

    def __init__(self, database: Database):
        self._database = database

    def identify(self, tenant: str, user: str, scope: str) -> Identity:
        """Returns the numbers of a tenant, its user and a scope, which are made if they are new."""
        for what, name in (("tenant", tenant), ("user", user), ("scope", scope)):
            check_name(what, name)
        asked = (user, scope, SHARED, scope, tenant)
        with self._database.reading("*") as transaction:
            found = transaction.rows(_FOUND, *asked)
        if not found:
            with self._database.writing("*") as transaction:
                transaction.change("INSERT INTO tenants (name) VALUES (?) ON CONFLICT DO NOTHING", tenant)
                transaction.change(_NEW_USER, user, tenant)
                transaction.change(_NEW_PARTITION, scope, tenant)
                transaction.change(
                    "INSERT INTO partitions (tenant, scope) VALUES (?, ?) ON CONFLICT DO NOTHING", SHARED, scope
                )
                found = transaction.rows(_FOUND, *asked)
        return Identity(*found[0])

    def tenants(self) -> Mapping[int, str]:
        """Returns the names of tenants by their ids."""
        with self._database.reading("*") as transaction:
            return dict(transaction.rows("SELECT id, name FROM tenants ORDER BY id"))


def present_users(transaction: Transaction, users: Iterable[int]) -> set[int]:
    """Returns those users that were not deleted; they stay until the transaction ends.

    Args:
      transaction: that writes rows of theirs.
      users: their numbers.
    """
    asked = sorted(set(users))
    return {id for (id,) in transaction.rows("SELECT id FROM users WHERE id IN ? ORDER BY id FOR KEY SHARE", asked)}
