"""A gateway on uvicorn, within its limits."""

import asyncio
import logging
import socket
import time

import uvicorn
from starlette.routing import BaseRoute

from jaxalign.io.serve.admin.pages import admin_routes
from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.gateway.app import Gateway, make_app
from jaxalign.io.serve.gateway.bounds import SPARE_CONNECTIONS, bounded_app, bounded_protocol
from jaxalign.io.serve.store.protocol import Store

GRACE_SECONDS = 30  # for answers that are under way when the server is told to stop, after limits.drain_seconds
LOOK_SECONDS = 0.1


class GatewayServer(uvicorn.Server):
    """A server that, told to stop, first says at /readyz that it wants no more requests, and still takes them.

    Without this a balancer would send requests to a socket that is closed already.

    Args:
      gateway: whose requests it takes.
      settings: of uvicorn, without the application.
      pages: further routes.
    """

    def __init__(self, gateway: Gateway, settings: dict, pages: list[BaseRoute]):
        limits, refused = gateway.config.limits, gateway.counts.refused.labels(503)
        app = bounded_app(make_app(gateway, pages), limits, lambda: len(self.server_state.connections), refused.inc)
        super().__init__(uvicorn.Config(app, **settings))
        self._gateway, self._seconds = gateway, limits.drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits for the balancers, then ends the server as uvicorn does. A second SIGINT ends the wait.

        Args:
          sockets: that it was given.
        """
        self._gateway.draining = True
        closing = (b"connection", b"close")  # so that clients with open connections come by another one
        self.server_state.default_headers = [*self.server_state.default_headers, closing]
        until = time.monotonic() + self._seconds
        while time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(LOOK_SECONDS)
        await super().shutdown(sockets)


def make_server(config: ServeConfig, store: Store, worker: str) -> GatewayServer:
    """Makes a server whose ``run()`` serves until SIGTERM or SIGINT, and then completes what is under way.

    Args:
      config: the settings.
      store: its methods block.
      worker: the path of the worker's socket.
    """
    limits = config.limits
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    gateway = Gateway(config, store, worker)
    pages = admin_routes(store, gateway.calls.patient, config, gateway.status, flush=gateway.flush)
    settings = {
        "host": config.host,
        "port": config.port,
        "http": bounded_protocol(limits.header_seconds),
        "ws": "none",
        "lifespan": "on",
        "log_level": "warning",
        "access_log": False,  # paths hold names of users
        "server_header": False,
        "limit_concurrency": limits.connections + SPARE_CONNECTIONS,
        "timeout_keep_alive": int(limits.keep_alive_seconds),
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "h11_max_incomplete_event_size": limits.header_bytes,
    }
    return GatewayServer(gateway, settings, pages)


def _is_news(record: logging.LogRecord) -> bool:
    """An answer that is cut on purpose, because its upstream or client is gone, is counted and not logged."""
    return not record.getMessage().startswith("ASGI callable returned without")
