import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxalign import sharding

RULES = sharding.Rules({"up": ("embed", "mlp")})


class Batch(NamedTuple):
    tokens: np.ndarray
    weights: np.ndarray
    scale: np.ndarray


def test_a_batch_is_dealt_out_by_rows():
    mesh = sharding.make_mesh(data=2, tensor=2)
    batch = Batch(np.arange(8 * 3).reshape(8, 3), np.arange(8.0), np.float32(2))
    placed = sharding.place_batch(batch, mesh=mesh, rules=RULES)
    assert placed.tokens.sharding == sharding.batch_sharding(mesh, RULES)
    assert {shard.data.shape for shard in placed.tokens.addressable_shards} == {(2, 3)}
    assert placed.scale.sharding.is_fully_replicated
    for before, after in zip(batch, placed, strict=True):
        np.testing.assert_array_equal(before, after)


def test_uneven_rows_are_an_error():
    mesh = sharding.make_mesh(data=4, fsdp=2)
    with pytest.raises(ValueError, match=r"shape \(12, 3\) has 12 rows for 8 shards.*data=4 x fsdp=2.*such as 16"):
        sharding.place_batch({"tokens": np.zeros((12, 3))}, mesh=mesh, rules=RULES)


def test_one_process_prepares_all_rows():
    mesh = sharding.make_mesh(data=2, context=2)
    assert sharding.process_share(mesh, RULES) == (0, 1)


class Device:
    def __init__(self, process_index):
        self.process_index = process_index


@pytest.mark.parametrize(
    ("holders", "expected"),
    [
        ([0, 0, 1, 1], (0, 2)),  # two shards of rows each
        ([(0, 1), (0, 1), (0, 1), (0, 1)], (0, 1)),  # a tensor axis over both: each prepares everything
        ([(0, 1), (0, 1), (2, 3), (2, 3)], (0, 2)),
        ([0, (0, 1), 1, 1], None),
    ],
)
def test_processes_that_hold_the_same_rows_prepare_the_same(monkeypatch, holders, expected):
    """``holders``: which processes hold each of four shards of rows; this one is process 0."""
    mesh = sharding.make_mesh(data=4, fsdp=1, tensor=2)
    indices = {
        Device(process): (slice(shard, shard + 1),)
        for shard, processes in enumerate(holders)
        for process in np.atleast_1d(processes)
    }
    layout = type("Layout", (), {"devices_indices_map": lambda self, shape: indices})()
    monkeypatch.setattr("jaxalign.sharding.placement.batch_sharding", lambda mesh, rules: layout)
    if expected:
        assert sharding.process_share(mesh, RULES) == expected
    else:
        with pytest.raises(ValueError, match=r"data=4 .* tensor=2 over 2 processes, some .* share a part"):
            sharding.process_share(mesh, RULES)


def test_a_batch_can_be_replicated():
    rules = sharding.Rules({}, mesh_axes={"batch": None})
    placed = sharding.place_batch(np.zeros((3, 2)), mesh=sharding.make_mesh(), rules=rules)
    assert placed.sharding.is_fully_replicated


def test_place_keeps_values_and_splits_memory():
    mesh = sharding.make_mesh(tensor=2)
    params = {"up": np.arange(16 * 8.0).reshape(16, 8)}
    placed = sharding.place(params, sharding.param_shardings(params, mesh, RULES))
    assert {shard.data.shape for shard in placed["up"].addressable_shards} == {(4, 4)}
    np.testing.assert_array_equal(placed["up"], params["up"])


def test_constrain_batch_inside_jit():
    mesh = sharding.make_mesh(data=4, fsdp=2)
    constrained = jax.jit(lambda x: sharding.constrain_batch(x, mesh=mesh, rules=RULES, axis=1))(
        (
            jnp.zeros((2, 8)),
            jnp.zeros(3),
        )
    )
    assert constrained[0].sharding.is_equivalent_to(jax.NamedSharding(mesh, P(None, ("data", "fsdp"))), 2)
    assert constrained[1].shape == (3,)


def test_the_table_says_what_one_device_holds():
    mesh = sharding.make_mesh(data=2, tensor=2)
    params = {"layers": {"up": jax.ShapeDtypeStruct((4, 512, 1024), jnp.bfloat16)}, "norm": jnp.zeros(512)}
    table = sharding.describe_shardings(params, sharding.param_shardings(params, mesh, RULES))
    # 4 * 256 * 512 entries of 2 bytes are 1 MiB; 512 of 4 bytes are 0.002.
    assert [re.split(r" {2,}", line) for line in table.splitlines()] == [
        ["array", "global", "dimensions on", "per device", "MiB"],
        ["layers/up", "bfloat16[4, 512, 1024]", "-, fsdp, tensor", "[4, 256, 512]", "1.00"],
        ["norm", "float32[512]", "replicated", "[512]", "0.00"],
        ["total", "1.00"],
    ]
