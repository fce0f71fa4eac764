"""Counts of requests by minute, tenant and model."""

from collections.abc import Sequence

from jaxalign.io.serve.store.database import Database
from jaxalign.io.serve.store.rows import Traffic
from jaxalign.io.serve.store.texts import check_name

_KEYS = Traffic._fields[:3]
_COUNTS = Traffic._fields[3:]
_SUMS = ", ".join(f"{name} = traffic.{name} + excluded.{name}" for name in _COUNTS)
_ADD = f"""
INSERT INTO traffic ({", ".join(Traffic._fields)}) VALUES ({", ".join("?" * len(Traffic._fields))})
ON CONFLICT ({", ".join(_KEYS)}) DO UPDATE SET {_SUMS}
"""


class TrafficCounts:
    """Counts requests."""

    def __init__(self, database: Database):
        self._database = database

    def add_traffic(self, rows: Sequence[Traffic]) -> None:
        """Adds to the counts of their minutes."""
        ordered = sorted(rows, key=lambda row: row[:3])  # so that no two wait for each other
        with self._database.writing("*") as transaction:
            transaction.each(_ADD, [_values(row) for row in ordered])

    def traffic(self, since: int, tenant: int | None = None) -> list[Traffic]:
        """Returns counts from a minute on, by minute, tenant and model."""
        where, values = ("", ()) if tenant is None else ("AND tenant = ?", (tenant,))
        with self._database.reading("*" if tenant is None else [tenant]) as transaction:
            rows = transaction.rows(
                f"SELECT {', '.join(Traffic._fields)} FROM traffic WHERE minute >= ? {where} "
                "ORDER BY minute, tenant, model",
                since,
                *values,
            )
        return [Traffic(*row) for row in rows]

    def spent(self, tenant: int, since: int) -> tuple[int, float]:
        """Returns requests and cost of a tenant from a minute on."""
        with self._database.reading([tenant]) as transaction:
            [found] = transaction.rows(
                "SELECT CAST(COALESCE(sum(requests), 0) AS BIGINT), COALESCE(sum(cost), 0.0) FROM traffic "
                "WHERE tenant = ? AND minute >= ?",
                *(tenant, since),
            )
        return found


def _values(row: Traffic) -> tuple:
    check_name("traffic.model", row.model)
    return tuple(row._replace(cost=float(row.cost), seconds=float(row.seconds), rating=float(row.rating)))
