"""Replies of every shape: what is an answer is read, and what is none is told as the server tells it."""

import gzip
import json
import math
import zlib

import pytest

from jaxalign.io import llm
from jaxalign.io.llm.replies import MalformedError, RejectedError, parse_answer, server_message
from tests.io.llm.chat_server import completion, reply, status
from tests.io.llm.test_llm import complete, requests


@pytest.fixture
def cache(tmp_path):
    return llm.Cache(tmp_path / "cache.jsonl")


def chat(message, **changes):
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"} | changes]})


@pytest.mark.parametrize(
    "message, text",
    [
        ({"content": [{"type": "text", "text": "An"}, {"type": "text", "text": "swer"}]}, "Answer"),
        ({"content": [{"type": "output_text", "text": "Answer"}]}, "Answer"),
        ({"content": ["An", {"text": "swer"}]}, "Answer"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "B?"}]}, "Answer"]}, "Answer"),
        ({"content": [{"type": "reasoning", "text": "B?"}, {"type": "text", "text": "Answer"}]}, "Answer"),
        ({"content": {"type": "text", "text": "Answer"}}, "Answer"),
        ({"content": []}, ""),
        ({"content": None, "reasoning_content": "It is B."}, ""),
        ({"reasoning_content": "It is B."}, ""),
        ({"content": "", "reasoning": "It is B."}, ""),
        ({"content": "Answer", "reasoning_content": "It is B."}, "Answer"),
        ({"tool_calls": [{"function": {"name": "B"}}]}, ""),
    ],
)
def test_the_answer_is_the_content_and_never_the_thinking(message, text):
    assert parse_answer(chat(message)).texts == (text,)


def test_a_part_that_is_no_text_is_told():
    for part in ({"type": "image_url", "image_url": {"url": "x"}}, {"type": "text"}, 7):
        with pytest.raises(RejectedError, match="the reply has a part of type .* without a text, expected texts"):
            parse_answer(chat({"content": ["A", part]}))


def test_refusals_are_told_from_other_empty_answers():
    assert parse_answer(chat({"content": None, "refusal": "I cannot."})).finish == ("refusal",)
    assert parse_answer(chat({"refusal": "I cannot."})).finish == ("refusal",)
    assert parse_answer(chat({"content": None}, finish_reason="length")).finish == ("length",)
    assert parse_answer(chat({"content": "Yes", "refusal": None}, finish_reason=None)).finish == ("",)


@pytest.mark.parametrize(
    "usage, expected",
    [
        (None, (None, None)),
        ([], (None, None)),
        ({"prompt_tokens": 3}, (3, None)),
        ({"prompt_tokens": 3.0, "completion_tokens": None}, (3, None)),
        ({"prompt_tokens": -1, "completion_tokens": "2"}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": 0.5}, (None, None)),
    ],
)
def test_counts_that_are_none_are_unreported(usage, expected):
    answer = parse_answer(json.dumps({"choices": [{"message": {"content": "A"}}], "usage": usage}))
    assert (answer.prompt_tokens, answer.completion_tokens) == expected


@pytest.mark.parametrize("value", ["null", "NaN", '"-1"', "true", "3.5"])
def test_a_log_probability_that_is_none_is_missing_and_not_0(value):
    top = f'[{{"token": "A", "logprob": -0.5}}, {{"token": "B", "logprob": {value}}}]'
    entry = f'{{"token": "B", "logprob": {value}, "top_logprobs": {top}}}'
    text = f'{{"choices": [{{"message": {{"content": "B"}}, "logprobs": {{"content": [{entry}]}}}}]}}'
    (found,) = parse_answer(text).logprobs[0]
    missing = {"token": "B", "logprob": None}
    assert found == {**missing, "top_logprobs": [{"token": "A", "logprob": -0.5}, missing]}
    alone = parse_answer(text.replace(top, "null"))
    assert [score.logp for score in llm.options.scores_of_first_token(alone, (" A", " B"))] == [-math.inf] * 2


COMPETITORS = [
    ({"A": -0.5, "B": None}, [{"token": "A", "logprob": -0.5}, {"token": "B", "logprob": None}]),
    ([{"token": 7, "logprob": -1}, {"token": "A"}], [{"token": "A", "logprob": None}]),
    ("A", []),
    (7, []),
]


@pytest.mark.parametrize("top, kept", COMPETITORS)
def test_competitors_of_every_form(top, kept):
    text = chat({"content": "B"}, logprobs={"content": [{"token": "B", "logprob": -1, "top_logprobs": top}]})
    assert parse_answer(text).logprobs[0][0]["top_logprobs"] == kept


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_numbers_that_no_float_holds(number):
    entry = {"token": "B", "logprob": number}
    text = json.dumps({"choices": [{"message": {"content": "B"}, "logprobs": {"content": [entry]}}]})
    assert parse_answer(text[:-1] + f', "usage": {{"prompt_tokens": {number}}}}}').prompt_tokens is None
    assert parse_answer(text).logprobs[0][0]["logprob"] is None


def test_a_log_probability_of_nothing_is_kept():
    text = chat({"content": "B"}, logprobs={"content": [{"token": "B", "logprob": -math.inf}]})
    assert parse_answer(text).logprobs[0][0]["logprob"] == -math.inf


def test_choices_come_in_the_order_of_their_index(server, cache, capsys):
    choices = [{"index": n, "message": {"content": str(n)}, "finish_reason": f"f{n}"} for n in (2, 0, 1)]
    server.faults = [reply(json.dumps({"choices": choices}))] * 3
    run = complete(server, requests(3, n=1), cache, concurrency=1)
    assert [(answer.texts, answer.finish, len(answer.logprobs)) for answer in run.answers] == [(("0",), ("f0",), 1)] * 3
    assert capsys.readouterr().err.count("asked for n=1 answers, got 3; the first are taken, all are paid") == 1
    server.faults = [reply(json.dumps({"choices": choices}))]
    assert complete(server, requests(1, n=2), cache).answers[0].texts == ("0", "1")


BODY = json.dumps(completion({"messages": [{"content": "naïve 漢字"}]}), ensure_ascii=False)


def raw_deflate(data):
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


@pytest.mark.parametrize(
    "data, encoding",
    [
        (b"\xef\xbb\xbf" + BODY.encode(), ""),
        (BODY.encode("utf-16"), ""),
        (BODY.encode(), "identity"),
        (gzip.compress(BODY.encode()), "gzip"),
        (gzip.compress(b"\xef\xbb\xbf" + BODY.encode()), "GZIP"),
        (zlib.compress(BODY.encode()), "deflate"),
        (raw_deflate(BODY.encode()), "deflate"),
        (b"\r\n\r\n " + BODY.encode() + b"\n\n", ""),
    ],
)
def test_bytes_of_every_kind(server, cache, data, encoding):
    server.faults = [status(200, data, Content_Encoding=encoding)]
    assert complete(server, requests(1), cache).answers[0].text == "NAÏVE 漢字"


def test_a_reply_in_chunks(server, cache):
    def chunked(handler, body):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = BODY.encode()
        for part in (data[:50], data[50:51], data[51:]):
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    server.faults = [chunked]
    assert complete(server, requests(1), cache).answers[0].text == "NAÏVE 漢字"


@pytest.mark.parametrize(
    "data, encoding, told",
    [
        (b'{"choices": "na\xefve"}', "", r"the reply is not UTF-8: b'.*na\\xefve"),
        (gzip.compress(BODY.encode())[:-20], "gzip", "the compressed reply is cut off"),
        (BODY.encode(), "gzip", "said to be gzip, and is not"),
        (BODY.encode()[:-1] + b",}", "", r"not JSON: .*\(.* at character \d+\)"),
        (BODY.encode() + b"{}", "", r"not JSON: .*\(Extra data at character \d+\)"),
        (BODY.encode() + b"\x00", "", r"not JSON: .*\(Extra data at character \d+\)"),
        (b"<!DOCTYPE html><title>Sign in</title>" + b"<p>x</p>" * 40, "", "not JSON, but a web page: 'Sign in x x"),
    ],
)
def test_bytes_that_may_be_better_next_time(server, cache, pauses, data, encoding, told):
    server.faults = [status(200, data, Content_Encoding=encoding)] * 2
    with pytest.raises(llm.RequestError, match=f"in 2 attempts; the last: .*{told}"):
        complete(server, requests(1), cache, options={"max_retries": 1})
    assert complete(server, requests(1), cache).answers[0].text == "QUESTION 0"


@pytest.mark.parametrize(
    "data, encoding, told",
    [
        (BODY, "br", "encoded as 'br', which was not asked for"),
        (BODY, "zstd", "encoded as 'zstd', which was not asked for"),
        ('data: {"choices": [{"delta": {"content": "A"}}]}\n\ndata: [DONE]\n\n', "", "streams its reply"),
        ("event: message\ndata: {}\n\n", "", "streams its reply"),
        ('{"error": {"message": "no such model", "code": 404}}', "", r"no choices: no such model \(error 404\)"),
        ('{"error": {"message": "bad key", "code": "401"}}', "", r"no choices: bad key \(error 401\)"),
        (
            chat({"content": ""})[:-1] + ', "error": {"message": "m", "code": 400}}',
            "",
            r"an error beside its choices: m",
        ),
        ('{"message": "no credit", "status": 402}', "", r"no choices: no credit \(error 402\)"),
        (chat({"content": [{"type": "audio"}]}), "", "a part of type 'audio' without a text"),
    ],
)
def test_what_another_attempt_would_bring_again_is_an_error_at_once(server, cache, pauses, data, encoding, told):
    server.faults = [status(200, data, Content_Encoding=encoding)]
    with pytest.raises(llm.RequestError, match=told):
        complete(server, requests(1), cache)
    assert not pauses and len(server.bodies) == 1


@pytest.mark.parametrize("code", [429, 500, "503", "overloaded"])
def test_an_error_in_a_reply_that_passes_is_tried_again(server, cache, pauses, code):
    server.faults = [reply(json.dumps({"error": {"message": "busy", "code": code}}))]
    assert complete(server, requests(1), cache).retries == 1


def test_an_answer_that_broke_off_is_none():
    with pytest.raises(MalformedError, match="the server broke off: upstream died"):
        parse_answer(chat({"content": "half an ans"}, finish_reason="error", error={"message": "upstream died"}))


@pytest.mark.parametrize(
    "text, told",
    [
        ('{"error": {"message": "m", "type": "t"}}', "m"),
        ('{"error": "m"}', "m"),
        ('{"message": "m"}', "m"),
        ('{"detail": "m"}', "m"),
        ('{"detail": {"error": {"message": "m"}}}', "m"),
        ('{"detail": [{"loc": ["body", "n"], "msg": "m"}]}', "body.n: m"),
        ('[{"error": {"code": 400, "message": "m"}}]', "m"),
        ('{"errors": [{"message": "m"}]}', "m"),
        ('{"error": {"msg": "m"}}', "m"),
        ('{"title": "m", "status": 400}', "m"),
        ('{"error": "invalid_request", "error_description": "m"}', "m"),
        ('{"error": "Bad Request", "message": "m", "statusCode": 400}', "m"),
        ('"m"', "m"),
        ('{"error": {"message": ""}, "error_description": "m"}', "m"),
        ('\ufeff{"error": "m"}', "m"),
        ("m", "'m'"),
        ("", "''"),
        ("<html><h1>m</h1></html>", "'<html><h1>m</h1></html>'"),
        ("<html><style>" + "x" * 300 + "</style><h1>m &amp; n</h1></html>", "'m &amp; n'"),
        ("{}", "'{}'"),
        ("[" * 100_000, repr("[" * 200 + "...")),
    ],
)
def test_what_a_server_says(text, told):
    assert server_message(text) == told


def test_cut_and_empty_texts_are_counted(server, cache):
    """Of four texts one was cut, one was cut while thinking, one refused; scores and counts of options do not count."""
    said = [("half", "length"), (None, "MAX_TOKENS"), (" ", "stop"), ("whole", "stop")]
    server.faults = [
        reply(chat({"content": content, "reasoning_content": "..."}, finish_reason=f)) for content, f in said
    ]
    service = llm.service.asking(llm.Client(server.url, "tiny"), cache, concurrency=1, thinking_tokens=100, show=False)
    texts = llm.service.make_generate(service)(["a"], n=4, max_tokens=9)
    assert texts == [["half", "", " ", "whole"]] and {body["max_tokens"] for body in server.bodies} == {109}
    ledger = service.ledger
    assert (ledger.texts, ledger.cut, ledger.empty) == (4, 2, 2)
    assert ledger.shortcomings().startswith("Of 4 texts, 2 were cut at their limit of tokens and 2 are empty")
    llm.service.make_short_generate(service)(["b"], n=2, max_tokens=1)
    assert ledger.texts == 4 and llm.service.Ledger().shortcomings() == ""
