"""A store that may not be there yet: it is opened by the first call that can, so that a process starts without it."""

import threading
import time
from collections.abc import Callable
from typing import Any

from jaxalign.io.serve.store.protocol import Store, StoreError

PAUSE_SECONDS = 1.0  # between attempts


class LateStore:
    """Has the methods of a store, and opens it when one is called; until that succeeds they raise StoreError.

    Args:
      open_fn: opens the store, or raises StoreError.
    """

    def __init__(self, open_fn: Callable[[], Store]):
        self._open_fn, self._lock = open_fn, threading.Lock()
        self._store: Store | None = None
        self._failure, self._again = "", 0.0
        self._closed = False

    def close(self) -> None:
        """Closes the store, if it was opened; later calls raise StoreError."""
        with self._lock:
            self._closed = True
            if self._store is not None:
                self._store.close()

    def _opened(self) -> Store:
        if self._store is None:
            with self._lock:
                if self._closed:
                    raise StoreError("the store is closed; open it again")
                if self._store is None:
                    self._open()
        return self._store

    def _open(self) -> None:
        if time.monotonic() < self._again:
            raise StoreError(self._failure)
        try:
            self._store = self._open_fn()
        except StoreError as error:
            self._failure, self._again = str(error), time.monotonic() + PAUSE_SECONDS
            raise


def _late(name: str) -> Callable[..., Any]:
    """The method of this name, on the store once it is open."""

    def call(self: LateStore, *args: Any, **named: Any) -> Any:
        return getattr(self._opened(), name)(*args, **named)

    return call


for _name in vars(Store):
    if not _name.startswith("_") and _name != "close":
        setattr(LateStore, _name, _late(_name))
