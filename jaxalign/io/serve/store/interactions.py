"""Interactions: what was asked, answered and decided."""

import json
from collections.abc import Sequence
from typing import Any

from jaxalign.io.serve.store.database import Database
from jaxalign.io.serve.store.identities import present_users
from jaxalign.io.serve.store.rows import Interaction
from jaxalign.io.serve.store.texts import check_name, keepable

COLUMNS = ", ".join(
    f"i.{name}"
    for name in (
        "id tenant user_id partition_id model request response examples owners context query embedder policy "
        "propensity threshold opponent probes cost created"
    ).split()
)
"""The columns of an interaction, as its fields."""

_LISTS = ("examples", "owners", "probes")
_NEW = f"""
INSERT INTO interactions ({COLUMNS.replace("i.", "")}, pending)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SHOWN = "INSERT INTO shown (interaction, user_id, tenant) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


class Interactions:
    """Keeps interactions."""

    def __init__(self, database: Database):
        self._database = database

    def add_interactions(self, rows: Sequence[Interaction]) -> None:
        """Keeps interactions. One with an id that is there is passed over, and one whose user, or the owner of an
        example that it was shown, was deleted in the meantime."""
        ordered = sorted(rows, key=lambda row: check_name("interaction", row.id))  # so that no two wait for each other
        with self._database.writing("*") as transaction:
            users = present_users(transaction, [user for row in rows for user in (row.user, *row.owners)])
            kept = [row for row in ordered if users.issuperset((row.user, *row.owners))]
            transaction.each(_NEW, [_values(row) for row in kept])
            shown = [(row.id, owner, row.tenant) for row in kept for owner in sorted(set(row.owners))]
            transaction.each(_SHOWN, shown)

    def interactions(self, *, pending: bool, limit: int) -> list[Interaction]:
        """Returns the latest interactions; if ``pending``, the oldest with an opponent or probes still to be asked."""
        which = "WHERE i.pending = 1 ORDER BY i.created, i.id" if pending else "ORDER BY i.created DESC, i.id DESC"
        with self._database.reading("*") as transaction:
            rows = transaction.rows(f"SELECT {COLUMNS} FROM interactions i {which} LIMIT ?", limit)
        return [interaction(row) for row in rows]

    def settle(self, interaction: str) -> None:
        """Notes that opponent and probes of an interaction need not be asked any more."""
        with self._database.writing("*") as transaction:
            transaction.change("UPDATE interactions SET pending = 0 WHERE id = ?", interaction)


def interaction(row: Sequence[Any]) -> Interaction:
    """Returns an interaction.

    Args:
      row: of ``COLUMNS``.
    """
    found = Interaction(*row)
    return found._replace(**{name: tuple(json.loads(getattr(found, name))) for name in _LISTS})


def _values(row: Interaction) -> tuple:
    return row._replace(
        **{name: json.dumps([int(each) for each in getattr(row, name)]) for name in _LISTS},
        **{name: text and keepable(text) for name in ("request", "response") for text in [getattr(row, name)]},
        propensity=float(row.propensity),
        cost=float(row.cost),
    ) + (int(row.opponent is not None or bool(row.probes)),)
