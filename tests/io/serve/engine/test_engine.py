"""A model of this process by the official client: what it says is what ``sampling.generate`` draws."""

import concurrent.futures
import runpy

import jax
import numpy as np
import openai
import pytest

from jaxalign import sampling
from jaxalign.data.text.turns import encode_continued
from jaxalign.io.serve.upstream import running

NEW = 24
CHATS = [
    [{"role": "user", "content": "Is water wet?"}],
    [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Über 💧, over there"}],
    [{"role": "user", "content": [{"type": "text", "text": "the "}, {"type": "text", "text": "end"}]}],
]


def ask(client, chat=0, **changes):
    return client.chat.completions.create(model="tiny", messages=CHATS[chat], **{"seed": 3} | changes)


def streamed(client, chat=0, **changes):
    """The text of each choice by its chunks, how each ended, and the counts of tokens."""
    texts, finishes, usage, parts = {}, {}, None, []
    for chunk in ask(client, chat, stream=True, stream_options={"include_usage": True}, **changes):
        usage = chunk.usage
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            parts.append(choice.delta.content or "")
            if choice.finish_reason:
                finishes[choice.index] = choice.finish_reason
    return texts, finishes, usage, parts


def drawn(saved, chat, rule, samples=1, seed=3):
    """Texts and finishes by ``generate``."""
    _, model, params, tokenizer = saved
    texts = [
        {"role": each["role"], "content": "".join(part["text"] for part in each["content"])}
        if isinstance(each["content"], list)
        else each
        for each in CHATS[chat]
    ]
    ids = encode_continued(texts, "", tokenizer)
    prompt, mask = np.zeros((1, 64), np.int32), np.arange(64)[None] < len(ids)
    prompt[0, : len(ids)] = ids
    found = jax.device_get(
        sampling.generate(
            model, params, prompt, mask, jax.random.key(seed),
            num_samples=samples, max_new_tokens=NEW, eos_id=tokenizer.end_ids, rule=rule,
        )
    )  # fmt: skip
    rows = [tokens[kept].tolist() for tokens, kept in zip(found.tokens[0], found.mask[0], strict=True)]
    ends = [row[-1] in tokenizer.end_ids for row in rows]
    return [tokenizer.decode(row) for row in rows], ["stop" if end else "length" for end in ends], sum(map(len, rows))


@pytest.mark.parametrize("chat", range(3))
def test_streamed_equals_whole_equals_generate(client, saved, chat):
    for temperature, rule in ((0, sampling.greedy), (0.5, sampling.sample(sampling.temperature(0.5)))):
        texts, finishes, tokens = drawn(saved, chat, rule)
        whole = ask(client, chat, temperature=temperature)
        got, ended, usage, parts = streamed(client, chat, temperature=temperature)
        assert [whole.choices[0].message.content] == [got[0]] == texts
        assert [whole.choices[0].finish_reason] == [ended[0]] == finishes
        assert whole.usage.completion_tokens == usage.completion_tokens == tokens
        assert whole.usage.prompt_tokens == usage.prompt_tokens
        assert len(list(filter(None, parts))) > 2  # it comes in parts


def test_choices_are_samples(client, saved):
    texts, finishes, tokens = drawn(saved, 0, sampling.sample(sampling.temperature(1.5)), samples=4)
    whole = ask(client, n=4, temperature=1.5)
    assert [choice.message.content for choice in whole.choices] == texts and len(set(texts)) == 4
    assert [choice.finish_reason for choice in whole.choices] == finishes
    got, ended, usage, _ = streamed(client, n=4, temperature=1.5)
    assert [got[k] for k in range(4)] == texts and usage.completion_tokens == tokens
    assert [ended[k] for k in range(4)] == finishes
    assert ask(client, n=4, temperature=1.5, seed=4).choices[0].message.content != texts[0]


def test_neighbours_change_nothing(client):
    """More requests than slots, of unlike settings."""
    settings = [
        {"chat": n % 3, "seed": n, "temperature": (0, 0.7, 1.3)[n % 3], "top_p": (1, 0.9)[n % 2], "max_tokens": 5 + n}
        for n in range(9)
    ]
    alone = [ask(client, **each).choices[0].message.content for each in settings]
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        together = list(pool.map(lambda each: streamed(client, **each)[0][0], settings))
    assert together == alone


def test_stop_texts_are_never_shown(client):
    text = ask(client, temperature=0).choices[0].message.content
    for length in (1, 2, 3):
        stop = text[8 : 8 + length]
        expected = text.partition(stop)[0]
        whole = ask(client, temperature=0, stop=["never", stop]).choices[0]
        got, ended, _, parts = streamed(client, temperature=0, stop=["never", stop])
        assert whole.message.content == got[0] == expected
        assert whole.finish_reason == ended[0] == "stop"
        assert not any(stop in part for part in parts)
    ended = ask(client, temperature=0, stop="<|im_start|>").choices[0]  # a special token, which this text has not
    assert ended.message.content == text


def test_lengths(client):
    text = ask(client, temperature=0)
    assert (text.usage.completion_tokens, text.choices[0].finish_reason) == (NEW, "length")
    short = ask(client, temperature=0, max_completion_tokens=7)
    assert (short.usage.completion_tokens, short.choices[0].finish_reason) == (7, "length")
    assert text.choices[0].message.content.startswith(short.choices[0].message.content.rstrip("\ufffd"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools: this server does not do that"),
        ({"logprobs": True}, "logprobs: this server does not do that, got True; leave it out"),
        ({"response_format": {"type": "json_object"}}, "response_format: this server does not do that"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"n": 5}, "n: expected a whole number from 1 to 4, got 5"),
        ({"max_tokens": 25}, "max_tokens: expected a whole number from 1 to 24, got 25"),
        ({"temperature": -1}, "temperature: expected a number from 0 to 2, got -1"),
        ({"top_p": 0}, "top_p: expected a number from 1e-06 to 1, got 0"),
        ({"stop": "<|im_end|>\n"}, "special token '<|im_end|>' beside ordinary text"),
        ({"seed": 0.5}, "seed: expected a whole number"),
        ({"messages": [{"role": "user", "content": "long " * 99}]}, "tokens, and there is room for 64; shorten them"),
        ({"messages": [{"role": "tool", "content": "3", "tool_call_id": "1"}]}, "does not do tools"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "reads texts alone"),
    ],
)
def test_what_it_does_not_do_is_told(client, changes, message):
    asked = {"model": "tiny", "messages": CHATS[0]} | changes
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**asked)
    assert message in caught.value.body["message"]


def test_embeddings_are_refused(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    with pytest.raises(openai.BadRequestError, match="'tiny' has no embeddings"):
        client.embeddings.create(model="tiny", input="text")


def test_the_command(saved, monkeypatch):
    """Its application answers by the name that it is given."""
    asked = []

    def run(app, host, port):
        with running.in_thread(app) as url, openai.OpenAI(base_url=url, api_key="any") as client:
            asked.append((host, port, [model.id for model in client.models.list()]))

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr("sys.argv", ["engine", str(saved[0]), "--port", "0", "--name", "mine", "--slots", "1"])
    runpy.run_module("jaxalign.io.serve.engine", run_name="__main__")
    assert asked == [("127.0.0.1", 0, ["mine"])]
