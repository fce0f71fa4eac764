"""Shapes of published models by name, as their config.json states them: benchmarks and plans need no weights.

All are run as one trains them: bfloat16 products and whole layers rematerialised.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jaxalign.io import hf
from jaxalign.models import DecoderConfig, RopeScaling

TRAINED = {"dtype": "bfloat16", "remat": "full"}


def qwen3(width: int, mlp_width: int, num_layers: int, num_heads: int, *, tied: bool) -> DecoderConfig:
    """A Qwen 3 with 8 key-value heads of 128."""
    return DecoderConfig(
        family="qwen3",
        vocab_size=151_936,
        width=width,
        mlp_width=mlp_width,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=8,
        head_dim=128,
        max_length=40_960,
        rope_base=1e6,
        qk_norm=True,
        tied_embeddings=tied,
        **TRAINED,
    )


def gemma2(
    width: int, mlp_width: int, num_layers: int, heads: tuple[int, int], head_dim: int, query_scale: float | None = None
) -> DecoderConfig:
    """A Gemma 2, whose layers see 4,096 tokens and everything in turn; ``heads`` of queries and of keys."""
    return DecoderConfig(
        family="gemma2",
        vocab_size=256_000,
        width=width,
        mlp_width=mlp_width,
        num_layers=num_layers,
        num_heads=heads[0],
        num_kv_heads=heads[1],
        head_dim=head_dim,
        max_length=8192,
        window=4096,
        windowed_layers=(True, False) * (num_layers // 2),
        activation="gelu_tanh",
        norm_unit_offset=True,
        post_norms=True,
        query_scale=query_scale,
        attention_softcap=50.0,
        logit_softcap=30.0,
        embedding_scale=True,
        tied_embeddings=True,
        **TRAINED,
    )


def llama31(width: int, mlp_width: int, num_layers: int, num_heads: int) -> DecoderConfig:
    """A Llama 3.1 with 8 key-value heads of 128."""
    return DecoderConfig(
        family="llama",
        vocab_size=128_256,
        width=width,
        mlp_width=mlp_width,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=8,
        head_dim=128,
        max_length=131_072,
        rope_base=500_000.0,
        rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 8192),
        norm_epsilon=1e-5,
        **TRAINED,
    )


SMOLLM2_135M = DecoderConfig(
    family="llama",
    vocab_size=49_152,
    width=576,
    mlp_width=1536,
    num_layers=30,
    num_heads=9,
    num_kv_heads=3,
    head_dim=64,
    max_length=8192,
    rope_base=100_000.0,
    norm_epsilon=1e-5,
    tied_embeddings=True,
    **TRAINED,
)

MODELS: Mapping[str, DecoderConfig] = MappingProxyType(
    {
        "SmolLM2-135M": SMOLLM2_135M,
        "Qwen3-0.6B": qwen3(1024, 3072, 28, 16, tied=True),
        "Qwen3-1.7B": qwen3(2048, 6144, 28, 16, tied=True),
        "Qwen3-8B": qwen3(4096, 12_288, 36, 32, tied=False),
        "Gemma-2-2B": gemma2(2304, 9216, 26, (8, 4), 256),
        "Gemma-2-9B": gemma2(3584, 14_336, 42, (16, 8), 256),
        "Gemma-2-27B": gemma2(4608, 36_864, 46, (32, 16), 128, 144**-0.5),
        "Llama-3.1-8B": llama31(4096, 14_336, 32, 32),
        "Llama-3.1-70B": llama31(8192, 28_672, 80, 64),
    }
)

BENCHMARKED = ("Qwen3-0.6B", "Qwen3-1.7B", "Gemma-2-2B")
"""What one accelerator trains."""


def on_cpu(config: DecoderConfig) -> DecoderConfig:
    """The model as one runs it on CPU cores: in float32, all that the backward pass needs kept."""
    return dataclasses.replace(config, dtype="float32", remat="none")


def find_model(name: str, **changes: Any) -> DecoderConfig:
    """The model of that name (small or capital letters), or of the config.json in that directory, with ``changes``.

    Raises:
      ValueError: neither, or the directory's model is no decoder.
    """
    named = {known.lower(): config for known, config in MODELS.items()}.get(name.lower())
    if named is None and not pathlib.Path(name).is_dir():
        raise ValueError(
            f"model {name!r} is neither a directory with a config.json nor one of the known: {', '.join(MODELS)}"
        )
    config = dataclasses.replace(hf.read_config(name), **TRAINED) if named is None else named
    if not isinstance(config, DecoderConfig):
        raise ValueError(f"{name} holds a {config.family} model described by {type(config).__name__}; give a decoder")
    return dataclasses.replace(config, **changes)
