"""Arrays that are bound to a loss are arguments of the compiled step, however they are bound."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.tree_util import Partial

from jaxalign import models, sharding, training

KEY = jax.random.key(0)
TABLE = np.arange(128 * 128, dtype=np.float32).reshape(128, 128) / 128**2  # 64 KiB
BATCH = np.linspace(0, 1, 8 * 128, dtype=np.float32).reshape(8, 128)


def loss(table, params, batch, key, *, scale=1.0, kind="square", extra=None):
    """Mean of (scale batch table w)^2, plus the mean of ``extra`` tables."""
    assert kind == "square", kind
    value = jnp.mean((scale * batch @ table @ params["w"]) ** 2)
    return value + sum(jnp.mean(each) for each in jax.tree.leaves(extra) if not callable(each)), {}


def with_reference(reference_fn, params, batch, key):
    """A loss that gets another bound function as its argument."""
    return jnp.mean((batch[:, 0] - reference_fn(batch)[:, 0]) ** 2 * params["w"][0]), {}


def linear(table, batch):
    return batch @ table


BOUND = {
    "positional": functools.partial(loss, TABLE),
    "on the device": functools.partial(loss, jnp.asarray(TABLE)),
    "jax": Partial(loss, TABLE),
    "keyword": functools.partial(loss, TABLE, scale=0.5, extra={"more": TABLE + 1}),
    "in a tree": functools.partial(loss, TABLE, extra=[{"a": TABLE}, (TABLE,), None]),
    "of a partial": functools.partial(Partial(functools.partial(loss, kind="square"), TABLE), scale=2.0),
    "jax of a partial": Partial(functools.partial(loss, scale=3.0, extra=[TABLE]), TABLE),
    "as an argument": functools.partial(with_reference, functools.partial(linear, TABLE)),
    "as an argument, jax": Partial(with_reference, Partial(linear, jnp.asarray(TABLE))),
}


def program(loss_fn, **options):
    optimizer = optax.sgd(0.1)
    step = training.make_train_step(loss_fn, optimizer, **options)
    state = training.init_state({"w": jnp.ones(128)}, optimizer)
    return step, state


@pytest.mark.parametrize("name", BOUND)
def test_bound_arrays_are_arguments(name):
    """The program's text has no room for a table of 16,384 numbers, and its value is that of the loss as it is."""
    step, state = program(BOUND[name])
    assert len(training.lower_step(step, state, BATCH, KEY).as_text()) < 20_000
    expected, _ = BOUND[name](state.params, BATCH, KEY)
    _, metrics = step(state, BATCH, KEY)
    np.testing.assert_allclose(metrics["loss"].value, expected, rtol=1e-5)
    assert step.func._cache_size() == 1


def test_microbatches_and_evaluation_share_what_is_bound():
    step, state = program(BOUND["keyword"], accumulate=4)
    expected, _ = BOUND["keyword"](state.params, BATCH, KEY)
    metrics = training.make_eval_step(BOUND["keyword"])(state.params, BATCH, KEY)
    np.testing.assert_allclose(metrics["loss"].value, expected, rtol=1e-5)
    np.testing.assert_allclose(step(state, BATCH, KEY)[1]["loss"].value, expected, rtol=1e-5)


def test_the_callers_array_stays_alive_and_host_arrays_travel_once():
    table = jnp.asarray(TABLE)
    step, state = program(functools.partial(loss, table, extra=TABLE))
    for _ in range(2):
        state, _ = step(state, BATCH, KEY)
    np.testing.assert_array_equal(table, TABLE)  # the state is donated, what is bound is not
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(step.args))


def test_what_is_no_array_stays_static():
    """A text, a number and a function decide in Python what is computed."""

    def chosen(kind, params, batch, key, *, power, act):
        value = params["w"] if kind == "plain" else -params["w"]
        return jnp.mean(act(value) ** power if power > 1 else value), {}

    step, state = program(functools.partial(chosen, "minus", power=2, act=jnp.exp))
    np.testing.assert_allclose(step(state, BATCH, KEY)[1]["loss"].value, np.exp(-1.0) ** 2, rtol=1e-6)


def test_an_adapters_loss_keeps_what_its_own_loss_binds():
    base = {"w": {"kernel": jnp.ones((4, 4))}}
    inner = functools.partial(lambda table, params, batch, key: (jnp.sum(table), {}), TABLE)
    leaves = jax.tree.leaves(
        training.make_eval_step(models.lora_loss(inner, base, models.LoraConfig(2, alpha=2.0))).args
    )
    assert sorted(leaf.shape for leaf in leaves) == [(4, 4), (128, 128)]


@pytest.mark.parametrize("committed", [False, True])
def test_on_a_mesh_bound_arrays_lie_on_it(committed):
    """Parameters as the rules say, a table on every device; a copy that was put on one device moves."""
    mesh = sharding.make_mesh(fsdp=4, tensor=2)
    rules = sharding.Rules({"up": ("embed", "mlp")})
    params = {"up": jnp.ones((8, 16))}
    table = jax.device_put(TABLE, jax.devices()[3]) if committed else TABLE

    def reference_loss(reference, table, params, batch, key):
        return jnp.mean((batch @ (params["up"] - 0.5 * reference["up"])) ** 2) + jnp.mean(table), {}

    loss_fn = functools.partial(reference_loss, {"up": params["up"]}, table)
    optimizer = optax.sgd(0.1)
    step = training.make_train_step(loss_fn, optimizer, mesh=mesh, rules=rules)
    assert [leaf.sharding for leaf in jax.tree.leaves(step.args)] == [
        NamedSharding(mesh, PartitionSpec("fsdp", "tensor")),
        NamedSharding(mesh, PartitionSpec()),
    ]
    state = training.init_state(params, optimizer, mesh=mesh, rules=rules)
    batch = np.ones((8, 8), np.float32)
    placed = sharding.place_batch(batch, mesh=mesh, rules=rules)
    _, metrics = step(state, placed, KEY)
    np.testing.assert_allclose(metrics["loss"].value, 4.0**2 + TABLE.mean(), rtol=1e-5)
    assert step.func._cache_size() == 1


BIG = jnp.ones((512, 512))  # 1 MiB


class Holder:
    def __init__(self, array):
        self.array = array

    def loss(self, params, batch, key):
        return loss(self.array[:128, :128], params, batch, key)


def closing(array):
    return lambda params, batch, key: loss(jnp.asarray(array)[:128, :128], params, batch, key)


@pytest.mark.parametrize("loss_fn", [closing(BIG), Holder(BIG).loss, Partial(closing(np.ones((512, 512), np.float32)))])
def test_large_constants_are_told_once(loss_fn):
    step, state = program(loss_fn)
    with pytest.warns(UserWarning, match=r"arrays of 1.0 MiB \(the largest: float32\[512, 512\]\).*partial"):
        training.lower_step(step, state, BATCH, KEY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(state, BATCH, KEY)
    with pytest.warns(UserWarning, match="1.0 MiB"):
        training.make_eval_step(loss_fn)({"w": jnp.ones(128)}, BATCH, KEY)


def test_small_constants_are_no_matter():
    step, state = program(closing(jnp.asarray(TABLE)))
    step(state, BATCH, KEY)
