"""What uvicorn leaves open: clients that take their time with the head of a request, and too many of them at once."""

import asyncio
from collections.abc import Callable

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from jaxalign.io.serve.config import Limits
from jaxalign.io.serve.gateway.delivery import Delivery
from jaxalign.io.serve.gateway.errors import ApiError

SPARE_CONNECTIONS = 64  # for those who look after the server; beyond them uvicorn turns everybody down
ALWAYS = ("/healthz", "/readyz", "/metrics")


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


def bounded_app(
    app: ASGIApp, limits: Limits, connections_fn: Callable[[], int], refused_fn: Callable[[], None]
) -> ASGIApp:
    """Wraps an application so that it turns requests down while there are too many connections.

    Whoever watches over the server has an answer meanwhile: a busy server must not be taken for a dead one.

    Args:
      app: the application.
      limits: with the number of connections.
      connections_fn: returns how many there are.
      refused_fn: called for each request that is turned down.

    Returns:
      The application, with an answer of status 503 in place of the application's.
    """

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS or connections_fn() <= limits.connections:
            await app(scope, receive, send)
            return
        refused_fn()
        error = ApiError(503, f"there are over {limits.connections} connections; come again", "server_error", 1.0)
        headers = [("content-type", "application/json"), ("retry-after", "1"), ("connection", "close")]
        await Delivery(send, limits.send_seconds).whole(error.status, headers, error.body())

    return bounded
