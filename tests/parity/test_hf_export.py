"""What is written here: transformers loads it whole and equal, and it reads back bit for bit."""

import json
import os
import re

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
import yaml
from jax.sharding import NamedSharding, PartitionSpec
from safetensors import safe_open

from jaxalign import models
from jaxalign.io import hf
from jaxalign.models import DecoderConfig
from tests.parity import tiny

NO_PROBLEM = {"missing_keys", "unexpected_keys", "mismatched_keys"}


@pytest.fixture(scope="module", params=tiny.CASES)
def case(request, tmp_path_factory):
    model = tiny.torch_model(request.param)
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    return model, *hf.load_pretrained(directory)


@pytest.fixture(scope="module")
def small():
    """A model with parameters that were made here: 2 layers, tied, float32."""
    config = DecoderConfig(61, 16, 24, 2, 4, 2, 6, family="qwen3", qk_norm=True, tied_embeddings=True)
    return config, tiny.random_params(config)


class Words:
    """The least that a tokenizer does for an export."""

    vocab_size, bos_id, eos_id, pad_id = 61, 1, 2, 0
    separator_ids = ()

    def save(self, directory):
        (directory / "tokenizer.json").write_text("{}")


def flatten(params):
    return flax.traverse_util.flatten_dict(params, sep="/")


def assert_same(params, expected):
    params, expected = flatten(params), flatten(expected)
    assert params.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(params[path], leaf, err_msg=path)


def test_transformers_loads_it_whole_with_equal_logits(case, tmp_path):
    model, config, params = case
    hf.save_pretrained(tmp_path / "out", config, params, max_shard_bytes=20_000)
    assert len(list((tmp_path / "out").glob("model-*.safetensors"))) > 2
    loaded, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True, attn_implementation="eager"
    )
    assert NO_PROBLEM <= info.keys() and not any(info.values())
    assert type(loaded) is type(model) and loaded.dtype == torch.float32
    tokens = np.random.default_rng(2).integers(0, tiny.SIZES["vocab_size"], (2, 11))
    np.testing.assert_array_equal(tiny.torch_logits(loaded.eval(), tokens), tiny.torch_logits(model, tokens))


def test_reads_back_exactly(case, tmp_path):
    _, config, params = case
    again, read = hf.load_pretrained(hf.save_pretrained(tmp_path / "out", config, params))
    with safe_open(tmp_path / "out" / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}  # which other libraries insist on
    assert again == config
    assert_same(read, params)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_files(case, tmp_path, dtype):
    """Sharded 16-bit files are read as the values that they hold; bfloat16 parameters hold them too."""
    model, config, params = case
    stored = type(model)(model.config)
    stored.load_state_dict(model.state_dict())
    stored.to(dtype).save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    read_config, read = hf.load_pretrained(tmp_path)
    half = jnp.dtype(str(dtype).removeprefix("torch."))
    rounded = jax.tree.map(lambda leaf: np.asarray(leaf).astype(half).astype(np.float32), params)
    assert_same(read, rounded)
    assert read_config.dtype == {torch.bfloat16: "bfloat16", torch.float16: "float32"}[dtype]
    if dtype is torch.bfloat16:
        low = hf.load_pretrained(tmp_path, dtype="bfloat16")[1]
        assert {leaf.dtype for leaf in jax.tree.leaves(low)} == {jnp.dtype("bfloat16")}
        assert_same(low, rounded)


def test_bfloat16_parameters_compute_as_their_float32_values():
    """Gemma's ``1 + weight`` must not be rounded to bfloat16."""
    config = DecoderConfig(31, 16, 24, 2, 4, 2, 6, norm_unit_offset=True, post_norms=True)
    model, tokens = models.build(config), jnp.arange(6)[None]
    low = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), tiny.random_params(config))
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), low)
    apply = jax.jit(model.apply)
    np.testing.assert_allclose(apply({"params": low}, tokens), apply({"params": wide}, tokens), rtol=1e-5, atol=1e-6)


def test_bfloat16_export(small, tmp_path):
    config, params = small
    hf.save_pretrained(tmp_path / "out", config, params, dtype="bfloat16")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert loaded.dtype == torch.bfloat16
    again, read = hf.load_pretrained(tmp_path / "out")
    assert again.dtype == "bfloat16"
    assert_same(read, jax.tree.map(lambda leaf: np.asarray(leaf).astype("bfloat16").astype(np.float32), params))


def test_shards_respect_their_size(small, tmp_path):
    config, params = small
    # The largest tensor, the embedding, has 61 * 16 * 4 = 3904 bytes and so a file of its own.
    hf.save_pretrained(tmp_path / "out", config, params, max_shard_bytes=3000)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    sizes = [os.path.getsize(tmp_path / "out" / name) for name in sorted(set(index["weight_map"].values()))]
    assert index["metadata"]["total_size"] == 4 * sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sum(size > 3000 + 2000 for size in sizes) == 0  # each file has a header of at most 2 kB
    assert len(sizes) > 3


def test_each_leaf_goes_to_its_sharding(small, tmp_path):
    config, params = small
    hf.save_pretrained(tmp_path / "out", config, params)
    mesh = jax.make_mesh((2,), ("fsdp",), axis_types=(jax.sharding.AxisType.Auto,))
    shardings = jax.tree.map(lambda _: NamedSharding(mesh, PartitionSpec()), params)
    shardings["layers"]["mlp"]["gate"] = NamedSharding(mesh, PartitionSpec(None, "fsdp"))
    _, read = hf.load_pretrained(tmp_path / "out", shardings=shardings)
    assert_same(read, params)
    gate = read["layers"]["mlp"]["gate"]
    assert gate.sharding == shardings["layers"]["mlp"]["gate"]
    assert {shard.data.shape for shard in gate.addressable_shards} == {(2, 8, 24)}
    # And back from where they are.
    again = hf.load_pretrained(hf.save_pretrained(tmp_path / "again", config, read))[1]
    assert_same(again, params)
    del shardings["embedding"]
    with pytest.raises(ValueError, match=r"shardings and parameters differ at \['embedding'\]"):
        hf.load_pretrained(tmp_path / "out", shardings=shardings)


def test_token_ids_and_tokenizer(small, tmp_path):
    config, params = small
    hf.save_pretrained(tmp_path / "out", config, params, Words())
    generation = transformers.GenerationConfig.from_pretrained(tmp_path / "out")
    theirs = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    for ids in generation, theirs:
        assert (ids.bos_token_id, ids.eos_token_id, ids.pad_token_id) == (1, 2, 0)
    assert (tmp_path / "out" / "tokenizer.json").exists()
    hf.save_pretrained(tmp_path / "bare", config, params)
    assert transformers.AutoConfig.from_pretrained(tmp_path / "bare").eos_token_id is None


def test_tokenizer_must_fit(small, tmp_path):
    config, params = small
    words = Words()
    words.vocab_size = 62
    with pytest.raises(ValueError, match="the tokenizer has 62 tokens, the model rows for 61"):
        hf.save_pretrained(tmp_path / "out", config, params, words)


def test_model_card_is_escaped(small, tmp_path):
    config, params = small
    nasty = 'evil: "yes"\n---\nlicense: none\u2028é'
    card = hf.ModelCard(
        title="A <script>\nname", description="<img src=x>", metadata={"license": nasty, "base_model": "a/b"}
    )
    hf.save_pretrained(tmp_path / "out", config, params, card=card)
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    front, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL).groups()
    assert yaml.safe_load(front)["license"] == nasty
    assert yaml.safe_load(front)["library_name"] == "transformers"
    assert "# A &lt;script&gt; name\n" in body and "<img" not in body and "| Architecture | qwen3 |" in body
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert f"| Parameters | {count:,} |" in body


class Failing(Words):
    def save(self, directory):
        raise OSError(28, "No space left on device")


def test_a_failed_export_leaves_no_model_and_harms_no_earlier_one(small, tmp_path):
    config, params = small
    with pytest.raises(OSError, match="No space left"):
        hf.save_pretrained(tmp_path / "out", config, params, Failing())
    assert list(tmp_path.iterdir()) == []
    hf.save_pretrained(tmp_path / "out", config, params)
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    with pytest.raises(OSError, match="No space left"):
        hf.save_pretrained(tmp_path / "out", config, jax.tree.map(jnp.zeros_like, params), Failing())
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_an_export_replaces_an_earlier_one_and_nothing_else(small, tmp_path):
    config, params = small
    (tmp_path / ".out.partial").mkdir()  # what an export that was killed has left
    (tmp_path / ".out.partial" / "stale.safetensors").touch()
    (tmp_path / "out").mkdir()  # empty
    hf.save_pretrained(tmp_path / "out", config, params, max_shard_bytes=3000)
    hf.save_pretrained(tmp_path / "out", config, params, Words())
    names = {"README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    with pytest.raises(FileExistsError, match="foreign exists and is not an earlier export"):
        hf.save_pretrained(foreign, config, params)
    with pytest.raises(FileExistsError, match="README.md exists and is not"):
        hf.save_pretrained(tmp_path / "out" / "README.md", config, params)


def test_params_must_fit_the_config(small, tmp_path):
    config, params = small
    extra = {**params, "value_head": jnp.zeros(3), "embedding": jnp.zeros((60, 16))}
    extra = {name: leaf for name, leaf in extra.items() if name != "final_norm"}
    message = r"final_norm/scale is missing; value_head is unexpected; embedding has shape \(60, 16\), expected \(61"
    with pytest.raises(ValueError, match=message):
        hf.save_pretrained(tmp_path / "out", config, extra)
    assert not (tmp_path / "out").exists()
