"""Simulated models by the official client, whole and streamed, sync and async."""

import asyncio
import base64
import json
import re
import subprocess
import sys

import httpx
import numpy as np
import openai
import pytest

from jaxalign.io.serve.simulated.__main__ import parse_model
from jaxalign.io.serve.simulated.app import Simulated, body_hash, serving
from jaxalign.io.serve.simulated.models import SimulatedBackend, SimulatedModel, split_tokens, text_pieces
from jaxalign.io.serve.simulated.tools import example_of

HELLO = [{"role": "user", "content": "hello there, you"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}, "days": {"type": "integer"}},
        },
    },
}


def test_models(client):
    assert [model.id for model in client.models.list()] == ["echo", "tools", "made", "broken", "slow", "embedding"]


def test_a_whole_answer(client):
    reply = client.chat.completions.create(model="echo", messages=HELLO)
    assert reply.choices[0].message.content == "HELLO THERE, YOU"
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (3, 3, 6)


def test_the_chunks_of_a_stream(client):
    asked = {"model": "echo", "messages": HELLO, "stream": True}
    chunks = list(client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    deltas = [(c.choices[0].delta.role, c.choices[0].delta.content, c.choices[0].finish_reason) for c in chunks[:-1]]
    assert deltas == [
        ("assistant", "", None),
        (None, "HELLO", None),
        (None, " THERE,", None),
        (None, " YOU", None),
        (None, None, "stop"),
    ]
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 6
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert [len(chunk.choices) for chunk in client.chat.completions.create(**asked)] == [1] * 5  # no usage is asked for


def test_the_bytes_of_a_stream(simulated):
    body = {"model": "echo", "messages": HELLO, "stream": True, "max_tokens": 1}
    reply = httpx.post(f"{simulated.url}/chat/completions", json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    *events, done, nothing = reply.text.split("\n\n")
    assert (done, nothing) == ("data: [DONE]", "")
    assert [json.loads(event.removeprefix("data: "))["choices"][0]["finish_reason"] for event in events] == [
        None, None, "length",
    ]  # fmt: skip


def test_equal_requests_get_equal_answers_and_seeds_change_them(client):
    def text(**changes):
        return client.chat.completions.create(model="made", messages=HELLO, **changes).to_json()

    assert text() == text() and text(seed=1) == text(seed=1)
    assert len({text(), text(seed=1), text(seed=2)}) == 3


def test_choices(client):
    asked = {"model": "made", "messages": HELLO, "n": 3}
    whole = [choice.message.content for choice in client.chat.completions.create(**asked).choices]
    streamed = ["", "", ""]
    for chunk in client.chat.completions.create(**asked, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert whole == streamed and len(set(whole)) == 3


def test_tools(client):
    asked = {"messages": HELLO, "tools": [WEATHER]}
    choice = client.chat.completions.create(model="tools", **asked).choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather", {"city": "city", "unit": "C", "days": 1},
    )  # fmt: skip
    with client.chat.completions.stream(model="tools", **asked) as stream:
        assert stream.get_final_completion().choices[0].message.tool_calls[0].function.arguments == (
            call.function.arguments
        )
    told = [*HELLO, choice.message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    after = client.chat.completions.create(model="tools", messages=told, tools=[WEATHER]).choices[0]
    assert after.message.tool_calls is None and after.finish_reason == "stop"
    assert client.chat.completions.create(model="made", **asked).choices[0].message.tool_calls is None
    other = {"type": "function", "function": {"name": "other"}}
    named = {"tools": [WEATHER, other], "tool_choice": other}
    calls = client.chat.completions.create(model="tools", messages=HELLO, **named).choices[0].message.tool_calls
    assert [(each.function.name, each.function.arguments) for each in calls] == [("other", "{}")]


def test_examples_of_schemas():
    nested = {"type": "object", "properties": {"days": {"type": "array", "items": {"type": "number"}}}}
    assert example_of(nested) == {"days": [1.0]}
    assert example_of({"type": "boolean"}) is True and example_of({"type": "null"}) is None


def test_embeddings(client, simulated):
    reply = client.embeddings.create(model="embedding", input=["one two", "Two one!", "three"])
    same, equal, other = (np.array(row.embedding) for row in reply.data)
    np.testing.assert_allclose(same, equal, atol=1e-6)  # the words are the same
    np.testing.assert_allclose([same @ same, other @ other], 1, atol=1e-5)
    assert same @ other < 0.9 and reply.usage.prompt_tokens == 5
    body = {"model": "embedding", "input": "one two"}
    plain = httpx.post(f"{simulated.url}/embeddings", json=body).json()["data"][0]["embedding"]
    coded = httpx.post(f"{simulated.url}/embeddings", json=body | {"encoding_format": "base64"}).json()
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), "<f4"), plain)
    with pytest.raises(openai.BadRequestError, match="has no embeddings"):
        client.embeddings.create(model="echo", input="one")


def test_the_async_client(simulated):
    async def main():
        async with openai.AsyncOpenAI(base_url=simulated.url, api_key="any", max_retries=0) as client:
            replies = await asyncio.gather(
                *(client.chat.completions.create(model="echo", messages=[{"role": "user", "content": f"a {n}"}])
                  for n in range(8))
            )  # fmt: skip
            stream = await client.chat.completions.create(model="echo", messages=HELLO, stream=True)
            return [reply.choices[0].message.content for reply in replies], [chunk async for chunk in stream]

    texts, chunks = asyncio.run(main())
    assert texts == [f"A {n}" for n in range(8)] and len(chunks) == 5
    assert simulated.counts.models == {"echo": 9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gone"}, "'gone' is not here; ask for one of"),
        ({"model": 3}, "model: expected a name, got 3"),
        ({"messages": []}, "messages: expected a list of at least one message"),
        ({"messages": ["hi"]}, "messages.0.: expected an object"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0..content: expected a text"),
        ({"n": 0}, "n: expected a whole number from 1 to 128, got 0"),
        ({"max_tokens": True}, "max_tokens: expected a whole number from 1"),
        ({"stop": [""]}, "stop: expected texts that are not empty"),
        ({"stream": True, "stream_options": 3}, "stream_options: expected an object, got 3"),
    ],
)
def test_wrong_requests_are_told_why(simulated, changes, message):
    body = {"model": "echo", "messages": HELLO} | changes
    reply = httpx.post(f"{simulated.url}/chat/completions", json=body)
    assert reply.status_code == (404 if changes == {"model": "gone"} else 400)
    assert re.search(message, reply.json()["error"]["message"])


def test_what_is_no_object(simulated):
    for data in (b"{", b"[]", b"\xff"):
        reply = httpx.post(f"{simulated.url}/chat/completions", content=data)
        assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")


def test_counts(client, simulated):
    for content in ("a", "b", "a"):
        client.chat.completions.create(model="echo", messages=[{"role": "user", "content": content}])
    counts = httpx.get(simulated.url.replace("/v1", "/counts")).json()
    assert counts["models"] == {"echo": 3} and sorted(counts["bodies"].values()) == [1, 2]
    assert counts["bodies"][body_hash({"messages": [{"content": "a", "role": "user"}], "model": "echo"})] == 2
    assert (counts["answered"], counts["unfinished"]) == (3, 0)
    httpx.delete(simulated.url.replace("/v1", "/counts"))
    assert simulated.counts.models == {}


def test_keys():
    with serving([SimulatedModel("echo")], key="right") as simulated:
        for key, status in (("wrong", 401), ("right", 200)):
            body = {"model": "echo", "messages": HELLO}
            headers = {"authorization": f"Bearer {key}"}
            assert httpx.post(f"{simulated.url}/chat/completions", json=body, headers=headers).status_code == status


def test_texts_end_by_stops_and_tokens():
    assert split_tokens(" a  b\n") == [" a", "  b", "\n"]
    pieces = text_pieces("one two three four", {"stop": "four", "max_tokens": 2}, 0)
    assert ["".join(piece.text for piece in pieces), pieces[-1].finish] == ["one two", "length"]
    pieces = text_pieces("one two three four", {"stop": [" three"]}, 0)
    assert ["".join(piece.text for piece in pieces), pieces[-1].finish] == ["one two", "stop"]


def test_pace_and_slots(monkeypatch):
    """Half a second, then 4 tokens a second: the last of 3 words comes 1.25 s after a slot was free."""
    now = [0.0]

    async def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr("jaxalign.io.serve.simulated.models.time.monotonic", lambda: now[0])
    monkeypatch.setattr("jaxalign.io.serve.simulated.models.asyncio.sleep", sleep)

    async def main():
        model = SimulatedModel("m", latency=0.5, rate=4, slots=1, answer=lambda messages, body: "one two three")
        backend, body = SimulatedBackend([model]), {"model": "m", "messages": HELLO}
        first, second = (await backend.answer(body)).pieces, (await backend.answer(body)).pieces
        times = [(now[0], piece.text) async for piece in first]
        assert times == [(0.75, "one"), (1.0, " two"), (1.25, " three"), (1.25, "")]
        begun = asyncio.ensure_future(anext(second))
        await begun
        third = asyncio.ensure_future(anext((await backend.answer(body)).pieces))
        done, _ = await asyncio.wait([third], timeout=0)
        assert not done  # the second holds the only slot
        await second.aclose()
        assert (await third).text == "one"

    asyncio.run(main())


def test_settings_are_checked():
    assert parse_model("small,latency=0.1,rate=50,tools=1,faults=stall:2+cut:3") == SimulatedModel(
        "small", latency=0.1, rate=50, tools=True, faults="stall=2,cut=3"
    )
    with pytest.raises(Exception, match="expected NAME,setting=value of"):
        parse_model("small,speed=3")
    with pytest.raises(ValueError, match="rate above 0"):
        SimulatedModel("small", rate=0)
    with pytest.raises(ValueError, match="expected faults such as"):
        SimulatedModel("small", faults="explode")
    with pytest.raises(ValueError, match="different names"):
        Simulated([SimulatedModel("a"), SimulatedModel("a")])


def test_the_command():
    """Also that it needs no JAX."""
    code = (
        "import sys, runpy; sys.argv = ['simulated', '--port', '0', '--model', 'one'];"
        "sys.modules['jax'] = None; runpy.run_module('jaxalign.io.serve.simulated', run_name='__main__')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().removeprefix("listening on ").strip()
            assert [model["id"] for model in httpx.get(f"{url}/models").json()["data"]] == ["one"]
        finally:
            process.terminate()
    assert process.returncode in (0, -15)
