"""What is too long is left out by name, the rest is answered, nothing is paid twice, and a replay gives the same."""

import json
import math

import pytest

from jaxalign import prompting
from jaxalign.io import llm
from jaxalign.io.llm import fitting
from jaxalign.io.llm.refusals import Refusal, refusal_of
from jaxalign.io.llm.service import Ledger
from tests.io.llm import chat_server, test_local

TOO_LONG = (
    "This model's maximum context length is 20 tokens. However, you requested 99 tokens. Please reduce the length."
)
PROMPTS = ["short 0", "a long long long one", "short 2", "short 3", "another long long long one", "short 5"]


@pytest.fixture
def server():
    with chat_server.serving() as server:
        yield server


def limited(server, limit=12):
    """A context of so many characters."""

    def fault(handler, body):
        if "prompt" in body:
            handler.answer(404, "{}")
        elif len(body["messages"][-1]["content"]) > limit:
            handler.answer(400, json.dumps({"error": {"message": TOO_LONG}}))
        else:
            handler.answer(200, json.dumps(chat_server.completion(body)))

    server.faults = [fault] * 500


def open_service(server, path, ledger=None):
    return llm.service.asking(llm.Client(server.url, "m", max_retries=0), llm.Cache(path), ledger=ledger, show=False)


def test_long_prompts_are_left_out_and_named(server, tmp_path):
    limited(server)
    left_out, ledger = fitting.LeftOut(), Ledger()
    service = open_service(server, tmp_path / "answers.jsonl", ledger)
    generate = llm.service.make_generate(fitting.tolerant(service, left_out))
    expected = [["" if "long" in prompt else prompt.upper()] * 2 for prompt in PROMPTS]
    assert generate(PROMPTS, n=2) == expected
    assert list(left_out.reasons) == [PROMPTS[1], PROMPTS[4]]
    assert all("maximum context length is 20" in reason for reason in left_out.reasons.values())
    answered = [text for text in server.asked() if "long" not in text]
    assert sorted(answered) == sorted(2 * [text for text in PROMPTS if "long" not in text])
    assert ledger.paid.requests == 8 and ledger.asked.requests >= 8
    # Again: what was answered is there, what did not fit is tried once more; a replay asks nobody.
    before = len(server.bodies)
    assert generate(PROMPTS, n=2) == expected
    assert all("long" in text for text in server.asked()[before:])
    replayed, again = fitting.LeftOut(), llm.service.replaying("m", llm.Cache(tmp_path / "answers.jsonl"))
    assert llm.service.make_generate(fitting.tolerant(again, replayed))(PROMPTS, n=2) == expected
    assert replayed == left_out
    with pytest.raises(llm.NotRecordedError):
        llm.service.make_generate(fitting.tolerant(again, replayed))(["unknown"])


def test_with_more_room_a_prompt_is_answered_after_all(server, tmp_path):
    limited(server)
    service = open_service(server, tmp_path / "answers.jsonl")
    generate = llm.service.make_generate(fitting.tolerant(service, fitting.LeftOut()))
    assert generate(PROMPTS[1:2]) == [[""]]
    limited(server, 99)
    assert generate(PROMPTS[1:2]) == [[PROMPTS[1].upper()]]
    again = llm.service.replaying("m", llm.Cache(tmp_path / "answers.jsonl"))
    left_out = fitting.LeftOut()
    assert llm.service.make_generate(fitting.tolerant(again, left_out))(PROMPTS[1:2]) == [[PROMPTS[1].upper()]]
    assert not left_out.reasons


def test_options_of_long_prompts_have_no_scores(server, tmp_path):
    limited(server)
    left_out = fitting.LeftOut()
    score = llm.options.make_score_options(open_service(server, tmp_path / "answers.jsonl"), left_out)
    scores = score(PROMPTS, [(" SHORT 0", " SHORT 2")] * len(PROMPTS))
    shares = [prompting.option_probabilities(each) for each in scores]
    assert shares == [(1.0, 0.0), None, (0.0, 1.0), None, None, None]  # and " SHORT 3" is none of the options
    assert list(left_out.reasons) == [PROMPTS[1], PROMPTS[4]]


@pytest.mark.parametrize(
    "message",
    [
        TOO_LONG,
        "the request exceeds the available context size, try increasing it",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 `inputs` tokens",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "context_length_exceeded",
        "Requested token count exceeds the model's maximum context length",
    ],
)
def test_what_servers_say_of_long_prompts(message):
    assert refusal_of(400, message) is Refusal.TOO_LONG


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (429, "Rate limit reached: too many tokens per minute"),
        (401, "Incorrect API key"),
        (400, "max_tokens is too large: 9000"),
        (400, "echo: unknown field"),
        (503, "the context length of the queue"),
    ],
)
def test_other_errors_end_a_run(status, message):
    assert refusal_of(status, message) is not Refusal.TOO_LONG


def test_other_faults_of_a_server_are_errors(server, tmp_path):
    server.faults = [chat_server.status(401)] * 9
    service = open_service(server, tmp_path / "answers.jsonl")
    with pytest.raises(llm.RequestError, match="status 401"):
        llm.service.make_generate(fitting.tolerant(service, fitting.LeftOut()))(PROMPTS)


def test_a_model_in_this_process(tmp_path):
    """A context of 32 tokens, one for each byte and one that begins: prompts of up to 27 leave room for 4."""
    tokenizer = test_local.make_tokenizer()
    model, params = test_local.make_policy(tokenizer, max_length=32)
    count = llm.record.make_count_tokens(tokenizer)
    prompts = [text for text in ("is it so", "or " * 40, "not", "wet " * 30)]
    fits = [count(text) + 4 <= 32 for text in prompts]
    assert fits == [True, False, True, False]
    path = tmp_path / "answers.jsonl"
    name = llm.record.identify("tiny", model.config, params, tokenizer)
    recorder = llm.record.Recorder(name, llm.Cache(path), count, Ledger(), show=False)
    bare = llm.local.make_generate(model, params, tokenizer), llm.local.make_score_options(model, params, tokenizer)
    left_out = fitting.LeftOut()
    room = fitting.room(tokenizer, 32)
    fitted = fitting.fitting(llm.record.record(recorder, *bare), name, recorder.cache, room, left_out)
    texts = fitted.generate(prompts, n=2, max_tokens=4, seed=1)
    plain = bare[0]([text for text, fit in zip(prompts, fits, strict=True) if fit], n=2, max_tokens=4, seed=1)
    assert [each for each, fit in zip(texts, fits, strict=True) if fit] == plain
    assert texts[1] == texts[3] == ["", ""]
    scores = fitted.score_options(prompts, [(" Yes", " No")] * 4)
    assert [prompting.option_probabilities(each) is None for each in scores] == [False, True, False, True]
    assert scores[1][0].logp == -math.inf and list(left_out.reasons) == [prompts[1], prompts[3]]
    assert left_out.reasons[prompts[1]].endswith("with 4 to follow, and the context has 32")
    # A replay has no model, and knows by the notes of the file.
    replayed = fitting.LeftOut()
    again = fitting.fitting(
        llm.record.find_replay("tiny", llm.Cache(path), Ledger()), name, llm.Cache(path), None, replayed
    )
    assert again.generate(prompts, n=2, max_tokens=4, seed=1) == texts and replayed == left_out
    assert again.score_options(prompts, [(" Yes", " No")] * 4) == scores
