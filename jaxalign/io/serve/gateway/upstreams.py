"""Calls to the servers that answer, whose bytes are passed on as they come."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from jaxalign.io.serve.config import Model, ServeConfig

KEEP_ALIVE = 3.0  # seconds; shorter than servers keep a connection, so that none is closed under a request
MOST_BODY = 2**26  # bytes of an answer that comes as one
PASSED_BACK = ("content-type", "retry-after", "x-request-id", "openai-", "x-ratelimit-")  # headers, or their beginnings


class UpstreamError(Exception):
    """An upstream gave no answer, or not the whole of it."""


class Upstreams:
    """Connections to all upstreams.

    Args:
      config: with upstreams and models.
    """

    def __init__(self, config: ServeConfig):
        self._upstreams = {each.name: each for each in config.upstreams}
        self._clients = {each.name: _client(each) for each in config.upstreams}

    async def close(self) -> None:
        """Closes all connections."""
        for client in self._clients.values():
            await client.aclose()

    @asynccontextmanager
    async def post(self, model: Model, path: str, body: bytes) -> AsyncIterator[httpx.Response]:
        """Gives the response to a POST once its head is there; its body is read by the caller.

        Args:
          model: whose upstream is asked.
          path: behind the base URL, such as ``/chat/completions``.
          body: JSON.

        Raises:
          UpstreamError: there is no connection, or it broke, or was silent for too long, also while the body is read.
        """
        upstream = self._upstreams[model.upstream]
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if key := os.environ.get(upstream.key_env, "") if upstream.key_env else "":
            headers["authorization"] = f"Bearer {key}"
        url = upstream.base_url.rstrip("/") + path
        try:
            async with self._clients[model.upstream].stream("POST", url, content=body, headers=headers) as response:
                yield response
        except httpx.HTTPError as error:
            raise UpstreamError(f"{upstream.name}: {type(error).__name__}") from error


async def read_whole(response: httpx.Response) -> bytes:
    """Reads a body that comes as one.

    Args:
      response: from :meth:`Upstreams.post`.

    Raises:
      UpstreamError: it is longer than any answer.
    """
    parts, length = [], 0
    async for part in response.aiter_raw():
        length += len(part)
        if length > MOST_BODY:
            raise UpstreamError(f"an answer of more than {MOST_BODY} bytes")
        parts.append(part)
    return b"".join(parts)


def passed_back(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Returns the headers of an upstream that the client gets.

    Args:
      headers: of the response.
    """
    return [(name.lower(), value) for name, value in headers.items() if name.lower().startswith(PASSED_BACK)]


def _client(upstream) -> httpx.AsyncClient:
    timeout = httpx.Timeout(upstream.silence_seconds, connect=upstream.connect_seconds, pool=upstream.connect_seconds)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=KEEP_ALIVE)
    return httpx.AsyncClient(timeout=timeout, limits=limits)
