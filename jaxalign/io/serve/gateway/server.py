"""A gateway on uvicorn, within its limits."""

import logging

import uvicorn

from jaxalign.io.serve.admin.pages import admin_routes
from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.gateway.app import Gateway, make_app
from jaxalign.io.serve.gateway.bounds import bounded_protocol
from jaxalign.io.serve.store.protocol import Store

GRACE_SECONDS = 30  # for answers that are under way when the server is told to stop


def make_server(config: ServeConfig, store: Store, socket: str) -> uvicorn.Server:
    """Makes a server whose ``run()`` serves until SIGTERM or SIGINT, and then completes what is under way.

    Args:
      config: the settings.
      store: its methods block.
      socket: the path of the worker's socket.
    """
    limits = config.limits
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    gateway = Gateway(config, store, socket)
    pages = admin_routes(store, gateway.calls.patient, config, gateway.status, flush=gateway.flush)
    settings = uvicorn.Config(
        make_app(gateway, pages),
        host=config.host,
        port=config.port,
        http=bounded_protocol(limits.header_seconds),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,  # paths hold names of users
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=int(limits.keep_alive_seconds),
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    return uvicorn.Server(settings)


def _is_news(record: logging.LogRecord) -> bool:
    """An answer that is cut on purpose, because its upstream or client is gone, is counted and not logged."""
    return not record.getMessage().startswith("ASGI callable returned without")
