"""What clients see of each fault, by the official client and byte by byte."""

import asyncio
import json

import httpx
import openai
import pytest

from jaxalign.io.serve.simulated import faults
from jaxalign.io.serve.simulated.faults import GARBAGE, Faults, parse_faults

HELLO = [{"role": "user", "content": "one two three"}]  # of which a stream has 1 + 3 + 1 events, then [DONE]


def ask(client, fault="", **changes):
    return client.chat.completions.create(
        **{"model": "echo", "messages": HELLO, "extra_headers": {"x-fault": fault} if fault else {}} | changes
    )


def received(simulated, fault, **changes):
    """Bytes until the end or a break, and whether it was a break."""
    data = b""
    body = {"model": "echo", "messages": HELLO} | changes
    url = f"{simulated.url}/chat/completions"
    try:
        with httpx.stream("POST", url, json=body, headers={"x-fault": fault}) as reply:
            for part in reply.iter_raw():
                data += part
    except httpx.RemoteProtocolError:
        return data, True
    return data, False


def test_statuses(client, simulated):
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, "status=503")
    assert caught.value.status_code == 503 and caught.value.body["code"] == "simulated_fault"
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, "status=429@7", stream=True)
    assert caught.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.InternalServerError):
        ask(client, model="broken")
    assert simulated.counts.models == {"echo": 2, "broken": 1} and simulated.counts.answered == 0


def test_a_dropped_connection(client):
    with pytest.raises(openai.APIConnectionError):
        ask(client, "drop")


@pytest.mark.parametrize("count", range(7))
def test_a_stream_is_cut_after_any_event(client, simulated, count):
    whole, broken = received(simulated, "slow=0", stream=True)
    assert not broken and whole.count(b"\n\n") == 6
    data, broken = received(simulated, f"cut={count}", stream=True)
    assert broken and data == b"".join(event + b"\n\n" for event in whole.split(b"\n\n")[:count])
    seen = []
    if count < 6:  # behind [DONE] the client reads nothing
        with pytest.raises(openai.APIConnectionError):
            seen.extend(ask(client, f"cut={count}", stream=True))
    assert len(seen) == (count if count < 6 else 0)


def test_a_whole_body_is_cut(simulated):
    whole, _ = received(simulated, "slow=0")
    assert received(simulated, "cut=10") == (whole[:10], True)
    assert received(simulated, f"cut={len(whole)}") == (whole, False)


def test_garbage(simulated):
    whole, _ = received(simulated, "slow=0")
    data, broken = received(simulated, "garbage")
    assert not broken and len(data) == len(whole) and data.startswith(GARBAGE)
    events, _ = received(simulated, "slow=0", stream=True)
    data, broken = received(simulated, "garbage=2", stream=True)
    assert not broken and data == b"".join(event + b"\n\n" for event in events.split(b"\n\n")[:2]) + GARBAGE


def test_an_error_inside_a_stream(client, simulated):
    data, broken = received(simulated, "error_event=1", stream=True)
    assert not broken and data.count(b"\n\n") == 2 and b"[DONE]" not in data
    assert json.loads(data.split(b"data: ")[2])["error"]["code"] == "simulated_fault"
    with pytest.raises(openai.APIError, match="this fault was asked for"):
        list(ask(client, "error_event=1", stream=True))


@pytest.mark.parametrize(
    ("fault", "stream", "expected"),
    [
        ("stall=7", True, ["sleep 7.0", "start", *["sleep 0.0", "body"] * 7]),
        ("stall=7@2", True, ["start", *["sleep 0.0", "body"] * 2, "sleep 7.0", *["sleep 0.0", "body"] * 5]),
        ("slow=2", True, ["sleep 0.0", "start", *["sleep 2.0", "body"] * 7]),
        ("slow=2", False, ["sleep 0.0", "start", "sleep 2.0", "body"]),
    ],
)
def test_silence(simulated, monkeypatch, fault, stream, expected):
    """Pauses stand where they were asked for; the stream's end is a seventh, empty body."""
    log = []

    async def sleep(seconds):
        log.append(f"sleep {seconds}")

    async def send(message):
        log.append(message["type"].removeprefix("http.response."))

    async def receive():
        if not sent:
            sent.append(True)
            return {"type": "http.request", "body": json.dumps(body).encode()}
        await asyncio.get_running_loop().create_future()

    sent, body = [], {"model": "echo", "messages": HELLO, "stream": stream}
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b""}
    headers = [(b"x-fault", fault.encode())]
    monkeypatch.setattr(faults.asyncio, "sleep", sleep)
    asyncio.run(simulated.app(scope | {"headers": headers}, receive, send))
    assert log == expected


def test_faults_of_the_next_answers(client, simulated):
    told = httpx.post(simulated.url.replace("/v1", "/faults"), json={"faults": ["status=500", "", "drop"]})
    assert told.json() == {"faults": ["status=500", "", "drop"]}
    with pytest.raises(openai.InternalServerError):
        ask(client)
    assert ask(client).choices[0].message.content == "ONE TWO THREE"
    with pytest.raises(openai.APIConnectionError):
        ask(client)
    assert ask(client).choices[0].message.content == "ONE TWO THREE"


def test_faults_are_read():
    assert parse_faults("") == Faults()
    assert parse_faults("cut=3, slow=0.5,stall=2@4") == Faults(cut=3, slow=0.5, stall=2.0, stall_after=4)
    for wrong in ("cut", "cut=x", "status=200", "explode=1"):
        with pytest.raises(ValueError, match=f"got '{wrong}'"):
            parse_faults(wrong)


def test_wrong_faults_are_told(client, simulated):
    with pytest.raises(openai.BadRequestError, match="expected faults such as"):
        ask(client, "explode")
    url = simulated.url.replace("/v1", "/faults")
    assert httpx.post(url, json={"faults": ["explode"]}).status_code == 400
    assert httpx.post(url, json={"faults": "drop"}).status_code == 400


def test_a_client_that_leaves_ends_the_work(simulated):
    """The answer would take a minute; the server is free of it once the client is gone."""
    ended = asyncio.Event()

    async def send(message):
        raise AssertionError(f"nobody is there for {message}")

    parts = [{"type": "http.request", "body": json.dumps({"model": "slow", "messages": HELLO}).encode()}]

    async def receive():
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def main():
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": []}
        await simulated.app(scope, receive, send)
        ended.set()

    asyncio.run(main())
    assert ended.is_set() and simulated.counts.as_json()["unfinished"] == 1
