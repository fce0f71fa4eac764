"""The application of simulated models, which counts what it was asked.

``GET /counts`` has requests by model and by a hash of the body, how many are under way, and how many clients left;
``DELETE /counts`` begins anew. ``POST /faults`` with ``{"faults": ["status=503", ""]}`` says what goes wrong with the
next answers, one each; the header ``x-fault`` says it of its own request, and else the model's settings do.
"""

import collections
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Message, Send

from jaxalign.io.serve.simulated import faults
from jaxalign.io.serve.simulated.models import MODELS, SimulatedBackend, SimulatedModel
from jaxalign.io.serve.upstream import running
from jaxalign.io.serve.upstream.app import create_app
from jaxalign.io.serve.upstream.backend import Body, Refused
from jaxalign.io.serve.upstream.requests import read_object

MOST_BODIES = 100_000


class Counts:
    """What a simulated server was asked.

    Attributes:
      models: requests by model.
      bodies: requests by :func:`body_hash`, the latest :data:`MOST_BODIES` of them.
      forgotten: hashes that there was no more room for.
      answered: answers that were sent to their end, whatever went wrong on the way.
    """

    def __init__(self):
        self.clear()

    def clear(self) -> None:
        """Begins anew."""
        self.models: collections.Counter[str] = collections.Counter()
        self.bodies: dict[str, int] = {}
        self.forgotten = self.answered = 0

    def add(self, body: Body) -> None:
        """Counts a request.

        Args:
          body: the request.
        """
        key = body_hash(body)
        self.models[body["model"]] += 1
        self.bodies[key] = self.bodies.pop(key, 0) + 1
        if len(self.bodies) > MOST_BODIES:
            del self.bodies[next(iter(self.bodies))]
            self.forgotten += 1

    def as_json(self) -> dict[str, Any]:
        """Returns the counts as JSON holds them; ``unfinished`` are requests under way, cut, refused or left alone."""
        unfinished = self.models.total() - self.answered
        known = {"models": dict(self.models), "bodies": dict(self.bodies), "forgotten": self.forgotten}
        return known | {"answered": self.answered, "unfinished": unfinished}


def body_hash(body: Body) -> str:
    """Returns the hash by which equal requests are counted.

    Args:
      body: the request; the order of its names does not count.
    """
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


class Simulated:
    """Simulated models with their counts and faults.

    Args:
      models: with names that differ.
      key: the API key that clients must show; empty for none.

    Attributes:
      app: the application.
      counts: what it was asked.
      faults: what goes wrong with the next answers, one text each.
      url: the server's URL up to and with ``/v1``, where :func:`serving` made it.
    """

    def __init__(self, models: Sequence[SimulatedModel] = MODELS, *, key: str = ""):
        self.counts, self.faults, self.url, self._key = Counts(), collections.deque(), "", key
        self._backend = SimulatedBackend(models)
        self.app: Starlette = create_app(
            self._backend,
            disturb=self._disturb,
            routes=[
                Route("/counts", self._counts, methods=["GET", "DELETE"]),
                Route("/faults", self._faults, methods=["POST"]),
            ],
        )

    async def _disturb(self, request: Request, body: Body, send: Send) -> Send:
        self.counts.add(body)
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            raise Refused(401, "the API key is not the one that was expected", code="invalid_api_key")
        asked = self._backend.by_name[body["model"]].faults
        with contextlib.suppress(IndexError):
            asked = self.faults.popleft()
        found = _parsed(request.headers.get("x-fault", asked))
        faults.begin(found, request)

        async def counted(message: Message) -> None:
            # Before it is sent: who has the answer finds it counted.
            self.counts.answered += message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        return faults.disturbed(found, counted)

    async def _counts(self, request: Request) -> JSONResponse:
        if request.method == "DELETE":
            self.counts.clear()
        return JSONResponse(self.counts.as_json())

    async def _faults(self, request: Request) -> JSONResponse:
        found = read_object(await request.body()).get("faults")
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise Refused(400, f'expected {{"faults": ["status=503", ""]}}, got {found!r:.80}', param="faults")
        for each in found:
            _parsed(each)
        self.faults.extend(found)
        return JSONResponse({"faults": list(self.faults)})


def _parsed(text: str) -> faults.Faults:
    try:
        return faults.parse_faults(text)
    except ValueError as error:
        raise Refused(400, str(error), param="x-fault") from error


@contextlib.contextmanager
def serving(models: Sequence[SimulatedModel] = MODELS, *, key: str = "") -> Iterator[Simulated]:
    """Gives simulated models that are served in a thread of this process, on a free port.

    Args:
      models: with names that differ.
      key: the API key that clients must show; empty for none.

    Returns:
      A context manager of the :class:`Simulated`, whose ``url`` clients are given.
    """
    simulated = Simulated(models, key=key)
    with running.in_thread(simulated.app) as url:
        simulated.url = url
        yield simulated
