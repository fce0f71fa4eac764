"""Passing an upstream's answer on, byte by byte, and reading what it says on the way."""

import json
from typing import NamedTuple

import httpx

from jaxalign.io.serve.config import Model
from jaxalign.io.serve.gateway import events
from jaxalign.io.serve.gateway.delivery import Delivery
from jaxalign.io.serve.gateway.errors import error_object
from jaxalign.io.serve.gateway.flights import Answered
from jaxalign.io.serve.gateway.upstreams import UpstreamError, read_whole

Headers = list[tuple[str, str]]


class Given(NamedTuple):
    """What a client was given."""

    model: Model
    answer: Answered
    read: events.Read

    @property
    def good(self) -> bool:
        """Says whether it is a complete answer, and no error."""
        return self.answer.status == 200 and self.read.complete


async def pass_whole(model: Model, response: httpx.Response, headers: Headers, delivery: Delivery) -> Given:
    """Passes on an answer that comes as one, once all of it is there.

    Args:
      model: that answers.
      response: whose body was not read yet.
      headers: for the client.
      delivery: to the client.

    Raises:
      UpstreamError: the answer is cut, or is no JSON though it claims success; the client was sent nothing.
    """
    body = await read_whole(response)
    read = events.read_body(body) if response.status_code == 200 else events.NOTHING
    if response.status_code == 200 and not read.complete:
        raise UpstreamError(f"{model.name}: status 200 with something that is no chat completion")
    await delivery.whole(response.status_code, headers, body)
    return Given(model, Answered(response.status_code, headers, body), read)


async def pass_stream(model: Model, response: httpx.Response, headers: Headers, delivery: Delivery) -> Given:
    """Passes on a stream as it comes. Where it is cut, an error follows what came, and the answer is not ended.

    Args:
      model: that answers.
      response: whose body was not read yet.
      headers: for the client.
      delivery: to the client.

    Raises:
      UpstreamError: the stream broke before its first byte; the client was sent nothing.
    """
    reader, parts, broken = events.Reader(), [], ""
    try:
        async for part in response.aiter_raw():
            if not delivery.started:
                await delivery.start(response.status_code, headers)
            reader.feed(part)
            parts.append(part)
            await delivery.write(part)
    except httpx.HTTPError as error:
        broken = type(error).__name__
    read = reader.result()
    read = read._replace(complete=read.complete and (reader.done or not broken))
    if not delivery.started:
        raise UpstreamError(f"{model.name}: the stream ended before it began {broken}".rstrip())
    if read.complete or (reader.failed and not broken):  # an error that the upstream itself told is passed on as it is
        await delivery.end()
    else:
        told = error_object("the upstream's stream was cut; the answer is not complete", "upstream_error")
        await delivery.write(b"\n\ndata: " + json.dumps(told).encode() + b"\n\n")
    return Given(model, Answered(response.status_code, headers, b"".join(parts)), read)
