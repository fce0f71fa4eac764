"""What was read and is written again says all that it said, beyond what jaxalign models."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
import transformers
from safetensors import safe_open

from jaxalign import data, models
from jaxalign.io import hf
from jaxalign.io.run import model_config
from tests.parity import tiny

SIZES = dict(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "tokenizer_class": "PreTrainedTokenizerFast"}
UNKNOWN = {"my_key": {"a": [1, None]}, "pretraining_tp": 1, "_name_or_path": "some/model", "use_cache": False}
WRITTEN = {"jaxalign_version", "dtype"}


def tokenizer_files(directory, *, eos="</s>", **config):
    """A word-level tokenizer with all the files that hub repositories have."""
    words = ["<pad>", "<s>", "</s>", "<|end|>", "a", "b"]
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(words[:4])
    backend.save(str(directory / "tokenizer.json"))
    keys = {**NAMES, "eos_token": eos, "model_max_length": 99, "my_option": [1], **config}
    files = {
        "tokenizer_config.json": keys,
        "special_tokens_map.json": {"eos_token": {"content": eos, "lstrip": True}, "mine": "x"},
        "added_tokens.json": {"<|end|>": 3},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))
    (directory / "spiece.model").write_bytes(b"\x00kept as it is")
    return directory


def make(directory, family="Llama", generation=True, **keys):
    """A model directory as of the hub, with keys that nothing here knows."""
    config = getattr(transformers, f"{family}Config")(**SIZES, num_key_value_heads=1)
    model = transformers.AutoModelForCausalLM.from_config(config)
    tiny.randomise(model, seed=0)
    model.save_pretrained(directory)
    stated = read(directory) | UNKNOWN | {"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": 0} | keys
    (directory / "config.json").write_text(json.dumps(stated))
    said = {"eos_token_id": [2, 3], "bos_token_id": 1, "temperature": 0.6, "my_rule": {"k": 5}, "do_sample": True}
    (directory / "generation_config.json").write_text(json.dumps(said))
    if not generation:
        (directory / "generation_config.json").unlink()
    return tokenizer_files(directory)


def read(directory, name="config.json"):
    return json.loads((directory / name).read_text())


def said(keys, *but):
    return {key: value for key, value in keys.items() if key not in {*WRITTEN, *but}}


@pytest.mark.parametrize("family", ["Llama", "Mistral", "Qwen2", "Qwen3", "Gemma2", "Gemma3Text"])
def test_every_key_of_every_file(family, tmp_path):
    source = make(tmp_path / "m", family)
    out = hf.save_pretrained(tmp_path / "out", *hf.load_pretrained(source), data.load_tokenizer(source))
    assert said(read(out)) == said(read(source))
    assert read(out, "generation_config.json") == read(source, "generation_config.json")
    files = {path.name for path in source.iterdir()} - {"config.json", "model.safetensors"}
    for name in files:
        assert (out / name).read_bytes() == (source / name).read_bytes() or name == "generation_config.json", name
    again = hf.save_pretrained(tmp_path / "again", *hf.load_pretrained(out), data.load_tokenizer(out))
    assert read(again) == read(out)


def test_the_spelling_of_older_releases(tmp_path):
    source = make(tmp_path / "m", torch_dtype="float32", rope_theta=500, rope_scaling=None, transformers_version="4.31")
    keys = said(read(source), "rope_parameters")
    (source / "config.json").write_text(json.dumps(keys))
    out = hf.save_pretrained(tmp_path / "out", *hf.load_pretrained(source), dtype="bfloat16")
    assert said(read(out), "torch_dtype") == said(keys, "torch_dtype")
    assert read(out)["dtype"] == read(out)["torch_dtype"] == "bfloat16"
    assert transformers.AutoConfig.from_pretrained(out).rope_parameters["rope_theta"] == 500


def test_what_was_changed_is_written_and_the_rest_kept(tmp_path):
    source = make(tmp_path / "m", rope_theta=500)
    config, params = hf.load_pretrained(source)
    more = {"embedding": (8, 16), "unembedding": (16, 8)}
    axes = {"embedding": 0, "unembedding": 1}
    for name, shape in more.items():
        params[name] = jnp.concatenate([params[name], jnp.ones(shape)], axis=axes[name])
    scaling = models.RopeScaling("linear", 2.0)
    changed = dataclasses.replace(config, vocab_size=72, rope_scaling=scaling, dtype="bfloat16", remat="full")
    out = hf.save_pretrained(tmp_path / "out", changed, params, data.load_tokenizer(source))
    rope = {"rope_parameters", "rope_theta"}
    assert said(read(out), "vocab_size", "head_dim", *rope) == said(read(source), "vocab_size", "head_dim", *rope)
    assert read(out)["vocab_size"] == 72 and "rope_theta" not in read(out)
    assert hf.load_pretrained(out)[0] == dataclasses.replace(config, vocab_size=72, rope_scaling=scaling)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert loaded.generation_config.eos_token_id == [2, 3] and loaded.generation_config.temperature == 0.6


def test_a_new_head_and_back(tmp_path):
    """A language model becomes a reward model, with the labels and padding of one, and a language model again."""
    source = make(tmp_path / "m", id2label={"0": "x", "1": "y"}, pad_token_id=2)
    config, params = hf.load_pretrained(source)
    reward = models.build(models.RewardConfig(config))
    rewards = models.init_reward_params(reward, jax.random.key(0), params)
    out = hf.save_pretrained(tmp_path / "reward", reward.config, rewards, data.load_tokenizer(source))
    head = {"id2label", "label2id", "architectures", "pad_token_id"}
    assert said(read(out), *head) == said(read(source), *head)
    assert read(out)["id2label"] == {"0": "REWARD"} and read(out)["pad_token_id"] is None  # it was an end, too
    again, read_back = hf.load_pretrained(out)
    plain = dataclasses.replace(again.backbone, tied_embeddings=True)
    back = hf.save_pretrained(tmp_path / "back", plain, read_back["backbone"], data.load_tokenizer(out))
    assert read(back)["architectures"] == ["LlamaForCausalLM"] and not {"id2label", "label2id"} & read(back).keys()
    assert read(back)["my_key"] == UNKNOWN["my_key"] and read(back, "generation_config.json")["temperature"] == 0.6


@pytest.mark.parametrize("labels", [{"num_labels": 1}, {"id2label": {"0": "quality"}, "label2id": {"quality": 0}}])
def test_a_classifier_keeps_its_labels(labels, tmp_path):
    config = transformers.LlamaConfig(**SIZES, num_labels=1)
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path / "m")
    keys = {key: value for key, value in read(tmp_path / "m").items() if key not in ("id2label", "label2id")}
    keys |= labels | {"problem_type": "regression", "pad_token_id": 2, "eos_token_id": 2}
    (tmp_path / "m" / "config.json").write_text(json.dumps(keys))
    tokenizer_files(tmp_path / "m")
    out = hf.save_pretrained(tmp_path / "out", *hf.load_pretrained(tmp_path / "m"), data.load_tokenizer(tmp_path / "m"))
    assert said(read(out)) == said(keys)
    assert not (out / "generation_config.json").exists()


def test_ids_of_another_tokenizer(tmp_path):
    """Its end of sequence counts, unless it is among those that were stated; ids that disagree from the start stay."""
    source = make(tmp_path / "m")
    (tmp_path / "other").mkdir()
    loaded, own = hf.load_pretrained(source), data.load_tokenizer(source)
    ends = {}
    for eos in ("<|end|>", "<pad>"):
        other = data.load_tokenizer(tokenizer_files(tmp_path / "other", eos=eos))
        out = hf.save_pretrained(tmp_path / "out", *loaded, other)
        ends[eos] = hf.end_ids(out), read(out)["eos_token_id"]
    assert ends == {"<|end|>": ([2, 3], [2, 3]), "<pad>": ([0], 0)}
    for name in ("config.json", "generation_config.json"):
        (source / name).write_text(json.dumps(read(source, name) | {"eos_token_id": 5}))
    out = hf.save_pretrained(tmp_path / "out", *hf.load_pretrained(source), own)
    assert (hf.end_ids(out), read(out)["eos_token_id"]) == ([5], 5)


@pytest.mark.parametrize("generation", [True, False])
def test_ends_in_either_file(generation, tmp_path):
    source = make(tmp_path / "m", generation=generation, eos_token_id=[2, 4])
    out = hf.save_pretrained(tmp_path / "out", *hf.load_pretrained(source), data.load_tokenizer(source))
    for directory in source, out:
        assert (directory / "generation_config.json").exists() == generation
        theirs = transformers.AutoModelForCausalLM.from_pretrained(directory).generation_config.eos_token_id
        assert hf.end_ids(directory) == theirs == ([2, 3] if generation else [2, 4])


@pytest.mark.parametrize(
    ("keys", "expected"),
    [({"eos_token_id": 7}, [7]), ({}, []), ({"eos_token_id": None}, []), ({"text_config": {"eos_token_id": [1]}}, [1])],
)
def test_end_ids(keys, expected, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(keys))
    assert hf.end_ids(tmp_path) == expected
    (tmp_path / "generation_config.json").write_text("{}")
    assert hf.end_ids(tmp_path) == expected


@pytest.mark.parametrize("stated", ["2", [1, None], True])
def test_odd_ends_are_named(stated, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": stated}))
    with pytest.raises(ValueError, match="eos_token_id of the model in .* = .*; expected an id or a list of ids"):
        hf.end_ids(tmp_path)


TEMPLATES = [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]


def test_named_templates(tmp_path):
    """They are a list in tokenizer_config.json, or files beside chat_template.jinja."""
    listed = make(tmp_path / "list")
    tokenizer_files(listed, chat_template=TEMPLATES)
    folder = make(tmp_path / "folder")
    (folder / "chat_template.jinja").write_text("D")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("T")
    for source in listed, folder:
        tokenizer = data.load_tokenizer(source)
        out = hf.save_pretrained(tmp_path / "out", *hf.load_pretrained(source), tokenizer)
        chat = [{"role": "user", "content": "a"}]
        assert tokenizer.render_chat(chat) == data.load_tokenizer(out).render_chat(chat) == "D"
        theirs = [transformers.AutoTokenizer.from_pretrained(each).chat_template for each in (source, out)]
        assert theirs[0] == theirs[1] == {"default": "D", "tool_use": "T"}


def test_a_run_keeps_it(tmp_path):
    """model.json and the run's tokenizer carry it from the model that training starts from to the export."""
    source = make(tmp_path / "m")
    config, params = hf.load_pretrained(source)
    model_config.save_config(tmp_path / "run", config)
    data.load_tokenizer(source).save(tmp_path / "run" / "tokenizer")
    again = model_config.load_config(tmp_path / "run"), params, data.load_tokenizer(tmp_path / "run" / "tokenizer")
    out = hf.save_pretrained(tmp_path / "out", *again)
    assert said(read(out)) == said(read(source))
    assert read(out, "generation_config.json") == read(source, "generation_config.json")


def test_where_it_came_from_is_no_part_of_a_model(tmp_path):
    config, _ = hf.load_pretrained(make(tmp_path / "m"))
    new = dataclasses.replace(config, origin=None)
    assert config == new and hash(config) == hash(new) and repr(config) == repr(new)


def dtypes(directory):
    with safe_open(directory / "model.safetensors", "numpy") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}


@pytest.mark.parametrize(("dtype", "stored"), [("bfloat16", "BF16"), ("float16", "F16"), ("float32", "F32")])
@pytest.mark.parametrize("says", [True, False])
def test_an_export_has_the_dtype_of_the_model_it_started_from(dtype, stored, says, tmp_path):
    config = transformers.LlamaConfig(**SIZES)
    transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(tmp_path / "m")
    keys = {key: value for key, value in read(tmp_path / "m").items() if says or key != "dtype"}
    (tmp_path / "m" / "config.json").write_text(json.dumps(keys))
    config, params = hf.load_pretrained(tmp_path / "m")
    trained = dataclasses.replace(config, dtype="float32"), jax.tree.map(lambda leaf: leaf * 1.001, params)
    out = hf.save_pretrained(tmp_path / "out", *trained)
    assert dtypes(out) == {stored} and read(out)["dtype"] == dtype
    wide = hf.save_pretrained(tmp_path / "wide", *trained, dtype="float32")
    assert dtypes(wide) == {"F32"} and read(wide)["dtype"] == "float32"


def test_weights_beyond_float16(tmp_path):
    config = models.DecoderConfig(31, 16, 24, 1, 2, 1, 8)
    params = tiny.random_params(config)
    params["embedding"] = params["embedding"].at[0, 0].set(7e4)
    with pytest.raises(
        ValueError, match="embedding has weights beyond 65504, the largest float16; pass dtype='bfloat16"
    ):
        hf.save_pretrained(tmp_path / "out", config, params, dtype="float16")
    assert dtypes(hf.save_pretrained(tmp_path / "out", config, params)) == {"F32"}


def test_code_does_not_travel(tmp_path):
    source = make(tmp_path / "m", auto_map={"AutoModel": "modeling.Mine"})
    assert "auto_map" not in read(hf.save_pretrained(tmp_path / "out", *hf.load_pretrained(source)))


def test_the_text_part_of_a_larger_model(tmp_path):
    text = read(make(tmp_path / "m", "Gemma3Text", eos_token_id=None))
    inner = {key: value for key, value in text.items() if key != "architectures"}
    outer = {"model_type": "gemma3", "eos_token_id": [1, 5], "text_config": inner, "vision_config": {"depth": 2}}
    (tmp_path / "m" / "config.json").write_text(json.dumps(outer))
    config, params = hf.load_pretrained(tmp_path / "m")
    keys = read(hf.save_pretrained(tmp_path / "out", config, params))
    assert (keys["eos_token_id"], keys["model_type"], keys["my_key"]) == ([1, 5], "gemma3_text", UNKNOWN["my_key"])
    assert "vision_config" not in keys
    np.testing.assert_array_equal(hf.load_pretrained(tmp_path / "out")[1]["embedding"], params["embedding"])
