"""Keys: equal for what does the same, unlike for what does not, and the difference in words."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers

from jaxalign import data, models, sampling
from jaxalign.io import keys

CONFIG = models.DecoderConfig(32, 16, 24, 2, 4, 2, 4, window=4, max_length=40)
TEMPLATE = "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}"


def tokenizer(template=TEMPLATE, words=("a", "b"), **config):
    vocabulary = {word: n for n, word in enumerate(("<eos>", "<unk>", *words))}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.add_special_tokens(["<eos>"])
    return data.HfTokenizer(backend, {"eos_token": "<eos>", **config}, chat_template=template)


def test_a_model_is_its_config_and_its_weights():
    params = {"w": jnp.arange(4.0)}
    key = keys.of_model(CONFIG, params)
    assert keys.of_model(dataclasses.replace(CONFIG), {"w": np.arange(4, dtype=np.float32)}) == key
    for change, found in (
        ({"rope_base": 500.0}, "config.rope_base was 10000.0 and is 500.0"),
        ({"window": None}, "config.window was 4 and is None"),
        ({"logit_softcap": 30.0}, "config.logit_softcap was None and is 30.0"),
    ):
        assert keys.changes(key, keys.of_model(dataclasses.replace(CONFIG, **change), params)) == [found]
    (weights,) = keys.changes(key, keys.of_model(CONFIG, {"w": jnp.arange(4.0).at[2].add(1e-6)}))
    assert weights.startswith("weights was '") and len(weights) < 60  # hashes by their beginning


def test_what_equal_configs_differ_in_is_no_part_of_a_model():
    @dataclasses.dataclass(frozen=True)
    class Noted(models.DecoderConfig):
        note: str = dataclasses.field(default="", compare=False, repr=False)

    one, other = (Noted(**dataclasses.asdict(CONFIG), note=note) for note in ("read from a", "read from b"))
    assert one == other and keys.of_model(one, {}) == keys.of_model(other, {})
    assert data.fingerprint((one, {})) == data.fingerprint((other, {}))


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (lambda: tokenizer(TEMPLATE.replace("<", "[")), "tokenizer.chat_template"),
        (lambda: tokenizer(None), "tokenizer.chat_template"),
        (lambda: tokenizer(words=("b", "a")), "tokenizer.tokenizer.json"),
        (lambda: tokenizer(add_bos_token=False), "tokenizer.add_bos_token"),
        (lambda: tokenizer(eos_token="a"), "tokenizer.eos_token"),
    ],
)
def test_a_tokenizer_is_all_that_it_saves(other, part):
    key = {"tokenizer": keys.of_tokenizer(tokenizer())}
    assert keys.changes(key, {"tokenizer": keys.of_tokenizer(tokenizer())}) == []
    (change,) = keys.changes(key, {"tokenizer": keys.of_tokenizer(other())})
    assert change.startswith(f"{part} was ")


def test_long_texts_are_shown_where_they_differ():
    before, now = {"t": "x" * 200 + "before" + "y" * 200}, {"t": "x" * 200 + "after" + "y" * 200}
    (change,) = keys.changes(before, now)
    assert "before" in change and "after" in change and len(change) < 180


RULES = {
    "plain": lambda: sampling.sample(),
    "temperature": lambda: sampling.sample(sampling.temperature(0.7)),
    "another temperature": lambda: sampling.sample(sampling.temperature(0.8)),
    "top k": lambda: sampling.sample(sampling.top_k(5)),
    "two": lambda: sampling.sample(sampling.temperature(0.7), sampling.top_k(5)),
    "two, other order": lambda: sampling.sample(sampling.top_k(5), sampling.temperature(0.7)),
    "greedy": lambda: sampling.greedy,
    "own": lambda: sampling.Rule(lambda logits, key, n: jnp.argmax(logits)),
    "another own": lambda: sampling.Rule(lambda logits, key, n: jnp.argmin(logits)),
}


def test_rules_of_sampling_are_told_apart():
    described = {name: keys.digest(keys.of_function(make())) for name, make in RULES.items()}
    assert len(set(described.values())) == len(RULES)
    sampling.sample.cache_clear()
    sampling.temperature.cache_clear()  # objects are new, what they do is not
    assert {name: keys.digest(keys.of_function(make())) for name, make in RULES.items()} == described


def scaled(x, *, by=1.0, table=None):
    return by * x


def closing(value):
    return lambda x: x * value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (functools.partial(scaled, by=2.0), functools.partial(scaled, by=3.0)),
        (functools.partial(scaled, table=np.arange(3)), functools.partial(scaled, table=np.arange(1, 4))),
        (functools.partial(scaled, 1), functools.partial(scaled, 2)),
        (closing(2), closing(3)),
        (closing(jnp.ones(2)), closing(jnp.zeros(2))),
        (closing(CONFIG), closing(dataclasses.replace(CONFIG, window=3))),
        (closing(closing(1)), closing(closing(2))),
        (jax.jit(closing(1)), jax.jit(closing(2))),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x, y=1: x, lambda x, y=2: x),
        (lambda x: x in {"a", "b"}, lambda x: x in {"a", "c"}),
        (np.sum, np.prod),
        (float("nan"), 0.0),
    ],
)
def test_functions_are_told_apart_by_what_they_bind_and_do(one, other):
    assert keys.of_function(one) == keys.of_function(one) != keys.of_function(other)


def test_a_function_that_knows_itself_and_a_large_one_have_keys():
    def again(x):
        return again(x)

    assert keys.of_function(again) == keys.of_function(again)
    assert isinstance(keys.of_function(closing(list(range(5000)))), str)


def test_files_are_their_content(tmp_path):
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "train.txt").write_text("a")
    (folder / "deep" / "more.txt").write_text("b")
    (folder / "notes.md").write_text("c")
    key = keys.of_files(folder, ("**/*.txt",))
    assert sorted(key) == ["deep/more.txt", "train.txt"]
    folder.rename(tmp_path / "moved")
    (tmp_path / "moved" / "notes.md").write_text("changed")
    assert keys.of_files(tmp_path / "moved", ("**/*.txt",)) == key
    (tmp_path / "moved" / "deep" / "more.txt").write_text("B")
    assert keys.changes(key, keys.of_files(tmp_path / "moved", ("**/*.txt",)))[0].startswith("deep/more.txt was '")
    assert isinstance(keys.of_files(tmp_path / "moved" / "train.txt"), str)
    for number in range(keys.MANY_FILES + 1):
        (tmp_path / "moved" / f"{number}.txt").write_text(str(number))
    many = keys.of_files(tmp_path / "moved")
    assert many["files"] == keys.MANY_FILES + 4
    (tmp_path / "moved" / "5.txt").write_text("other")
    assert keys.changes(many, keys.of_files(tmp_path / "moved"))[0].startswith("sha256 was ")
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        keys.of_files(tmp_path / "none")


def test_a_file_is_continued_under_its_key_only(tmp_path):
    file, key = tmp_path / "new" / "out.jsonl", {"format": 2, "tokens": (1, 2), "config": {"window": 4}}
    keys.begin(file, key)
    keys.begin(file, {**key, "config": {}})  # nothing is in the file yet
    keys.begin(file, key)
    file.write_text("a line\n")
    keys.begin(file, key)
    with pytest.raises(ValueError, match="begun with other settings: config.window was 4 and is None, tokens was"):
        keys.begin(file, {"format": 2, "tokens": [1, 3]})
    with pytest.raises(ValueError, match="format was 2 and is 3"):
        keys.begin(file, {**key, "format": 3})
    assert json.loads(keys.settings_file(file).read_text()) == {**key, "tokens": [1, 2]}
    keys.settings_file(file).write_text('{"tokens": [1, 2]}')
    with pytest.raises(ValueError, match="begun by an older release.*It stays as it is: name a new file"):
        keys.begin(file, key)
