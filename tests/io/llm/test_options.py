"""Scores of options from a server: exact where it echoes, bounded where it tells first tokens, counted elsewhere."""

import json
import math

import pytest

from jaxalign import prompting
from jaxalign.data import encode_options
from jaxalign.io import llm
from jaxalign.io.llm.prompt_logprobs import Echo, scores_of_echoes
from jaxalign.io.llm.protocol import request_key
from jaxalign.typing import OptionScore, ScoreOptionsFn
from tests.io.llm import chat_server, test_llm
from tests.io.llm.chat_server import reply, status
from tests.io.llm.echo_model import echo_model, usage

PROMPTS = ["Is water wet? Answer:", "the end of the", "naïve 漢字 is a", "A"]
OPTIONS = [(" Yes", " No"), ("re", " world. The end"), (" 漢", " 字", "ï"), (" 1", " 22", ".")]
CHAT = [{"role": "user", "content": "Is water wet?"}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


def scorer(server, path, ledger=None, **options):
    client = llm.Client(server.url, "tiny", **options)
    service = llm.service.asking(client, llm.Cache(path), ledger=ledger, concurrency=2, show=False)
    return llm.options.make_score_options(service)


def test_whole_options_are_scored_as_the_model_in_this_process_scores_them(server, path, capsys):
    """Also where a token joins prompt and option, and where a token is half a character."""
    model, policy, tokenizer = echo_model()
    server.echo = model.echo
    score = scorer(server, path)
    assert isinstance(score, ScoreOptionsFn)
    found = score(PROMPTS, OPTIONS)
    (first,) = llm.local.make_score_options(*policy, tokenizer)(PROMPTS[:1], OPTIONS[:1])
    assert [each.logp for each in found[0]] == pytest.approx([each.logp for each in first], abs=1e-4)
    for prompt, options, scores in zip(PROMPTS, OPTIONS, found, strict=True):
        shared, suffixes = encode_options(prompt, options, tokenizer)
        for suffix, score in zip(suffixes, scores, strict=True):
            rows = model.logps([*shared, *suffix])[len(shared) - 1 :]
            expected = sum(float(row[token]) for row, token in zip(rows, suffix, strict=False))
            assert score == OptionScore(pytest.approx(expected, abs=1e-4), len(suffix))
    # The prompt alone, and with each option; the one that shows that the server knows how is asked once.
    texts = [p + option for p, options in zip(PROMPTS, OPTIONS, strict=True) for option in ("", *options)]
    assert sorted(server.asked()) == sorted(texts)
    assert capsys.readouterr().err == "tiny: options are scored by echo\n"
    assert max(map(len, path.read_text().splitlines())) < 2000  # of long prompts a few tokens are kept
    again = scorer(server, path)
    assert again(PROMPTS, OPTIONS) == found and len(server.bodies) == 4 + 10


def test_a_prompt_that_is_too_long_is_an_error_and_no_sign_that_a_server_cannot_echo(server, path):
    model, *_ = echo_model()
    server.echo, server.faults = model.echo, [None, *[status(400, '{"error": {"message": "too long"}}')] * 6]
    with pytest.raises(llm.RequestError, match="too long"):
        scorer(server, path)([PROMPTS[0], "A"], [OPTIONS[0], OPTIONS[3]])
    assert server.asked()[0] == "A"
    server.faults.clear()
    assert len(scorer(server, path)(["A"], [OPTIONS[3]])[0]) == 3
    assert all(body.get("echo") for body in server.bodies)


def test_long_prompts_leave_a_few_tokens(server, path):
    model, _, tokenizer = echo_model()
    server.echo = model.echo
    prompt = "Is water wet or is it not? " * 3
    (found,) = scorer(server, path)([prompt], [(" Yes", " No")])
    start = [tokenizer.bos_id, *tokenizer.encode(prompt)]
    for option, score in zip((" Yes", " No"), found, strict=True):
        tokens = [tokenizer.bos_id, *tokenizer.encode(prompt + option)]
        row = model.logps(tokens)
        places = range(len(start), len(tokens))
        assert tokens[: len(start)] == start
        assert score.logp == pytest.approx(sum(row[place - 1, tokens[place]] for place in places), abs=1e-4)
    kept = [len(json.loads(line)["logprobs"][0]) for line in path.read_text().splitlines()[2:]]
    assert sorted(kept) == [16 + len(" No"), 16 + len(" Yes")]


def test_first_tokens_of_a_chat(server, path, capsys):
    """Chats cannot be echoed. Their tokens' probabilities are those of transformers' logits for the rendered chat."""
    model, _, tokenizer = echo_model()
    server.chat = model.chat
    (scores,) = scorer(server, path)([CHAT], [("k", "t")])
    row = model.logps(tokenizer.encode_chat(CHAT, add_generation_prompt=True))[-1]
    assert server.bodies[0]["top_logprobs"] == 20 and server.bodies[0]["temperature"] == 1.0
    top = sorted(map(float, row), reverse=True)[:20]
    for option, score in zip(("k", "t"), scores, strict=True):
        naming = [
            p
            for token, p in enumerate(map(float, row))
            if p >= top[-1] and tokenizer.decode([token]).strip().casefold().rstrip(".,") == option
        ]
        expected = (
            math.log(sum(map(math.exp, naming))) if naming else min(top[-1], math.log1p(-sum(map(math.exp, top))))
        )
        assert score == OptionScore(pytest.approx(expected, abs=1e-4), 1)
    assert capsys.readouterr().err == "tiny: options are scored by first token\n"


def told(first, *others):
    top = [{"token": token, "logprob": math.log(p) if p else -math.inf} for token, p in (first, *others)]
    return llm.Answer((first[0],), ("length",), 9, 1, ([{**top[0], "top_logprobs": top}],))


@pytest.mark.parametrize(
    "answer, expected",
    [
        # "A", " a" and "(A" name the first, "B." the second; "The" names none of them.
        (told(("A", 0.5), (" a", 0.1), ("B.", 0.2), ("(A", 0.05), ("The", 0.15)), (0.65, 0.2)),
        # B is not there: at most as likely as the last token, and as what is left.
        (told(("A", 0.5), ("The", 0.125)), (0.5, 0.125)),
        (told(("A", 0.75), ("The", 0.1875)), (0.75, 0.0625)),
        # Nobody knows which is the likelier one: both are absent, or as likely as what is absent may be.
        (told(("The", 0.5), ("An", 0.25)), (0.0, 0.0)),
        (told(("The", 0.5), ("An", 0.25), ("A", 0.125)), (0.0, 0.0)),
        (told(("A", 0.25)), (0.0, 0.0)),
        (told(("A", 0.5), ("B", 0.25), ("The", math.nan)), (0.0, 0.0)),
        (told(("A", math.nan), ("B", 0.25)), (0.0, 0.0)),
        (told(("A", 0.75), ("B", 0.0), ("The", 0.125)), (0.75, 0.0)),
        (llm.Answer(("",), ("stop",), 9, 0, ([],)), (0.0, 0.0)),
        (llm.Answer(("",), ("stop",), 9, 0, (None,)), (0.0, 0.0)),
        (llm.Answer(("A",), ("stop",), 9, 1, ([{"token": "A", "logprob": None}],)), (0.0, 0.0)),
        (llm.Answer(("A",), ("stop",), 9, 1, ([{"token": "A", "logprob": math.log(0.25)}],)), (0.0, 0.0)),
        (llm.Answer(("A",), ("stop",), 9, 1, ([{"token": "A", "logprob": math.log(0.75)}],)), (0.75, 0.25)),
    ],
)
def test_tokens_that_name_an_option(answer, expected):
    scores = llm.options.scores_of_first_token(answer, (" A", " B"))
    assert [math.exp(score.logp) for score in scores] == pytest.approx(expected)
    assert [score.tokens for score in scores] == [1, 1]


def test_the_beginning_of_an_option_names_it():
    """The chosen token counts although it is not among the likeliest, and does not bound what is not there."""
    top = [{"token": "tr", "logprob": math.log(0.5)}, {"token": " Fal", "logprob": math.log(0.25)}]
    first = {"token": "TRUE", "logprob": math.log(0.125), "top_logprobs": top}
    answer = llm.Answer(("TRUE",), ("length",), 9, 1, ([first],))
    scores = llm.options.scores_of_first_token(answer, (" True", " False", " Maybe"))
    assert [math.exp(score.logp) for score in scores] == pytest.approx([0.625, 0.25, 0.125])


def test_options_that_begin_alike_are_counted(server, path, capsys):
    """Two of three answers say so; the first characters would not tell the options apart."""
    answers = iter(["else.", "entailed", "else"] + ["no idea"] * 5)
    server.chat = lambda body: chat_server.completion({"messages": [{"content": next(answers)}]})
    (scores,) = scorer(server, path)([CHAT], [("entailed", "else")])
    assert [math.exp(score.logp) for score in scores] == pytest.approx([1 / 3, 2 / 3])
    assert capsys.readouterr().err == "tiny: options are scored by frequency\n"


REFUSALS = {
    "unknown field": status(400, '{"error": {"message": "echo: unknown field"}}'),
    "no endpoint": status(404),
    "llama.cpp": status(500, '{"error": {"message": "Only no echo is supported"}}'),
    "ignored": reply(json.dumps({"choices": [{"text": "x", "logprobs": None}], "usage": usage(4, 1)})),
    "answer alone": reply(
        json.dumps(
            {
                "choices": [{"text": "x", "logprobs": {"tokens": ["x"], "token_logprobs": [-1.0]}}],
                "usage": usage(4, 1),
            }
        )
    ),
    "nulls": reply(
        json.dumps(
            {
                "choices": [{"text": "x", "logprobs": {"tokens": ["x"] * 5, "token_logprobs": [None] * 5}}],
                "usage": usage(4, 1),
            }
        )
    ),
    "no usage": reply(
        json.dumps({"choices": [{"text": "x", "logprobs": {"tokens": ["x"] * 2, "token_logprobs": [None, -1.0]}}]})
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_server_that_does_not_know_echo_is_asked_for_first_tokens(server, path, capsys, name):
    """Told once, asked once, and noted in the file; the second ask finds everything there."""
    model, *_ = echo_model()
    server.chat, server.faults = model.chat, [REFUSALS[name]]
    first = scorer(server, path)(PROMPTS[:2], [("t", "w")] * 2)
    assert len(server.bodies) == 1 + 2 and "prompt" in server.bodies[0]
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("tiny: options are scored not by echo (") and len(told) == 2
    assert scorer(server, path)(PROMPTS[:2], [("t", "w")] * 2) == first and len(server.bodies) == 3


def test_a_server_that_knows_neither_is_sampled(server, path, capsys):
    server.chat = lambda body: chat_server.completion({"messages": [{"content": "no"}]})
    scores = scorer(server, path)(["Wet?"], [(" Yes", " No")])
    assert scores == [[OptionScore(-math.inf, 1), OptionScore(0.0, 1)]]
    assert [("prompt" in body, body.get("top_logprobs")) for body in server.bodies[:3]] == [
        (True, None),
        (False, 20),
        (False, None),
    ]
    assert len(server.bodies) == 2 + 8 and len(capsys.readouterr().err.splitlines()) == 3


FAULTS = test_llm.FAULTS | {
    "no text": (reply('{"choices": [{"logprobs": {}}]}'), "expected one choice with a text"),
    "two texts": (reply('{"choices": [{"text": "a"}, {"text": "b"}]}'), "expected one choice with a text"),
}
FAULTS |= {name: (FAULTS[name][0], "expected one choice with a text") for name in ("no message", "a number for a text")}


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"silent"}))
def test_what_passes_is_tried_again_and_is_no_refusal(server, path, pauses, name):
    model, *_ = echo_model()
    server.echo = model.echo
    server.faults = [FAULTS[name][0]] * 2 + [None, FAULTS[name][0]]
    ledger = llm.service.Ledger()
    found = scorer(server, path, ledger)(PROMPTS[:1], OPTIONS[:1])
    assert len(server.bodies) == 3 + 3 and ledger.retries == 3
    assert found == scorer(server, path)(PROMPTS[:1], OPTIONS[:1])


@pytest.mark.parametrize("name", FAULTS)
def test_retries_are_bounded_and_nothing_is_lost(server, path, pauses, name):
    """The prompt alone is answered, then all fails: the reason is told, and what was paid is kept."""
    model, *_ = echo_model()
    server.echo = model.echo
    server.faults = [None] + [FAULTS[name][0]] * 20
    options = {"timeout": 0.2 if name == "silent" else 60.0, "max_retries": 1}
    with pytest.raises(llm.RequestError, match=f"Answer: .*in 2 attempts; .*({FAULTS[name][1]})"):
        scorer(server, path, **options)(PROMPTS[:1], OPTIONS[:1])
    server.faults.clear()
    before = len(server.bodies)
    scorer(server, path)(PROMPTS[:1], OPTIONS[:1])
    assert sorted(server.asked()[before:]) == sorted(PROMPTS[0] + option for option in OPTIONS[0])


@pytest.mark.parametrize("code", [401, 403, 500, 503])
def test_other_faults_lead_to_no_other_way(server, path, pauses, code):
    server.faults = [status(code)] * 9
    with pytest.raises(llm.RequestError, match=f"status {code}"):
        scorer(server, path, max_retries=1)(PROMPTS[:1], OPTIONS[:1])
    assert all("prompt" in body for body in server.bodies)


def echoed(text, tokens, logps):
    entries = [{"token": token, "logprob": logp} for token, logp in zip(tokens, logps, strict=True)]
    return llm.Answer((text,), ("length",), len(tokens), 1, (entries,))


def test_scores_by_hand():
    """ "of the" + "re" is "of", " there": what both share is conditioned on, the joined token is scored."""
    alone = echoed("", ["of", " the"], [None, -1.0])
    joint = [
        echoed("re", ["of", " there"], [None, -3.0]),
        echoed(" end.", ["of", " the", " end", "."], [None, -1, -2, -4]),
    ]
    assert scores_of_echoes(alone, joint) == [OptionScore(-3.0, 1), OptionScore(-7.0, 3)]
    # Without the prompt alone the options would share " ": it belongs to each of them.
    # What the server gave no number for could not be read.
    joint[0] = echoed("re", ["of", " there"], [None, math.nan])
    assert prompting.option_probabilities(scores_of_echoes(alone, joint)) is None
    alone = echoed("", ["is"], [None])
    alone = echoed("", ["is"], [None])
    joint = [echoed(f" {n}", ["is", " ", n], [None, -0.5, logp]) for n, logp in (("1", -1.0), ("2", -2.0))]
    assert scores_of_echoes(alone, joint) == [OptionScore(-1.5, 2), OptionScore(-2.5, 2)]


def test_options_that_contain_each_other_are_not_asked(server, path):
    with pytest.raises(ValueError, match="option ' Yes, it is' begins with option ' Yes'"):
        scorer(server, path)(["Wet?"], [(" Yes", " Yes, it is")])
    assert server.bodies == []


def test_what_cannot_be_scored_is_an_error():
    with pytest.raises(ValueError, match="no token before its options"):
        scores_of_echoes(
            echoed("", ["a"], [None]), [echoed("b", ["ab"], [None]), echoed("c", ["a", "c"], [None, -1.0])]
        )
    with pytest.raises(ValueError, match="tokens of 'x' begin those of 'y'"):
        scores_of_echoes(echoed("", ["a"], [None]), [echoed(o, ["a", "?"], [None, -1.0]) for o in "xy"])
    far = llm.Answer(("x",), ("length",), 40, 1, ([{"token": "z", "logprob": -1.0}] * 17,))
    with pytest.raises(ValueError, match="more than 16 places before it"):
        scores_of_echoes(echoed("", ["a"] * 39, [None] * 39), [far, far])


def test_echoes_differ_by_where_the_option_begins():
    keys = {request_key("m", Echo(*parts)) for parts in (("ab", ""), ("a", "b"), ("", "ab"), ("ab", "c"))}
    assert len(keys) == 4
