"""Rewards: rows against pooling by hand, lists against rows, and a reward model that learns a ranking."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxalign import losses, metrics, models, sharding
from jaxalign.models import RewardConfig

BACKBONES = {"encoder": tiny.ENCODER, **tiny.CONFIGS}
CASES = {
    f"{name}-{pooling}": RewardConfig(backbone, pooling)
    for name, backbone in BACKBONES.items()
    for pooling in ("last", "mean", *(["first"] if name == "encoder" else []))
}
WEIGHTS = np.random.default_rng(5).standard_normal((2, 3)).astype(np.float32)
FEW = ["plain-last", "mixed-mean", "encoder-first"]
response_rewards = jax.jit(models.response_rewards, static_argnums=0)


run = functools.partial(tiny.scores_and_gradient, models.response_rewards)


def by_hand(model, params, tokens, start, length=16):
    """The reward of one unpadded row whose response begins at ``start``, from the states of the bare backbone."""
    config, n = model.config, len(tokens)
    backbone = models.build(config.backbone)
    row = np.pad(tokens, (0, length - n))[None]
    if isinstance(config.backbone, models.EncoderConfig):
        types = (np.arange(length) >= start).astype(np.int32)[None]
        mask = (np.arange(length) < n)[None]
        hidden = tiny.forward(backbone, params["backbone"], row, mask=mask, token_types=types)
    else:
        with_matrix = params["backbone"] | {"unembedding": np.zeros((config.backbone.width, 61), np.float32)}
        hidden = tiny.states(backbone, params["backbone"] if config.backbone.tied_embeddings else with_matrix, row)
    hidden = np.asarray(hidden[0, :n], np.float64)
    state = {"last": hidden[-1], "mean": hidden[start:].mean(axis=0), "first": hidden[0]}[config.pooling]
    if config.pooling == "first":
        matrix, bias = (np.asarray(params["backbone"][name]) for name in ("pooler", "pooler_bias"))
        state = np.tanh(state @ matrix + bias)
    return state @ np.asarray(params["head"]["reward"])[:, 0] + np.sum(params["head"].get("reward_bias", 0.0))


@pytest.mark.parametrize("left_padded", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_rewards_of_lists_by_hand(name, left_padded):
    model, params = tiny.init(CASES[name])
    batch = jax.device_get(tiny.list_batch(61, left_padded=left_padded))
    rewards = response_rewards(model, params, batch)
    assert rewards.dtype == jnp.float32 and np.std(rewards) > 0.05
    for b, k in np.ndindex(rewards.shape):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]]
        response = batch.response_tokens[b, k][batch.response_mask[b, k]]
        row = np.concatenate([prompt, response])
        expected = by_hand(model, params, row, len(prompt)) if batch.where[b, k] else 0.0
        np.testing.assert_allclose(rewards[b, k], expected, rtol=1e-4, atol=1e-4)


def rows(batch):
    """One row for each response, tokens first and padding behind, and where the responses stand."""
    k = batch.where.shape[1]
    p = batch.prompt_tokens.shape[1]
    tokens = np.concatenate([np.repeat(batch.prompt_tokens, k, 0), batch.response_tokens.reshape(-1, 5)], axis=1)
    mask = np.concatenate([np.repeat(batch.prompt_mask, k, 0), batch.response_mask.reshape(-1, 5)], axis=1)
    order = np.argsort(~mask, axis=1, kind="stable")
    tokens, mask, response = (np.take_along_axis(x, order, 1) for x in (tokens, mask, mask & (np.arange(p + 5) >= p)))
    return jnp.asarray(tokens), jnp.asarray(mask), jnp.asarray(response)


@pytest.mark.parametrize("name", CASES)
def test_rows_and_lists_have_one_reward(name):
    model, params = tiny.init(CASES[name])
    batch = tiny.list_batch(61)
    tokens, mask, response = rows(batch)
    types = {"token_types": response.astype(jnp.int32)} if name.startswith("encoder") else {}
    of_rows = tiny.forward(model, params, tokens, mask=mask, pooled=response, **types)
    expected = np.where(batch.where, np.reshape(of_rows, (2, 3)), 0)
    np.testing.assert_allclose(response_rewards(model, params, batch), expected, rtol=1e-4, atol=1e-5)
    if not name.endswith("mean"):  # nothing has to be marked
        np.testing.assert_allclose(tiny.forward(model, params, tokens, mask=mask, **types), of_rows, rtol=1e-6)


@pytest.mark.parametrize("name", FEW)
def test_rows_may_be_padded_on_either_side(name):
    model, params = tiny.init(CASES[name])
    tokens = np.random.default_rng(3).integers(0, 61, (2, 6))
    plain = tiny.forward(model, params, tokens)
    sides = ((0, 3), (3, 0)) if not name.startswith("encoder") else ((0, 3),)  # an encoder counts padding
    for side in sides:
        padded = np.pad(tokens, ((0, 0), side), constant_values=9)
        mask = np.pad(np.ones((2, 6), bool), ((0, 0), side))
        np.testing.assert_allclose(tiny.forward(model, params, padded, mask=mask), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["plain-last", "mixed-mean"])
def test_shared_prompt_has_the_values_and_gradients_of_separate_rows(name):
    model, params = tiny.init(CASES[name])
    batch = tiny.list_batch(61)
    (rewards, shared), (expected, separate) = (
        run(model, params, batch, WEIGHTS, shared_prompt=flag) for flag in (True, False)
    )
    np.testing.assert_allclose(rewards, expected, rtol=1e-5, atol=1e-6)
    assert jax.tree.structure(shared) == jax.tree.structure(separate)
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(separate), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max() + 1e-6)


@pytest.mark.parametrize("name", FEW)
def test_masked_tokens_do_not_matter(name):
    model, params = tiny.init(CASES[name])
    batch = tiny.list_batch(61)
    noise = batch._replace(
        prompt_tokens=jnp.where(batch.prompt_mask, batch.prompt_tokens, 7),
        response_tokens=jnp.where(batch.response_mask, batch.response_tokens, 9),
    )
    np.testing.assert_array_equal(*(response_rewards(model, params, x) for x in (batch, noise)))


@pytest.mark.parametrize("name", FEW)
def test_empty_responses(name):
    """A lone end-of-sequence token is a response like others; one without any token has reward 0 and no gradient."""
    model, params = tiny.init(CASES[name])
    batch = tiny.list_batch(61)

    mask = np.zeros(batch.response_mask.shape, bool)
    mask[:, 0, 0] = True
    lone, nothing = (batch._replace(response_mask=jnp.asarray(x)) for x in (mask, mask & False))
    rewards, gradient = run(model, params, lone, WEIGHTS)
    prompt = np.asarray(batch.prompt_tokens[0])[np.asarray(batch.prompt_mask[0])]
    row = np.concatenate([prompt, batch.response_tokens[0, 0, :1]])
    np.testing.assert_allclose(rewards[0, 0], by_hand(model, params, row, len(prompt)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(rewards[:, 1:], 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    _, gradient = run(model, params, nothing, WEIGHTS)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))


def test_rows_longer_than_the_context_are_errors():
    batch = tiny.list_batch(61)  # 7 + 5 tokens
    for backbone in dataclasses.replace(tiny.PLAIN, max_length=11), dataclasses.replace(tiny.ENCODER, max_length=11):
        model, params = tiny.init(RewardConfig(backbone))
        with pytest.raises(ValueError, match=r"rows of 12 tokens .* has 11 positions .*smaller max_prompt"):
            models.response_rewards(model, params, batch)
        with pytest.raises(ValueError, match="rows of 12 tokens"):
            model.apply({"params": params}, jnp.zeros((1, 12), jnp.int32))


def test_what_a_reward_model_cannot_be():
    with pytest.raises(ValueError, match="'first' reads a decoder's first token"):
        RewardConfig(tiny.PLAIN, "first")
    with pytest.raises(ValueError, match="pooling must be 'last', 'mean' or 'first', got 'max'"):
        models.pool_states.__wrapped__(jnp.zeros((1, 2, 3)), jnp.ones((1, 2), bool), "max")
    model, params = tiny.init(RewardConfig(tiny.PLAIN))
    with pytest.raises(ValueError, match="decoder has no token types"):
        model.apply({"params": params}, jnp.zeros((1, 3), jnp.int32), token_types=jnp.zeros((1, 3), jnp.int32))


def test_pooling_by_hand():
    hidden = jnp.array([[[1.0, 0.0], [3.0, 2.0], [5.0, 7.0], [9.0, 9.0]]])
    mask = jnp.array([[False, True, True, False]])
    assert models.pool_states(hidden, mask, "first").tolist() == [[3.0, 2.0]]
    assert models.pool_states(hidden, mask, "last").tolist() == [[5.0, 7.0]]
    assert models.pool_states(hidden, mask, "mean").tolist() == [[4.0, 4.5]]
    assert models.pool_states(hidden, mask & False, "mean").tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", ["plain-last", "mixed-last", "encoder-first"])
def test_a_head_on_pretrained_parameters(name):
    model = models.build(CASES[name])
    _, pretrained = tiny.init(CASES[name].backbone)
    params = models.init_reward_params(model, jax.random.key(0), pretrained)
    assert ("unembedding" in pretrained) == (name == "plain-last") and "unembedding" not in params["backbone"]
    taken = {id(leaf) for leaf in jax.tree.leaves(params["backbone"])}
    assert taken <= {id(leaf) for leaf in jax.tree.leaves(pretrained)}
    assert jax.tree.structure(params) == jax.tree.structure(tiny.init(CASES[name])[1])
    # 16 weights of variance 1 / 16.
    assert 0.1 < float(jnp.std(params["head"]["reward"])) < 0.5
    damaged = {path: leaf for path, leaf in pretrained.items() if path != "layers"} | {"embedding": jnp.zeros((60, 16))}
    with pytest.raises(ValueError, match=r"embedding: expected \(61, 16\), got \(60, 16\); layers/.* got none"):
        models.init_reward_params(model, jax.random.key(0), damaged)


@pytest.mark.parametrize(("name", "shape"), [("plain-last", (2, 2, 2)), ("encoder-first", (1, 2, 4))])
def test_sharded_rewards_and_gradients_equal_single_device(name, shape):
    config = CASES[name]
    backbone = dataclasses.replace(config.backbone, vocab_size=64)
    model, params = tiny.init(dataclasses.replace(config, backbone=backbone))
    batch = tiny.list_batch(64, b=8, p=22)
    mesh = sharding.make_mesh(**dict(zip(("data", "fsdp", "tensor"), shape, strict=True)))
    rules = sharding.Rules(models.LOGICAL_AXES)
    run = jax.jit(jax.value_and_grad(lambda p, x: (models.response_rewards(model, p, x) ** 2).sum()))
    value, gradient = run(params, batch)
    placed = sharding.place(params, sharding.param_shardings(params, mesh, rules))
    with jax.set_mesh(mesh):
        sharded_value, sharded_gradient = run(placed, sharding.place_batch(batch, mesh=mesh, rules=rules))
    np.testing.assert_allclose(sharded_value, value, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), sharded_gradient, gradient)


def test_listwise_training_learns_a_ranking():
    """The label is the share of tokens below 30; lambda_loss on rewards teaches it, also of responses not seen."""
    model, params = tiny.init(CASES["plain-last"])
    params = jax.tree.map(lambda leaf: 0.5 * np.asarray(leaf), params)
    rng = np.random.default_rng(0)

    def lists(b):
        batch = tiny.list_batch(61, b=2, k=4)
        tokens = rng.integers(0, 61, (b, 4, 5))
        arrays = dict(
            prompt_tokens=np.ones((b, 3), np.int32),
            prompt_mask=np.ones((b, 3), bool),
            response_tokens=tokens.astype(np.int32),
            response_mask=np.ones((b, 4, 5), bool),
            labels=(tokens < 30).mean(axis=-1).astype(np.float32),
            where=np.ones((b, 4), bool),
            reference_logps=np.zeros((b, 4), np.float32),
        )
        return batch._replace(**jax.device_put(arrays))

    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, state, batch):
        def loss(params):
            return losses.lambda_loss(models.response_rewards(model, params, batch), batch.labels, where=batch.where)

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    held_out, state = lists(64), jax.jit(optimizer.init)(params)

    @jax.jit
    def accuracy(params):
        rewards = models.response_rewards(model, params, held_out)
        return metrics.pairwise_accuracy_metric(rewards, held_out.labels).value

    before = accuracy(params)
    for _ in range(60):
        params, state, _ = step(params, state, lists(16))
    assert before < 0.7 and accuracy(params) > 0.9
