"""Optimizer state in bfloat16 and in 8 bit against the same optimizer in float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from jaxalign import numerics, sharding, training
from jaxalign.io.run.checkpoints import Checkpoints
from jaxalign.training import low_precision

KINDS = ("bfloat16", "float8")
RULES = sharding.Rules({"up": ("embed", "mlp"), "down": ("mlp", "embed")})
KEY = jax.random.key(0)
INPUTS = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)


@pytest.mark.parametrize(("dtype", "step"), [(jnp.bfloat16, 2**-7), (jnp.float8_e4m3fn, 2**-3)])
def test_rounding_by_hand(dtype, step):
    """A quarter of the way from one neighbour to the next, a quarter of the draws take the next."""
    numbers = jnp.array([1.0, 1 + step / 4, -2 - step / 2, 0.0, 1.5], jnp.float32)
    draws = low_precision.round_stochastically(jnp.tile(numbers, (10_000, 1)), dtype, KEY)
    assert draws.dtype == dtype
    draws = np.asarray(draws, np.float32)
    assert [set(column) for column in draws.T] == [{1}, {1, 1 + step}, {-2, -2 - 2 * step}, {0}, {1.5}]
    np.testing.assert_allclose(draws.mean(axis=0), numbers, atol=4 * step / 100)  # four standard errors
    tiny = low_precision.round_stochastically(jnp.full(10_000, 2.0**-11), jnp.float8_e4m3fn, KEY).astype(jnp.float32)
    assert set(np.asarray(tiny)) == {0, 2.0**-9}  # a quarter of the smallest number


def test_beyond_the_range_is_the_largest():
    assert low_precision.round_stochastically(jnp.array([500.0]), jnp.float8_e4m3fn, KEY)[0] == 448


def decay(optimizer, gradients, num_steps=1000):
    """The largest update, and the last divisor of updates, after one gradient and then none."""

    def step(state, index):
        updates, state = optimizer.update({"up": gradients * (index == 0)}, state)
        return state, jnp.abs(updates["up"]).max()

    state, updates = jax.lax.scan(step, optimizer.init({"up": gradients}), jnp.arange(num_steps + 1))
    return updates.max(), state


@pytest.mark.parametrize("kind", KINDS)
def test_second_moments_fall(kind):
    """By exp(-1) after 1,000 steps without a gradient, though each step takes less than the next number is away."""
    gradients = jnp.asarray(np.random.default_rng(0).uniform(0.1, 1, (16, 256)), jnp.float32)
    _, state = jax.jit(functools.partial(decay, low_precision_adam(kind)))(gradients)
    second = low_precision._decode(state.inner).nu["up"]
    assert jnp.mean(second / (0.001 * gradients**2)) == pytest.approx(np.exp(-1), rel=0.05)


def test_rounded_to_the_nearest_they_would_not():
    def nearest(second, _):
        return (0.999 * second.astype(jnp.float32)).astype(jnp.bfloat16), None

    second = jnp.asarray(np.random.default_rng(0).uniform(0.1, 1, 4096), jnp.bfloat16)
    np.testing.assert_array_equal(jax.lax.scan(nearest, second, length=1000)[0], second)


def low_precision_adam(kind):
    return training.low_precision_state(optax.scale_by_adam(), kind)


def test_updates_do_not_explode():
    """Gradients of one block that span eight decades; in float32 the largest update is 1, the sign of the gradient."""
    gradients = jnp.asarray(10 ** np.random.default_rng(0).uniform(-8, 0, (16, 256)), jnp.float32)
    gradients = gradients.at[:, 0].set(0)
    for kind in KINDS:
        largest, state = jax.jit(functools.partial(decay, low_precision_adam(kind), num_steps=20))(gradients)
        assert largest < 1.6  # what a few roundings by an eighth make of 1
        second = low_precision._decode(state.inner).nu["up"]
        np.testing.assert_array_equal(second > 0, gradients > 0)


def mlp_params():
    rng = np.random.default_rng(1)
    draw = {"up": (64, 256), "down": (256, 64)}
    matrices = {name: rng.standard_normal(shape) / shape[0] ** 0.5 for name, shape in draw.items()}
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), matrices | {"bias": np.zeros(64)})


def mlp_loss(params, batch, key):
    predicted = jnp.tanh(batch @ params["up"]) @ params["down"] + params["bias"][None]
    return numerics.ratio(jnp.mean((predicted - jnp.sin(3 * batch)) ** 2, axis=-1)), {}


def make_optimizer(kind):
    optimizer = training.adamw(3e-3)
    return optimizer if kind == "float32" else training.low_precision_state(optimizer, kind)


def state_bytes(kind):
    arrays = jax.tree.leaves(jax.eval_shape(make_optimizer(kind).init, mlp_params()))
    return sum(array.size * array.dtype.itemsize for array in arrays)


def test_bytes():
    """Two moments of two matrices; blocks of 256 that share 4 bytes. What is small stays."""
    matrices, small = 2 * 2 * 64 * 256, state_bytes("float32") - 4 * 2 * 2 * 64 * 256
    assert state_bytes("bfloat16") - small == 2 * matrices + 4  # and its count
    assert state_bytes("float8") - small == matrices * (1 + 4 / 256) + 4


@functools.cache
def make_step(kind, mesh=None):
    return training.make_train_step(mlp_loss, make_optimizer(kind), **placed_on(mesh))


def placed_on(mesh):
    return {} if mesh is None else {"mesh": mesh, "rules": RULES}


def train(kind, state, num_steps, mesh=None):
    step = make_step(kind, mesh)
    for _ in range(num_steps):
        state, metrics = step(state, INPUTS, KEY)
    return state, float(metrics["loss"].value)


def test_training_reaches_the_loss_of_float32():
    start = float(mlp_loss(mlp_params(), INPUTS, KEY)[0].value)
    losses = {
        kind: train(kind, training.init_state(mlp_params(), make_optimizer(kind)), 150)[1]
        for kind in ("float32", *KINDS)
    }
    assert losses["float32"] < 0.01 * start
    assert losses["bfloat16"] < 1.1 * losses["float32"] and losses["float8"] < 1.5 * losses["float32"], losses


@pytest.mark.parametrize("kind", KINDS)
def test_a_mesh_gives_the_numbers_of_one_device(kind):
    """Of down's 64 blocks of inputs there is one for each output, which fsdp = 4 divides; up has one for each input."""
    mesh = sharding.make_mesh(fsdp=4, tensor=2)
    optimizer = make_optimizer(kind)
    state, _ = train(kind, training.init_state(mlp_params(), optimizer, **placed_on(mesh)), 3, mesh)
    expected, _ = train(kind, training.init_state(mlp_params(), optimizer), 3)
    # A sum in another order may round a moment to its other neighbour: a fraction of one step of 3e-3.
    close = functools.partial(np.testing.assert_allclose, atol=1e-3)
    jax.tree.map(close, jax.device_get(state.params), expected.params)
    moments = next(leaf for leaf in state.opt_state.inner[1] if hasattr(leaf, "nu")).nu
    arrays = moments["up"], moments["down"]
    if kind == "bfloat16":
        assert [leaf.sharding.spec for leaf in arrays] == [P("fsdp", "tensor"), P("tensor", "fsdp")]
    else:
        assert [leaf.qvalue.sharding.spec for leaf in arrays] == [P("fsdp", "tensor"), P("tensor", "fsdp")]
        assert [leaf.scale.sharding.spec for leaf in arrays] == [P("fsdp"), P(None, "fsdp")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_gives_the_same_numbers(kind, tmp_path):
    optimizer = make_optimizer(kind)
    half, _ = train(kind, training.init_state(mlp_params(), optimizer), 2)
    with Checkpoints(tmp_path) as saved:
        saved.save(2, half, {})
        restored, _ = saved.restore(2, training.init_state(mlp_params(), optimizer))
    straight, _ = train(kind, half, 2)
    resumed, _ = train(kind, restored, 2)
    assert jax.tree.structure(resumed) == jax.tree.structure(straight)
    for left, right in zip(jax.tree.leaves(resumed), jax.tree.leaves(straight), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def test_another_kind():
    with pytest.raises(ValueError, match="kind must be 'bfloat16' or 'float8', got 'int8'"):
        training.low_precision_state(training.adamw(1.0), "int8")
