"""The Starlette application of an OpenAI-compatible server: models, chat completions, whole or streamed, embeddings."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from jaxalign.io.serve.upstream import requests, wire
from jaxalign.io.serve.upstream.backend import Answer, Body, ChatBackend, Refused

Disturb = Callable[[Request, Body, Send], Awaitable[Send]]
"""``await disturb(request, body, send)`` is the ``send`` that answers, or raises :class:`Refused`. Both it and that
``send`` may raise :class:`Ended`."""

Respond = Callable[[Scope, Receive, Send], Awaitable[None]]
_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class Ended(Exception):
    """Nothing more is sent of an answer, whether it is complete or not."""


async def undisturbed(request: Request, body: Body, send: Send) -> Send:
    """Returns ``send`` itself.

    Args:
      request: the request.
      body: its JSON object.
      send: takes the answer's ASGI messages.
    """
    return send


def create_app(backend: ChatBackend, *, disturb: Disturb = undisturbed, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Makes the application of an OpenAI-compatible server.

    Where a client leaves, what is being written for it is cancelled.

    Args:
      backend: writes the answers.
      disturb: stands between the answers and the clients, for tests of faults.
      routes: more routes.
    """

    async def list_models(request: Request) -> Response:
        return _json(wire.model_list(backend.models()))

    async def chat(request: Request) -> Respond:
        body = await _body(request, backend)
        requests.check_messages(body)
        return _responding(request, body, disturb, lambda send: _chat(backend, body, send))

    async def embed(request: Request) -> Respond:
        body = await _body(request, backend)
        return _responding(request, body, disturb, lambda send: _embed(backend, body, send))

    own = [
        Route("/v1/models", list_models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/embeddings", embed, methods=["POST"]),
    ]
    return Starlette(routes=[*own, *routes], exception_handlers={Refused: _refuse, ClientDisconnect: _nobody})


async def _body(request: Request, backend: ChatBackend) -> dict[str, Any]:
    body = requests.read_object(await request.body())
    requests.check_model(body, backend.models())
    return body


def _responding(request: Request, body: Body, disturb: Disturb, work: Callable[[Send], Coroutine]) -> Respond:
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(Ended):
            disturbed = await disturb(request, body, send)
            await _unless_left(receive, work(disturbed))

    return respond


async def _chat(backend: ChatBackend, body: Body, send: Send) -> None:
    answer = await backend.answer(body)
    async with contextlib.aclosing(answer.pieces):
        if body.get("stream"):
            await _stream(answer, body, send)
        else:
            pieces = [piece async for piece in answer.pieces]
            await _send_json(send, wire.completion(answer, body["model"], pieces))


async def _stream(answer: Answer, body: Body, send: Send) -> None:
    """The first piece comes before the status, so that what fails before it has a status of its own."""
    chunks = wire.Chunks(answer, body["model"], usage=requests.wants_usage(body))
    piece = await anext(answer.pieces)
    await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
    try:
        while piece is not None:
            for event in chunks.of(piece):
                await _send_part(send, event)
            piece = await anext(answer.pieces, None)
    except Refused as error:
        await _send_part(send, wire.event(error.error()))
    else:
        for event in chunks.end():
            await _send_part(send, event)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _embed(backend: ChatBackend, body: Body, send: Send) -> None:
    texts = requests.text_inputs(body)
    vectors, tokens = await backend.embed(body | {"input": texts})
    base_64 = body.get("encoding_format") == "base64"
    await _send_json(send, wire.embeddings(body["model"], vectors, tokens, base_64=base_64))


async def _send_json(send: Send, value: Any) -> None:
    data = wire.encode(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data, "more_body": False})


async def _send_part(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _unless_left(receive: Receive, work: Coroutine) -> None:
    """Does the work, and cancels it where the client leaves before its end."""
    tasks = [asyncio.ensure_future(each) for each in (work, _left(receive))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        done, _ = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(done, Exception):
        raise done


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(request: Request, error: Refused) -> Response:
    return _json(error.error(), error.status, error.headers)


async def _nobody(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(wire.encode(value), status, headers, media_type="application/json")
