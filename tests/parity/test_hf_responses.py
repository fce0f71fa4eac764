"""Log-probabilities of responses against torch, which reads each prompt and response as one unpadded row."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxalign import models
from jaxalign.io import hf
from jaxalign.typing import ListBatch
from tests.parity import tiny

PROMPT_LENGTHS, RESPONSE_LENGTHS = [6, 3, 5, 2], [[4, 1, 5], [2, 5, 3], [1, 2, 3], [5, 5, 4]]
P, R = 7, 5
B, K = np.shape(RESPONSE_LENGTHS)


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def case(request, tmp_path_factory):
    model = tiny.torch_model(request.param)
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    return model, *hf.load_pretrained(directory)


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(4)
    prompt_length, response_length = np.array(PROMPT_LENGTHS)[:, None], np.array(RESPONSE_LENGTHS)[..., None]
    return ListBatch(
        prompt_tokens=generator.integers(0, tiny.SIZES["vocab_size"], (B, P)),
        # Two prompts are padded on the left, two on the right.
        prompt_mask=np.where([[0], [0], [1], [1]], np.arange(P) < prompt_length, np.arange(P) >= P - prompt_length),
        response_tokens=generator.integers(0, tiny.SIZES["vocab_size"], (B, K, R)),
        response_mask=np.arange(R) < response_length,
        labels=np.zeros((B, K), np.float32),
        where=np.arange(B * K).reshape(B, K) != 4,
        reference_logps=np.zeros((B, K), np.float32),
    )


def torch_logps(model, batch):
    """``sum_t log p(response_t | prompt, response_<t)``, one row at a time."""
    logps = np.zeros((B, K))
    for b, k in np.ndindex(B, K):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]]
        response = batch.response_tokens[b, k][batch.response_mask[b, k]]
        row = np.concatenate([prompt, response])[None]
        log_softmax = torch.tensor(tiny.torch_logits(model, row)).double().log_softmax(-1)[0].numpy()
        # The token at position t is predicted at t - 1.
        predicted = np.arange(len(prompt), row.shape[1])
        logps[b, k] = log_softmax[predicted - 1, response].sum()
    return np.where(batch.where, logps, 0)


@pytest.mark.parametrize("shared_prompt", [True, False])
def test_response_logps(case, batch, shared_prompt):
    model, config, params = case
    logps = jax.jit(functools.partial(models.response_logps, models.build(config), shared_prompt=shared_prompt))
    expected = torch_logps(model, batch)
    assert expected.min() < -5 and expected[1, 1] == 0  # the list's entry 4 is not valid
    np.testing.assert_allclose(logps(params, jax.tree.map(jnp.asarray, batch)), expected, atol=2e-4)
