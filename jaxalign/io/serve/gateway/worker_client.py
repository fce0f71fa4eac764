"""The gateway's end of the worker's socket: decisions within a deadline, and news without waiting.

A worker that is absent, slow or broken costs a request at most the deadline, and after a failure nothing at all until
the connection is there again.
"""

import asyncio
import contextlib
import itertools
import logging
from typing import Any

from jaxalign.io.serve.worker.messages import MessageError, read_message, write_message

LOG = logging.getLogger("jaxalign.serve")

RETRY_SECONDS = 0.5
MOST_WAITING = 2**22  # bytes that the worker has not taken yet; beyond, news is dropped and counted


class WorkerGone(Exception):
    """The worker gave no answer: its message says why in a word, for headers and counts."""


class WorkerClient:
    """A connection to the worker that comes back by itself.

    Args:
      path: of the Unix socket.
    """

    def __init__(self, path: str):
        self.path = path
        self.dropped = 0  # pieces of news that the worker did not get
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task | None = None

    async def start(self) -> None:
        """Begins to connect, for as long as the client lives."""
        self._task = asyncio.create_task(self._keep_connected())

    async def close(self) -> None:
        """Ends the connection; news that was written is delivered before."""
        if self._writer is not None:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(self._writer.drain(), 1.0)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def connected(self) -> bool:
        """Says whether there is a worker."""
        return self._writer is not None

    async def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Returns the worker's reply.

        Args:
          message: with its "op".
          seconds: the deadline.

        Raises:
          WorkerGone: there is no worker, it did not reply in time, or it replied with an error.
        """
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._write({**message, "id": number})
            async with asyncio.timeout(seconds):
                reply = await future
        except TimeoutError:
            raise WorkerGone("deadline") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in reply:
            LOG.warning("the worker: %s", reply["error"])
            raise WorkerGone("worker error")
        return reply

    def tell(self, message: dict[str, Any]) -> None:
        """Sends news that wants no reply; where that cannot be, it is dropped and counted.

        Args:
          message: with its "op".
        """
        try:
            self._write(message)
        except WorkerGone:
            self.dropped += 1

    def _write(self, message: dict[str, Any]) -> None:
        if self._writer is None:
            raise WorkerGone("no worker")
        if self._writer.transport.get_write_buffer_size() > MOST_WAITING:
            raise WorkerGone("worker busy")
        try:
            write_message(self._writer, message)
        except (OSError, MessageError):
            raise WorkerGone("no worker") from None

    async def _keep_connected(self) -> None:
        while True:
            with contextlib.suppress(OSError, MessageError):
                reader, self._writer = await asyncio.open_unix_connection(self.path)
                try:
                    await self._read(reader)
                finally:
                    self._lose()
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while (message := await read_message(reader)) is not None:
            future = self._waiting.get(message.get("id"))
            if future is not None and not future.done():
                future.set_result(message)

    def _lose(self) -> None:
        """Lets nobody wait for a worker that is gone."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WorkerGone("no worker"))
