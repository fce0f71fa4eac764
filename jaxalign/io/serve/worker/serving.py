"""The worker's socket: it takes messages of :mod:`.messages`, and ends with nothing left undone."""

import asyncio
import contextlib
import os
import pathlib
import signal

from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.late import LateStore
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.worker.choices import MOST_ROWS
from jaxalign.io.serve.worker.compilations import Compilations
from jaxalign.io.serve.worker.embedders import Embedder, make_embedder
from jaxalign.io.serve.worker.messages import MessageError, read_message
from jaxalign.io.serve.worker.parts import Parts
from jaxalign.io.serve.worker.replies import Replies

LAST_REPLIES_SECONDS = 1.0  # for replies when the worker ends
LAST_SECONDS = 10.0  # for writing what waits then
FIRST_SECONDS = 60.0  # for reading the store before the socket is there


class Worker:
    """Decides, keeps and follows, for all gateways of a machine.

    Args:
      config: the settings.
      store: what lasts; it need not be there.
      embedder: of requests and responses.
      rows: the most requests that are decided at once, a power of two.
    """

    def __init__(self, config: ServeConfig, store: Store, embedder: Embedder, *, rows: int = MOST_ROWS):
        self._embedder, self._compilations = embedder, Compilations()
        self._parts = Parts(config, store, embedder, self._compilations, rows=rows)
        self._replies = Replies(config, embedder, self._parts)
        self._connections: set[asyncio.Task] = set()

    async def run(self, path: str, ended: asyncio.Event) -> None:
        """Serves until it is told to end; then what waits is decided and written.

        Args:
          path: of the socket; what is there is replaced.
          ended: set when it is to end.
        """
        parts, loop = self._parts, asyncio.get_running_loop()
        parts.followed = lambda followed: loop.call_soon_threadsafe(parts.forget, followed)
        await asyncio.to_thread(self._embedder.warm_up)
        await asyncio.to_thread(parts.choices.prepare, parts.memory.view)
        await asyncio.to_thread(parts.memory.warm_up)
        for each in (parts.decider, parts.keeper, parts.follower):
            each.start()
        with contextlib.suppress(Exception):  # a store that is not there
            await asyncio.wait_for(parts.catch_up(), FIRST_SECONDS)
        pathlib.Path(path).unlink(missing_ok=True)
        mask = os.umask(0o177)  # nobody else's process may ask or answer
        try:
            server = await asyncio.start_unix_server(self._connected, path)
        finally:
            os.umask(mask)
        try:
            await ended.wait()
        finally:
            server.close()
            await self._close()
            pathlib.Path(path).unlink(missing_ok=True)

    async def _close(self) -> None:
        parts = self._parts
        await asyncio.to_thread(parts.decider.close)
        await self._replies.close(LAST_REPLIES_SECONDS)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.to_thread(parts.keeper.close, LAST_SECONDS)
        await asyncio.to_thread(parts.follower.close)
        parts.identities.close()
        self._compilations.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        self._connections.add(connection)
        try:
            while (message := await read_message(reader)) is not None:
                self._replies.take(message, writer)
        except (MessageError, OSError):
            self._replies.wrong += 1
        except asyncio.CancelledError:  # the worker ends
            return
        finally:
            self._connections.discard(connection)
            self._replies.gone(writer)
            writer.close()


def run_worker(config: ServeConfig, socket_path: str) -> None:
    """Runs a worker until SIGTERM or SIGINT; then what waits is written.

    Args:
      config: the settings.
      socket_path: of the Unix socket.
    """
    embedder = make_embedder(config.embedder, seconds=config.routing.deadline_seconds)
    store = LateStore(lambda: open_store(config.store, config.folder))

    async def serve() -> None:
        ended = asyncio.Event()
        for kind in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(kind, ended.set)
        await Worker(config, store, embedder).run(socket_path, ended)

    try:
        asyncio.run(serve())
    finally:
        store.close()
        embedder.close()
