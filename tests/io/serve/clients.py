"""Clients that ask one after the other without a pause, rate what they are told, and keep a record of all of it."""

import asyncio
import collections
import contextlib
import itertools
import json
import time
from typing import NamedTuple

import httpx

# HAProxy neither logs nor answers what breaks behind a client's second request on a connection: it just closes it.
HEADERS = {"authorization": "Bearer k1", "connection": "close"}
PATIENCE = 30.0  # seconds
EQUAL = 30  # requests after which those who ask the same ask something else
REFUSED = "refused"
KINDS = ("equal", "stream", "plain")  # of chats; those who ask the same and those who do not have whole answers


class Asked(NamedTuple):
    """One request, and what came of it."""

    kind: str  # of a chat, or "feedback"
    name: str  # its x-request-id
    began: float
    ended: float
    fault: str  # "" for none; REFUSED is no failure
    cached: bool = False


class Refused(Exception):
    """Feedback was turned down, for as long as the store is away."""


class Clients:
    """Clients of a model that echoes: so many of each kind, and twice as many who ask the same."""

    def __init__(self, url, each=1):
        self._url, self._each, self._ended = url, each, False
        self.asked = []
        self.kept = {}  # scores of feedback that was acknowledged, by interaction
        self._numbers, self._news = itertools.count(), asyncio.Condition()

    @property
    def failed(self):
        """Requests that had no answer, or a wrong one."""
        return [each for each in self.asked if each.fault not in ("", REFUSED)]

    @property
    def refused(self):
        """Feedback that was turned down with a word of when to come again."""
        return [each for each in self.asked if each.fault == REFUSED]

    def count(self, since=0.0):
        """How many went well, of those that began since then, by kind."""
        return collections.Counter(each.kind for each in self.asked if not each.fault and each.began > since)

    @contextlib.asynccontextmanager
    async def asking(self):
        """Asks while the context lasts; requests under way at its end are completed."""
        async with httpx.AsyncClient(base_url=f"{self._url}/v1", headers=HEADERS, timeout=PATIENCE) as http:
            tasks = [asyncio.create_task(self._ask_on(http, kind)) for kind in [*KINDS, "equal"] * self._each]
            try:
                yield self
            finally:
                self._ended = True
                await asyncio.gather(*tasks)

    async def until(self, condition):
        """Waits until it is so, and looks after each answer."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    async def shared(self):
        """Waits until somebody has the answer of another who asked the same, from now on."""
        since = time.monotonic()
        await self.until(lambda: any(each.cached and each.began > since for each in self.asked))

    async def more(self, each=1, feedback=0):
        """Waits until so many requests of each kind, which begin from now on, went well."""
        since, wanted = time.monotonic(), {**dict.fromkeys(KINDS, each), "feedback": feedback}
        await self.until(lambda: self.count(since) >= collections.Counter(wanted))

    async def _ask_on(self, http, kind):
        while not self._ended:
            interaction = await self._record(kind, lambda name: self._chat(http, kind, name))
            if interaction is not None:
                await self._record("feedback", lambda name, about=interaction: self._rate(http, about, name))

    async def _record(self, kind, ask):
        """Awaits a request; what it returns is None if it failed."""
        name, began, found, fault, cached = f"request-{next(self._numbers)}", time.monotonic(), None, "", False
        try:
            found, cached = await ask(name)
        except (httpx.TransportError, AssertionError) as error:
            fault = f"{type(error).__name__}: {error}"
        except Refused:
            fault = REFUSED
        self.asked.append(Asked(kind, name, began, time.monotonic(), fault, cached))
        async with self._news:
            self._news.notify_all()
        return found

    async def _chat(self, http, kind, name):
        number = len(self.asked) // EQUAL if kind == "equal" else name
        body = {"model": "large", "messages": [{"role": "user", "content": f"{kind} {number}"}]}
        body |= {"temperature": 0} if kind == "equal" else {"stream": kind == "stream"}
        async with http.stream("POST", "/chat/completions", json=body, headers={"x-request-id": name}) as response:
            text = (await response.aread()).decode()
        assert response.status_code == 200, f"{response.status_code} {text}"
        said = _streamed(text) if kind == "stream" else json.loads(text)["choices"][0]["message"]["content"]
        assert said == f"large says {kind} {number}", text
        return response.headers["x-jaxalign-id"], response.headers["x-jaxalign-cached"] == "true"

    async def _rate(self, http, interaction, name):
        score = int(interaction[-2:], 16) / 255  # of the interaction: who asks the same says the same
        told = {"id": interaction, "score": score}
        found = await http.post("/feedback", json=told, headers={"x-request-id": name})
        if found.status_code == 503 and "store" in found.text and "retry-after" in found.headers:
            raise Refused
        assert found.status_code == 200 and found.json()["kept"], f"{found.status_code} {found.text}"
        self.kept[interaction] = score
        return None, False


def _streamed(text):
    """What the chunks of a stream say together; the stream must come to its end."""
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events and events[-1] == "[DONE]", text
    chunks = [json.loads(event)["choices"] for event in events[:-1]]
    return "".join(choice["delta"].get("content") or "" for choices in chunks for choice in choices)
