"""One upstream call for equal requests that are asked at once, in this process and in all that share the store.

The first one makes the call, the others wait for its answer. A leader renews its claim; one that falls silent is
followed by exactly one other. If the store is gone, requests of this process still share a call.
"""

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from jaxalign.io.serve.gateway.storage import StoreCalls
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import Flight, Identity

POLL_SECONDS = 0.05
STORE_SECONDS = 0.5
GRACE_SECONDS = 1.0  # for which a complete answer is kept at least, so that those who wait elsewhere find it


class Answered(NamedTuple):
    """A complete answer, for those who asked the same."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def to_bytes(self) -> bytes:
        """Returns it as the store keeps it."""
        body = base64.b64encode(self.body).decode()
        return json.dumps({"status": self.status, "headers": self.headers, "body": body}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Answered":
        """Reads what :meth:`to_bytes` made.

        Args:
          data: from the store.
        """
        found = json.loads(data)
        headers = [(name, value) for name, value in found["headers"]]
        return cls(found["status"], headers, base64.b64decode(found["body"]))


class Lead:
    """The right to make the call; :meth:`land` gives its answer to the others."""

    def __init__(self):
        self.answer: Answered | None = None

    def land(self, answer: Answered) -> None:
        """Notes the complete answer.

        Args:
          answer: what the others get.
        """
        self.answer = answer


class Flights:
    """Calls that are under way.

    Args:
      calls: the store.
      seconds: after which a silent leader is taken for dead.
      keep_seconds: for which an answer is shared after it is complete.
    """

    def __init__(self, calls: StoreCalls, seconds: float, keep_seconds: float):
        self._calls, self._store = calls, calls.store
        self._seconds, self._keep = seconds, max(keep_seconds, GRACE_SECONDS)
        self._here: dict[str, asyncio.Future[Answered | None]] = {}

    @contextlib.asynccontextmanager
    async def join(self, key: str, identify: Callable[[], Identity]) -> AsyncIterator[Lead | Answered]:
        """Gives the answer of an equal request, or the lead.

        A leader that leaves without an answer lets the next one lead.

        Args:
          key: what equal requests share.
          identify: blocks and returns who asks.
        """
        while (awaited := self._here.get(key)) is not None:
            if (shared := await asyncio.shield(awaited)) is not None:
                yield shared
                return
        future = self._here[key] = asyncio.get_running_loop().create_future()
        answer = None
        try:
            async with self._among_all(key, identify) as got:
                yield got
                answer = got if isinstance(got, Answered) else got.answer
        finally:
            del self._here[key]
            future.set_result(answer)

    @contextlib.asynccontextmanager
    async def _among_all(self, key: str, identify) -> AsyncIterator[Lead | Answered]:
        holder = secrets.token_hex(8)
        try:
            flight = await self._claim(key, identify, holder)
        except StoreError:
            yield Lead()
            return
        if flight.state == "done":
            yield Answered.from_bytes(flight.body)
            return
        lead, renewing = Lead(), asyncio.create_task(self._renew(key, holder))
        try:
            yield lead
        finally:
            renewing.cancel()
            await asyncio.shield(self._settle(key, holder, lead.answer))

    async def _claim(self, key: str, identify, holder: str) -> Flight:
        """Waits until this caller leads or the answer is there."""
        who = await self._calls.quick(STORE_SECONDS, identify)
        begin = (self._store.begin_flight, key, who.tenant, who.user, holder, self._seconds)
        while (flight := await self._calls.quick(STORE_SECONDS, *begin)).state == "wait":
            await asyncio.sleep(POLL_SECONDS)
        return flight

    async def _renew(self, key: str, holder: str) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            with contextlib.suppress(StoreError):
                await self._calls.quick(STORE_SECONDS, self._store.renew_flight, key, holder, self._seconds)

    async def _settle(self, key: str, holder: str, answer: Answered | None) -> None:
        with contextlib.suppress(StoreError):
            if answer is None:
                await self._calls.quick(STORE_SECONDS, self._store.abandon_flight, key, holder)
            else:
                keep = self._keep if answer.status == 200 else GRACE_SECONDS
                finish = (self._store.finish_flight, key, holder, answer.to_bytes(), keep)
                await self._calls.quick(STORE_SECONDS, *finish)
