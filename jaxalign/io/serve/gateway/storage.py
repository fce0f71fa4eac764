"""Calls of the store from the event loop: in threads, each with a time, and none while the store is known gone."""

import asyncio
import concurrent.futures
import time
from collections.abc import Callable
from typing import Any, TypeVar

from jaxalign.io.serve.store.protocol import Store, StoreError

Value = TypeVar("Value")

THREADS = 8
REST_SECONDS = 1.0  # for which a store that failed is not asked by requests that can do without it


class StoreCalls:
    """The store, as the gateway uses it.

    Args:
      store: its methods block.
    """

    def __init__(self, store: Store):
        self.store = store
        self.failures = 0
        self._pool = concurrent.futures.ThreadPoolExecutor(THREADS, "store")
        # Patient calls have threads of their own: a store that hangs would else keep deletions behind look-ups.
        self._patient = concurrent.futures.ThreadPoolExecutor(2, "store-patient")
        self._rests_until = 0.0

    async def quick(self, seconds: float, method: Callable[..., Value], *args: Any, **named: Any) -> Value:
        """Calls a method that a request can do without.

        Args:
          seconds: that it may take.
          method: of the store.
          *args: for it.
          **named: for it.

        Raises:
          StoreError: it failed, took too long, or the store failed a moment ago.
        """
        if time.monotonic() < self._rests_until:
            raise StoreError("the store failed a moment ago")
        try:
            async with asyncio.timeout(seconds):
                return await self._call(self._pool, method, *args, **named)
        except (StoreError, TimeoutError) as error:
            self.failures += 1
            self._rests_until = time.monotonic() + REST_SECONDS
            raise StoreError(str(error) or f"no reply in {seconds:g} s") from error

    async def patient(self, method: Callable[..., Value], *args: Any, **named: Any) -> Value:
        """Calls a method whose success is acknowledged to somebody.

        Args:
          method: of the store.
          *args: for it.
          **named: for it.

        Raises:
          StoreError: it failed.
        """
        return await self._call(self._patient, method, *args, **named)

    def close(self) -> None:
        """Waits for calls that are under way, and closes the store."""
        for pool in (self._pool, self._patient):
            pool.shutdown(cancel_futures=True)
        self.store.close()

    async def _call(self, pool, method, *args, **named):
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: method(*args, **named))
