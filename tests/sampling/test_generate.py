"""Samples and their log-probabilities against the plain forward pass."""

import jax
import numpy as np
import pytest
import tiny
from jax.sharding import NamedSharding, PartitionSpec
from scipy import stats
from scipy.special import softmax

from jaxalign import models, sampling, sharding

response_token_logps = jax.jit(models.response_token_logps, static_argnums=0)
OPTIONS = {"max_new_tokens": 6, "eos_id": 3}


def draw(model, params, batch, rule, key=0, num_samples=2, **options):
    return sampling.generate(
        model,
        params,
        batch.prompt_tokens,
        batch.prompt_mask,
        jax.random.key(key),
        num_samples=num_samples,
        rule=rule,
        **{**OPTIONS, **options},
    )


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_greedy_equals_argmax_of_the_plain_forward_pass(name):
    model, params = tiny.init(tiny.CONFIGS[name])
    batch = jax.device_get(tiny.list_batch(model.config.vocab_size))
    samples = draw(model, params, batch, sampling.greedy, eos_id=-1)
    for b in range(2):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]]
        row = np.zeros((1, 16), np.int32)
        row[0, : len(prompt)] = prompt
        for t in range(len(prompt), len(prompt) + OPTIONS["max_new_tokens"]):
            row[0, t] = np.argmax(tiny.forward(model, params, row)[0, t - 1])
        expected = row[0, len(prompt) : len(prompt) + OPTIONS["max_new_tokens"]]
        np.testing.assert_array_equal(samples.tokens[b], np.stack([expected, expected]))


LANGUAGE_MODELS = {**tiny.CONFIGS, **tiny.ENCODER_DECODERS}


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_logps_equal_response_token_logps(name):
    model, params = tiny.init(LANGUAGE_MODELS[name])
    batch = tiny.list_batch(model.config.vocab_size)
    samples = draw(model, params, batch, sampling.sample(sampling.temperature(0.7), sampling.top_k(20)))
    scored = batch._replace(
        response_tokens=samples.tokens,
        response_mask=samples.mask,
        where=np.ones((2, 2), bool),
        labels=np.zeros((2, 2), np.float32),
        reference_logps=np.zeros((2, 2), np.float32),
    )
    np.testing.assert_allclose(samples.logps, response_token_logps(model, params, scored), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["plain", "v1.1"])
def test_weights_that_were_split_before_give_the_same(name):
    model, params = tiny.init(LANGUAGE_MODELS[name])
    batch = tiny.list_batch(model.config.vocab_size)
    found = draw(model, sampling.split_once(model, params), batch, sampling.sample())
    jax.tree.map(np.testing.assert_array_equal, found, draw(model, params, batch, sampling.sample()))


def test_splitting_copies_no_embedding():
    model, params = tiny.init(tiny.PLAIN)
    weights = sampling.split_once(model, params)
    assert weights.outer["embedding"].unsafe_buffer_pointer() == params["embedding"].unsafe_buffer_pointer()


def test_a_sample_ends_with_its_end_of_sequence_token():
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size)
    rule = sampling.sample(sampling.temperature(3.0))
    samples = jax.device_get(draw(model, params, batch, rule, num_samples=64, max_new_tokens=40))
    ended = 0
    for tokens, mask in zip(samples.tokens.reshape(-1, 40), samples.mask.reshape(-1, 40), strict=True):
        length = int(mask.sum())
        assert mask[:length].all()
        assert not (tokens[: length - 1] == 3).any()
        assert length == 40 or tokens[length - 1] == 3
        ended += length < 40
    assert ended > 0


def test_samples_follow_the_distribution():
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size, b=1)
    row = np.asarray(batch.prompt_tokens[0])[np.asarray(batch.prompt_mask[0])]
    logits = np.asarray(tiny.forward(model, params, row[None])[0, -1], np.float64) / 0.7
    best = np.argsort(logits)[-5:]
    expected = np.zeros(model.config.vocab_size)
    expected[best] = softmax(logits[best])
    samples = draw(
        model,
        params,
        batch,
        sampling.sample(sampling.temperature(0.7), sampling.top_k(5)),
        num_samples=4000,
        max_new_tokens=1,
    )
    counts = np.bincount(np.asarray(samples.tokens[0, :, 0]), minlength=model.config.vocab_size)
    assert counts[expected == 0].sum() == 0
    assert stats.chisquare(counts[expected > 0], 4000 * expected[expected > 0] / expected.sum()).pvalue > 1e-3


def test_a_sample_does_not_depend_on_its_neighbours():
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size)
    rule = sampling.sample()
    both = draw(model, params, batch, rule)
    changed = batch._replace(prompt_tokens=batch.prompt_tokens.at[1].set(1))
    np.testing.assert_array_equal(both.tokens[0], draw(model, params, changed, rule).tokens[0])
    alone = jax.tree.map(lambda x: x[:1], batch)
    np.testing.assert_array_equal(both.tokens[0, :1], draw(model, params, alone, rule, num_samples=1).tokens[0])


def test_meshes_draw_the_tokens_of_one_device():
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size)
    expected = draw(model, params, batch, sampling.sample(), num_samples=4)
    mesh = sharding.make_mesh(data=2, fsdp=2, tensor=2)
    rules = sharding.Rules(models.LOGICAL_AXES, {**sharding.DEFAULT_MESH_AXES, "vocab": None})
    placed = sharding.place(params, sharding.param_shardings(params, mesh, rules))
    assert any(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(placed))
    samples = draw(
        model,
        placed,
        jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data"))),
        sampling.sample(),
        num_samples=4,
    )
    np.testing.assert_array_equal(samples.tokens, expected.tokens)
    np.testing.assert_array_equal(samples.mask, expected.mask)
    np.testing.assert_allclose(samples.logps, expected.logps, rtol=1e-4, atol=1e-4)


def test_zero_temperature_is_refused():
    with pytest.raises(ValueError, match="temperature must be positive, got 0.0; .* use greedy"):
        sampling.temperature(0.0)
