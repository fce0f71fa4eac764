"""Samples of a file of prompts: nothing lost, nothing twice, whatever breaks."""

import dataclasses
import errno
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import models, sampling
from jaxalign.io import keys, line_file
from jaxalign.io.jobs import completions
from tests.letters import Letters

CONFIG = models.DecoderConfig(29, 16, 24, 2, 4, 2, 4, window=3, windowed_layers=(True, False), max_length=40)
TEXTS = ["ab", "some longer prompt".replace(" ", ""), "z", "ab"]
OPTIONS = {"num_samples": 2, "max_new_tokens": 6, "num_slots": 3, "stride": 4}


@pytest.fixture(scope="module")
def model():
    built = models.build(CONFIG)
    params = jax.jit(built.init)(jax.random.key(0), jnp.zeros((1, 2), jnp.int32))["params"]
    return built, jax.tree.map(lambda leaf: 3 * leaf, params)


def prompts(texts=TEXTS):
    return [completions.Prompt(f"p{n}", [2, *Letters().encode(text)]) for n, text in enumerate(texts)]


def write(path, model, *, given=None, **options):
    options = {"rule": sampling.sample(), "show": False, **OPTIONS, **options}
    given = prompts() if given is None else given
    return completions.write_completions(path, *model, Letters(), given, jax.random.key(0), **options)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def by_name(path):
    found = {(row["id"], row["sample"]): row for row in rows(path)}
    assert len(found) == len(rows(path))
    return found


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "out.jsonl"
    assert write(path, model) == (8, 0, 0)
    return path


def test_rows_are_what_generate_draws(model, whole):
    """Texts, ends, and log-probabilities, beside one batch of the same key."""
    tokens, mask = np.zeros((4, 20), np.int32), np.zeros((4, 20), bool)
    for row, prompt in enumerate(prompts()):
        tokens[row, : len(prompt.tokens)], mask[row, : len(prompt.tokens)] = prompt.tokens, True
    drawn = sampling.generate(
        *model,
        tokens,
        mask,
        jax.random.key(0),
        num_samples=2,
        max_new_tokens=6,
        eos_id=1,
        rule=sampling.sample(),
    )
    found = by_name(whole)
    assert set(found) == {(f"p{row}", sample) for row in range(4) for sample in range(2)}
    for (name, sample), row in found.items():
        valid = drawn.mask[int(name[1:]), sample]
        assert row["tokens"] == drawn.tokens[int(name[1:]), sample][valid].tolist()
        np.testing.assert_allclose(row["logps"], drawn.logps[int(name[1:]), sample][valid], rtol=1e-4)
        assert row["text"] == Letters().decode(row["tokens"])
        assert row["finish"] == ("stop_token" if row["tokens"][-1] == 1 else "length")


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -30, None])
def test_a_break_at_any_byte(model, whole, tmp_path, cut):
    """What ``kill -9`` leaves: a part of the file. The rest is added, and every row is that of the unbroken run."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(whole.read_bytes()[:cut])
    settings = whole.with_name("out.jsonl.settings.json")
    path.with_name(settings.name).write_bytes(settings.read_bytes())
    kept = whole.read_bytes()[:cut].count(b"\n")
    assert write(path, model) == (8 - kept, kept, 0)
    # Neighbours differ after a break, which leaves rounding: tokens are equal, log-probabilities close. So does time.
    ours, theirs = by_name(path), by_name(whole)
    assert ours.keys() == theirs.keys()
    for name, row in ours.items():
        other = {"logps": 0, "seconds": 0}
        assert row | other == theirs[name] | other
        np.testing.assert_allclose(row["logps"], theirs[name]["logps"], rtol=1e-4)


def test_more_samples_are_added(model, whole, tmp_path):
    path = tmp_path / "out.jsonl"
    write(path, model, num_samples=1)
    assert write(path, model) == (4, 4, 0)
    assert {name: row["tokens"] for name, row in by_name(path).items()} == {
        name: row["tokens"] for name, row in by_name(whole).items()
    }


def test_stop_strings_are_left_out_of_texts_only(model, whole, tmp_path):
    before = next(row for row in rows(whole) if len(row["text"]) >= 4)
    path = tmp_path / "out.jsonl"
    write(path, model, stops=[before["text"][1:3]])
    after = by_name(path)[before["id"], before["sample"]]
    assert (after["text"], after["finish"]) == (before["text"][:1], "stop_string")
    assert after["tokens"] == before["tokens"][:3] and len(after["logps"]) == 3


def test_other_settings_or_prompts_are_refused(model, tmp_path):
    path = tmp_path / "out.jsonl"
    write(path, model, settings={"model": "a"})
    with pytest.raises(ValueError, match="begun with other settings: model was 'a' and is 'b'. Use those, or name a"):
        write(path, model, settings={"model": "b"})
    with pytest.raises(ValueError, match="other settings: prompts was"):
        write(path, model, settings={"model": "a"}, given=prompts(["ab"]))
    path.with_name("out.jsonl.settings.json").unlink()
    with pytest.raises(ValueError, match="out.jsonl.settings.json is missing. Name a new file"):
        write(path, model)


class OtherLetters(Letters):
    """The same letters, of which another begins a text."""

    bos_id = 28


def made_with(model, **change):
    """``write`` with one thing changed of what samples are made with."""
    built, params = model
    config = dataclasses.replace(CONFIG, **change.pop("config", {}))
    arguments = {"model": models.build(config), "params": params, "tokenizer": Letters(), "prompts": prompts()}
    arguments |= {"key": jax.random.key(0), "rule": sampling.sample(), "show": False, **OPTIONS} | change
    return arguments


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda params: {"params": jax.tree.map(lambda x: 1.001 * x, params)}, "weights was '[0-9a-f]{12}…' and is"),
        (lambda params: {"config": {"rope_base": 123.0}}, "config.rope_base was 10000.0 and is 123.0. Use those"),
        (lambda params: {"config": {"window": 2}}, "config.window was 3 and is 2. Use those"),
        (lambda params: {"tokenizer": OtherLetters()}, "tokenizer.bos_id was 2 and is 28, tokenizer.class was"),
        (lambda params: {"rule": sampling.greedy}, "rule was"),
        (lambda params: {"rule": sampling.sample(sampling.temperature(0.5))}, "rule was '[0-9a-f]{12}…' and is"),
        (lambda params: {"max_new_tokens": 5}, "max_new_tokens was 6 and is 5"),
        (lambda params: {"stops": ["ab"]}, r"stops was \[\] and is \['ab'\]"),
        (lambda params: {"eos_ids": [7]}, r"eos_ids was \[\] and is \[7\]"),
        (lambda params: {"key": jax.random.key(1)}, "key was"),
        (lambda params: {"prompts": prompts(["ab"])}, "prompts was"),
        (lambda params: {"prompts": prompts()[::-1]}, "prompts was"),
    ],
)
def test_samples_of_two_kinds_are_never_in_one_file(model, whole, change, message):
    before = whole.read_bytes()
    arguments = made_with(model, **change(model[1]), num_samples=3)
    with pytest.raises(ValueError, match=f"out.jsonl was begun with other settings: {message}"):
        completions.write_completions(whole, **arguments)
    assert whole.read_bytes() == before


def test_a_file_of_an_older_release_stays_as_it_is(model, whole, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(whole.read_bytes())
    settings = json.loads(keys.settings_file(whole).read_text())
    keys.settings_file(path).write_text(json.dumps({name: settings[name] for name in ("max_new_tokens", "prompts")}))
    with pytest.raises(ValueError, match="begun by an older release, .*: name a new file"):
        write(path, model)
    assert path.read_bytes() == whole.read_bytes()


class Ended(Letters):
    """A tokenizer with a special token that its text leaves out."""

    special_ids = {"<end>": 5}

    def decode(self, ids):
        return super().decode([token for token in ids if token != 5])


THIRD = sampling.Rule(
    lambda logits, key, count: jnp.where(count % 4 == 2, 5, 4),
    lambda tokens, mask, size: jnp.int32(0),
    lambda count, token: count + 1,
)


@pytest.mark.parametrize("stop", ["<end>", "b<end>", "a<end>"])
def test_special_tokens_stop(model, tmp_path, stop):
    """The rule writes b, b, <end>, b, ...: the third token is the end, unless another letter should stand before."""
    arguments = made_with(model, rule=THIRD, tokenizer=Ended(), stops=[stop], num_samples=1)
    completions.write_completions(tmp_path / "out.jsonl", **arguments)
    found = {(row["text"], row["finish"], tuple(row["tokens"])) for row in rows(tmp_path / "out.jsonl")}
    expected = {
        "<end>": ("bb", "stop_string", (4, 4, 5)),
        "b<end>": ("b", "stop_string", (4, 4, 5)),
        "a<end>": ("bbbbb", "length", (4, 4, 5, 4, 4, 4)),
    }
    assert found == {expected[stop]}


@pytest.mark.parametrize("size", ["num_samples", "max_new_tokens", "num_slots", "stride"])
def test_sizes_that_give_nothing_are_named_before_anything_is_written(model, tmp_path, size):
    with pytest.raises(ValueError, match=f"{size} must be a whole number of at least 1, got 0"):
        write(tmp_path / "out.jsonl", model, **{size: 0})
    assert not list(tmp_path.iterdir())


def test_a_damaged_line_is_named(model, whole, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"id": "p0"}\n' + whole.read_bytes())
    settings = whole.with_name("out.jsonl.settings.json")
    path.with_name(settings.name).write_bytes(settings.read_bytes())
    with pytest.raises(ValueError, match=r"out.jsonl, line 1: not a sample \(KeyError: 'sample'\); remove the line"):
        write(path, model)


def test_long_prompts_are_an_error_or_counted(model, tmp_path):
    texts = ["a" * 33, "ab", "a" * 34]  # with the beginning 34, 3 and 35 tokens; the context of 40 has room for 34
    with pytest.raises(ValueError, match="'p2' has 35 tokens; the model's context has room for 34 beside"):
        write(tmp_path / "out.jsonl", model, given=prompts(texts))
    assert write(tmp_path / "out.jsonl", model, given=prompts(texts), skip_long=True) == (4, 0, 1)


def test_prompts_that_cannot_be_told_apart_or_are_empty(model, tmp_path):
    same = [completions.Prompt("a", [2]), completions.Prompt("a", [3])]
    with pytest.raises(ValueError, match="two prompts have the id 'a'"):
        write(tmp_path / "out.jsonl", model, given=same)
    with pytest.raises(ValueError, match="prompt 'b' has no token"):
        write(tmp_path / "out.jsonl", model, given=[completions.Prompt("b", [])])


def test_a_full_disk_is_explained(model, tmp_path, monkeypatch):
    def full(file, line):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(line_file, "append", full)
    with pytest.raises(OSError, match="could not write a line to .*out.jsonl: .*No space left.* again: it continues"):
        write(tmp_path / "out.jsonl", model, num_samples=1)


def test_progress_counts_what_was_there(model, whole, capsys):
    path = whole.with_name("copy.jsonl")
    write(path, model, num_samples=1)
    capsys.readouterr()
    write(path, model, show=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("copy.jsonl: step 5/8, tokens/s ") and lines[-1].startswith("copy.jsonl: step 8/8")


def test_prompts_from_a_file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    chat = [{"role": "user", "content": "b"}]
    path.write_text("\n".join(map(json.dumps, [{"prompt": "ab"}, {"prompt": chat, "id": 7}, {"prompt": "ab"}])))
    assert completions.read_prompts(path, Letters()) == [("0", [2, 3, 4]), ("7", [2, 4]), ("2", [2, 3, 4])]
    path.write_text('{"text": "a"}\n{"prompt": "b"}\n')
    with pytest.raises(ValueError, match=r"prompts.jsonl, row 1: prompt: missing, the row has \['text'\]"):
        completions.read_prompts(path, Letters())
    # A name is the row's, also behind rows that were skipped.
    assert completions.read_prompts(path, Letters(), skip_bad_rows=True) == [("1", [2, 4])]
    lines = ['{"prompt": "a"}', '{"text": "b"}', "", "nothing", '{"prompt": "c", "id": "x"}', '{"prompt": "\\ud800"}']
    path.write_text("\n".join([*lines, '{"prompt": "d"}']))
    found = completions.read_prompts(path, Letters(), skip_bad_rows=True)
    assert [prompt.id for prompt in found] == ["0", "x", "5"]
