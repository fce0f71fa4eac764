"""What transformers wrote, read here: equal logits for every family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import models
from jaxalign.io import hf
from tests.parity import tiny

LENGTH = 11  # longer than every window


@pytest.fixture(scope="module", params=tiny.CASES)
def case(request, tmp_path_factory):
    """The torch model and what is read from the directory that it was saved in."""
    model = tiny.torch_model(request.param)
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    return model, *hf.load_pretrained(directory)


def test_logits_of_full_and_padded_rows(case):
    model, config, params = case
    tokens = np.random.default_rng(1).integers(0, tiny.SIZES["vocab_size"], (5, LENGTH))
    index = np.arange(LENGTH)
    mask = np.stack([index >= 0, index < 7, index < 2, index >= LENGTH - 7, index >= LENGTH - 2])
    expected = tiny.torch_logits(model, tokens, mask)[mask]
    apply = jax.jit(models.build(config).apply)
    logits = apply({"params": params}, jnp.asarray(tokens), mask=jnp.asarray(mask))[mask]
    assert expected.std() > 0.3
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_config_says_what_transformers_says(case):
    """config.json of transformers and ours are read as the same model, by both."""
    model, config, _ = case
    ours = hf.config_to_json(config)
    assert hf.config_from_json(ours) == config == hf.config_from_json(model.config.to_dict())
    theirs = type(model.config)(**ours).to_dict()
    # Token ids and dtype come with an export; layer_types say what the two patterns would.
    other = {"architectures", "dtype", "bos_token_id", "eos_token_id", "pad_token_id"}
    other |= {"max_window_layers", "_sliding_window_pattern"}
    for key, value in model.config.to_dict().items():
        assert key in other or theirs[key] == value, key
