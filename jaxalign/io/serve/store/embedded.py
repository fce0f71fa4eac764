"""Examples together with their vectors: what indices are made from, and searched where they do not fit in memory."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jaxalign.io.serve.store.database import Database
from jaxalign.io.serve.store.embeddings import Embedders, check_vector
from jaxalign.io.serve.store.examples import COLUMNS
from jaxalign.io.serve.store.feed import feed_head
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import Example, Vectors

_JOINED = f"""
SELECT {COLUMNS}, v.request, v.response FROM examples e LEFT JOIN vectors v ON v.example = e.id AND v.embedder = ?
"""
# Vectors that are there stay: the same embedder makes the same of the same text, and after a new response those at hand
# may be of the old one.
_NEW = """
INSERT INTO vectors (example, embedder, tenant, partition_id, request, response)
SELECT e.id, ?, e.tenant, e.partition_id, ?, ? FROM examples e WHERE e.id = ? FOR KEY SHARE ON CONFLICT DO NOTHING
"""
_Pair = tuple[Example, Vectors | None]


class Embedded:
    """Reads examples with vectors."""

    def __init__(self, database: Database, embedders: Embedders):
        self._database, self._embedders = database, embedders

    def snapshot(self, embedder: str, batch: int = 1000) -> tuple[int, Iterator[list[_Pair]]]:
        """Returns the feed's position and, as of that position or later, all examples with their vectors by this
        embedder, None where it has not embedded them, in batches."""
        number, _ = self._embedders.find(embedder)
        with contextlib.suppress(StoreError), self._database.writing("*") as transaction:  # the disk may be full
            self._embedders.used(transaction, number)
        with self._database.reading("*") as transaction:
            position = feed_head(transaction)
            [(last,)] = transaction.rows("SELECT COALESCE(max(id), 0) FROM examples")
        return position, self._batches(number, last, batch)

    def with_vectors(self, ids: Sequence[int], embedder: str) -> list[_Pair]:
        """Returns examples that are there, with their vectors."""
        number, _ = self._embedders.find(embedder)
        with self._database.reading("*") as transaction:
            rows = transaction.rows(f"{_JOINED} WHERE e.id IN ? ORDER BY e.id", number, list(ids))
        return [self._pair(row) for row in rows]

    def add_vectors(self, embedder: str, vectors: Mapping[int, Vectors]) -> None:
        """Keeps vectors of examples that are still there and have none by this embedder; no entry on the feed."""
        if not vectors:
            return
        number, width = self._embedders.number(embedder, len(next(iter(vectors.values())).request))
        packed = {id: [self._database.pack(check_vector(each, width)) for each in pair] for id, pair in vectors.items()}
        with self._database.writing("*") as transaction:
            self._embedders.used(transaction, number)
            transaction.each(_NEW, [(number, *packed[id], id) for id in sorted(packed)])

    def nearest(self, partitions: Sequence[int], embedder: str, query: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Returns ids and cosines of the ``k`` examples of these partitions whose requests are nearest to a query [D],
        the nearest first."""
        number, width = self._embedders.find(embedder)
        if not number:
            return []
        return self._database.nearest(number, width, list(partitions), check_vector(query, width), k)

    def _batches(self, number: int, last: int, batch: int) -> Iterator[list[_Pair]]:
        after = 0
        while True:  # each batch is a transaction, so that a slow reader holds nothing up
            with self._database.reading("*") as transaction:
                rows = transaction.rows(
                    f"{_JOINED} WHERE e.id > ? AND e.id <= ? ORDER BY e.id LIMIT ?", number, after, last, batch
                )
            if not rows:
                return
            yield [self._pair(row) for row in rows]
            after = rows[-1][0]

    def _pair(self, row: tuple) -> _Pair:
        *example, request, response = row
        unpack = self._database.unpack
        return Example(*example), None if request is None else Vectors(unpack(request), unpack(response))
