"""Calls of the store from the event loop: in threads, each with a time, and none while the store is known gone."""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from jaxalign.io.serve.store.protocol import Store, StoreError

Value = TypeVar("Value")

THREADS = 8
REST_SECONDS = 1.0  # for which a store that failed is not asked by requests that can do without it

CLOSE_SECONDS = 5.0  # for calls that are under way when the gateway ends


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
        self._look: asyncio.Future | None = None  # the latest look at whether the store is there

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

    async def replies(self, seconds: float) -> bool:
        """Says whether the store replies in time. However often this is asked, one call is under way at most.

        Args:
          seconds: to wait.
        """
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(self._call(self._pool, self._replies))
        await asyncio.wait([self._look], timeout=seconds)
        return self._look.done() and self._look.result()

    def _replies(self) -> bool:
        try:
            self.store.born()
        except StoreError:
            return False
        return True

    def close(self) -> None:
        """Closes the store after the calls that are under way; those of a store that hangs are left alone."""
        closing = threading.Thread(target=self._close, daemon=True, name="store-close")
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _close(self) -> None:
        for pool in (self._pool, self._patient):
            pool.shutdown(cancel_futures=True)
        self.store.close()

    async def _call(self, pool, method, *args, **named):
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: method(*args, **named))
