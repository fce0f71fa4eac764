"""A whole server that lasts as long as a test, an experiment or a measurement."""

import contextlib
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx

from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.starting import prepare

START_SECONDS = 180.0
LOOK_SECONDS = 0.1


class Trial(NamedTuple):
    """A server's processes."""

    config: ServeConfig  # with the URLs of its upstreams
    urls: list[str]  # of its gateways, without /v1
    processes: dict[str, subprocess.Popen]  # by name: worker, learner, gateway 0, ...


@contextlib.contextmanager
def serving(config: ServeConfig, *, gateways: int = 1) -> Iterator[Trial]:
    """Gives a server whose gateways answer and have a worker; its processes end with the context.

    Args:
      config: the settings; the port must be free, and those after it if there are more gateways.
      gateways: how many.

    Raises:
      RuntimeError: a process ended at the start, or there was no worker in time.
    """
    start = prepare(config, gateways=gateways)
    urls = [f"http://{config.host}:{config.port + number}" for number in range(gateways)]
    with contextlib.ExitStack() as stack:
        running = {}
        for process in start.processes:
            running[process.name] = stack.enter_context(begin(process.arguments))
            stack.callback(running[process.name].terminate)
        for url in urls:
            wait_until_ready(url, running)
        yield Trial(start.config, urls, running)


def begin(arguments) -> subprocess.Popen:
    """Begins a process of this Python.

    Args:
      arguments: behind ``python``.
    """
    return subprocess.Popen([sys.executable, *arguments], cwd=pathlib.Path.cwd())


def wait_until_ready(url: str, running: dict[str, subprocess.Popen] | None = None, *, worker: bool = True) -> None:
    """Waits until a gateway answers and has a worker.

    Args:
      url: the gateway's, without /v1.
      running: processes that must not end meanwhile.
      worker: whether to wait for the worker too.

    Raises:
      RuntimeError: one ended, or there was no worker in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for name, process in (running or {}).items():
            if process.poll() is not None:
                raise RuntimeError(f"the {name} ended with status {process.returncode}; its messages are above")
        with contextlib.suppress(httpx.TransportError):
            found = httpx.get(f"{url}/readyz", timeout=5.0).json()
            if found["ready"] and (found["worker"] == "ok" or not worker):
                return
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"expected a gateway with a worker at {url} after {START_SECONDS:.0f} s")
