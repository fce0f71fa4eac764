"""What uvicorn leaves open: a client that opens a connection and takes its time with the head of a request."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def bounded_protocol(header_seconds: float) -> type[H11Protocol]:
    """Makes uvicorn's protocol for HTTP/1.1 with a limit on the time that the head of a request may take.

    Args:
      header_seconds: from its first byte, or from the connection's beginning.

    Returns:
      A class for ``uvicorn.Config(http=...)``.
    """

    class BoundedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport):
            super().connection_made(transport)
            self._watch()

        def data_received(self, data):
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc):
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self):
            if self.conn.their_state is not h11.IDLE:
                self._unwatch()
            elif self._timer is None and not self.transport.is_closing():
                self._timer = self.loop.call_later(header_seconds, self.transport.close)

        def _unwatch(self):
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return BoundedProtocol
