"""Reward models are transformers' sequence classifiers with one label: equal scores, both ways, for every family."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import torch
import transformers

from jaxalign import models
from jaxalign.io import hf
from jaxalign.io.run import model_config
from jaxalign.models import DecoderConfig, EncoderConfig, RewardConfig
from tests.parity import tiny

CASES = tiny.CASES | {"bert": lambda: transformers.BertConfig(**tiny.BERT_SIZES)}
LENGTH = 11  # longer than every window
SMALL = DecoderConfig(61, 16, 24, 2, 4, 2, 6, family="qwen3", qk_norm=True)
ENCODER = EncoderConfig(61, 16, 24, 2, 4, max_length=16, pooler=True)


class Words:
    """The least that a tokenizer does for an export."""

    vocab_size, bos_id, eos_id, pad_id = 61, 1, 2, 0
    separator_ids = ()

    def save(self, directory):
        pass


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A torch classifier and what is read from the directory that it was saved in."""
    config = CASES[request.param]()
    config.num_labels, config.pad_token_id, config._attn_implementation = 1, 0, "eager"
    model = transformers.AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).eval()
    tiny.randomise(model, seed=5)
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    return model, *hf.load_pretrained(directory)


def rows(left_padded):
    lengths = np.array([[LENGTH], [7], [2], [1]])
    mask = np.arange(LENGTH) >= LENGTH - lengths if left_padded else np.arange(LENGTH) < lengths
    tokens = np.random.default_rng(1).integers(1, 61, mask.shape)
    return np.where(mask, tokens, 0), mask


def torch_scores(model, tokens, mask):
    with torch.no_grad():
        return model(torch.tensor(tokens), attention_mask=torch.tensor(mask.astype(int))).logits[:, 0].numpy()


@functools.partial(jax.jit, static_argnums=0)
def scores(config, params, tokens, mask):
    return models.build(config).apply({"params": params}, tokens, mask=mask)


def test_scores_of_padded_rows(case):
    model, config, params = case
    encoder = isinstance(config.backbone, EncoderConfig)
    assert config.pooling == ("first" if encoder else "last")
    for left_padded in (False,) if encoder else (False, True):
        tokens, mask = rows(left_padded)
        expected = torch_scores(model, tokens, mask)
        assert expected.std() > 0.05
        np.testing.assert_allclose(scores(config, params, tokens, mask), expected, atol=1e-4)


def test_export(case, tmp_path):
    model, config, params = case
    out = hf.save_pretrained(tmp_path / "out", config, params, Words())
    loaded, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        out, num_labels=1, output_loading_info=True, attn_implementation="eager"
    )
    assert type(loaded) is type(model) and not any(info.values())
    tokens, mask = rows(False)
    np.testing.assert_array_equal(torch_scores(loaded.eval(), tokens, mask), torch_scores(model, tokens, mask))
    again, read = hf.load_pretrained(out)
    assert again == config
    assert jax.tree.structure(read) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, read, params)


@pytest.mark.parametrize("backbone", [SMALL, ENCODER], ids=["decoder", "encoder"])
def test_a_model_that_starts_here(backbone, tmp_path):
    config = RewardConfig(backbone, "first" if backbone is ENCODER else "last")
    params = tiny.random_params(config)
    out = hf.save_pretrained(tmp_path / "out", config, params, Words())
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(out).eval()
    assert loaded.config.num_labels == 1
    tokens, mask = rows(False)
    np.testing.assert_allclose(scores(config, params, tokens, mask), torch_scores(loaded, tokens, mask), atol=1e-4)
    assert "pipeline_tag: text-classification" in (out / "README.md").read_text()
    assert not (out / "generation_config.json").exists()


def test_padding_that_is_the_end_of_sequence(tmp_path):
    """transformers would take the score before the end of sequence; without an id it scores single rows only."""

    class PadIsEos(Words):
        pad_id = Words.eos_id

    config = RewardConfig(SMALL)
    params = tiny.random_params(config)
    out = hf.save_pretrained(tmp_path / "out", config, params, PadIsEos())
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(out).eval()
    row = np.array([[5, 9, 7, Words.eos_id]])
    ours = scores(config, params, row, np.ones((1, 4), bool))
    np.testing.assert_allclose(ours, torch_scores(loaded, row, np.ones((1, 4), bool)), atol=1e-4)
    with pytest.raises(ValueError, match="no padding token"):
        torch_scores(loaded, np.repeat(row, 2, axis=0), np.ones((2, 4), bool))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            RewardConfig(SMALL, "mean"),
            "Qwen3ForSequenceClassification cannot express pooling 'mean', only 'last'; train",
        ),
        (RewardConfig(ENCODER, "mean"), "BertForSequenceClassification cannot express pooling 'mean', only 'first'"),
        (RewardConfig(ENCODER, "last"), "cannot express pooling 'last', only 'first'"),
        (
            RewardConfig(dataclasses.replace(ENCODER, pooler=False), "first"),
            "this backbone has none; train with pooler",
        ),
    ],
)
def test_what_transformers_cannot_express(config, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        hf.save_pretrained(tmp_path / "out", config, tiny.random_params(config))
    assert not (tmp_path / "out").exists()


def test_from_a_language_model_to_a_reward_model_and_out(tmp_path):
    """The output matrix of an untied decoder is left behind, and its config remembers that it had one."""
    pretrained = tiny.random_params(SMALL)
    config = RewardConfig(SMALL)
    params = models.init_reward_params(models.build(config), jax.random.key(0), pretrained)
    again, read = hf.load_pretrained(hf.save_pretrained(tmp_path / "out", config, params))
    assert again == config and not again.backbone.tied_embeddings
    np.testing.assert_array_equal(read["head"]["reward"], params["head"]["reward"])
    np.testing.assert_array_equal(read["backbone"]["embedding"], pretrained["embedding"])


def test_model_json(tmp_path):
    config = RewardConfig(dataclasses.replace(SMALL, rope_scaling=models.RopeScaling("linear", 2.0)), "mean")
    model_config.save_config(tmp_path, config)
    assert model_config.load_config(tmp_path) == config
