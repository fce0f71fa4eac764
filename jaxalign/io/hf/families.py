"""The families of models, as data: what their config.json is made of and what they call their tensors.

A new family is a row of :data:`FAMILIES`. ``defaults`` are what transformers assumes where a file is silent.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxalign.io.hf.names import (
    BERT_NAMES,
    BERT_SPELLING,
    DECODER_SPELLING,
    EMBEDDING,
    SHARED,
    T5_NAMES,
    T5_SPELLING,
    UNEMBEDDING,
    Name,
    Spelling,
    decoder_names,
)
from jaxalign.io.hf.parts import (
    BERT_ACTIVATIONS,
    ONE_WINDOW,
    QUERY_SCALE,
    SIZES,
    T5_DECODER_LAYERS,
    T5_MLP,
    T5_OUTPUT,
    T5_START,
    UPPER_WINDOWS,
    Part,
    activation,
    copied,
    every_nth_full,
    must_be,
    reals,
)
from jaxalign.io.hf.rope import ONE_ROPE, ROPE_BY_LAYER
from jaxalign.io.hf.weights import Stored
from jaxalign.models import DecoderConfig, EncoderConfig, EncoderDecoderConfig, NetworkConfig

TellFn = Callable[[NetworkConfig, Mapping[str, Stored]], Any]
"""A field's value from what config.json says and the tensors that there are, by their plain names."""


class Classifier(NamedTuple):
    """How transformers makes a sequence classifier of a family, which with one label is a reward model."""

    architecture: str  # transformers' class
    pooling: str  # the only one that it knows
    head: str  # what it calls its linear map
    prefix: str = ""  # what stands before the backbone's names


class Family(NamedTuple):
    """One ``model_type``."""

    architecture: str  # transformers' class
    parts: tuple[Part, ...]
    defaults: Mapping[str, Any]  # values of config.json where a file is silent
    fixed: Mapping[str, Any]  # fields that are the same in every model of the family
    names: Mapping[str, Name]  # for every parameter that a model of the family may have
    classifier: Classifier | None  # None: no reward model here is what transformers' class is
    config: type[NetworkConfig] = DecoderConfig
    spelling: Spelling = DECODER_SPELLING
    told_by_weights: Mapping[str, TellFn] = {}  # fields that config.json does not say, or not for sure
    copies: Mapping[str, str] = {UNEMBEDDING: EMBEDDING}  # tensors that files may repeat under another name
    heads_divide_width: bool = False  # transformers refuses a width that the number of heads does not divide


COMMON = (
    SIZES,
    reals(rms_norm_eps="norm_epsilon"),
    copied(tie_word_embeddings="tied_embeddings"),
    must_be("quantization_config", None),
)
LLAMA_NAMES = decoder_names({"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"})
GEMMA_NAMES = decoder_names(
    {
        "attention_norm": "input_layernorm",
        "post_attention_norm": "post_attention_layernorm",
        "mlp_norm": "pre_feedforward_layernorm",
        "post_mlp_norm": "post_feedforward_layernorm",
    }
)
LLAMA_DEFAULTS = {"rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False}
QWEN_DEFAULTS = LLAMA_DEFAULTS | {
    "max_position_embeddings": 32_768,
    "num_key_value_heads": 32,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
}
# The text part of a larger Gemma 3 states only what differs from these, sizes included.
GEMMA_DEFAULTS = {
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}
GEMMA_PARTS = (
    activation("hidden_activation"),
    QUERY_SCALE,
    reals(final_logit_softcapping="logit_softcap"),
    must_be("use_bidirectional_attention", None, False),
)
GEMMA_FIXED = {"norm_unit_offset": True, "post_norms": True, "embedding_scale": True}


def _biases(*fields):
    """``attention_bias`` is one key for several of our fields."""
    return tuple(copied(attention_bias=field) for field in fields)


def _tied(config, stored):
    """transformers 5 writes ``tie_word_embeddings: true`` for every T5: files with another output matrix are untied."""
    there = SHARED in stored and UNEMBEDDING in stored and stored[SHARED].shape == stored[UNEMBEDDING].shape
    return config.tied_embeddings and not (
        there and not np.array_equal(stored[SHARED].read(), stored[UNEMBEDDING].read())
    )


FAMILIES: dict[str, Family] = {
    "llama": Family(
        "LlamaForCausalLM",
        (*COMMON, ONE_ROPE, activation("hidden_act"), *_biases("qkv_bias", "output_bias"), copied(mlp_bias="mlp_bias")),
        LLAMA_DEFAULTS | {"max_position_embeddings": 2048, "mlp_bias": False},
        {},
        LLAMA_NAMES,
        Classifier("LlamaForSequenceClassification", "last", "score"),
        heads_divide_width=True,
    ),
    "mistral": Family(
        "MistralForCausalLM",
        (*COMMON, ONE_ROPE, activation("hidden_act"), ONE_WINDOW),
        LLAMA_DEFAULTS | {"max_position_embeddings": 131_072, "num_key_value_heads": 8, "sliding_window": 4096},
        {},
        LLAMA_NAMES,
        Classifier("MistralForSequenceClassification", "last", "score"),
    ),
    "qwen2": Family(
        "Qwen2ForCausalLM",
        (*COMMON, ONE_ROPE, activation("hidden_act"), UPPER_WINDOWS),
        QWEN_DEFAULTS,
        {"qkv_bias": True},
        LLAMA_NAMES,
        Classifier("Qwen2ForSequenceClassification", "last", "score"),
    ),
    "qwen3": Family(
        "Qwen3ForCausalLM",
        (*COMMON, ONE_ROPE, activation("hidden_act"), UPPER_WINDOWS, *_biases("qkv_bias", "output_bias")),
        QWEN_DEFAULTS | {"head_dim": 128},
        {"qk_norm": True},
        LLAMA_NAMES,
        Classifier("Qwen3ForSequenceClassification", "last", "score"),
    ),
    "gemma2": Family(
        "Gemma2ForCausalLM",
        (
            *COMMON,
            *GEMMA_PARTS,
            ONE_ROPE,
            every_nth_full(2),
            reals(attn_logit_softcapping="attention_softcap"),
            *_biases("qkv_bias", "output_bias"),
        ),
        GEMMA_DEFAULTS | {"vocab_size": 256_000, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
        GEMMA_FIXED,
        GEMMA_NAMES,
        Classifier("Gemma2ForSequenceClassification", "last", "score"),
        heads_divide_width=True,
    ),
    "gemma3_text": Family(
        "Gemma3ForCausalLM",
        (
            *COMMON,
            *GEMMA_PARTS,
            ROPE_BY_LAYER,
            every_nth_full(6),
            # transformers has the key but its attention never uses it.
            must_be("attn_logit_softcapping", None),
            *_biases("qkv_bias", "output_bias"),
        ),
        GEMMA_DEFAULTS | {"vocab_size": 262_208, "max_position_embeddings": 131_072, "final_logit_softcapping": None},
        GEMMA_FIXED | {"qk_norm": True},
        GEMMA_NAMES,
        Classifier("Gemma3TextForSequenceClassification", "last", "score"),
        heads_divide_width=True,
    ),
    "bert": Family(
        "BertModel",
        (
            copied(vocab_size="vocab_size", hidden_size="width", intermediate_size="mlp_width"),
            copied(num_hidden_layers="num_layers", num_attention_heads="num_heads"),
            copied(max_position_embeddings="max_length", type_vocab_size="num_token_types"),
            reals(layer_norm_eps="norm_epsilon"),
            activation("hidden_act", BERT_ACTIVATIONS),
            must_be("position_embedding_type", "absolute"),
            must_be("is_decoder", False),
            must_be("add_cross_attention", False),
            must_be("quantization_config", None),
        ),
        {
            "vocab_size": 30_522,
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
            "hidden_act": "gelu",
        },
        # transformers' BertModel has a pooler; a checkpoint without one loads there with a warning.
        {"pooler": True},
        BERT_NAMES,
        Classifier("BertForSequenceClassification", "first", "classifier", prefix="bert."),
        config=EncoderConfig,
        spelling=BERT_SPELLING,
        told_by_weights={"pooler": lambda config, stored: BERT_NAMES["pooler"].template in stored},
    ),
    "t5": Family(
        "T5ForConditionalGeneration",
        (
            copied(vocab_size="vocab_size", d_model="width", d_ff="mlp_width", d_kv="head_dim", num_heads="num_heads"),
            copied(num_layers="num_layers"),
            T5_DECODER_LAYERS,
            copied(relative_attention_num_buckets="num_buckets", relative_attention_max_distance="max_distance"),
            reals(layer_norm_epsilon="norm_epsilon"),
            T5_MLP,
            T5_OUTPUT,
            T5_START,
            must_be("is_encoder_decoder", True),
            must_be("is_decoder", False),
            must_be("quantization_config", None),
        ),
        {
            "vocab_size": 32_128,
            "d_model": 512,
            "d_kv": 64,
            "d_ff": 2048,
            "num_layers": 6,
            "num_heads": 8,
            "relative_attention_num_buckets": 32,
            "relative_attention_max_distance": 128,
            "layer_norm_epsilon": 1e-6,
            "feed_forward_proj": "relu",
            "tie_word_embeddings": True,
            "pad_token_id": 0,
        },
        {},
        T5_NAMES,
        # T5ForSequenceClassification gives one text to both stacks and has a tanh before its linear map.
        None,
        config=EncoderDecoderConfig,
        spelling=T5_SPELLING,
        told_by_weights={"tied_embeddings": _tied},
        copies={name: SHARED for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", UNEMBEDDING)},
    ),
}
TEXT_PARTS = {"gemma3": "gemma3_text"}
"""Families whose ``text_config`` is one of the above; the rest of such a model is left out."""
