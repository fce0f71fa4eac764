"""The gateway as an ASGI application: routes, who may use them, and what is alive."""

import asyncio
import base64
import contextlib
import gc
import json
import struct
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from jaxalign.io.serve.config import ServeConfig, Tenant
from jaxalign.io.serve.gateway import asked as asking
from jaxalign.io.serve.gateway.callers import Budgets, Callers, Rates
from jaxalign.io.serve.gateway.chat import Chats
from jaxalign.io.serve.gateway.counting import Counts
from jaxalign.io.serve.gateway.decisions import Decider
from jaxalign.io.serve.gateway.delivery import ClientGone, Delivery, Receive, Send, read_request, while_there
from jaxalign.io.serve.gateway.errors import ApiError
from jaxalign.io.serve.gateway.storage import StoreCalls
from jaxalign.io.serve.gateway.upstreams import Upstreams
from jaxalign.io.serve.gateway.worker_client import WorkerClient, WorkerGone
from jaxalign.io.serve.store.protocol import Store, StoreError
from jaxalign.io.serve.store.rows import Feedback

STATUS_SECONDS = 1.0  # for the worker to say how it is
READY_SECONDS = 0.2  # for the store to reply; balancers that wait for a second must not take a gateway for dead
FLUSH_SECONDS = 5.0
FEEDBACK_SECONDS = 10.0  # for keeping it
FORGET_SECONDS = 300.0  # for deleting a user, for which SQLite's files are written anew
MOST_TEXTS = 64  # of a request for embeddings
EMBEDDER = "embedder"  # the name of the model at /v1/embeddings


class Gateway:
    """One gateway's parts, and what it does for each route.

    Args:
      config: the settings.
      store: its methods block.
      socket: the path of the worker's socket.
    """

    def __init__(self, config: ServeConfig, store: Store, socket: str):
        self.config, self.calls = config, StoreCalls(store)
        self.worker, self.upstreams = WorkerClient(socket), Upstreams(config)
        self.counts = Counts(self.calls)
        self.callers, self.rates = Callers(config), Rates()
        self.budgets = Budgets(self._spent)
        decider = Decider(config, self.worker, self.calls, self.counts)
        self.chats = Chats(config, self.calls, self.worker, decider, self.upstreams, self.counts)
        self.draining = False  # whether it is told to stop

    @contextlib.asynccontextmanager
    async def running(self, app: Any = None):
        """Runs what goes on beside requests.

        Args:
          app: not used; Starlette passes itself.
        """
        await self.worker.start()
        await self.counts.start()
        gc.freeze()  # what is there now stays; looking through it would hold up the event loop
        try:
            yield
        finally:
            await self.worker.close()
            await self.counts.close()
            await self.upstreams.close()
            self.calls.close()

    async def chat(self, tenant: Tenant | None, request: Request, body: bytes, delivery: Delivery) -> None:
        """Answers ``POST /v1/chat/completions``."""
        asked = asking.read_chat(body, request.headers)
        if tenant is None:
            await self.chats.answer(None, asked, delivery)
            return
        self.rates.check(tenant)
        await self.budgets.check(tenant)
        self.budgets.add_cost(tenant, await self.chats.answer(tenant, asked, delivery))

    async def feedback(self, tenant: Tenant | None, request: Request, body: bytes, delivery: Delivery) -> None:
        """Answers ``POST /v1/feedback``: what a user says of an answer. It is kept when status 200 says so."""
        who = _somebody(tenant)
        row = _read_feedback(body)
        self.rates.check(who)
        await self._patiently(FEEDBACK_SECONDS, self._keep_feedback, who.name, row)
        self.counts.add(who.name, "", rated=1, rating=row.outcome)
        await _reply(delivery, {"id": row.interaction, "kept": True})

    async def embeddings(self, tenant: Tenant | None, request: Request, body: bytes, delivery: Delivery) -> None:
        """Answers ``POST /v1/embeddings`` by the worker's embedder."""
        who = _somebody(tenant)
        found = asking.read_json(body)
        texts, form = _texts(found.get("input")), found.get("encoding_format", "float")
        if found.get("model") != EMBEDDER or form not in ("float", "base64"):
            raise ApiError(400, f"expected model {EMBEDDER!r} and encoding_format 'float' or 'base64'")
        self.rates.check(who)
        try:
            vectors = (await self.worker.ask({"op": "embed", "texts": texts}, FLUSH_SECONDS))["vectors"]
        except WorkerGone as error:
            raise ApiError(503, f"the embedder is not there ({error}); come again", "server_error", 1.0) from None
        vectors = [_base64(each) for each in vectors] if form == "base64" else vectors
        data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(vectors)]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        await _reply(delivery, {"object": "list", "model": EMBEDDER, "data": data, "usage": usage})

    async def forget(self, tenant: Tenant | None, request: Request, body: bytes, delivery: Delivery) -> None:
        """Answers ``DELETE /v1/users/{id}``: everything of a user is deleted when status 200 says so."""
        who, user = _somebody(tenant), request.path_params["user"]
        if not asking.is_name(user):
            raise ApiError(400, "the user in the path: expected printable characters")
        await self.flush()  # what the worker still holds of the user is kept first, then deleted
        deleted = await self._patiently(FORGET_SECONDS, self.calls.store.delete_user, who.name, user)
        await self.flush()
        await _reply(delivery, {"deleted": deleted._asdict()})

    async def models(self, request: Request) -> Response:
        """Answers ``GET /v1/models``."""
        self.callers.identify(request.headers)
        names = [self.config.routing.alias, *(model.name for model in self.config.models)]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "jaxalign"} for name in names]
        return JSONResponse({"object": "list", "data": data})

    async def healthz(self, request: Request) -> Response:
        """Answers ``GET /healthz``: the process lives."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Answers ``GET /readyz``: requests are welcome. Without store or worker they are, and go straight through."""
        store = "ok" if await self.calls.replies(READY_SECONDS) else "gone: requests go straight to the fallback model"
        worker = "ok" if self.worker.connected else "gone: requests go straight to the fallback model"
        found = {"ready": not self.draining, "store": store, "worker": worker}
        return JSONResponse(found, status_code=503 if self.draining else 200)

    async def metrics(self, request: Request) -> Response:
        """Answers ``GET /metrics``."""
        self.counts.worker.set(self.worker.connected)
        return Response(self.counts.render(), media_type="text/plain; version=0.0.4")

    async def status(self) -> dict[str, Any]:
        """Returns what the worker says of itself; nothing where there is none."""
        try:
            return await self.worker.ask({"op": "status"}, STATUS_SECONDS)
        except WorkerGone as error:
            return {"worker": str(error)}

    async def flush(self) -> None:
        """Waits until the worker has kept what it was told and follows the store; not for a worker that is gone."""
        with contextlib.suppress(WorkerGone):
            await self.worker.ask({"op": "flush"}, FLUSH_SECONDS)

    async def _spent(self, name: str, since: int) -> tuple[int, float]:
        return await self.calls.quick(0.2, lambda: self.calls.store.spent(self.counts.tenant(name), since))

    def _keep_feedback(self, name: str, row: Feedback) -> None:
        self.calls.store.add_feedback([row._replace(tenant=self.counts.tenant(name))])

    async def _patiently(self, seconds: float, method: Callable, *args: Any) -> Any:
        """Calls a method of the store that may safely be called again: where a reply is lost, it may have succeeded."""
        try:
            async with asyncio.timeout(seconds):
                return await self.calls.patient(method, *args)
        except (StoreError, TimeoutError) as error:
            why = str(error) or f"the store gave no reply in {seconds:g} s"
            raise ApiError(503, f"not done, or not known to be: {why}; send it again", "server_error", 2.0) from error


class Endpoint:
    """An ASGI endpoint that reads a request within bounds, answers it, and stops when the client leaves.

    Args:
      gateway: whose callers and limits hold.
      handle: awaits ``(tenant, request, body, delivery)``.
    """

    def __init__(self, gateway: Gateway, handle: Callable):
        self._gateway, self._handle = gateway, handle

    async def __call__(self, scope: dict, receive: Receive, send: Send) -> None:
        """Answers one request."""
        limits, request = self._gateway.config.limits, Request(scope)
        delivery = Delivery(send, limits.send_seconds)
        try:
            await self._answer(request, receive, delivery)
        except ApiError as error:
            self._gateway.counts.refused.labels(error.status).inc()
            headers = [("content-type", "application/json")]
            headers += [("retry-after", f"{error.retry_after:.0f}")] if error.retry_after else []
            # What is left of a body that was not read would be taken for the next request.
            headers += [("connection", "close")] if error.status in (408, 413) else []
            await delivery.whole(error.status, headers, error.body())
        except ClientGone:
            self._gateway.counts.refused.labels("client left").inc()

    async def _answer(self, request: Request, receive: Receive, delivery: Delivery) -> None:
        limits = self._gateway.config.limits
        tenant = self._gateway.callers.identify(request.headers)
        body = await read_request(receive, limits.body_bytes, limits.body_seconds)
        if body is None:
            raise ApiError(413, f"the body has more than {limits.body_bytes} bytes; shorten the messages")
        await while_there(receive, self._handle(tenant, request, body, delivery))


def make_app(gateway: Gateway, more: list[BaseRoute] | None = None) -> Starlette:
    """Makes the application.

    Args:
      gateway: its parts.
      more: further routes, such as the operators' page.
    """
    routes = [
        Route("/v1/chat/completions", Endpoint(gateway, gateway.chat), methods=["POST"]),
        Route("/v1/embeddings", Endpoint(gateway, gateway.embeddings), methods=["POST"]),
        Route("/v1/feedback", Endpoint(gateway, gateway.feedback), methods=["POST"]),
        Route("/v1/users/{user:path}", Endpoint(gateway, gateway.forget), methods=["DELETE"]),
        Route("/v1/models", gateway.models),
        Route("/healthz", gateway.healthz),
        Route("/readyz", gateway.readyz),
        Route("/metrics", gateway.metrics),
        *(more or []),
    ]
    return Starlette(routes=routes, lifespan=gateway.running, exception_handlers={ApiError: _refuse})


async def _refuse(request: Request, error: ApiError) -> Response:
    return Response(error.body(), error.status, media_type="application/json")


async def _reply(delivery: Delivery, found: dict[str, Any]) -> None:
    await delivery.whole(200, [("content-type", "application/json")], json.dumps(found).encode())


def _somebody(tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise ApiError(401, "nobody asks: send `Authorization: Bearer KEY`", "authentication_error")
    return tenant


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if (
        not isinstance(texts, list)
        or not 0 < len(texts) <= MOST_TEXTS
        or not all(isinstance(each, str) for each in texts)
    ):
        raise ApiError(400, f"input: expected a text, or 1 to {MOST_TEXTS} texts")
    return texts


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _read_feedback(body: bytes) -> Feedback:
    """A rating, or a comparison with another model's answer."""
    found = asking.read_json(body)
    if unknown := sorted(found.keys() - {"id", "score", "over"}):
        raise ApiError(400, f"{unknown} are not known; expected id, score, and for a comparison over")
    name, score, over = found.get("id"), found.get("score"), found.get("over", "")
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not asking.is_name(name):
        raise ApiError(400, f"id: expected the answer's {asking.PREFIX}id header, got {name!r}")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise ApiError(400, f"score: expected a number from 0 (bad) to 1 (good), got {score!r}")
    if not isinstance(over, str):
        raise ApiError(400, f"over: expected the name of the model whose answer is compared, got {over!r}")
    return Feedback(name, 0, "comparison" if over else "rating", float(score), over, time.time())
