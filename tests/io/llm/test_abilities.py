"""What counts as knowledge about a server: clear statements that last, of one server and model, with their time."""

import datetime
import json
import re

import pytest

from jaxalign.io import llm
from jaxalign.io.llm.protocol import hash_of, request_key
from jaxalign.io.llm.refusals import Refusal, refusal_of
from jaxalign.typing import OptionScore
from tests.io.llm import chat_server
from tests.io.llm.chat_server import completion, reply, status
from tests.io.llm.echo_model import usage

PROMPTS = [f"Is {n} even? Answer:" for n in range(6)]
OPTIONS = [(" Yes", " No")] * 6
WHOLE = 6 * 3  # requests of six prompts that are echoed, each alone and with two options
CHAT = [{"role": "user", "content": "Is 0 even?"}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.fixture(autouse=True)
def echoing(server):
    """A server that knows everything: two tokens of a prompt, and one of an option, of which "No" is less likely."""
    server.echo, server.chat = echo, chat


def echo(body):
    option = next((each for each in (" Yes", " No") if body["prompt"].endswith(each)), "")
    tokens = [body["prompt"][:2], body["prompt"].removesuffix(option)[2:], *([option] if option else [])]
    values = [None, -1.0, *([{" Yes": -0.25, " No": -2.0}[option]] if option else [])]
    logprobs = {"tokens": [*tokens, "!"], "token_logprobs": [*values, -3.0]}
    return {"choices": [{"text": "", "logprobs": logprobs}], "usage": usage(len(tokens), 1)}


def chat(body):
    entry = {"token": "Yes", "logprob": -0.5, "top_logprobs": [{"token": "No", "logprob": -1.5}]}
    choice = {"message": {"content": "Yes"}, "finish_reason": "length"}
    return {"choices": [choice | ({"logprobs": {"content": [entry]}} if "top_logprobs" in body else {})]}


def score(url, path, prompts=PROMPTS, options=OPTIONS, *, model="m", **fields):
    client = llm.Client(url, model, **{"max_retries": 0} | fields)
    service = llm.service.asking(client, llm.Cache(path), concurrency=1, show=False)
    return llm.options.make_score_options(service)(prompts, options)


def notes(path):
    return [row for row in map(json.loads, path.read_bytes().splitlines()) if "note" in row] if path.exists() else []


ECHOED = [[OptionScore(-0.25, 1), OptionScore(-2.0, 1)]] * 6


@pytest.mark.parametrize("wrong", ["/v2", "/api/v1", "/v1/chat"])
def test_a_mistyped_url_is_no_knowledge(server, path, wrong):
    """The right URL then takes 19 requests: one that shows the way is among the 18, and a wrong one was before."""
    server.root = "/v1/c"
    server.faults = [status(404)] * 2
    with pytest.raises(llm.RequestError, match="status 404.* Expected a base URL such as"):
        score(server.url.removesuffix("/v1") + wrong, path)
    asked = len(server.bodies)
    server.faults.clear()
    assert score(server.url, path) == ECHOED and len(server.bodies) == asked + WHOLE
    assert [row["note"] for row in notes(path)] == ["can score options by echo"]


def test_a_model_that_is_not_there_is_no_knowledge(server, path):
    server.faults = [status(404, '{"error": {"message": "The model `n` does not exist"}}')] * 2
    with pytest.raises(llm.RequestError, match="The model `n` does not exist.*name of a model there, got 'm'"):
        score(server.url, path)
    assert not notes(path) and score(server.url, path) == ECHOED


PASSING = {
    "loading": status(400, '{"error": {"message": "the model is loading, try again"}}'),
    "filtered": status(422, '{"error": {"code": "content_filter", "message": "echo was flagged by moderation"}}'),
    "busy": status(429, '{"error": {"message": "logprobs are not available, rate limit"}}'),
    "broken": status(500, '{"error": {"message": "logprobs failed; please contact support"}}'),
    "supporting": status(500, "An unsupportive worker died, not your fault: support@example.com"),
    "away": status(503, '{"error": {"message": "echo is not supported"}}'),
    "gateway": status(504, "<html>time-out</html>"),
    "closed": chat_server.drop,
    "silent": chat_server.silent,
    "nonsense": reply("nonsense"),
    "forbidden": status(403, '{"error": "no access"}'),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_or_is_about_one_request_is_no_knowledge(server, path, name):
    server.faults = [PASSING[name]]
    with pytest.raises(llm.RequestError):
        score(server.url, path, timeout=0.2 if name == "silent" else 60.0)
    assert not notes(path) and len(server.bodies) == 1
    assert score(server.url, path) == ECHOED and len(server.bodies) == 1 + WHOLE


LONG = [
    (400, "This model's maximum context length is 4 tokens; logprobs are not counted"),
    (
        400,
        '{"error": {"code": "context_length_exceeded", "message": "the request exceeds the available context size"}}',
    ),
    (413, "Payload Too Large"),
    (422, '{"error": "`inputs` tokens + `max_new_tokens` must be <= 4"}'),
    (500, '{"error": {"message": "the prompt is too long, echo is not supported"}}'),
]


@pytest.mark.parametrize("code, said", LONG)
def test_a_prompt_that_is_too_long_shows_nothing_of_the_server(server, path, pauses, code, said, capsys):
    """Neither that it knows a way, nor that it does not: the next prompts try again. It is an error at once."""
    with chat_server.serving([status(code, said)] * 2) as full, pytest.raises(llm.RequestError, match=f"status {code}"):
        score(full.url, path, max_retries=3)
    assert len(full.bodies) == 2 and not notes(path) and not pauses and capsys.readouterr().err == ""
    server.faults = [status(code, said)] * 2
    client = llm.Client(server.url, "m", max_retries=0)
    score_options = llm.options.make_score_options(
        llm.service.asking(client, llm.Cache(path), concurrency=1, show=False)
    )
    with pytest.raises(llm.RequestError):
        score_options(PROMPTS, OPTIONS)
    assert score_options(PROMPTS, OPTIONS) == ECHOED and [row["note"] for row in notes(path)] == [
        "can score options by echo"
    ]


@pytest.mark.parametrize("text", ["{}", '{"detail": "Bad request"}', '{"error": {"message": "invalid body"}}', "nope"])
def test_an_unclear_refusal_is_looked_at_twice(server, path, text, capsys):
    """Once by a chat about the same prompt, once more by the request itself: it has passed."""
    server.faults = [status(400, text)]
    assert score(server.url, path) == ECHOED
    assert capsys.readouterr().err == "m: options are scored by echo\n"
    assert server.paths[:3] == ["/v1/completions", "/v1/chat/completions", "/v1/completions"]
    assert len(server.bodies) == 2 + WHOLE
    assert {row["note"] for row in notes(path)} == {"can score options by first token", "can score options by echo"}


def test_an_unclear_refusal_that_stays_is_knowledge(server, path, capsys):
    refuse = status(400, "{}")
    server.faults = [refuse, None, refuse]
    found = score(server.url, path)
    assert found == [[OptionScore(pytest.approx(-0.5), 1), OptionScore(pytest.approx(-1.5), 1)]] * 6
    assert len(server.bodies) == 2 + 6
    assert re.search(r"not by echo \(.*status 400, '{}', on 20..-..-..; to try again", capsys.readouterr().err)
    assert score(server.url, path) == found and len(server.bodies) == 8


def test_an_unclear_refusal_of_a_prompt_that_no_endpoint_takes_is_an_error(server, path):
    server.faults = [status(400, "{}"), status(400, "{}"), status(400, "{}")]
    with pytest.raises(llm.RequestError, match="status 400"):
        score(server.url, path)
    assert not notes(path) and len(server.bodies) == 3  # echo, first token, and the plain question


def test_first_tokens_are_looked_at_twice_as_well(server, path, capsys):
    """A chat is not echoed. The refusal of its first tokens comes again, after a plain question was answered."""
    refuse = status(422, '{"detail": "Unprocessable"}')
    server.faults = [refuse, None, refuse]
    assert score(server.url, path, [CHAT], OPTIONS[:1]) == [[OptionScore(0.0, 1), OptionScore(float("-inf"), 1)]]
    assert [body.get("top_logprobs") for body in server.bodies[:3]] == [20, None, 20] and len(server.bodies) == 3 + 8
    (note,) = notes(path)
    assert note["note"].startswith("cannot score options by first token: http://127.0.0.1")


CLEAR = {
    "field": status(400, '{"error": {"message": "echo: unknown field"}}'),
    "pydantic": status(422, '{"detail": [{"loc": ["body", "echo"], "msg": "Extra inputs are not permitted"}]}'),
    "policy": status(403, '{"error": {"message": "You are not allowed to request logprobs from this model"}}'),
    "llama.cpp": status(500, '{"error": {"message": "Only no echo is supported"}}'),
    "not built": status(501, "?"),
    "not yet": status(500, '{"message": "logprobs with echo are not yet implemented"}'),
    "method": status(405, "{}"),
    "nothing there": status(404, "{}"),
    "left out": reply(json.dumps({"choices": [{"text": "x"}], "usage": usage(2, 1)})),
}


@pytest.mark.parametrize("name", CLEAR)
def test_a_clear_statement_is_kept_with_its_time_and_can_be_deleted(server, path, name):
    server.faults = [CLEAR[name]]
    first = score(server.url, path)
    assert len(server.bodies) == 1 + 6 and score(server.url, path) == first and len(server.bodies) == 7
    note = next(row for row in notes(path) if "echo" in row["note"])
    assert note["note"].startswith("cannot score options by echo: ") and note["server"] == server.url
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(note["written"])
    assert datetime.timedelta(0) <= age + datetime.timedelta(seconds=1) < datetime.timedelta(minutes=5)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line) != note))
    assert score(server.url, path) == ECHOED


@pytest.mark.parametrize("second", ["other server", "other model"])
def test_knowledge_is_of_one_server_and_model(server, path, second):
    server.faults = [CLEAR["field"]]
    score(server.url, path)
    if second == "other model":
        assert score(server.url, path, model="n") == ECHOED
        return
    with chat_server.serving() as other:
        other.echo, other.chat = echo, chat
        assert score(other.url, path) == ECHOED and len(other.bodies) == WHOLE
    asked = len(server.bodies)
    assert score(server.url, path) != ECHOED and len(server.bodies) == asked


def test_what_earlier_versions_noted_is_not_believed_but_replayed(server, path):
    """Their notes do not say why, and of which server; the answers that go with one are replayed as they were read."""
    cache = llm.Cache(path)
    note = llm.Answer(("status 404, {}",), ("",), 0, 0, (None,))
    cache.add(hash_of(["options", "m", "echo"]), "m", note)
    cache.add(hash_of(["options", "m", "first token"]), "m", note._replace(texts=("",)))
    answer = llm.Answer(
        ("Yes",), ("length",), 1, 1, ([chat({"top_logprobs": 20})["choices"][0]["logprobs"]["content"][0]],)
    )
    for prompt in PROMPTS:
        asked = llm.Request(prompt, temperature=1.0, max_tokens=1, top_logprobs=20)
        cache.add(request_key("m", asked), "m", answer)
    for url in ("", "http://nowhere/v1"):
        service = llm.service.replaying("m", llm.Cache(path), server=url)
        replayed = llm.options.make_score_options(service)(PROMPTS, OPTIONS)
        assert replayed == [[OptionScore(pytest.approx(-0.5), 1), OptionScore(pytest.approx(-1.5), 1)]] * 6
    assert score(server.url, path) == ECHOED and len(server.bodies) == WHOLE
    service = llm.service.replaying("m", llm.Cache(path))
    assert llm.options.make_score_options(service)(PROMPTS, OPTIONS) == ECHOED


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_log_probability_that_is_missing_scores_no_option(server, path, value):
    def gap(body):
        made = echo(body)
        if body["prompt"].endswith(" No"):
            made["choices"][0]["logprobs"]["token_logprobs"][2] = value
        return made

    server.echo = gap
    assert score(server.url, path) == [[OptionScore(float("-inf"), 1)] * 2] * 6


@pytest.mark.parametrize(
    "code, said, expected",
    [
        (400, "`logprobs` is not supported with this model", Refusal.CANNOT),
        (400, "Unrecognized request argument supplied: echo", Refusal.CANNOT),
        (400, "log probabilities are disabled here", Refusal.CANNOT),
        (400, "Setting 'echo' and 'logprobs' at the same time isn't supported", Refusal.CANNOT),
        (422, "top_logprobs: extra fields", Refusal.CANNOT),
        (400, "I do not know. Echo", Refusal.UNCLEAR),
        (400, "the prompt has an echo", Refusal.UNCLEAR),
        (400, "the prompt is too long, and logprobs are not free", Refusal.TOO_LONG),
        (500, "input (9 tokens) is too large to process", Refusal.TOO_LONG),
        (500, "Requested tokens (9) exceed context window of 4", Refusal.TOO_LONG),
        (429, "context length", None),
        (400, "logprobs: not now, retry in a minute", None),
        (401, "echo is not supported", None),
        (402, "no credit for logprobs", None),
        (404, "whatever", Refusal.NO_ENDPOINT),
        (429, "logprobs are not supported at this rate", None),
        (500, "echo worker is not available", None),
        (500, "contact our support", None),
        (500, "no support staff is there. echo", None),
        (500, "this server does not support echo", Refusal.CANNOT),
        (500, "echo unsupported", Refusal.CANNOT),
        (502, "echo unsupported", None),
        (501, "", Refusal.CANNOT),
    ],
)
def test_statements(code, said, expected):
    assert refusal_of(code, said) is expected


def test_a_plain_answer_of_the_chat_settles_a_path_without_an_endpoint(server, path):
    """Options that begin alike cannot be told by a first token: the plain question shows that the base URL is right."""
    server.echo = None
    options = [(" maybe", " mayfly")] * 2
    server.chat = lambda body: completion({"messages": [{"content": "maybe"}]})
    score(server.url, path, PROMPTS[:2], options)
    assert len(server.bodies) == 1 + 1 + 2 * 8 and server.bodies[1]["max_tokens"] == 1
    assert [row["note"][:28] for row in notes(path)] == ["cannot score options by echo"]
