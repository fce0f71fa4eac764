"""Greedy generation equals transformers' ``generate`` for every family."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxalign import models, sampling
from jaxalign.io import hf
from tests.parity import tiny

NEW = 14  # own tokens, like prompts, outgrow every window (3 to 5)
LENGTHS = (9, 4, 1)


def let_layers_speak(model):
    """Gemma scales its tied embeddings up, so with random weights it would echo the last token for ever."""
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith(("post_attention_layernorm.weight", "post_feedforward_layernorm.weight")):
                parameter += 8.0


@pytest.mark.parametrize("name", tiny.CASES)
def test_greedy_equals_transformers(name, tmp_path):
    theirs = copy.deepcopy(tiny.torch_model(name))
    if name.startswith("gemma"):
        let_layers_speak(theirs)
    theirs.save_pretrained(tmp_path)
    config, params = hf.load_pretrained(tmp_path)
    width = max(LENGTHS)
    tokens = np.random.default_rng(2).integers(3, tiny.SIZES["vocab_size"], (len(LENGTHS), width))
    mask = np.arange(width)[None] >= width - np.array(LENGTHS)[:, None]
    options = {
        "max_new_tokens": NEW,
        "do_sample": False,
        "pad_token_id": 0,
        "eos_token_id": None,
    }
    with torch.no_grad():
        expected = theirs.generate(torch.tensor(tokens), attention_mask=torch.tensor(mask).long(), **options)
    samples = sampling.generate(
        models.build(config),
        params,
        jnp.asarray(tokens, jnp.int32),
        jnp.asarray(mask),
        jax.random.key(0),
        num_samples=1,
        max_new_tokens=NEW,
        eos_id=-1,
        rule=sampling.greedy,
    )
    assert len(np.unique(expected[:, width:])) > 5
    np.testing.assert_array_equal(samples.tokens[:, 0], expected[:, width:].numpy())
