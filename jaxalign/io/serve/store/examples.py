"""Examples: a request with its response and what they are worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxalign.io.serve.store.database import Database
from jaxalign.io.serve.store.embeddings import Embedders, check_vector
from jaxalign.io.serve.store.feed import put_on_feed
from jaxalign.io.serve.store.identities import present_users
from jaxalign.io.serve.store.rows import Example, ExampleUpdate, NewExample, Vectors
from jaxalign.io.serve.store.texts import keepable

COLUMNS = (
    "e.id, e.tenant, e.partition_id, e.user_id, e.request, e.response, e.model, e.tokens, e.quality, e.cost, e.gain, "
    "e.offloads, e.updated, e.replays, e.created"
)
"""The columns of an example, as its fields."""

_NEW = """
INSERT INTO examples (tenant, partition_id, user_id, request, response, model, tokens, quality, cost, gain, offloads,
  updated, replays, created)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, clock(), 0, clock()) RETURNING id
"""
_NEW_VECTORS = """
INSERT INTO vectors (example, embedder, tenant, partition_id, request, response) VALUES (?, ?, ?, ?, ?, ?)
"""
_CHANGED = """
UPDATE examples SET quality = ?, gain = ?, offloads = ?, updated = ?, replays = ?, response = COALESCE(?, response),
  tokens = COALESCE(?, tokens) WHERE id = ?
"""
_ORDERS = ("gain", "offloads", "created", "replays")


class Examples:
    """Keeps examples."""

    def __init__(self, database: Database, embedders: Embedders):
        self._database, self._embedders = database, embedders

    def add_examples(self, rows: Sequence[NewExample], embedder: str, vectors: Sequence[Vectors]) -> list[int]:
        """Keeps examples with their vectors, puts them on the feed, and returns their ids, 0 for one whose user was
        deleted in the meantime."""
        if len(rows) != len(vectors):
            raise ValueError(f"expected vectors for each example, got {len(vectors)} for {len(rows)}")
        if not rows:
            return []
        number, width = self._embedders.number(embedder, len(vectors[0].request))
        packed = [tuple(self._database.pack(check_vector(each, width)) for each in pair) for pair in vectors]
        with self._database.in_order("*") as transaction:
            self._embedders.used(transaction, number)
            users = present_users(transaction, [row.user for row in rows])
            there = [place for place, row in enumerate(rows) if row.user in users]
            ids = [0] * len(rows)
            for place, (id,) in zip(there, transaction.made(_NEW, [_values(rows[at]) for at in there]), strict=True):
                ids[place] = id
            transaction.each(
                _NEW_VECTORS, [(ids[at], number, rows[at].tenant, rows[at].partition, *packed[at]) for at in there]
            )
            put_on_feed(transaction, "put", [ids[at] for at in there])
        return ids

    def update_examples(
        self, rows: Sequence[ExampleUpdate], embedder: str = "", responses: Mapping[int, Any] | None = None
    ) -> None:
        """Changes examples that are still there and puts them on the feed; a new response replaces text and vector
        (``responses``: [D] arrays by id), and deletes vectors of other embedders."""
        responses = responses or {}
        new = {row.id for row in rows if row.response is not None}
        if new != responses.keys():
            raise ValueError(f"expected vectors of the new responses {sorted(new)}, got those of {sorted(responses)}")
        number, packed = 0, {}
        if new:
            number, width = self._embedders.number(embedder, len(next(iter(responses.values()))))
            packed = {id: self._database.pack(check_vector(vector, width)) for id, vector in responses.items()}
        asked = sorted(row.id for row in rows)
        with self._database.in_order("*") as transaction:
            locked = transaction.rows("SELECT id FROM examples WHERE id IN ? ORDER BY id FOR UPDATE", asked)
            there = {id for (id,) in locked}
            transaction.each(_CHANGED, [_changed(row) for row in rows if row.id in there])
            transaction.each(
                "UPDATE vectors SET response = ? WHERE example = ? AND embedder = ?",
                [(vector, id, number) for id, vector in packed.items() if id in there],
            )
            transaction.change("DELETE FROM vectors WHERE example IN ? AND embedder <> ?", sorted(new & there), number)
            put_on_feed(transaction, "put", [row.id for row in rows if row.id in there])

    def delete_examples(self, ids: Sequence[int]) -> int:
        """Deletes examples and says how many there were."""
        with self._database.in_order("*") as transaction:
            locked = transaction.rows("SELECT id FROM examples WHERE id IN ? ORDER BY id FOR UPDATE", sorted(ids))
            there = [id for (id,) in locked]
            transaction.change("DELETE FROM examples WHERE id IN ?", there)
            put_on_feed(transaction, "delete", there)
        return len(there)

    def texts(self, tenants: Sequence[int], ids: Sequence[int]) -> dict[int, tuple[str, str]]:
        """Returns request and response of those examples that belong to these tenants, by id."""
        with self._database.reading(tenants) as transaction:
            rows = transaction.rows(
                "SELECT id, request, response FROM examples WHERE id IN ? AND tenant IN ?", list(ids), list(tenants)
            )
        return {id: (request, response) for id, request, response in rows}

    def examples(self, ids: Sequence[int]) -> list[Example]:
        """Returns examples that are there, by rising id."""
        with self._database.reading("*") as transaction:
            rows = transaction.rows(f"SELECT {COLUMNS} FROM examples e WHERE e.id IN ? ORDER BY e.id", list(ids))
        return [Example(*row) for row in rows]

    def find_examples(
        self, *, tenant: int | None = None, contains: str = "", order: str = "gain", limit: int = 50, offset: int = 0
    ) -> list[Example]:
        """Returns a page of examples for operators; ``order`` is gain, offloads, created or replays, falling. The case
        of letters does not matter, at least of those from a to z."""
        if order not in _ORDERS:
            raise ValueError(f"order: expected one of {_ORDERS}, got {order!r}")
        conditions, values = ["1 = 1"], []
        if tenant is not None:
            conditions, values = ["tenant = ?"], [tenant]
        if contains:
            conditions.append("(contains(request, ?) OR contains(response, ?))")
            values += [keepable(contains)] * 2
        with self._database.reading("*" if tenant is None else [tenant]) as transaction:
            rows = transaction.rows(
                f"SELECT {COLUMNS} FROM examples e WHERE {' AND '.join(conditions)} "
                f"ORDER BY e.{order} DESC, e.id DESC LIMIT ? OFFSET ?",
                *values,
                limit,
                offset,
            )
        return [Example(*row) for row in rows]


def _values(row: NewExample) -> tuple:
    return (
        *(row.tenant, row.partition, row.user, keepable(row.request), keepable(row.response), keepable(row.model)),
        *(row.tokens, float(row.quality), float(row.cost)),
    )


def _changed(row: ExampleUpdate) -> tuple:
    response = None if row.response is None else keepable(row.response)
    numbers = (float(row.quality), float(row.gain), float(row.offloads), float(row.updated), row.replays)
    return (*numbers, response, row.tokens, row.id)
