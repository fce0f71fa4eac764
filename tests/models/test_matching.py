"""Classifiers that match texts with class embeddings: logits by hand, padding, their start, and training."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import losses, models, sharding
from jaxalign.io import hf
from jaxalign.io.run import model_config

LABELS = ("animals", "dogs", "plants", "stones")
EMBEDDINGS = np.random.default_rng(3).standard_normal((4, 5)).astype(np.float32)
CASES = {
    "encoder-first": models.MatchingConfig(tiny.ENCODER, LABELS, 5),
    "encoder-mean": models.MatchingConfig(tiny.ENCODER, LABELS, 5, pooling="mean"),
    "plain-last": models.MatchingConfig(tiny.PLAIN, LABELS, 5, pooling="last"),
}


def make(name):
    config = CASES[name]
    model = models.build(config)
    assert type(model) is models.MatchingClassifier
    backbone_model, backbone = tiny.init(config.backbone)
    params = models.init_matching_params(model, jax.random.key(0), backbone, jnp.asarray(EMBEDDINGS))
    return model, params, backbone_model, backbone


def rows():
    mask = np.arange(9) < np.array([[9], [4]])
    return np.random.default_rng(1).integers(0, 61, mask.shape, np.int32), mask


@pytest.mark.parametrize("name", CASES)
def test_logits_by_hand(name):
    model, params, backbone_model, backbone = make(name)
    tokens, mask = rows()
    logits = tiny.forward(model, params, tokens, mask=mask)
    states = tiny.forward if "encoder" in name else tiny.states
    for row, real, found in zip(tokens, mask, logits, strict=True):
        hidden = np.asarray(states(backbone_model, backbone, row[real][None])[0], np.float64)
        state = {"last": hidden[-1], "mean": hidden.mean(axis=0), "first": hidden[0]}[model.config.pooling]
        if name == "encoder-first":
            state = np.tanh(state @ np.asarray(backbone["pooler"]) + np.asarray(backbone["pooler_bias"]))
        expected = state @ np.asarray(params["head"]["interaction"]) @ EMBEDDINGS.T
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(tiny.forward(model, params, np.where(mask, tokens, 7), mask=mask), logits)
    assert tiny.forward(model, params, tokens, mask=mask & False).tolist() == [[0] * 4] * 2


def test_probabilities_are_of_each_class_by_itself():
    model, params, _, _ = make("encoder-mean")
    tokens, mask = rows()
    logits = np.asarray(tiny.forward(model, params, tokens, mask=mask), np.float64)
    found = jax.jit(models.class_probabilities, static_argnums=0)(model, params, tokens, mask)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-4, atol=1e-6)


def test_start():
    model, params, _, backbone = make("encoder-first")
    weights = np.asarray(params["head"]["interaction"])
    assert weights.shape == (16, 5) and np.abs(weights).max() <= 0.25 and np.abs(weights).max() > 0.2
    np.testing.assert_array_equal(params["head"]["class_embeddings"], EMBEDDINGS)
    assert jax.tree.all(jax.tree.map(np.array_equal, params["backbone"], backbone))
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)


def test_class_embeddings_are_trained_and_ignored_classes_are_not():
    model, params, _, _ = make("encoder-mean")
    tokens, mask = map(jnp.asarray, rows())
    labels, where = jnp.array([[1.0, 1, 0, 0]] * 2), jnp.array([[True, True, False, True]] * 2)

    def loss(params):
        logits = model.apply({"params": params}, tokens, mask=mask)
        return losses.masked_sigmoid_cross_entropy_loss(logits, labels, where=where)

    slopes = jax.jit(jax.grad(loss))(params)["head"]
    moved = np.abs(slopes["class_embeddings"]).max(axis=1) > 0
    assert moved.tolist() == [True, True, False, True] and np.abs(slopes["interaction"]).max() > 0


def test_parameters_have_logical_axes():
    model, params, _, _ = make("encoder-first")
    mesh = sharding.make_mesh(data=2, fsdp=2, tensor=2)
    specs = sharding.param_shardings(params["head"], mesh, sharding.Rules(models.LOGICAL_AXES))
    assert specs["interaction"].spec[0] == "fsdp" and specs["class_embeddings"].is_fully_replicated


def test_its_config_is_that_of_a_head(tmp_path):
    config = CASES["encoder-mean"]
    assert models.backbone_config(config) == tiny.ENCODER and config.multi_label and config.family == "bert"
    model_config.save_config(tmp_path, config)
    assert model_config.load_config(tmp_path) == config
    with pytest.raises(ValueError, match="no classifier that matches.*save_hierarchy_model"):
        hf.save_pretrained(tmp_path / "out", config, make("encoder-mean")[1])
    lora = models.LoraConfig(2, 4.0)
    adapter = models.init_lora(jax.random.key(0), make("encoder-mean")[1], lora)
    with pytest.raises(ValueError, match="no classifier that matches.*save_hierarchy_model"):
        hf.save_adapter(tmp_path / "out", config, adapter, lora)


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="two or more classes, each once"):
        models.MatchingConfig(tiny.ENCODER, ("a", "a"), 5)
    with pytest.raises(ValueError, match="use 'last' or 'mean'"):
        models.MatchingConfig(tiny.PLAIN, LABELS, 5)
    model = models.build(dataclasses.replace(CASES["encoder-mean"], class_width=6))
    with pytest.raises(ValueError, match=r"of 4 classes with class_width 6, got \(4, 5\)"):
        models.init_matching_params(model, jax.random.key(0), {}, jnp.asarray(EMBEDDINGS))
