"""Sharded value == single-device value: global sums and counts, not a mean of the shards' means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign import losses, numerics


@pytest.fixture
def mesh():
    return jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))


def example(case):
    inputs = case.make(np.random.default_rng(0), case.shape, 1.0)
    inputs = tuple(jnp.asarray(x) if x.dtype == bool else jnp.asarray(x, jnp.float32) for x in inputs)
    # Shards differ in how much they hold; one holds nothing.
    where = np.random.default_rng(1).random(case.shape) < 0.6
    where[:2] = False
    return inputs, jnp.asarray(where)


# One of each way to go over a batch: pairs of a list, sorted lists, single rows, weights, and sorting the batch itself,
# which no sum of parts can show (below).
WAYS = "lambda_loss-pairs", "list_mle_loss", "kto_loss", "dpo_loss-weighted", "aot_loss", "aot_unpaired_loss"


@pytest.mark.parametrize("name", WAYS)
def test_a_batch_with_named_sharding(cases, name, mesh):
    """Value and gradients."""
    case = cases[name]
    inputs, where = example(case)
    expected = case.compiled(inputs, where)
    inputs, where = jax.device_put((inputs, where), NamedSharding(mesh, P("data")))
    assert len(inputs[0].sharding.device_set) == 8
    actual = case.compiled(inputs, where)
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6), actual, expected)


def test_what_no_sum_of_parts_shows_is_sharded_by_name(cases):
    assert {name for name, case in cases.items() if not case.splits} <= set(WAYS)


def test_shard_map_and_psum_of_ratios(case, mesh):
    if not case.splits:
        return
    inputs, where = example(case)
    specs = (jax.tree.map(lambda _: P("data"), inputs), P("data"))

    def loss(inputs, where):
        return case.loss(*inputs, where=where, reduce_fn=numerics.ratio)

    def shard_loss(inputs, where):
        return jax.lax.psum(loss(inputs, where), "data")

    @jax.jit
    def both(inputs, where):
        return jax.shard_map(shard_loss, mesh=mesh, in_specs=specs, out_specs=P())(inputs, where), loss(inputs, where)

    total, expected = both(inputs, where)
    np.testing.assert_allclose(total.denominator, expected.denominator)
    np.testing.assert_allclose(total.value, expected.value, rtol=1e-5)


def test_mean_of_shard_means_is_another_number(mesh):
    # Two lists with losses softplus(0) = 0.6931 and softplus(-1) = 0.3133 on one shard, one with 0.0486 on the other:
    # the mean of all three is 0.3517, the mean of the two means would be 0.2759.
    scores, labels = jnp.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]), jnp.array([[1.0, 0.0]] * 3)
    parts = [
        losses.pairwise_logistic_loss(scores[rows], labels[rows], reduce_fn=numerics.ratio)
        for rows in (slice(0, 2), slice(2, 3))
    ]
    np.testing.assert_allclose((parts[0] + parts[1]).value, 0.3517, atol=1e-4)
    np.testing.assert_allclose((parts[0].value + parts[1].value) / 2, 0.2759, atol=1e-4)
