"""Tiny models of every family, random in every weight, with the settings that are easy to get wrong."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from jaxalign import models

SIZES = dict(vocab_size=131, hidden_size=36, intermediate_size=52, num_hidden_layers=3, max_position_embeddings=64)
HEADS = dict(num_attention_heads=6, num_key_value_heads=2)  # three queries a key
LLAMA3_ROPE = dict(
    rope_type="llama3",
    rope_theta=500.0,
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
SOFTCAPS = dict(attn_logit_softcapping=1.5, final_logit_softcapping=2.5)

CASES = {
    "llama": lambda: transformers.LlamaConfig(
        **SIZES,
        **HEADS,
        head_dim=10,
        rope_parameters=LLAMA3_ROPE,
        attention_bias=True,
        mlp_bias=True,
        rms_norm_eps=1e-2,
    ),
    "llama_linear_tied": lambda: transformers.LlamaConfig(
        **SIZES,
        num_attention_heads=3,
        rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=3.0),
        tie_word_embeddings=True,
    ),
    "mistral": lambda: transformers.MistralConfig(
        **SIZES, **HEADS, head_dim=14, sliding_window=5, rope_parameters=dict(rope_type="default", rope_theta=300.0)
    ),
    "qwen2": lambda: transformers.Qwen2Config(
        **SIZES, **HEADS, use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True
    ),
    "qwen3": lambda: transformers.Qwen3Config(
        **SIZES,
        **HEADS,
        head_dim=8,
        attention_bias=True,
        use_sliding_window=True,
        sliding_window=3,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
    ),
    "gemma2": lambda: transformers.Gemma2Config(
        **SIZES, **HEADS, **SOFTCAPS, head_dim=8, query_pre_attn_scalar=3, sliding_window=4, attention_bias=True
    ),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        **SIZES,
        **HEADS,
        head_dim=12,
        query_pre_attn_scalar=5,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        final_logit_softcapping=2.5,
        rope_parameters=dict(
            full_attention=dict(rope_type="linear", rope_theta=1000.0, factor=2.0),
            sliding_attention=dict(rope_type="default", rope_theta=50.0),
        ),
    ),
}

BERT_SIZES = SIZES | dict(num_attention_heads=6, layer_norm_eps=1e-3)


@functools.cache
def torch_model(name: str):
    """The case's model, on the CPU in float32, one per process."""
    config = CASES[name]()
    config._attn_implementation = "eager"  # the only one with soft-caps
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomise(model, seed=0)
    return model


def randomise(model, seed: int) -> None:
    """Every weight, norms and biases too: their initial zeros and ones would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + 0.3 * noise if "norm" in name.lower() else 0.25 * noise)


def random_params(config: models.ModelConfig):
    """Parameters of a model that starts here, random in the same way."""
    generator = np.random.default_rng(0)
    draw = lambda leaf: (0.3 * generator.standard_normal(leaf.shape)).astype(np.float32)  # noqa: E731
    return jax.device_put(jax.tree.map(draw, shapes(config)))  # jnp.asarray would compile a program for each shape


@functools.cache
def shapes(config: models.ModelConfig):
    return jax.eval_shape(models.build(config).init, jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]


def torch_logits(model, tokens: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    mask = None if mask is None else torch.tensor(mask)
    with torch.no_grad():
        return model(torch.tensor(tokens), attention_mask=mask).logits.numpy()
