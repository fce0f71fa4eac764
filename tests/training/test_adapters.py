"""Training an adapter on a frozen base: what is updated, what is compiled, and on which devices it lies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import losses, models, numerics, sharding, training
from jaxalign.typing import ListBatch

DECODER = models.DecoderConfig(64, 16, 32, 2, 4, 2, 8)
REWARD = models.RewardConfig(DECODER)
LORA, DORA = models.LoraConfig(4, 8.0), models.LoraConfig(4, 8.0, dora=True)
RULES = sharding.Rules(models.LOGICAL_AXES)
OPTIMIZER = training.adamw(1e-2)
KEY = jax.random.key(0)


def init(config):
    """A model and a base that is random everywhere, drawn by NumPy."""
    rng = np.random.default_rng(0)
    return models.build(config), jax.tree.map(
        lambda leaf: jnp.asarray(0.2 * rng.standard_normal(leaf.shape), jnp.float32), shapes(config)
    )


@functools.cache
def shapes(config):
    return jax.eval_shape(models.build(config).init, KEY, jnp.zeros((1, 2), jnp.int32))["params"]


@functools.cache
def start(name, lora):
    """The adapter that changes nothing yet."""
    return jax.jit(models.init_lora, static_argnums=2)(KEY, init(CASES[name][0])[1], lora)


def token_loss(model, params, batch, key):
    logps = jax.nn.log_softmax(model.apply({"params": params}, batch[:, :-1]))
    return numerics.ratio(-jnp.take_along_axis(logps, batch[:, 1:, None], axis=-1)), {}


def list_batch():
    rng = np.random.default_rng(1)
    return ListBatch(
        prompt_tokens=rng.integers(0, 64, (8, 5)),
        prompt_mask=np.ones((8, 5), bool),
        response_tokens=rng.integers(0, 64, (8, 2, 4)),
        response_mask=np.ones((8, 2, 4), bool),
        labels=np.tile(np.array([1.0, 0.0], np.float32), (8, 1)),
        where=np.ones((8, 2), bool),
        reference_logps=np.zeros((8, 2), np.float32),
    )


def ranking_loss(model, params, batch, key):
    rewards = models.response_rewards(model, params, batch)
    return losses.pairwise_logistic_loss(rewards, batch.labels, where=batch.where, reduce_fn=numerics.ratio), {}


CASES = {
    "decoder": (DECODER, token_loss, lambda: np.random.default_rng(1).integers(0, 64, (8, 9))),
    "reward": (REWARD, ranking_loss, list_batch),
}


def run(name, lora, *, mesh=None, accumulate=1, num_steps=4):
    """Steps on one batch: the base, the first and the last state, and the losses."""
    config, loss_fn, make_batch = CASES[name]
    model, base = init(config)
    batch = make_batch()
    adapter = start(name, lora)
    if mesh is not None:
        base = sharding.place(base, sharding.param_shardings(base, mesh, RULES))
        batch = sharding.place_batch(batch, mesh=mesh, rules=RULES)
    loss_fn = models.lora_loss(functools.partial(loss_fn, model), base, lora)
    step = training.make_train_step(loss_fn, OPTIMIZER, mesh=mesh, rules=RULES, accumulate=accumulate)
    first = state = training.init_state(adapter, OPTIMIZER, mesh=mesh, rules=RULES)
    first = jax.device_get(first)
    history = []
    for index in range(num_steps):
        state, metrics = step(state, batch, jax.random.fold_in(KEY, index))
        history.append(float(metrics["loss"].value))
    assert step.func._cache_size() == 1
    return base, first, state, history


@functools.cache
def on_one_device(name, lora):
    """Without jax_debug_nans, which switches donation off: that is what could harm the base."""
    with jax.debug_nans(False):
        return run(name, lora)


@pytest.mark.parametrize(("name", "lora"), [("decoder", LORA), ("decoder", DORA), ("reward", DORA)])
def test_only_the_adapter_learns(name, lora):
    base, first, last, history = on_one_device(name, lora)
    assert np.all(np.diff(history) < 0)
    jax.tree.map(np.testing.assert_array_equal, base, init(CASES[name][0])[1])
    assert all(jax.tree.leaves(jax.tree.map(lambda old, new: bool(np.any(old != new)), first.params, last.params)))
    moments = [leaf for leaf in jax.tree.leaves(last.opt_state) if leaf.ndim]
    assert sum(leaf.size for leaf in moments) == 2 * sum(leaf.size for leaf in jax.tree.leaves(last.params))
    assert ("head" in last.params) == (name == "reward")


@pytest.mark.parametrize(
    ("name", "lora", "data", "fsdp", "tensor", "accumulate"),
    [
        ("decoder", DORA, 1, 8, 1, 1),
        ("decoder", LORA, 2, 2, 2, 2),
        ("reward", DORA, 2, 2, 2, 1),
    ],
)
def test_every_mesh_gives_the_numbers_of_one_device(name, lora, data, fsdp, tensor, accumulate):
    mesh = sharding.make_mesh(data=data, fsdp=fsdp, tensor=tensor)
    _, _, state, history = run(name, lora, mesh=mesh, accumulate=accumulate)
    _, _, expected, expected_history = on_one_device(name, lora)
    np.testing.assert_allclose(history, expected_history, rtol=1e-4)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-3), *jax.device_get((state, expected)))
    layers = state.params.get("backbone", state.params)["layers"]
    spec = layers["attention"]["query_lora_b"].sharding.spec
    assert (spec == jax.sharding.PartitionSpec(None, None, "tensor")) == (tensor > 1)


def lowered(config, make_loss):
    """The step of a decoder's adapter, before it is compiled."""
    model, base = init(config)
    step = training.make_train_step(make_loss(functools.partial(token_loss, model), base), OPTIMIZER)
    state = training.init_state(models.init_lora(KEY, base, LORA), OPTIMIZER)
    return step.func.lower(*step.args, state, np.zeros((2, 9), np.int32), KEY), base


def test_the_base_is_an_argument_of_the_program():
    program, base = lowered(DECODER, lambda loss_fn, base: models.lora_loss(loss_fn, base, LORA))
    small = len(program.as_text())

    def closed_over(loss_fn, base):
        return lambda adapter, batch, key: loss_fn(models.apply_lora(base, adapter, LORA), batch, key)

    constant, _ = lowered(DECODER, closed_over)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(base))
    assert len(constant.as_text()) > small + size  # a digit is half a byte; the counterexample, so that the test bites


def test_no_gradient_and_no_copy_of_the_base():
    """Merging first needs room for the merged maps and for their gradients."""
    config = models.DecoderConfig(64, 256, 512, 4, 4, 4, 64)

    def merging(loss_fn, base):
        def loss(base, adapter, batch, key):
            return loss_fn(models.merge_lora(base, adapter, LORA), batch, key)

        return jax.tree_util.Partial(loss, base)

    beside, base = lowered(config, lambda loss_fn, base: models.lora_loss(loss_fn, base, LORA))
    merged, _ = lowered(config, merging)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(base["layers"]))
    beside, merged = (program.compile().memory_analysis().temp_size_in_bytes for program in (beside, merged))
    assert beside < 0.5 * size and merged > 1.5 * size, (beside / size, merged / size)


def test_the_base_is_the_reference_policy():
    """DPO with reference log-probabilities from the base that is adapted: log 2 at the start, then less."""
    model, base = init(DECODER)

    def loss_fn(base, adapter, batch, key):
        policy = models.response_logps(model, models.apply_lora(base, adapter, LORA), batch)
        reference = models.response_logps(model, base, batch)
        return losses.dpo_loss(*policy.T, *reference.T, beta=0.1, reduce_fn=numerics.ratio), {}

    step = training.make_train_step(jax.tree_util.Partial(loss_fn, base), OPTIMIZER)
    state = training.init_state(start("decoder", LORA), OPTIMIZER)
    history = []
    for _ in range(4):
        state, metrics = step(state, list_batch(), KEY)
        history.append(float(metrics["loss"].value))
    np.testing.assert_allclose(history[0], np.log(2), rtol=1e-5)
    assert np.all(np.diff(history) < 0)


def test_an_evaluation_takes_bound_arrays_too():
    model, base = init(DECODER)
    adapter = start("decoder", LORA)
    loss_fn, batch = functools.partial(token_loss, model), CASES["decoder"][2]()
    adapted = training.make_eval_step(models.lora_loss(loss_fn, base, LORA))(adapter, batch, KEY)
    plain = training.make_eval_step(loss_fn)(base, batch, KEY)
    np.testing.assert_allclose(adapted["loss"].value, plain["loss"].value, rtol=1e-6)


def test_magnitudes_do_not_decay():
    mask = training.decay_mask(start("decoder", DORA))["layers"]["attention"]
    assert mask["query_lora_a"] and mask["query_lora_b"] and not mask["query_magnitude"]
