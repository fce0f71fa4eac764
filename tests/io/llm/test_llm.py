"""Answers from a real server on this machine: faults, limits, order, costs, and a key that is nowhere."""

import datetime
import email.utils
import functools
import json
import threading
import traceback

import pytest

from jaxalign.io import llm
from jaxalign.io.llm.protocol import request_key
from tests.io.llm import chat_server
from tests.io.llm.chat_server import KEY, completion, reply, status


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def cache(tmp_path):
    return llm.Cache(tmp_path / "cache.jsonl")


def requests(count, **options):
    return [llm.Request(f"question {n}", **options) for n in range(count)]


def client(server, **options):
    return llm.Client(server.url, "tiny", **options)


def complete(server, asked, cache, *, show=False, options=None, **arguments):
    return llm.complete(client(server, **(options or {})), asked, cache=cache, show=show, **arguments)


def test_answers_in_the_order_of_the_requests(server, cache):
    """The first requests are the last to be answered."""
    arrived = threading.Barrier(4)
    turn = [threading.Event() for _ in range(5)]
    turn[4].set()

    def backwards(body):
        number = int(body["messages"][-1]["content"].split()[1])
        arrived.wait(30)
        turn[number + 1].wait(30)
        turn[number].set()

    server.on_request = backwards
    run = complete(server, requests(4), cache, concurrency=4)
    assert [answer.text for answer in run.answers] == [f"QUESTION {n}" for n in range(4)]
    assert run.paid == llm.Usage(4, 40, 20, 0) and run.paid.tokens == 60
    assert run.cached == llm.Usage() and (run.retries, run.failed, run.unsent) == (0, 0, 0)
    assert all(answer.finish == ("stop",) and 0 < answer.seconds <= run.seconds for answer in run.answers)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_concurrency_is_reached_and_not_passed(server, cache, concurrency):
    """Each request waits until as many are under way: fewer at once would never end, more would be counted."""
    together = threading.Barrier(concurrency)
    server.on_request = lambda body: together.wait(30)
    complete(server, requests(4 * concurrency), cache, concurrency=concurrency)
    assert server.most == concurrency and len(server.bodies) == 4 * concurrency


def test_what_is_sent(server, cache):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    whole = llm.Request(chat, 0.5, 0.9, 7, 2, 11, ["\n"], 3, 4, {"min_p": 0.1})
    complete(server, [whole, llm.Request("Why?")], cache, concurrency=1)
    assert server.bodies == [
        {
            "model": "tiny",
            "messages": chat,
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 7,
            "n": 2,
            "seed": 11,
            "stop": ["\n"],
            "logprobs": True,
            "top_logprobs": 3,
            "min_p": 0.1,
        },
        {"model": "tiny", "messages": [{"role": "user", "content": "Why?"}], "temperature": 1.0},
    ]
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in server.headers)


FAULTS = {
    "too many requests": (status(429), "status 429"),
    "request time-out": (status(408), "status 408"),
    "server error": (status(500, '{"error": {"message": "out of memory"}}'), "status 500, out of memory"),
    "bad gateway": (status(502, "<html>bad gateway</html>"), "status 502, '<html>bad gateway</html>'"),
    "closed at once": (chat_server.drop, "RemoteDisconnected"),
    "closed half-way": (chat_server.cut, "the reply is not JSON"),
    "silent": (chat_server.silent, "TimeoutError|timed out"),
    "garbage": (reply(b"\xff\xfe\x00 no"), "the reply is not JSON"),
    "deep garbage": (reply("[" * 100_000), "the reply is not JSON"),
    "truncated": (reply('{"choices": [{"message": {"content": "hal'), "the reply is not JSON"),
    "empty": (reply(""), "the reply is not JSON"),
    "not an object": (reply("[1]"), "the reply has no choices"),
    "an error as an answer": (reply('{"error": {"message": "overloaded"}}'), "the reply has no choices: overloaded"),
    "no choices": (reply('{"choices": []}'), "the reply has no choices"),
    "no message": (reply('{"choices": [{}]}'), "has no message with a text"),
    "a number for a text": (reply('{"choices": [{"message": {"content": 3}}]}'), "has no message with a text"),
}


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"silent"}))
def test_what_passes_is_tried_again(server, cache, pauses, name):
    server.faults = [FAULTS[name][0]] * 2
    run = complete(server, requests(1), cache)
    assert run.answers[0].text == "QUESTION 0" and (run.retries, run.answers[0].retries) == (2, 2)
    assert len(server.bodies) == 3 and len(pauses) == 2
    assert 0.5 <= pauses[0] <= 1 <= pauses[1] <= 2  # first_delay 1 s, doubled, less up to a half


@pytest.mark.parametrize("name", FAULTS)
def test_retries_are_bounded_and_the_last_reason_is_told(server, cache, pauses, name):
    server.faults = [FAULTS[name][0]] * 9
    with pytest.raises(llm.RequestError, match=f"request 0, .*'question 0': .* in 3 attempts; .*{FAULTS[name][1]}"):
        timeout = 0.2 if name == "silent" else 60.0
        complete(server, requests(1), cache, options={"timeout": timeout, "max_retries": 2})
    assert len(server.bodies) == 3 and len(pauses) == 2 and not cache.path.exists()


def test_time_outs(server, cache, pauses):
    """Of silence, and of a reply that trickles for ever: every byte comes in time, the whole does not."""

    def trickle(handler, body):
        handler.answer(200, "", length=10**6)
        for _ in range(1000):
            handler.server.released.wait(0.02)
            handler.wfile.write(b" ")

    server.faults = [chat_server.silent, trickle]
    run = complete(server, requests(1), cache, options={"timeout": 0.3})
    assert run.answers[0].text == "QUESTION 0" and run.retries >= 2  # a busy machine may add one


def test_nobody_listens(cache, pauses):
    with chat_server.serving() as server:
        pass
    with pytest.raises(llm.RequestError, match="in 2 attempts; the last: URLError: .*refused"):
        complete(server, requests(1), cache, options={"max_retries": 1})


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422, 302])
def test_what_does_not_pass_is_an_error_at_once(server, cache, pauses, code):
    server.faults = [status(code, '{"detail": "no such model"}', Location="http://127.0.0.1:1/elsewhere")]
    with pytest.raises(llm.RequestError, match=f"{server.url}/chat/completions: status {code}, no such model"):
        complete(server, requests(1), cache)
    assert len(server.bodies) == 1 and not pauses


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after(server, cache, pauses, form):
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    value = {"seconds": "60", "date": email.utils.format_datetime(soon, usegmt=True)}[form]
    server.faults = [status(429, Retry_After=value), status(503, Retry_After="soon")]
    complete(server, requests(1), cache)
    assert 50 < pauses[0] <= 60 and pauses[1] <= 2


def test_a_server_that_asks_for_hours_is_left_alone(server, cache, pauses):
    server.faults = [status(429, '{"error": "quota"}', Retry_After="7200")]
    with pytest.raises(llm.RequestError, match="429, quota; the server asks to wait 7200 s, longer than max_delay=120"):
        complete(server, requests(1), cache)
    assert not pauses


def test_failures_are_counted_and_the_others_answered(server, cache, pauses):
    server.faults = [reply("{}"), reply("{}"), status(400, "too long")]
    options = {"options": {"max_retries": 1}, "concurrency": 1, "skip_failed": True}
    run = complete(server, requests(4), cache, **options)
    assert (run.failed, run.retries, run.paid.requests) == (2, 1, 2)
    assert [bool(answer.error) for answer in run.answers] == [True, True, False, False]
    with pytest.raises(ValueError, match="no answer: .*status 400, 'too long'"):
        _ = run.answers[1].text
    again = complete(server, requests(4), cache, **options)
    assert (again.failed, again.paid.requests, again.cached.requests) == (0, 2, 2)


def test_a_failure_stops_the_run_and_keeps_what_was_paid(server, cache, pauses):
    server.faults = [None, None, status(400)]
    with pytest.raises(llm.RequestError, match=r"request 2, .*is in .*cache\.jsonl; the same call goes on from there"):
        complete(server, requests(50), cache, concurrency=1)
    assert len(server.bodies) == 3
    assert len(llm.missing("tiny", requests(50), cache=cache)) == 48


def test_a_failure_wakes_those_that_wait(server, cache):
    """Nobody sleeps the minute that the first request was asked to wait when the second has failed for good."""
    asked = threading.Barrier(2)
    server.on_request = lambda body: asked.wait(30)
    server.faults = [status(429, Retry_After="60"), status(400)]
    with pytest.raises(llm.RequestError, match="status 400"):
        complete(server, requests(2), cache, concurrency=2)
    assert len(server.bodies) == 2


def test_the_second_call_pays_nothing(server, cache, tmp_path):
    first = complete(server, requests(3) + requests(2), cache)
    assert len(server.bodies) == 3 and first.answers[0] == first.answers[3]  # equal requests are asked once
    assert first.paid.requests == 3
    second = complete(server, requests(3), llm.Cache(cache.path))
    assert len(server.bodies) == 3
    assert second.paid == llm.Usage() and second.cached == llm.Usage(3, 30, 15, 0)
    assert [answer.texts for answer in second.answers] == [answer.texts for answer in first.answers[:3]]
    assert all(answer.cached for answer in second.answers)


def test_what_another_process_paid_meanwhile_is_not_paid_again(server, cache):
    """While the first request is under way, the answer to the second appears in the file."""
    answer = llm.Answer(("written by another",), ("stop",), 3, 2, (None,), retries=9)
    elsewhere = llm.Cache(cache.path)
    server.on_request = lambda body: elsewhere.add(request_key("tiny", requests(2)[1]), "tiny", answer)
    run = complete(server, requests(2), cache, concurrency=1, budget_tokens=16)
    assert run.answers[1].text == "written by another" and server.asked() == ["question 0"]
    assert (run.paid, run.cached, run.retries) == (llm.Usage(1, 10, 5, 0), llm.Usage(1, 3, 2, 0), 0)


def test_missing_counts_before_a_run(server, cache):
    complete(server, requests(2), cache)
    asked = [*requests(4), llm.Request("question 3"), llm.Request("question 3", sample=1)]
    assert llm.missing("tiny", asked, cache=cache) == [asked[2], asked[3], asked[5]]
    assert len(llm.missing("other", asked, cache=cache)) == 5


def test_a_budget_stops_gracefully(server, cache):
    """15 tokens a request: after the third, 45 of 40 are spent."""
    run = complete(server, requests(6), cache, concurrency=1, budget_tokens=40)
    assert len(server.bodies) == 3 and (run.paid.tokens, run.unsent, run.failed) == (45, 3, 0)
    assert [answer.error for answer in run.answers[3:]] == ["not sent: the budget of 40 tokens is spent"] * 3
    run = complete(server, requests(6), cache, budget_tokens=1000)
    assert run.unsent == 0 and (run.cached.requests, run.paid.requests) == (3, 3)
    assert complete(server, requests(6), cache, budget_tokens=0).unsent == 0  # a cached answer costs nothing


def test_a_server_that_does_not_count(server, cache):
    server.faults = [
        reply(json.dumps(completion({"messages": [{"content": "a"}]}, usage=usage))) for usage in (None, {})
    ]
    assert complete(server, requests(1), cache).paid == llm.Usage(1, 0, 0, unreported=1)
    with pytest.raises(ValueError, match="does not report tokens, so a budget of 99 tokens cannot be kept"):
        complete(server, requests(2), cache, budget_tokens=99)
    assert not llm.missing("tiny", requests(2), cache=cache)


def test_several_texts_and_their_logprobs(server, cache):
    token = {"token": "A", "logprob": -0.25, "top_logprobs": [{"token": "B", "logprob": -1.5}]}
    choices = [
        {"message": {"content": "A"}, "finish_reason": "length", "logprobs": {"content": [token]}},
        {"message": {"content": None}, "finish_reason": "content_filter"},
    ]
    server.faults = [reply(json.dumps({"choices": choices}))]
    asked = [llm.Request("a", n=2, top_logprobs=1)]
    answer = complete(server, asked, cache).answers[0]
    assert (answer.texts, answer.finish) == (("A", ""), ("length", "content_filter"))
    assert answer.logprobs == ([token], None)
    assert llm.replay("tiny", asked, cache=llm.Cache(cache.path))[0] == answer._replace(cached=True)


def test_a_server_that_ignores_n(server, cache, pauses):
    server.faults = [reply(json.dumps(completion({"messages": [{"content": "a"}]})))]
    with pytest.raises(llm.RequestError, match="asked for n=3 answers, got 1; use sample=0, 1"):
        complete(server, requests(1, n=3), cache)
    assert not pauses


def test_replay_needs_no_server(server, cache, tmp_path):
    run = complete(server, requests(2), cache)
    recorded = llm.Cache(cache.path)
    assert [answer.text for answer in llm.replay("tiny", requests(2), cache=recorded)] == [a.text for a in run.answers]
    with pytest.raises(
        llm.NotRecordedError, match=r"cache\.jsonl has no answer of 'tiny' to request 2, .*'question 2'"
    ):
        llm.replay("tiny", requests(3), cache=recorded)
    with pytest.raises(llm.NotRecordedError, match="'question 0', sample 1"):
        llm.replay("tiny", requests(1, sample=1), cache=recorded)
    assert len(server.bodies) == 2


def test_generators(server, cache):
    service = llm.service.asking(client(server), cache, concurrency=1, show=False)
    generate = llm.service.make_generate(service)
    chat = [{"role": "user", "content": "b"}]
    expected = [["A", "A"], ["B", "B"]]
    assert generate(["a", chat], n=2, seed=5, max_tokens=3, stop=["."]) == expected
    assert [(body["seed"], body["max_tokens"], body["stop"]) for body in server.bodies[:2]] == [
        (5, 3, ["."]),
        (6, 3, ["."]),
    ]
    again = llm.service.make_generate(llm.service.replaying("tiny", llm.Cache(cache.path)))
    assert again(["a", chat], n=2, seed=5, max_tokens=3, stop=["."]) == expected
    with pytest.raises(llm.NotRecordedError):
        again(["a"], n=3, seed=5, max_tokens=3, stop=["."])
    assert len(server.bodies) == 4


def test_progress(server, cache, capsys):
    complete(server, requests(1), cache, show=True)
    assert "asking tiny: step 1/1, tokens/s " in capsys.readouterr().err
    complete(server, requests(1), cache, show=True)


def test_the_key_is_nowhere(server, cache, pauses, capsys, caplog, monkeypatch):
    """Neither in errors of a server that repeats it, nor in the file, nor in what is shown."""
    told = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}, "choices": f"{KEY}"})
    echo = json.dumps(completion({"messages": [{"content": "a"}]}) | {"key": KEY}).replace('"A"', f'"It is {KEY}"')
    server.faults = [status(500, told), reply(told), reply("x" * 190 + KEY), reply(echo), status(401, told)]
    run = complete(server, requests(1), cache, show=True)
    assert run.retries == 3 and run.answers[0].text == "It is [OPENAI_API_KEY]"
    with pytest.raises(llm.RequestError, match=r"401, Incorrect API key provided: \[OPENAI_API_KEY\]") as error:
        complete(server, requests(2), cache, show=True)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n{KEY}")
    with pytest.raises(llm.RequestError, match="OPENAI_API_KEY holds characters that no API key has") as broken:
        complete(server, requests(2), cache)
    shown = "".join(traceback.format_exception(error.value) + traceback.format_exception(broken.value))
    shown += repr((run, client(server), cache, requests(1))) + caplog.text + "".join(capsys.readouterr())
    assert KEY[8:] not in shown
    assert cache.path.stat().st_size and KEY[8:] not in cache.path.read_text()


def test_another_variable_and_no_key(server, cache, monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "EMPTY")  # what servers without keys are given; it is no secret
    server.faults = [reply(json.dumps(completion({"messages": [{"content": "empty"}]})))]
    assert complete(server, requests(1), cache, options={"key_variable": "OTHER_KEY"}).answers[0].text == "EMPTY"
    complete(server, requests(2), cache, options={"key_variable": "UNSET_KEY"})
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer EMPTY", None]


@pytest.mark.parametrize(
    "make, message",
    [
        (functools.partial(llm.Client, "127.0.0.1:8000", "m"), "base_url: expected http://HOST"),
        (functools.partial(llm.Client, "file:///etc", "m"), "base_url: expected http://HOST"),
        (functools.partial(llm.Client, f"http://me:{KEY}@host/v1", "m"), "an API key goes into the environment"),
        (functools.partial(llm.Client, "http://host/v1", "m", timeout=0.0), "timeout: expected seconds above 0"),
        (functools.partial(llm.Client, "http://host/v1", "m", max_retries=-1), "expected numbers of at least 0"),
        (functools.partial(llm.Request, "a", temperature=-1.0), "temperature: expected a number of at least 0, got -1"),
        (functools.partial(llm.Request, "a", top_p=0.0), r"top_p: expected a number in \(0, 1\], got 0"),
        (functools.partial(llm.Request, "a", max_tokens=0), "max_tokens: expected at least 1, got 0"),
        (functools.partial(llm.Request, "a", n=0), "n: expected at least 1, got 0"),
        (functools.partial(llm.Request, "a", stop="END"), "stop: expected a list of texts, got the text 'END'"),
        (functools.partial(llm.Request, "a", extra={"temperature": 2}), "extra: 'temperature' is set by the request"),
        (functools.partial(llm.Request, "a", extra={"n": 2}), "extra: 'n' is set by the request"),
        (functools.partial(llm.Request, []), "expected a text or a list of at least one chat message"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert KEY not in str(error.value)


def test_no_concurrency(server, cache):
    with pytest.raises(ValueError, match="concurrency: expected at least 1, got 0"):
        complete(server, requests(1), cache, concurrency=0)
