"""Faults of a server on demand, written as ``cut=3,slow=0.1``: a status, a cut, silence, garbage, an error inside.

    status=503         the answer is this status, with an error object; ``status=429@2`` asks to wait 2 seconds
    drop               the connection is closed without a byte
    cut=K              the connection is closed after K events of a stream, or K bytes of a whole body
    stall=S, stall=S@K   S seconds of silence before the first byte, or after K events of a stream
    slow=S             S seconds before each event of a stream, or before a whole body
    garbage, garbage=K   what is neither JSON nor an event stands in place of the body, or after K events of a stream
    error_event=K      an error object comes after K events of a stream, which then ends without [DONE]

Status, headers and length of an answer come before its fault, where the fault is not one of the first two.
"""

import asyncio
import dataclasses
import math

from starlette.requests import Request
from starlette.types import Message, Send

from jaxalign.io.serve.upstream import wire
from jaxalign.io.serve.upstream.app import Ended
from jaxalign.io.serve.upstream.backend import Refused

GARBAGE = b"\x00\xff<html>not what you asked for\n\n"


@dataclasses.dataclass(frozen=True)
class Faults:
    """What goes wrong with one answer."""

    status: int = 0  # 0 for none
    retry_after: str = ""  # seconds, for the header of that status
    drop: bool = False
    cut: float | int = math.inf  # events or bytes
    stall: float | int = 0.0  # seconds
    stall_after: int = 0  # events
    slow: float | int = 0.0  # seconds
    garbage: float | int = math.inf  # events
    error_event: float | int = math.inf  # events


def parse_faults(text: str) -> Faults:
    """Returns the faults that a text asks for.

    Args:
      text: as the module describes; empty for none.

    Raises:
      ValueError: a fault that is not known, or a value that is not of its kind.

    >>> parse_faults("cut=3, slow=0.1") == Faults(cut=3, slow=0.1)
    True
    """
    found: dict[str, float | str | bool] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, value = part.partition("=")
        first, _, second = value.partition("@")
        try:
            found |= _FAULTS[name](first, second)
        except (KeyError, ValueError) as error:
            raise ValueError(f"expected faults such as status=503, cut=3 or stall=2@1, got {part!r}") from error
    return Faults(**found)


_FAULTS = {
    "status": lambda first, second: {"status": _status(first), "retry_after": second},
    "drop": lambda first, second: {"drop": True},
    "cut": lambda first, second: {"cut": int(first)},
    "stall": lambda first, second: {"stall": float(first), "stall_after": int(second or 0)},
    "slow": lambda first, second: {"slow": float(first)},
    "garbage": lambda first, second: {"garbage": int(first or 0)},
    "error_event": lambda first, second: {"error_event": int(first)},
}


def _status(text: str) -> int:
    if not 400 <= int(text) <= 599:
        raise ValueError(f"expected a status from 400 to 599, got {text}")
    return int(text)


def begin(faults: Faults, request: Request) -> None:
    """Does what comes in place of an answer.

    Args:
      faults: what goes wrong.
      request: the request, on a server of :mod:`jaxalign.io.serve.upstream.running`.

    Raises:
      Refused: a status was asked for.
      Ended: the connection was dropped.
    """
    if faults.drop:
        request.state.transport.abort()
        raise Ended
    if faults.status:
        headers = {"retry-after": faults.retry_after} if faults.retry_after else {}
        raise Refused(faults.status, "this fault was asked for", code="simulated_fault", headers=headers)


def disturbed(faults: Faults, send: Send) -> Send:
    """Returns a ``send`` by which faults get into an answer.

    Args:
      faults: what goes wrong.
      send: takes the answer's ASGI messages.
    """
    events, streamed = 0, False

    async def faulty(message: Message) -> None:
        nonlocal events, streamed
        if message["type"] == "http.response.start":
            streamed = (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
            if not faults.stall_after:
                await asyncio.sleep(faults.stall)
            await send(message)
        elif not streamed:
            await asyncio.sleep(faults.slow)
            await send(_spoilt(faults, message))
            if faults.cut < len(message["body"]):
                raise Ended
        else:
            await _before(faults, events, send)
            await send(message)
            events += bool(message["body"])

    return faulty


def _spoilt(faults: Faults, message: Message) -> Message:
    """A whole body with its faults, of the length that was announced."""
    body = message["body"]
    if faults.garbage == 0:
        body = (GARBAGE * (len(body) // len(GARBAGE) + 1))[: len(body)]
    if faults.cut < len(body):
        return message | {"body": body[: int(faults.cut)], "more_body": True}
    return message | {"body": body}


async def _before(faults: Faults, events: int, send: Send) -> None:
    """What happens in a stream when so many events were sent."""
    if faults.stall_after and events == faults.stall_after:
        await asyncio.sleep(faults.stall)
    await asyncio.sleep(faults.slow)
    if events == faults.cut:
        raise Ended
    if events == faults.garbage:
        await send({"type": "http.response.body", "body": GARBAGE, "more_body": False})
        raise Ended
    if events == faults.error_event:
        error = Refused(500, "this fault was asked for", code="simulated_fault").error()
        await send({"type": "http.response.body", "body": wire.event(error), "more_body": False})
        raise Ended
