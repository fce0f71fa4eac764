"""Documents through an engine: what failed is a Failure in its place, and what each text took is known by its seed."""

import json

import pytest

from jaxalign.attributes import Failure, make_requests, plain_assignments, render_simple_document, sample_assignments
from jaxalign.io import jobs, llm
from jaxalign.io.llm import fitting
from jaxalign.io.llm.service import Ledger
from tests.attributes.tiny import TASK
from tests.io.llm import chat_server

PRICE = llm.Price(prompt=1.0, completion=100.0)
PROMPTS = ["one", "one two", "one two three"]
TOO_LONG = json.dumps({"error": {"message": "maximum context length is 20 tokens"}})


def chat(body):
    """The answer and its tokens tell the seed, and the tokens of the prompt are its words."""
    prompt = body["messages"][-1]["content"]
    choice = {"message": {"content": f"{prompt} {body['seed']}"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": 100 + body["seed"] % 97}
    return chat_server.completion(body, choices=[choice], usage=usage)


def failing(**errors):
    """A fault for every request: a status for prompts that end so, and answers to the others."""

    def fault(handler, body):
        prompt = body["messages"][-1]["content"]
        for ending, (status, text) in errors.items():
            if prompt.endswith(ending):
                return handler.answer(status, text)
        return handler.answer(200, json.dumps(chat(body)))

    return [fault] * 1000


@pytest.fixture
def server(server):
    server.chat = chat
    return server


def open_service(server, path, ledger=None, **options):
    client = llm.Client(server.url, "m", max_retries=0)
    return llm.service.asking(client, llm.Cache(path), ledger=ledger, show=False, **options)


def open_writer(service, price=PRICE):
    return llm.metering.metered(llm.service.make_attempt(service), "m", price)


def replayed(path, ledger=None):
    return open_writer(llm.service.replaying("m", llm.Cache(path), ledger=ledger))


def test_what_each_text_took(server, tmp_path):
    writer = open_writer(open_service(server, tmp_path / "pool.jsonl"))
    assert writer.generate(PROMPTS, n=3, seed=5)[1] == ["one two 5", "one two 6", "one two 7"]
    taken = {"model": "m", "prompt_tokens": 2, "completion_tokens": 107, "tokens": 109, "cost": 0.010702}
    assert writer.usage_fn("one two", 7) == taken
    assert replayed(tmp_path / "pool.jsonl").usage_fn("one two", 7)["tokens"] is None  # nobody has asked yet
    again = replayed(tmp_path / "pool.jsonl")
    again.generate(PROMPTS, n=3, seed=5)
    assert again.usage_fn("one two", 7) == taken
    assert open_writer(open_service(server, tmp_path / "pool.jsonl"), None).usage_fn("one two", 7)["cost"] is None


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 3}, {"completion_tokens": 3}])
def test_what_a_server_does_not_report_stays_unknown(server, tmp_path, usage):
    server.chat = lambda body: chat_server.completion(body, usage=usage)
    writer = open_writer(open_service(server, tmp_path / "pool.jsonl"))
    writer.generate(PROMPTS, seed=0)
    nothing = {"model": "m", "prompt_tokens": None, "completion_tokens": None, "tokens": None, "cost": None}
    assert writer.usage_fn("one", 0) == nothing | (usage or {})


def test_a_failed_request_is_one_failure(server, tmp_path, capsys):
    """Whatever the reason: the server turns it down, or has no room. A replay tells the same."""
    server.faults = failing(two=(400, '{"error": "filtered"}'), three=(400, TOO_LONG))
    path, ledgers = tmp_path / "pool.jsonl", (Ledger(), Ledger())
    writer, again = open_writer(open_service(server, path, ledgers[0])), None
    texts = writer.generate(PROMPTS, n=2, seed=0)
    assert texts == [["one 0", "one 1"], ["", ""], ["", ""]]
    reasons = [text.reason for each in texts[1:] for text in each if isinstance(text, Failure)]
    assert len(reasons) == 4
    assert all(reason.endswith("/chat/completions: status 400, filtered") for reason in reasons[:2])
    assert all(reason.endswith("status 400, maximum context length is 20 tokens") for reason in reasons[2:])
    assert writer.usage_fn("one", 1)["tokens"] == 102
    assert writer.usage_fn("one two", 0) == dict.fromkeys(writer.usage_fn("one", 1)) | {"model": "m"}
    assert capsys.readouterr().err.count("A request failed, and the run goes on without its text: http") == 1
    again = replayed(path, ledgers[1])
    assert [
        [(text, getattr(text, "reason", "")) for text in each] for each in again.generate(PROMPTS, n=2, seed=0)
    ] == [[(text, getattr(text, "reason", "")) for text in each] for each in texts]
    assert again.usage_fn("one two", 0) == writer.usage_fn("one two", 0)
    for ledger in ledgers:
        assert ledger.failed == 4 and ledger.asked.requests == 2 and ledger.empty == 0
        assert "4 requests failed, and there is no text of them." in ledger.shortcomings()
    assert (ledgers[0].paid.requests, ledgers[1].paid.requests) == (2, 0)
    with pytest.raises(llm.NotRecordedError):
        again.generate(PROMPTS, n=2, seed=1)


def test_what_failed_is_asked_again_and_the_note_forgotten(server, tmp_path):
    path = tmp_path / "pool.jsonl"
    server.faults = failing(two=(400, "{}"))
    assert open_writer(open_service(server, path)).generate(PROMPTS, seed=0)[1] == [""]
    server.faults = []
    before = len(server.bodies)
    assert open_writer(open_service(server, path)).generate(PROMPTS, seed=0)[1] == ["one two 0"]
    assert server.asked()[before:] == ["one two"]
    assert replayed(path).generate(PROMPTS, seed=0)[1] == ["one two 0"]


def test_others_still_end_at_a_failure(server, tmp_path):
    """Judges need every answer."""
    server.faults = failing(two=(400, "{}"))
    with pytest.raises(llm.RequestError, match="status 400"):
        llm.service.make_generate(open_service(server, tmp_path / "pool.jsonl"))(PROMPTS, seed=0)


def local(path, ledger, room=None, model=None):
    """A model in this process whose tokens are words, and which has room for prompts of two of them."""

    def generate(prompts, *, n=1, seed=None, **_):
        if model is None:
            pytest.fail("asked")
        return [[f"{prompt} and {seed} {k}" for k in range(n)] for prompt in prompts]

    recorder = llm.record.Recorder("m@1", llm.Cache(path), lambda text: len(text.split()), ledger, show=False)
    recorded = llm.record.record(recorder, generate, lambda *_: [])
    return fitting.fitting(recorded, "m@1", recorder.cache, room, fitting.LeftOut())


def test_a_model_in_this_process(tmp_path):
    def room(prompt, options, max_tokens):
        return "3 tokens with 7 to follow, and the context has 9" if len(prompt.split()) > 2 else ""

    path, ledger = tmp_path / "pool.jsonl", Ledger()
    asked = local(path, ledger, room, model="m")
    writer = llm.metering.metered(asked.ask, "m", PRICE)
    texts = writer.generate(PROMPTS, n=2, seed=4, max_tokens=7)
    assert texts[:2] == [["one and 4 0", "one and 4 1"], ["one two and 4 0", "one two and 4 1"]]
    assert [text.reason for text in texts[2]] == ["too long: 3 tokens with 7 to follow, and the context has 9"] * 2
    assert writer.usage_fn("one two", 5) == {
        "model": "m",
        "prompt_tokens": 2,
        "completion_tokens": 5,
        "tokens": 7,
        "cost": 0.000502,
    }
    assert writer.usage_fn("one two three", 5)["tokens"] is None
    assert ledger.paid == llm.Usage(4, 6, 18)
    assert asked.generate(PROMPTS, n=2, seed=4, max_tokens=7) == texts  # judges see empty texts
    again = llm.metering.metered(local(path, Ledger()).ask, "m", PRICE)
    assert again.generate(PROMPTS, n=2, seed=4, max_tokens=7) == texts
    for prompt in PROMPTS:
        assert [again.usage_fn(prompt, seed) == writer.usage_fn(prompt, seed) for seed in (4, 5)] == [True, True]


EQUAL = make_requests(TASK, plain_assignments(TASK, 4), render_simple_document)
DISTINCT = make_requests(TASK, sample_assignments(TASK, 4, seed=0))


@pytest.mark.parametrize("requests", [EQUAL, DISTINCT], ids=["equal prompts", "attributes"])
@pytest.mark.parametrize("seed", [0, 7])
def test_every_row_has_what_its_own_text_took(server, tmp_path, requests, seed):
    """The server's answer tells the seed that it was asked for with, and so do its tokens; also when asked again."""
    bad = requests[5].prompt
    server.faults = failing(**{bad: (400, '{"error": "filtered"}')})
    writer = open_writer(open_service(server, tmp_path / "pool.jsonl"))
    options = {"settings": {}, "chunk": 5, "seed": seed, "show": False}
    path = tmp_path / "documents.jsonl"
    jobs.write_document_file(path, writer.generate, requests, usage_fn=writer.usage_fn, **options)
    before = check(path, requests, seed, bad)
    server.faults = []
    jobs.retry_failed(path, writer.generate, requests, usage_fn=writer.usage_fn, **options)
    assert {row.attempt for row in check(path, requests, seed)} == {0, 1}
    assert {row.attempt for row in before} == {0}


def check(path, requests, seed, failed=None):
    rows = jobs.read_documents(path)
    for row, request in zip(rows, requests, strict=True):
        if request.prompt == failed:
            assert row.document.reason.endswith("status 400, filtered") and row.usage == {"model": "m"}
            continue
        asked = seed + row.attempt * jobs.ATTEMPT_SEEDS + request.draw
        words = len(request.prompt.split())
        assert row.document.text.endswith(f" {asked}")
        assert (row.usage["prompt_tokens"], row.usage["completion_tokens"]) == (words, 100 + asked % 97)
        assert row.usage["cost"] == pytest.approx((words + 100 * (100 + asked % 97)) * 1e-6)
        assert row.usage["tokens"] == words + 100 + asked % 97
    return rows


def test_when_all_fail_the_first_error_is_shown(server, tmp_path):
    server.faults = [chat_server.status(401, '{"error": "no such key"}')] * 99
    writer = open_writer(open_service(server, tmp_path / "pool.jsonl"))
    with pytest.raises(
        RuntimeError, match=r"none of the 12 requests .* gave a document; the first: .* 401, no such key"
    ):
        jobs.write_document_file(tmp_path / "documents.jsonl", writer.generate, DISTINCT, settings={}, show=False)


def test_a_server_that_is_gone_ends_the_run_and_another_goes_on(server, tmp_path, pauses):
    """One request that is tried in vain is a failed row; a chunk of them is no reason to try thousands more."""
    path, gone = tmp_path / "documents.jsonl", chat_server.status(503)
    client = llm.Client(server.url, "m", max_retries=1)
    options = {"settings": {}, "chunk": 4, "show": False}

    def write():
        service = llm.service.asking(client, llm.Cache(tmp_path / "pool.jsonl"), concurrency=1, show=False)
        jobs.write_document_file(path, open_writer(service).generate, DISTINCT, **options)

    server.faults = [gone, gone, *[None] * 3, *[gone] * 99]
    with pytest.raises(llm.RequestError, match="none of 4 requests was answered, so .*; the first: .* in 2 attempts"):
        write()
    assert len(server.bodies) == 2 + 3 + 4 * 2
    rows = jobs.read_documents(path)
    assert [row.document.text is None for row in rows] == [True, False, False, False]
    server.faults = []
    write()
    assert [row.document.text is None for row in jobs.read_documents(path)] == [True] + [False] * 11
