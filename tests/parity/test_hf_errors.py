"""Directories that are not what they should be, and what the errors say."""

import json

import huggingface_hub
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from huggingface_hub.utils import filter_repo_objects
from safetensors.numpy import load_file, save_file

from jaxalign import models
from jaxalign.io import hf
from jaxalign.io.hf.resolve import FILES
from jaxalign.models import DecoderConfig
from tests.parity import tiny

CONFIG = DecoderConfig(31, 16, 24, 2, 4, 2, 6, family="llama", tied_embeddings=True)


@pytest.fixture(scope="module")
def params():
    return tiny.random_params(CONFIG)


@pytest.fixture
def directory(params, tmp_path):
    return hf.save_pretrained(tmp_path / "model", CONFIG, params)


@pytest.fixture
def edit(directory):
    """Change the tensors of the directory's file: a dict of new ones, None to remove."""

    def change(**tensors):
        file = directory / "model.safetensors"
        stored = load_file(file) | {name.replace("__", "."): value for name, value in tensors.items()}
        save_file({name: value for name, value in stored.items() if value is not None}, file)
        return directory

    return change


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"model__norm__weight": None}, r"model.norm.weight: expected shape \(16,\), found none: it is missing"),
        # Query: 4 heads of 6 from width 16.
        (
            {"model__layers__1__self_attn__q_proj__weight": zeros(16, 24)},
            r"layers.1.self_attn.q_proj.weight: expected shape \(24, 16\), found \(16, 24\)",
        ),
        ({"model__embed_tokens__weight": zeros(32, 16)}, r"weight: expected shape \(31, 16\), found \(32, 16\)"),
        ({"score__weight": zeros(1, 16)}, r"score.weight: unexpected, found shape \(1, 16\)"),
        ({"model__layers__2__mlp__up_proj__weight": zeros(1)}, "layers.2.mlp.up_proj.weight: unexpected"),
        ({"model__norm__weight": zeros(16, dtype=np.int8)}, "norm.weight: expected one of F32, BF16, F16, found I8"),
        ({"lm_head__weight": zeros(31, 16)}, 'lm_head.weight: expected to equal .* "tie_word_embeddings": false'),
    ],
)
def test_tensors_that_do_not_fit(edit, tensors, message):
    directory = edit(**tensors)
    with pytest.raises(ValueError, match=r"(?s)model are not those of the llama model .*" + message):
        hf.load_pretrained(directory)


def test_a_long_list_of_problems_is_cut(edit):
    with pytest.raises(ValueError, match=r"spare.07: unexpected, found shape \(1,\)\n  and 4 more$"):
        hf.load_pretrained(edit(**{f"spare__{i:02}": zeros(1) for i in range(12)}))


def test_tensors_that_may_be_there(edit, params):
    """The rotary constants of old files, and an output matrix that equals the embedding it is tied to."""
    spare = {"model__layers__0__self_attn__rotary_emb__inv_freq": zeros(3)}
    _, read = hf.load_pretrained(edit(**spare, lm_head__weight=np.asarray(params["embedding"])))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), read, params))


def test_damaged_file(directory):
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(
        ValueError, match="model.safetensors is not a complete safetensors file .*download or export it again"
    ):
        hf.load_pretrained(directory)


def test_missing_files(directory, tmp_path):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"neither model.safetensors nor .*'pytorch_model.bin'.*converted"):
        hf.load_pretrained(directory)
    (directory / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is not JSON"):
        hf.load_pretrained(directory)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="config.json is missing; pass the directory"):
        hf.load_pretrained(tmp_path / "empty")


def test_shards_stay_in_their_directory(directory):
    index = directory / "model.safetensors.index.json"
    (directory / "model.safetensors").rename(directory.parent / "outside.safetensors")
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "../outside.safetensors"}}))
    with pytest.raises(ValueError, match=r"names the file '../outside.safetensors'; expected a file of its own"):
        hf.load_pretrained(directory)
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "gone.safetensors"}}))
    with pytest.raises(FileNotFoundError, match="gone.safetensors, which .*index.json names, is missing"):
        hf.load_pretrained(directory)


def test_resolve(directory, tmp_path, monkeypatch):
    assert hf.resolve(directory) == directory
    with pytest.raises(FileNotFoundError, match="nowhere' does not exist; pass a model's or a hub id"):
        hf.resolve(tmp_path / "nowhere")
    # Tests run with HF_HUB_OFFLINE=1.
    with pytest.raises(FileNotFoundError, match=r"(?s)'some/model' is neither .*hf download some/model --local-dir"):
        hf.load_pretrained("some/model")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda hub_id, allow_patterns: str(directory))
    assert hf.load_pretrained("some/model")[0] == CONFIG


def test_text_part_of_a_multimodal_model(tmp_path):
    """Vision weights are left out, and the prefixes of newer and of older releases are understood."""
    text = tiny.CASES["gemma3"]()
    text.final_logit_softcapping = None  # transformers applies it to text models only
    vision = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    vision |= dict(image_size=8, patch_size=4)
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    model = transformers.Gemma3ForConditionalGeneration(config)
    tiny.randomise(model, seed=3)
    model.save_pretrained(tmp_path)
    read, params = hf.load_pretrained(tmp_path)
    assert read.family == "gemma3_text"
    tokens = np.arange(22).reshape(2, 11)
    logits = jax.jit(models.build(read).apply)({"params": params}, jnp.asarray(tokens))
    np.testing.assert_allclose(logits, tiny.torch_logits(model.eval(), tokens), atol=1e-4)

    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    assert any("vision_tower" in name for name in stored)
    new, old = "model.language_model.", "language_model.model."
    here, other = (new, old) if any(name.startswith(new) for name in stored) else (old, new)
    assert any(name.startswith(here) for name in stored)
    save_file({name.replace(here, other): value for name, value in stored.items()}, file)
    _, again = hf.load_pretrained(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_what_is_fetched_from_the_hub():
    """All that is read of a repository, and neither pickles nor programs."""
    read = """config.json generation_config.json model.safetensors model-00001-of-00002.safetensors
    model.safetensors.index.json adapter_config.json adapter_model.safetensors tokenizer.json tokenizer_config.json
    tokenizer.model spiece.model sentencepiece.bpe.model added_tokens.json special_tokens_map.json chat_template.jinja
    additional_chat_templates/tool_use.jinja vocab.json merges.txt vocab.txt""".split()
    other = "pytorch_model.bin modeling_mine.py README.md original/consolidated.00.pth onnx/model.onnx".split()
    assert list(filter_repo_objects(read + other, allow_patterns=FILES)) == read
