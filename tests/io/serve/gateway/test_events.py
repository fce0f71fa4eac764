"""What is read of an answer beside its bytes: equal however the bytes are cut, and never more than was there."""

import json

import pytest

from jaxalign.io.serve.gateway.events import NOTHING, Read, Reader, read_body


def event(**choice):
    return b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


STREAM = [
    event(delta={"role": "assistant", "content": ""}),
    event(delta={"content": "Grüße, "}),
    b": a comment\r\n",
    event(delta={"content": "you"}),
    event(delta={}, finish_reason="stop"),
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]
WHOLE = Read(True, "Grüße, you", "stop", 5, 2)


def read(*parts):
    reader = Reader()
    for part in parts:
        reader.feed(part)
    return reader


def test_a_stream_is_read_alike_however_its_bytes_are_cut():
    whole = b"".join(STREAM)
    assert read(whole).result() == WHOLE
    for size in (1, 2, 3, 7, 64):
        assert read(*(whole[start : start + size] for start in range(0, len(whole), size))).result() == WHOLE


def test_a_stream_is_complete_from_the_event_on_that_ends_its_choice():
    complete = [read(*STREAM[:count]).result().complete for count in range(len(STREAM) + 1)]
    assert complete == [False] * 5 + [True] * 3  # the finish reason is in the fifth part
    assert [read(*STREAM[:count]).done for count in range(len(STREAM) + 1)] == [False] * 7 + [True]


@pytest.mark.parametrize(
    "spoilt",
    [b'data: {"error": {"message": "no"}}\n\n', b"data: <html>\n\n", b"data: 3\n\n"],
    ids=["error", "html", "3"],
)
def test_an_error_or_garbage_inside_makes_a_stream_incomplete(spoilt):
    reader = read(*STREAM[:3], spoilt, *STREAM[3:])
    assert reader.failed and not reader.result().complete and reader.result().text is None


@pytest.mark.parametrize(
    "more",
    [event(delta={"tool_calls": [{"index": 0}]}), b'data: {"choices":[{"index":1,"delta":{"content":"b"}}]}\n\n'],
    ids=["tool call", "second choice"],
)
def test_tool_calls_and_several_choices_are_complete_and_have_no_text(more):
    assert read(*STREAM[:3], more, *STREAM[3:]).result() == WHOLE._replace(text=None)


def test_a_whole_answer():
    body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}], "usage": {"prompt_tokens": 1}}
    assert read_body(json.dumps(body).encode()) == Read(True, "Hi", "length", 1, None)
    body["choices"] *= 2
    assert read_body(json.dumps(body).encode()).text is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"message":3}]}', b"\xff"])
def test_what_is_no_answer_is_incomplete(body):
    assert read_body(body) == NOTHING
