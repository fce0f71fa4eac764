"""Tiny T5 models of transformers, random in every weight: v1.0 and v1.1."""

import functools

import numpy as np
import torch
import transformers

from tests.parity import tiny

# Buckets that rows of a dozen tokens reach the last of, and heads that do not divide the width.
SIZES = dict(vocab_size=131, d_model=36, d_kv=10, d_ff=52, num_layers=2, num_decoder_layers=3, num_heads=3)
SIZES |= dict(relative_attention_num_buckets=8, relative_attention_max_distance=7, layer_norm_epsilon=1e-3)
START = dict(pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
CASES = {
    "v1.0": lambda: transformers.T5Config(**SIZES, **START),
    "v1.1": lambda: transformers.T5Config(**SIZES, **START, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
}


@functools.cache
def torch_model(name: str):
    """The case's model, on the CPU in float32, one per process."""
    config = CASES[name]()
    config._attn_implementation = "eager"
    model = transformers.T5ForConditionalGeneration(config).eval()
    if name == "v1.1":
        # transformers 5 ties the two until a file holds both.
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    tiny.randomise(model, seed=0)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "relative_attention_bias" in parameter_name or parameter_name == "shared.weight":
                parameter *= 4  # biases that matter, states as large as a trained model's
    return model


def torch_logits(model, tokens, decoder_tokens, mask, decoder_mask=None) -> np.ndarray:
    with torch.no_grad():
        return model(
            torch.tensor(tokens),
            attention_mask=torch.tensor(mask).long(),
            decoder_input_ids=torch.tensor(decoder_tokens),
            decoder_attention_mask=None if decoder_mask is None else torch.tensor(decoder_mask).long(),
        ).logits.numpy()
