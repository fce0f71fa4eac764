"""Runs an ASGI application on uvicorn: for good, or in a thread of a test or an experiment."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol


class _WithTransport(H11Protocol):
    """Requests whose ``state`` has the connection: a fault may be to drop it without a word."""

    def connection_made(self, transport):
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


def bind(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Returns a listening socket, which keeps early connections until a server takes them.

    Args:
      host: the address to listen on.
      port: 0 for any that is free.

    Raises:
      OSError: the address is in use, or not of this machine; says which.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        remedy = "choose another --port, or 0 for any that is free"
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}; {remedy}") from error


def url_of(listening: socket.socket) -> str:
    """Returns the URL, up to and with ``/v1``, of a listening socket.

    Args:
      listening: from :func:`bind`.
    """
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def run(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serves until the process is told to end, and prints the URL once connections are taken.

    Args:
      app: the application.
      host: the address to listen on.
      port: 0 for any that is free.

    Raises:
      OSError: the address is in use, or not of this machine.
    """
    with contextlib.closing(bind(host, port)) as listening:
        print(f"listening on {url_of(listening)}", flush=True)
        _server(app, grace=5).run([listening])


@contextlib.contextmanager
def in_thread(app: ASGIApp) -> Iterator[str]:
    """Gives the URL, up to and with ``/v1``, of a server in a thread of this process, which ends with the context.

    Args:
      app: the application.
    """
    with contextlib.closing(bind()) as listening:
        server = _server(app, grace=0.1)
        thread = threading.Thread(target=server.run, args=([listening],), name="upstream", daemon=True)
        thread.start()
        try:
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join()


def _server(app: ASGIApp, *, grace: float) -> uvicorn.Server:
    """``grace``: seconds that requests under way have when the server ends."""
    quiet = {"log_config": None, "log_level": "error", "access_log": False, "server_header": False}
    how = {"http": _WithTransport, "ws": "none", "lifespan": "off"}
    return uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=grace, **how, **quiet))
