"""What a client may not do: send too much, or too slowly, or leave its answer untaken."""

import dataclasses
import socket
import time

import httpx
import pytest

from jaxalign.io.serve.config import Limits
from jaxalign.io.serve.store.opening import open_store
from tests.io.serve.gateway import conftest

LIMITS = Limits(body_bytes=5_000, header_bytes=4_000, header_seconds=0.3, body_seconds=0.3, send_seconds=0.3)
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer k\r\n"


@pytest.fixture(scope="module")
def bounded(upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounded")
    config = dataclasses.replace(conftest.settings(upstream, folder), limits=LIMITS)
    with conftest.serving_gateway(config, open_store("sqlite", folder), folder / "none.sock") as url:
        yield url


@pytest.fixture
def connection(bounded):
    host, port = bounded.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as found:
        yield found


def received(connection):
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def test_a_body_that_is_too_long_is_a_413_with_the_limit(bounded):
    body = {"model": "large", "messages": [{"role": "user", "content": "a" * 5_000}]}
    found = httpx.post(f"{bounded}/chat/completions", json=body, headers={"authorization": "Bearer k"})
    assert found.status_code == 413 and "5000 bytes" in found.json()["error"]["message"]


def test_headers_that_are_too_long_are_refused(connection):
    connection.sendall(HEAD + b"X-Long: " + b"a" * 5_000)
    assert received(connection).startswith(b"HTTP/1.1 400")


def test_a_head_that_takes_too_long_ends_the_connection(connection):
    connection.sendall(HEAD)
    assert received(connection) == b""


def test_a_silent_connection_is_ended(connection):
    assert received(connection) == b""


def test_a_body_that_takes_too_long_is_a_408_and_the_end_of_the_connection(connection):
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert received(connection).startswith(b"HTTP/1.1 408")


def test_a_client_that_does_not_take_its_answer_is_left(bounded):
    """The upstream sends more than sockets' buffers hold, and the client reads nothing of it."""
    host, port = bounded.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as connection:
        body = b'{"model":"long","stream":true,"messages":[{"role":"user","content":"a"}]}'
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        deadline = time.monotonic() + 20
        left = 'jaxalign_refused_total{status="client left"} 1.0'
        metrics = bounded.removesuffix("/v1") + "/metrics"
        while left not in httpx.get(metrics).text:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_crowd_is_turned_down_and_those_who_watch_over_the_server_are_not(upstream, tmp_path):
    config = dataclasses.replace(conftest.settings(upstream, tmp_path), limits=Limits(connections=2))
    with conftest.serving_gateway(config, open_store("sqlite", tmp_path), tmp_path / "none.sock") as url:
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            refused = httpx.get(f"{url}/models")  # by the third connection
            assert refused.status_code == 503 and "over 2 connections" in refused.json()["error"]["message"]
            assert refused.headers["retry-after"] == "1" and refused.headers["connection"] == "close"
            found = {name: httpx.get(f"{url}/../{name}") for name in ("healthz", "readyz", "metrics")}
        assert {each.status_code for each in found.values()} == {200}
        assert 'jaxalign_refused_total{status="503"} 1.0' in found["metrics"].text
