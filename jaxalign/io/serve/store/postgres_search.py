"""Search by pgvector's HNSW index, for stores that are too large for one machine's memory."""

from collections.abc import Sequence
from typing import Any

import psycopg

from jaxalign.io.serve.store import postgres_schema
from jaxalign.io.serve.store.database import Transaction

WIDEST = 2000
"""Dimensions that pgvector's indices take; wider vectors are all compared."""

FEW = 2000
"""Vectors of the asked partitions up to which all are compared, in 8 microseconds each."""

# Of the 64 nearest among 20,000 vectors of which one in 40 is asked for, strict_order finds .85 and relaxed_order .95;
# the order is made here. The planner does not know how many rows the policies of tenants let through: it is not asked.
_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', ?, true),
  set_config('enable_sort', 'off', true)
"""
_COUNTED = """
SELECT count(*) FROM (SELECT 1 FROM vectors WHERE embedder = ? AND partition_id IN ? LIMIT ?) AS few
"""


def make_index(connection: psycopg.Connection, where: str, embedder: int, width: int) -> None:
    """Makes the index of an embedder's vectors if it is not there.

    An index has one width, hence one index for each embedder. It is made before the first vectors, so that it takes no
    time; while it is made, nobody writes vectors.

    Args:
      connection: in autocommit mode, of a user that owns the tables.
      where: the database, for messages.
      embedder: its number.
      width: of its vectors.

    Raises:
      StoreError: the user does not own the tables.
    """
    name = f"vectors_hnsw_{int(embedder)}"
    if width > WIDEST or connection.execute("SELECT to_regclass(%s)", [name]).fetchone() != (None,):
        return
    with postgres_schema.making(connection, where):
        connection.execute(
            f"CREATE INDEX IF NOT EXISTS {name} ON vectors USING hnsw ((request::vector({int(width)})) "
            f"vector_cosine_ops) WHERE embedder = {int(embedder)}"
        )


def nearest(
    transaction: Transaction, embedder: int, width: int, partitions: Sequence[int], query: Any, k: int
) -> list[tuple[int, float]]:
    """Returns ids and cosines of at most ``k`` examples of these partitions, the nearest first.

    All vectors are compared if they are few, and also if the index returned fewer than ``k``: it gives up after 20,000
    vectors of other partitions.

    Args:
      transaction: that reads.
      embedder: the number of the embedder.
      width: of its vectors.
      partitions: the partitions.
      query: the vector [D], as a value of statements.
      k: the number of examples.
    """
    [(count,)] = transaction.rows(_COUNTED, embedder, list(partitions), FEW + 1)
    if count > FEW:
        transaction.rows(_SETTINGS, str(min(max(128, 2 * k), 1000)))
        indexed = _ordered(transaction, by_index(embedder, width), partitions, query, k)
        if len(indexed) == k:
            return indexed
    return _ordered(transaction, _statement("request", embedder), partitions, query, k)


def by_index(embedder: int, width: int) -> str:
    """Returns the statement that searches by an embedder's index, whose values are query, partitions, query and k.

    Args:
      embedder: its number.
      width: of its vectors.
    """
    return _statement(f"request::vector({int(width)})", embedder)  # the index is on this expression


def _statement(vector: str, embedder: int) -> str:
    return (
        f"SELECT example, 1 - ({vector} <=> ?) FROM vectors WHERE embedder = {int(embedder)} AND partition_id IN ? "
        f"ORDER BY {vector} <=> ? LIMIT ?"
    )


def _ordered(
    transaction: Transaction, statement: str, partitions: Sequence[int], query: Any, k: int
) -> list[tuple[int, float]]:
    found = transaction.rows(statement, query, list(partitions), query, k)
    # The cosine with a vector of zeros is not a number.
    return sorted(((id, cosine) for id, cosine in found if cosine == cosine), key=lambda each: (-each[1], each[0]))
