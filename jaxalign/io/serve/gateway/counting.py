"""What is counted: for Prometheus in this process, and by minute in the store."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from jaxalign.io.serve.gateway.storage import StoreCalls
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import SHARED, Traffic

LOG = logging.getLogger("jaxalign.serve")

FLUSH_SECONDS = 2.0
CLOSE_SECONDS = 5.0
LAG_SECONDS = 0.02  # between two looks at how late the event loop is
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Counts:
    """Counters of one gateway.

    Args:
      calls: the store, to which counts by minute go.
    """

    def __init__(self, calls: StoreCalls):
        self._calls = calls
        self._minutes: dict[tuple[int, str, str], Traffic] = {}
        self._tenants = {"": SHARED}
        self._task: asyncio.Task | None = None
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "jaxalign_requests", "Answers, by model and what came of them", ["model", "outcome"], registry=registry
        )
        self.reasons = Counter(
            "jaxalign_undecided", "Requests without examples or decision, by reason", ["reason"], registry=registry
        )
        self.refused = Counter("jaxalign_refused", "Requests turned down, by status", ["status"], registry=registry)
        self.examples = Counter("jaxalign_examples", "Examples that were shown", registry=registry)
        self.estimated = Counter(
            "jaxalign_usage_estimated", "Answers whose tokens the upstream did not count", registry=registry
        )
        self.dropped = Counter(
            "jaxalign_dropped",
            "What is not learnt from though it might be, by reason",
            ["reason"],
            registry=registry,
        )
        self.store_failures = Gauge("jaxalign_store_failures", "Calls of the store that failed", registry=registry)
        self.worker = Gauge("jaxalign_worker_connected", "1 while there is a worker", registry=registry)
        self.active = Gauge("jaxalign_active_requests", "Requests in service, by model", ["model"], registry=registry)
        self.seconds = Histogram(
            "jaxalign_request_seconds", "Latency of answers", ["model"], buckets=_SECONDS, registry=registry
        )
        self.decided = Histogram(
            "jaxalign_decision_seconds", "Time until a decision", buckets=_SECONDS, registry=registry
        )
        self.lag = Histogram(
            "jaxalign_loop_lag_seconds", "How late the event loop is", buckets=_SECONDS, registry=registry
        )

    async def start(self) -> None:
        """Begins to send counts to the store and to watch the event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Sends what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), CLOSE_SECONDS)

    def add(self, tenant: str, model: str, **counts: Any) -> None:
        """Adds to the counts of this minute.

        Args:
          tenant: its name; "" for nobody.
          model: its name.
          **counts: fields of :class:`Traffic`.
        """
        key = (int(time.time() // 60), tenant, model)
        row = self._minutes.get(key, Traffic(key[0], SHARED, model))
        self._minutes[key] = row._replace(**{name: getattr(row, name) + value for name, value in counts.items()})

    async def flush(self) -> None:
        """Sends counts to the store; while it is gone they stay here."""
        rows, self._minutes = self._minutes, {}
        if not rows:
            return
        try:
            await self._calls.patient(self._write, rows)
        except StoreError:
            self._take_back(rows)

    def tenant(self, name: str) -> int:
        """Returns the store's number of a tenant. It blocks: call it in a thread.

        Args:
          name: its name.
        """
        if name not in self._tenants:
            self._tenants[name] = self._calls.store.identify(name, "", "").tenant
        return self._tenants[name]

    def render(self) -> bytes:
        """Returns everything in the format of Prometheus."""
        self.store_failures.set(self._calls.failures)
        return prometheus_client.generate_latest(self.registry)

    def _write(self, rows: Mapping[tuple[int, str, str], Traffic]) -> None:
        self._calls.store.add_traffic([row._replace(tenant=self.tenant(key[1])) for key, row in rows.items()])

    def _take_back(self, rows: Mapping[tuple[int, str, str], Traffic]) -> None:
        for key, row in rows.items():
            counts = zip(Traffic._fields[3:], row[3:], strict=True)
            now = self._minutes.get(key, row._replace(**dict.fromkeys(Traffic._fields[3:], 0)))
            self._minutes[key] = now._replace(**{name: getattr(now, name) + value for name, value in counts})

    async def _run(self) -> None:
        flushed = time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_SECONDS)
            now = time.monotonic()
            self.lag.observe(max(now - before - LAG_SECONDS, 0.0))
            if now - flushed > FLUSH_SECONDS:
                flushed = now
                try:
                    await self.flush()
                except Exception:  # a count must never end the counting
                    LOG.exception("counts of some minutes were lost")
