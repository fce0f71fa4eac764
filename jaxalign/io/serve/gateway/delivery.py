"""The client's end of an answer: parts that it must take in time, and the end of all work when it leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from jaxalign.io.serve.gateway.errors import ApiError

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ClientGone(Exception):
    """The client left, or did not take its answer in time."""


class Delivery:
    """An answer on its way.

    Args:
      send: of the ASGI server.
      seconds: that the client may leave a part untaken.
    """

    def __init__(self, send: Send, seconds: float):
        self._send, self._seconds = send, seconds
        self.started = False

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Sends the head.

        Args:
          status: of HTTP.
          headers: names and values.
        """
        self.started = True
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        await self._give({"type": "http.response.start", "status": status, "headers": pairs})

    async def write(self, part: bytes) -> None:
        """Sends a part of the body.

        Args:
          part: bytes as they are.
        """
        await self._give({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        """Ends the answer as a complete one. An answer without this is cut, and the client sees that it is."""
        await self._give({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Sends an answer that is there as a whole.

        Args:
          status: of HTTP.
          headers: names and values, without the length.
          body: all of it.
        """
        await self.start(status, [*headers, ("content-length", str(len(body)))])
        await self._give({"type": "http.response.body", "body": body, "more_body": False})

    async def _give(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except (TimeoutError, OSError) as error:
            raise ClientGone("the client does not take its answer") from error


async def while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Does the work for a client, and cancels it when the client leaves.

    Args:
      receive: of the ASGI server, after the request's body was read.
      work: that answers the client.

    Raises:
      ClientGone: the client left.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_leaves(receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone("the client left")
        await task
    finally:
        for each in (task, watcher):
            each.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def read_request(receive: Receive, most: int, seconds: float) -> bytes | None:
    """Reads the body of a request; None where it is too long.

    Args:
      receive: of the ASGI server.
      most: bytes.
      seconds: for all of it.

    Raises:
      ClientGone: the client left.
      ApiError: 408, it took too long.
    """
    parts, length = [], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone("the client left before its request was complete")
                length += len(message.get("body", b""))
                if length > most:
                    return None
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise ApiError(408, f"the request was not complete after {seconds:g} s; send it faster") from None


async def _leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
