"""tools/chat.py: two models answer what stands in the standard input, as ``sampling.generate`` does."""

import io
import signal

import jax
import numpy as np
import pytest

from jaxalign import data, models, sampling
from jaxalign.data.text.turns import encode_continued
from jaxalign.io import hf
from jaxalign.io.serve.engine.text import TextStream
from tests.io.serve.engine import tiny_chat
from tools import chat
from tools.chatting import speakers

NEW = 12
LORA = models.LoraConfig(rank=2, alpha=4.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A directory, the model, its parameters and its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "base"
    return folder, *tiny_chat.save(folder)


@pytest.fixture(scope="module")
def adapted(base):
    """The directory of an adapter that names no base, and the parameters with it."""
    folder, _, params, _ = base
    config = hf.read_config(folder)
    adapter = models.init_lora(jax.random.key(1), params, LORA)
    rng = np.random.default_rng(1)
    adapter = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), adapter)
    directory = hf.save_adapter(folder.parent / "adapter", config, adapter, LORA)
    return directory, models.apply_lora(params, adapter, LORA)


def talk(monkeypatch, capsys, lines, *arguments, **options):
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    chat.main(*arguments, **{"temperature": 0.0, "max_new_tokens": NEW} | options)
    return capsys.readouterr().out


def expected(model, params, tokenizer, messages):
    """The answer that ``generate`` writes, and what is shown of it."""
    prompt = np.array([encode_continued(messages, "", tokenizer)])
    ends = tokenizer.end_ids
    drawn = sampling.generate(
        model,
        params,
        prompt,
        np.ones_like(prompt, bool),
        jax.random.key(5),
        num_samples=1,
        max_new_tokens=NEW,
        eos_id=ends,
        rule=sampling.greedy,
    )
    tokens = np.asarray(drawn.tokens)[np.asarray(drawn.mask)].tolist()
    text, cut = TextStream(tokenizer.decode), f" [cut after {NEW} tokens; --max-new-tokens allows more]"
    said = "".join(map(text.add, [token for token in tokens if token not in ends])) + text.finish()
    return said.strip(), chat._shown(said) + ("" if tokens[-1] in ends else cut)


def user(text):
    return {"role": "user", "content": text}


def test_two_models_side_by_side_each_with_its_own_answers(base, adapted, monkeypatch, capsys):
    folder, model, params, tokenizer = base
    directory, changed = adapted
    out = talk(monkeypatch, capsys, "over there\n\nthe end?\n", str(folder), str(directory), base=str(folder))
    shown = {}
    for name, weights in ((str(folder), params), (str(directory), changed)):
        said, first = expected(model, weights, tokenizer, [user("over there")])
        history = [user("over there"), {"role": "assistant", "content": said}, user("the end?")]
        shown[name] = first, expected(model, weights, tokenizer, history)[1]
    first, second = ("".join(f"[{name}]\n{answers[turn]}\n\n" for name, answers in shown.items()) for turn in range(2))
    assert out.endswith(f"> over there\n{first}> \n> the end?\n{second}")
    assert out.startswith(f"{folder}: qwen3, ") and "a context of 128 tokens" in out
    assert len(set(shown.values())) == 2  # the adapter changes the answers


def test_a_new_conversation_and_a_system_message(base, monkeypatch, capsys):
    folder, model, params, tokenizer = base
    lines = "the end?\n/reset\nthe end?\n/system over\nthe end?\n/system\nthe end?\n/why\n/quit\nthe end?\n"
    out = talk(monkeypatch, capsys, lines, str(folder), system="water")
    with_water, over, alone = (
        expected(model, params, tokenizer, [*system, user("the end?")])[1]
        for system in ([{"role": "system", "content": "water"}], [{"role": "system", "content": "over"}], [])
    )
    assert out.split("tokens\n", 1)[1] == (
        f"> the end?\n{with_water}\n\n> /reset\n[a new conversation]\n> the end?\n{with_water}\n\n"
        f"> /system over\n[a new conversation, with this system message]\n> the end?\n{over}\n\n"
        f"> /system\n[a new conversation, without a system message]\n> the end?\n{alone}\n\n"
        "> /why\n[/why is no command; commands are /reset, /system TEXT, /quit; a question may begin with a blank]\n"
        "> /quit\n"
    )


def test_control_c_ends_an_answer_and_not_the_program(base, monkeypatch, capsys):
    folder, model, params, tokenizer = base
    tokens = speakers.Speaker._tokens
    turns = iter([2])

    def pressed(self, *arguments):
        place = next(turns, None)
        for number, token in enumerate(tokens(self, *arguments)):
            if number == place:
                signal.raise_signal(signal.SIGINT)
            yield token

    monkeypatch.setattr(speakers.Speaker, "_tokens", pressed)
    before = signal.getsignal(signal.SIGINT)
    out = talk(monkeypatch, capsys, "the end?\n/reset\nthe end?\n", str(folder))
    assert signal.getsignal(signal.SIGINT) is before
    first, second = out.split("> /reset\n[a new conversation]\n")
    whole = expected(model, params, tokenizer, [user("the end?")])[1]
    assert second == f"> the end?\n{whole}\n\n" and first.endswith(" [ended]\n\n")
    begun = first.split("> the end?\n")[1].removesuffix(" [ended]\n\n")
    assert whole.startswith(begun.rstrip("\ufffd")) and len(begun) < len(whole)


def test_a_conversation_that_outgrows_the_context_is_told(base, monkeypatch, capsys):
    """The context has 128 tokens, of which each x is one: so many that 12, 3 and no tokens are left for an answer."""
    folder, _, _, tokenizer = base
    around = len(encode_continued([user("x")], "", tokenizer)) - 1
    lines = "".join(f"{'x' * (count - around)}\n/reset\n" for count in (128 - NEW, 125, 128))
    out = talk(monkeypatch, capsys, lines, str(folder))
    fits, little, none = [part for part in out.split("\n[a new conversation]\n") if part]
    assert "[the model's context" not in fits
    assert "[the model's context has room for 3 more tokens; /reset begins a new conversation]\n" in little
    assert "[no answer: the conversation has 128 tokens and the model's context 128; ask less at once, or" in none


def test_a_model_without_a_chat_template_is_told_of_and_does_not_ask_itself(base, tmp_path, monkeypatch, capsys):
    _, model, params, tokenizer = base
    plain = data.HfTokenizer(tokenizer._backend, {"eos_token": "<|im_end|>", "pad_token": "<pad>"})
    hf.save_pretrained(tmp_path / "plain", model.config, params, tokenizer=plain)
    written = tokenizer.encode("the end\n\nuser: over there")
    monkeypatch.setattr(speakers.Speaker, "_tokens", lambda *_: iter(written))
    monkeypatch.setattr("sys.stdin", io.StringIO("over\n"))
    chat.main(str(tmp_path / "plain"), max_new_tokens=64)
    out, error = capsys.readouterr()
    assert "has no chat template: it reads 'user: ...' and 'assistant: ...'" in error
    assert out.endswith("> over\nthe end\n\n\n")


def test_the_same_seed_draws_the_same_answer(base, monkeypatch, capsys):
    said = [talk(monkeypatch, capsys, "over\n", str(base[0]), temperature=1.0, seed=seed) for seed in (3, 3, 4)]
    assert said[0] == said[1] != said[2]


def test_what_would_steer_the_terminal_is_not_shown():
    assert chat._shown("a\x1b[2J\tb\nc\u00a0\u200d\r") == "a\ufffd[2J\tb\nc\u00a0\u200d\ufffd"


def test_adapters_without_a_base(adapted, monkeypatch, capsys):
    with pytest.raises(ValueError, match="an adapter that names no base; pass --base with its directory or hub id"):
        chat.main(str(adapted[0]))
    with pytest.raises(FileNotFoundError, match="the base of the adapter .*does not exist.*name it with --base"):
        chat.main(str(adapted[0]), base="nothing")
