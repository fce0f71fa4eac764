"""Adapters that hold an embedding or an output matrix, on tied and untied bases: equal to peft."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers

from jaxalign import models
from jaxalign.io import hf
from jaxalign.models import DecoderConfig, LoraConfig
from tests.parity import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Model has .tie_word_embeddings=True.:UserWarning"),
    pytest.mark.filterwarnings("ignore:Model with .tie_word_embeddings=True.:UserWarning"),
    pytest.mark.filterwarnings("ignore:Setting .save_embedding_layers. to .True.:UserWarning"),
]

SIZES = dict(vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
TOKENS = np.random.default_rng(1).integers(0, 61, (1, 7))
WAYS = {
    "embedding": dict(modules_to_save=["embed_tokens"]),
    "output": dict(modules_to_save=["lm_head"]),
    "both": dict(modules_to_save=["embed_tokens", "lm_head"]),
    "kept tied": dict(modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    "low-rank output": dict(target_modules=["q_proj", "lm_head"]),
}


def torch_model(tied, family="qwen2"):
    if family == "t5":
        sizes = dict(vocab_size=61, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
        config = transformers.T5Config(**sizes, tie_word_embeddings=tied)
        model = transformers.T5ForConditionalGeneration(config).eval()
    else:
        model = transformers.Qwen2ForCausalLM(
            transformers.Qwen2Config(**SIZES, num_key_value_heads=1, tie_word_embeddings=tied)
        ).eval()
    tiny.randomise(model, seed=0)
    return model


def torch_logits(model):
    tokens = torch.tensor(TOKENS)
    more = {"decoder_input_ids": tokens} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(tokens, **more).logits.numpy()


def trained(model, **options):
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, **{"target_modules": ["q_proj"], **options})).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return wrapped


@functools.partial(jax.jit, static_argnums=0)
def logits(config, params, *more):
    return models.build(config).apply({"params": params}, jnp.asarray(TOKENS), *more)


@pytest.mark.parametrize(
    ("way", "tied"), [(way, tied) for way in WAYS for tied in (True, False) if tied or "kept" not in way]
)
def test_equal_to_peft(way, tied, tmp_path):
    model = torch_model(tied)
    model.save_pretrained(tmp_path / "base")
    wrapped = trained(model, **WAYS[way])
    expected = torch_logits(wrapped)
    wrapped.save_pretrained(tmp_path / "adapter")
    config, params = hf.load_pretrained(tmp_path / "base")
    assert config.tied_embeddings == tied
    lora, adapter = hf.load_adapter(tmp_path / "adapter", config)
    applied, merged = (form(params, adapter, lora) for form in (models.apply_lora, models.merge_lora))
    for form in applied, merged:
        np.testing.assert_allclose(logits(config, form), expected, atol=5e-5)
    np.testing.assert_allclose(models.unembedding(config, applied), models.unembedding(config, merged), atol=1e-6)
    # The merged model, exported, and the adapter, written again, are the same to transformers and peft.
    exported = hf.save_pretrained(tmp_path / "merged", config, merged)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(exported).eval()
    np.testing.assert_allclose(torch_logits(loaded), expected, atol=5e-5)
    out = hf.save_adapter(tmp_path / "again", config, adapter, lora)
    np.testing.assert_allclose(
        torch_logits(peft.PeftModel.from_pretrained(torch_model(tied), out)), expected, atol=5e-5
    )
    assert hf.load_adapter(out, config)[0] == lora


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("saved", [["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"]])
def test_t5(saved, tied, tmp_path):
    """peft copies the embedding for each stack; with one value for both it is one parameter."""
    model = torch_model(tied, "t5")
    model.save_pretrained(tmp_path / "base")
    wrapped = trained(model, target_modules=["q"], modules_to_save=saved)
    if "embed_tokens" in saved:
        encoder, decoder = (getattr(wrapped.base_model.model, each).embed_tokens for each in ("encoder", "decoder"))
        wrapped.save_pretrained(tmp_path / "unlike")
        with torch.no_grad():
            decoder.weight.copy_(encoder.weight)
    wrapped.save_pretrained(tmp_path / "adapter")
    config, params = hf.load_pretrained(tmp_path / "base")
    lora, adapter = hf.load_adapter(tmp_path / "adapter", config)
    ours = logits(config, models.apply_lora(params, adapter, lora), jnp.asarray(TOKENS))
    np.testing.assert_allclose(ours, torch_logits(wrapped), atol=1e-4)
    out = hf.save_adapter(tmp_path / "again", config, adapter, lora)
    again = peft.PeftModel.from_pretrained(torch_model(tied, "t5"), out)
    np.testing.assert_allclose(torch_logits(again), torch_logits(wrapped), atol=1e-5)
    if "embed_tokens" in saved:
        with pytest.raises(ValueError, match="other values for .*embed_tokens.weight, which are one parameter here"):
            hf.load_adapter(tmp_path / "unlike", config)


def test_a_copy_in_t5_that_no_stack_reads(tmp_path):
    model = torch_model(True, "t5")
    model.save_pretrained(tmp_path / "base")
    trained(model, target_modules=["q"], modules_to_save=["shared"]).save_pretrained(tmp_path / "adapter")
    with pytest.raises(ValueError, match="shared.weight: unexpected"):
        hf.load_adapter(tmp_path / "adapter", hf.read_config(tmp_path / "base"))


def test_an_embedding_that_is_stored_since_it_was_resized(tmp_path):
    """It is the base's, and both ends read it."""
    model = torch_model(True)
    model.save_pretrained(tmp_path / "base")
    wrapped = trained(model)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(0.3)
    wrapped.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    config, params = hf.load_pretrained(tmp_path / "base")
    lora, adapter = hf.load_adapter(tmp_path / "adapter", config)
    assert lora.ensure_weight_tying and "embedding" in adapter and "unembedding" not in adapter
    ours = logits(config, models.apply_lora(params, adapter, lora))
    np.testing.assert_allclose(ours, torch_logits(wrapped), atol=5e-5)


def test_what_is_trained_apart_starts_as_the_base_and_moves_alone():
    config = DecoderConfig(61, 16, 24, 1, 2, 1, 8, family="qwen3", qk_norm=True, tied_embeddings=True)
    params = tiny.random_params(config)
    base = logits(config, params)
    for saved, tying in (("embedding", True), ("embedding", False), ("unembedding", False)):
        lora = LoraConfig(1, 1.0, ("query",), (saved,), ensure_weight_tying=tying)
        adapter = models.init_lora(jax.random.key(0), params, lora)
        applied = models.apply_lora(params, adapter, lora)
        np.testing.assert_allclose(logits(config, applied), base, atol=1e-5)
        moved = models.apply_lora(params, {**adapter, saved: adapter[saved] + 1}, lora)
        same = saved == "embedding" and not tying
        np.testing.assert_array_equal(models.unembedding(config, moved), params["embedding"].T + (not same))
        np.testing.assert_array_equal(moved["embedding"], params["embedding"] + (saved == "embedding"))
        assert jnp.abs(logits(config, moved) - base).max() > 0.01
    with pytest.raises(ValueError, match="no parameter is called 'unembedding'"):
        models.init_lora(jax.random.key(0), params, dataclasses.replace(lora, ensure_weight_tying=True))
