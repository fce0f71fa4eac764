"""Eight fake devices, every mesh: the numbers of one device."""

import functools
import re

import jax
import numpy as np
import optax
import pytest

from jaxalign import sharding, training
from tests.training import mlp

OPTIMIZERS = {
    "adamw": training.adamw(training.cosine_schedule(1e-2, num_steps=10, warmup_steps=2), weight_decay=0.1),
    "adafactor": training.adafactor(1e-2, weight_decay=0.1, clip_norm=1.0, min_dim_size_to_factor=16),
}
STEPS = 3


def run(optimizer, accumulate=1, mesh=None):
    """Three steps on three batches: the final state on the host and the metrics of each step."""
    state = training.init_state(mlp.init_params(), optimizer, mesh=mesh, rules=mlp.RULES)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    step = training.make_train_step(mlp.loss_fn, optimizer, mesh=mesh, rules=mlp.RULES, accumulate=accumulate)
    history = []
    for seed in range(STEPS):
        batch = mlp.make_batch(seed)
        if mesh is not None:
            batch = sharding.place_batch(batch, mesh=mesh, rules=mlp.RULES)
        before = state
        state, metrics = step(state, batch, jax.random.key(seed))
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
        history.append({name: float(ratio.value) for name, ratio in metrics.items()})
    assert step.func._cache_size() == 1
    if mesh is not None:
        assert jax.tree.map(lambda leaf: leaf.sharding, state) == shardings
        assert all(ratio.numerator.sharding.is_fully_replicated for ratio in metrics.values())
    return jax.device_get(state), history


@functools.cache
def single_device(name):
    return run(OPTIMIZERS[name])


@pytest.mark.parametrize(
    ("optimizer", "data", "fsdp", "tensor", "accumulate"),
    [
        ("adamw", 8, 1, 1, 1),
        ("adamw", 1, 8, 1, 1),
        ("adamw", 1, 1, 8, 1),
        ("adamw", 4, 2, 1, 1),
        ("adamw", 2, 2, 2, 4),
        ("adafactor", 1, 8, 1, 1),
        ("adafactor", 1, 1, 8, 1),
        ("adafactor", 2, 2, 2, 4),
    ],
)
def test_every_mesh_gives_the_numbers_of_one_device(optimizer, data, fsdp, tensor, accumulate, allow_nans):
    """With the state donated and one compilation. ``allow_nans`` because jax_debug_nans switches donation off."""
    mesh = sharding.make_mesh(data=data, fsdp=fsdp, tensor=tensor)
    actual, expected = run(OPTIMIZERS[optimizer], accumulate, mesh), single_device(optimizer)
    for ours, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_microbatches_move_no_row_between_devices():
    mesh = sharding.make_mesh(data=8, fsdp=1)
    optimizer = optax.sgd(0.1)
    state = training.init_state(mlp.init_params(), optimizer, mesh=mesh, rules=mlp.RULES)
    step = training.make_train_step(mlp.loss_fn, optimizer, mesh=mesh, rules=mlp.RULES, accumulate=4)
    batch = sharding.place_batch(mlp.make_batch(), mesh=mesh, rules=mlp.RULES)
    text = step.func.lower(*step.args, state, batch, jax.random.key(0)).compile().as_text()
    assert "all-reduce" in text  # the gradients
    assert not re.findall(r"all-to-all|all-gather|collective-permute", text)


def test_fsdp_divides_the_memory_of_the_state():
    def bytes_on_a_device(mesh):
        state = training.init_state(mlp.init_params(), OPTIMIZERS["adamw"], mesh=mesh, rules=mlp.RULES)
        return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state))

    # Every matrix and its two moments are split eight ways; norms, biases and counters stay whole.
    matrices = 4 * 3 * (2 * mlp.VOCAB * mlp.WIDTH + 2 * mlp.LAYERS * mlp.WIDTH * mlp.HIDDEN)
    whole = bytes_on_a_device(sharding.make_mesh(data=8, fsdp=1))
    assert whole - bytes_on_a_device(sharding.make_mesh(fsdp=8)) == matrices * 7 / 8
