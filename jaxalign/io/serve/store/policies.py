"""Versions of the policy."""

import json
from collections.abc import Mapping
from typing import Any

from jaxalign.io.serve.store.database import Database
from jaxalign.io.serve.store.feed import put_on_feed
from jaxalign.io.serve.store.rows import PolicyVersion
from jaxalign.io.serve.store.texts import check_name

IN_USE = "(SELECT value FROM meta WHERE key = 'policy')"
"""The name of the version in use, in statements."""

_CHOSEN = "INSERT INTO meta VALUES ('policy', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Policies:
    """Keeps versions of the policy."""

    def __init__(self, database: Database):
        self._database = database

    def save_policy(self, name: str, data: bytes, note: Mapping[str, Any]) -> None:
        """Keeps a version; one of this name that is there stays."""
        check_name("policy", name)
        with self._database.writing("*") as transaction:
            transaction.change(
                "INSERT INTO policies (name, data, note, created) VALUES (?, ?, ?, clock()) ON CONFLICT DO NOTHING",
                *(name, data, json.dumps(dict(note))),
            )

    def choose_policy(self, name: str) -> None:
        """Puts a version into use, which the feed tells; an unknown one is a KeyError."""
        with self._database.in_order("*") as transaction:
            if not transaction.rows("SELECT 1 FROM policies WHERE name = ? FOR KEY SHARE", name):
                raise KeyError(_unknown(name))
            transaction.change(_CHOSEN, name)
            put_on_feed(transaction, "policy", [0])

    def current_policy(self) -> tuple[str, bytes] | None:
        """Returns name and data of the version in use."""
        with self._database.reading("*") as transaction:
            rows = transaction.rows(f"SELECT name, data FROM policies WHERE name = {IN_USE}")
        return rows[0] if rows else None

    def read_policy(self, name: str) -> bytes:
        """Returns the data of a version; KeyError if it is not there."""
        with self._database.reading("*") as transaction:
            rows = transaction.rows("SELECT data FROM policies WHERE name = ?", name)
        if not rows:
            raise KeyError(_unknown(name))
        return rows[0][0]

    def list_policies(self) -> list[PolicyVersion]:
        """Returns all versions, the earliest first."""
        with self._database.reading("*") as transaction:
            rows = transaction.rows(
                f"SELECT name, note, created, COALESCE(name = {IN_USE}, 1 = 0) FROM policies ORDER BY seq"
            )
        return [PolicyVersion(name, json.loads(note), created, bool(current)) for name, note, created, current in rows]


def _unknown(name: str) -> str:
    return f"policy {name!r} is not in the store; list_policies tells which are"
