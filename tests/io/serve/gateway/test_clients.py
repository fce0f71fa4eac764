"""The official clients, unchanged: what they get through the gateway equals what the upstream gives them."""

import asyncio

import httpx
import langchain_openai
import openai
import pytest

MESSAGES = [{"role": "user", "content": "one two three"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(scope="module")
def client(here):
    with openai.OpenAI(base_url=here.url, api_key="k1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def direct(here):
    with openai.OpenAI(base_url=here.upstream.url, api_key="k1", max_retries=0) as client:
        yield client


def test_an_answer(client, direct):
    asked = {"model": "large", "messages": MESSAGES, "temperature": 0.3, "max_tokens": 20}
    assert client.chat.completions.create(**asked).choices == direct.chat.completions.create(**asked).choices


def test_an_asynchronous_answer_and_stream(here):
    async def run():
        async with openai.AsyncOpenAI(base_url=here.url, api_key="k1", max_retries=0) as client:
            whole = await client.chat.completions.create(model="small", messages=MESSAGES)
            stream = await client.chat.completions.create(model="small", messages=MESSAGES, stream=True)
            return whole.choices[0].message.content, [
                chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices
            ]

    whole, parts = asyncio.run(run())
    assert whole == "".join(parts) == "small says one two three" and len(parts) > 3


def test_tool_calls(client, direct):
    asked = {"model": "large", "messages": MESSAGES, "tools": TOOLS}
    found = client.chat.completions.create(**asked).choices[0]
    assert found.finish_reason == "tool_calls" and found.message.tool_calls[0].function.name == "add"
    assert found == direct.chat.completions.create(**asked).choices[0]
    names = [
        call.function.name
        for chunk in client.chat.completions.create(**asked, stream=True)
        for call in chunk.choices[0].delta.tool_calls or []
        if call.function.name
    ]
    assert names == ["add"]


@pytest.mark.parametrize(
    "fields", [{}, {"tools": TOOLS}, {"stream_options": {"include_usage": True}}], ids=["text", "tools", "usage"]
)
def test_bytes_of_a_stream_equal_the_upstreams(here, fields):
    body = {"model": "large", "messages": MESSAGES, "stream": True, "seed": 3, **fields}
    through = here.http.post("/chat/completions", json=body)
    direct = httpx.post(f"{here.upstream.url}/chat/completions", json=body)
    assert through.content == direct.content and through.headers["content-type"] == direct.headers["content-type"]
    assert through.content.endswith(b"data: [DONE]\n\n")


def test_langchain_answers_streams_and_binds_tools(here):
    chat = langchain_openai.ChatOpenAI(model="auto", base_url=here.url, api_key="k1", max_retries=0)
    assert chat.invoke("one two").content == "large says one two"
    assert "".join(str(part.content) for part in chat.stream("one two")) == "large says one two"
    tool = {"name": "add", "description": "adds", "parameters": {"type": "object", "properties": {}}}
    assert chat.bind_tools([tool]).invoke("one two").tool_calls[0]["name"] == "add"


def test_models_are_listed_with_the_one_that_is_routed(client):
    assert [model.id for model in client.models.list()][:3] == ["auto", "small", "large"]


def test_a_model_that_is_not_there_is_an_error_of_the_client(client):
    with pytest.raises(openai.NotFoundError, match="'none' is not known; there are auto, small"):
        client.chat.completions.create(model="none", messages=MESSAGES)


@pytest.mark.parametrize(("fault", "status"), [("status=429@7", 429), ("status=500", 500)])
def test_errors_of_the_upstream_come_through_as_they_are(here, fault, status):
    here.upstream.faults.append(fault)
    found = here.http.post("/chat/completions", json={"model": "large", "messages": MESSAGES})
    assert found.status_code == status and "this fault was asked for" in found.text
    assert found.headers.get("retry-after") == ("7" if status == 429 else None)


def test_decisions_are_told_in_headers(here):
    decided = {"model": "small", "examples": [], "tenants": [1], "policy": "p7", "reason": "none yet"}
    here.worker.reply = lambda message: {**decided, "wants_feedback": True}
    found = here.http.post("/chat/completions", json={"model": "auto", "messages": MESSAGES}).headers
    told = {name.removeprefix("x-jaxalign-"): value for name, value in found.items() if name.startswith("x-jaxalign-")}
    assert told.pop("id").startswith("ix-")
    assert told == {
        "model": "small", "examples": "0", "cached": "false", "policy": "p7", "reason": "none yet", "feedback": "wanted"
    }  # fmt: skip
