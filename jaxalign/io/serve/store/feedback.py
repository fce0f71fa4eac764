"""Feedback, and what it is about."""

from collections.abc import Sequence

from jaxalign.io.serve.store import interactions
from jaxalign.io.serve.store.database import Database, Transaction
from jaxalign.io.serve.store.rows import Feedback, Told
from jaxalign.io.serve.store.texts import check_name

_COLUMNS = "f.seq, f.interaction, f.tenant, f.kind, f.outcome, f.subject, f.created"
# Of the same tenant: nobody judges what others were answered.
_TOLD = f"""
SELECT {_COLUMNS}, {interactions.COLUMNS} FROM feedback f
JOIN interactions i ON i.id = f.interaction AND i.tenant = f.tenant
"""
_REPLACED = "DELETE FROM feedback WHERE interaction = ? AND tenant = ? AND kind = ? AND subject = ?"
_NEW = """
INSERT INTO feedback (interaction, tenant, kind, outcome, subject, created, learnt) VALUES (?, ?, ?, ?, ?, ?, 0)
"""


class FeedbackLog:
    """Keeps feedback."""

    def __init__(self, database: Database):
        self._database = database

    def add_feedback(self, rows: Sequence[Feedback]) -> None:
        """Keeps feedback, which may come before its interaction; the same kind and subject again replaces it."""
        for row in rows:
            check_name("feedback.interaction", row.interaction)
            check_name("feedback.subject", row.subject)
        with self._database.in_order("*") as transaction:
            for row in rows:  # with a new number, so that who learns from the old one does not mark the new one learnt
                transaction.change(_REPLACED, row.interaction, row.tenant, row.kind, row.subject)
                transaction.change(_NEW, *row._replace(outcome=float(row.outcome), created=float(row.created)))

    def untold(self, limit: int) -> list[Told]:
        """Returns feedback that was not learnt from and whose interaction is there, the earliest first."""
        with self._database.reading("*") as transaction:
            return _told(transaction, "WHERE f.learnt = 0 ORDER BY f.seq", limit)

    def mark_learnt(self, seqs: Sequence[int]) -> None:
        """Notes that feedback was learnt from."""
        with self._database.in_order("*") as transaction:
            transaction.change("UPDATE feedback SET learnt = 1 WHERE seq IN ?", sorted(seqs))

    def latest_told(self, limit: int) -> list[Told]:
        """Returns the latest feedback that was learnt from, the earliest of it first: what a buffer is rebuilt from."""
        with self._database.reading("*") as transaction:
            return _told(transaction, "WHERE f.learnt = 1 ORDER BY f.seq DESC", limit)[::-1]


def _told(transaction: Transaction, which: str, limit: int) -> list[Told]:
    rows = transaction.rows(f"{_TOLD} {which} LIMIT ?", limit)
    return [Told(row[0], Feedback(*row[1:7]), interactions.interaction(row[7:])) for row in rows]
