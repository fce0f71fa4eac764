"""Connections that threads share: each is used by one thread at a time, and kept for the next.

Not psycopg_pool: that reconnects in the background with growing pauses, and while a server is away each caller waits
for its timeout. Here a caller connects by itself and learns at once that the server is away, or is back.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from jaxalign.io.serve.store.protocol import StoreError


class Connections:
    """Lends connections, at most so many at once."""

    def __init__(self, connect: Callable[[], Any], usable: Callable[[Any], bool], most: int, patience: float):
        """Makes an empty pool; the first connections are made when they are asked for.

        Args:
          connect: makes a connection, which has a method ``close``.
          usable: says whether a connection that was lent before may be lent again.
          most: the number of connections at once.
          patience: seconds that a caller waits for one.
        """
        self._connect, self._usable, self._most, self._patience = connect, usable, most, patience
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._closed = False

    @contextlib.contextmanager
    def lend(self) -> Iterator[Any]:
        """Gives a connection for a block; one that is not usable after it is closed.

        Raises:
          StoreError: the store is closed, or all connections were in use for too long.
        """
        if not self._free.acquire(timeout=self._patience):
            raise StoreError(
                f"all {self._most} connections to the store were in use for {self._patience} s: it is slow, or asked "
                "for too much at once; ask later"
            )
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Closes what is idle now, and what is lent when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Any:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreError("the store is closed; open it again")
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            if self._usable(connection):
                return connection
            connection.close()

    def _give_back(self, connection: Any) -> None:
        usable = self._usable(connection)
        with self._lock:
            kept = usable and not self._closed
            if kept:
                self._idle.append(connection)
        if not kept:
            connection.close()
