"""Greedy generation equals transformers' ``generate`` for every family."""

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
# Random weights and tied embeddings echo the last token for ever; the penalty, which is transformers' too, ends that.
PENALTIES = {"gemma2": 5.0, "gemma3": 5.0}


@pytest.mark.parametrize("name", tiny.CASES)
def test_greedy_equals_transformers(name, tmp_path):
    theirs = tiny.torch_model(name)
    theirs.save_pretrained(tmp_path)
    config, params = hf.load_pretrained(tmp_path)
    width = max(LENGTHS)
    tokens = np.random.default_rng(2).integers(3, tiny.SIZES["vocab_size"], (len(LENGTHS), width))
    mask = np.arange(width)[None] >= width - np.array(LENGTHS)[:, None]
    # transformers penalises padding: let it be a token that has occurred.
    tokens = np.where(mask, tokens, tokens[:, -1:])
    penalty = PENALTIES.get(name, 1.0)
    rule = sampling.sample(sampling.repetition_penalty(penalty), sampling.top_k(1)) if penalty > 1 else sampling.greedy
    options = {
        "repetition_penalty": penalty,
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
        rule=rule,
    )
    assert len(np.unique(expected[:, width:])) > 5
    np.testing.assert_array_equal(samples.tokens[:, 0], expected[:, width:].numpy())
