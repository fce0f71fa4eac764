"""Classifiers: logits against pooling by hand, padding, and what a config may say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import models, sharding
from jaxalign.models import ClassifierConfig

LABELS = ("World", "Sports", "Business")
CASES = {
    "encoder-first": ClassifierConfig(tiny.ENCODER, LABELS),
    "no_pooler-first": ClassifierConfig(dataclasses.replace(tiny.ENCODER, pooler=False), LABELS),
    "encoder-mean": ClassifierConfig(tiny.ENCODER, LABELS, pooling="mean"),
    "plain-last": ClassifierConfig(tiny.PLAIN, LABELS),
    "mixed-mean": ClassifierConfig(tiny.MIXED, LABELS, pooling="mean"),
}
LENGTHS = (9, 4, 1)
class_probabilities = jax.jit(models.class_probabilities, static_argnums=0)


def rows(left_padded=False):
    mask = np.arange(9) < np.array(LENGTHS)[:, None]
    return np.random.default_rng(1).integers(0, 61, mask.shape, np.int32), mask[:, ::-1] if left_padded else mask


def by_hand(config, params, tokens):
    """The logits of one row without padding, from the states of the bare backbone."""
    backbone = models.build(dataclasses.replace(config.backbone, **without_matrix(config.backbone)))
    if isinstance(config.backbone, models.EncoderConfig):
        hidden = tiny.forward(backbone, params["backbone"], tokens[None])
    else:  # no token sees what is behind it: one program for rows of all lengths
        hidden = tiny.states(backbone, params["backbone"], np.pad(tokens, (0, 9 - len(tokens)))[None])
    hidden = np.asarray(hidden[0, : len(tokens)], np.float64)
    state = {"last": hidden[-1], "mean": hidden.mean(axis=0), "first": hidden[0]}[config.pooling]
    if config.pooling == "first" and config.backbone.pooler:
        state = np.tanh(
            state @ np.asarray(params["backbone"]["pooler"]) + np.asarray(params["backbone"]["pooler_bias"])
        )
    return state @ np.asarray(params["head"]["classes"]) + np.asarray(params["head"].get("classes_bias", np.zeros(3)))


def without_matrix(backbone):
    return {"tied_embeddings": True} if isinstance(backbone, models.DecoderConfig) else {}


@pytest.mark.parametrize("name", CASES)
def test_logits_by_hand(name):
    model, params = tiny.init(CASES[name])
    assert model.config.pooling == name.split("-")[1]
    for left_padded in (False,) if isinstance(model.config.backbone, models.EncoderConfig) else (False, True):
        tokens, mask = rows(left_padded)
        logits = tiny.forward(model, params, tokens, mask=mask)
        assert logits.shape == (3, 3) and logits.dtype == jnp.float32 and np.std(logits) > 0.1
        expected = [by_hand(model.config, params, row[real]) for row, real in zip(tokens, mask, strict=True)]
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(tiny.forward(model, params, np.where(mask, tokens, 7), mask=mask), logits)


def test_a_row_without_a_token_has_no_opinion():
    model, params = tiny.init(CASES["plain-last"])
    tokens, mask = rows()
    mask = mask & (np.arange(3) != 1)[:, None]
    logits = tiny.forward(model, params, tokens, mask=mask)
    assert logits[1].tolist() == [0, 0, 0] and np.all(logits[0] != 0)


def test_probabilities_are_of_one_class_or_of_each():
    config = CASES["plain-last"]
    model, params = tiny.init(config)
    tokens, mask = rows()
    logits = np.asarray(tiny.forward(model, params, tokens, mask=mask), np.float64)
    one = class_probabilities(model, params, tokens, mask)
    np.testing.assert_allclose(one, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-4)
    several = models.build(dataclasses.replace(config, problem_type="multi_label_classification"))
    each = class_probabilities(several, params, tokens, mask)
    np.testing.assert_allclose(each, 1 / (1 + np.exp(-logits)), rtol=1e-4)


@pytest.mark.parametrize("name", ["encoder-first", "plain-last"])
def test_a_head_on_pretrained_parameters(name):
    model = models.build(CASES[name])
    _, pretrained = tiny.init(CASES[name].backbone)
    params = models.init_classifier_params(model, jax.random.key(0), pretrained)
    assert ("unembedding" in pretrained) == (name == "plain-last") and "unembedding" not in params["backbone"]
    assert {id(x) for x in jax.tree.leaves(params["backbone"])} <= {id(x) for x in jax.tree.leaves(pretrained)}
    assert jax.tree.structure(params) == jax.tree.structure(tiny.init(CASES[name])[1])
    assert params["head"]["classes"].shape == (16, 3)
    assert 0.15 < float(jnp.std(params["head"]["classes"])) < 0.4  # of variance 1 / 16
    damaged = pretrained | {"embedding": jnp.zeros((60, 16))}
    with pytest.raises(ValueError, match=r"embedding: expected \(61, 16\), got \(60, 16\); load them"):
        models.init_classifier_params(model, jax.random.key(0), damaged)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((tiny.PLAIN, ("a",)), r"labels must be the names of two or more classes, each once, got \('a',\)"),
        ((tiny.PLAIN, ("a", "b", "a")), "each once, got"),
        ((tiny.PLAIN, LABELS, "regression"), "problem_type must be one of single_label.* got 'regression'"),
        ((tiny.PLAIN, LABELS, "single_label_classification", "first"), "'first' reads a decoder's first token"),
        ((tiny.V1_0, LABELS), "DecoderConfig or EncoderConfig, got EncoderDecoderConfig"),
    ],
)
def test_what_a_classifier_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        unchecked = ClassifierConfig.__init__.__wrapped__  # users have no run-time checks of types
        unchecked(object.__new__(ClassifierConfig), *arguments)


def test_rows_that_do_not_fit():
    model, params = tiny.init(ClassifierConfig(dataclasses.replace(tiny.PLAIN, max_length=8), LABELS))
    with pytest.raises(ValueError, match=r"rows of 9 tokens, but the llama backbone has 8 positions .*max_tokens"):
        tiny.forward(model, params, rows()[0])
    with pytest.raises(ValueError, match="decoder has no token types"):
        tiny.forward(model, params, rows()[0][:, :3], token_types=rows()[0][:, :3])


def test_sharded_logits_equal_those_of_one_device():
    config = dataclasses.replace(CASES["encoder-first"], backbone=dataclasses.replace(tiny.ENCODER, vocab_size=64))
    model, params = tiny.init(config)
    mesh, rules = sharding.make_mesh(data=2, fsdp=2, tensor=2), sharding.Rules(models.LOGICAL_AXES)
    tokens = np.random.default_rng(0).integers(0, 64, (4, 8), np.int32)
    placed = sharding.place(params, sharding.param_shardings(params, mesh, rules))
    with jax.set_mesh(mesh):
        sharded = tiny.forward(model, placed, sharding.place_batch(tokens, mesh=mesh, rules=rules))
    np.testing.assert_allclose(sharded, tiny.forward(model, params, tokens), rtol=1e-4, atol=1e-5)
