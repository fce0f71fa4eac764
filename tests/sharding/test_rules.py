from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import PartitionSpec as P

from jaxalign import sharding

RULES = sharding.Rules(
    {
        "embedding": ("vocab", "embed"),
        "query": ("embed", "heads", "head_dim"),
        "key": ("embed", "kv_heads", "head_dim"),
        "up": ("embed", "mlp"),
        "down": ("mlp", "embed"),
        "up_bias": ("mlp",),
        "square": ("embed", "embed"),
    }
)


def shapes(tree):
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32), tree, is_leaf=lambda leaf: type(leaf) is tuple
    )


def specs(shardings):
    return jax.tree.map(lambda s: s.spec, shardings)


PARAMS = {
    "embedding": (32, 16),
    "layers": {
        "query": (4, 16, 4, 8),
        "key": (4, 16, 1, 8),  # one key-value head: it cannot be split over tensor=2
        "up": (4, 16, 24),
        "down": (4, 24, 16),
        "norm": (4, 16),  # [layers, width]
        "bias": (4, 16),
    },
    "norm": (16,),
    "temperature": (),
}


def test_parameters_follow_their_names():
    mesh = sharding.make_mesh(data=2, tensor=2)
    assert specs(sharding.param_shardings(shapes(PARAMS), mesh, RULES)) == {
        "embedding": P("tensor", "fsdp"),
        "layers": {
            "query": P(None, "fsdp", "tensor"),
            "key": P(None, "fsdp"),
            "up": P(None, "fsdp", "tensor"),
            "down": P(None, "tensor", "fsdp"),
            "norm": P(),
            "bias": P(),
        },
        "norm": P(),
        "temperature": P(),
    }


def test_a_mesh_axis_shards_one_dimension_only():
    shardings = sharding.param_shardings(shapes({"square": (16, 16)}), sharding.make_mesh(), RULES)
    assert shardings["square"].spec == P("fsdp")


def test_a_dimension_over_two_mesh_axes():
    rules = sharding.Rules({"up": ("embed", "mlp")}, mesh_axes={"embed": ("data", "fsdp")})
    shardings = sharding.param_shardings(shapes({"up": (16, 8)}), sharding.make_mesh(data=2), rules)
    assert shardings["up"].spec == P(("data", "fsdp"))
    assert shardings["up"].shard_shape((16, 8)) == (2, 8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mystery": (4, 4)}, r"no rule for parameter 'mystery' of shape \(4, 4\).*has down, embedding"),
        ({"layers": {"norm": (2, 4, 4)}}, r"no rule for parameter 'layers/norm'.*after the layer axis"),
        ({"up": (4, 16, 24)}, r"'up' has shape \(4, 16, 24\); .*names 2 dimensions instead of 3"),
        ({"layers": {"up": (16, 24)}}, r"'layers/up'.*a layer axis first.*names 2 dimensions instead of 1"),
        (
            {"layers": {"query": (4, 16, 6, 8)}},
            r"'layers/query' of shape .*: dimension 2 \('heads', 6\) cannot be split over tensor=4; "
            r"choose a mesh on which tensor is one of 1, 2, or",
        ),
    ],
)
def test_errors_name_the_parameter(params, message):
    with pytest.raises(ValueError, match=message):
        sharding.param_shardings(shapes(params), sharding.make_mesh(tensor=4), RULES)


def test_an_unknown_mesh_axis_is_an_error():
    rules = sharding.Rules({"up": ("embed", "mlp")}, mesh_axes={"mlp": "model"})
    with pytest.raises(ValueError, match="'mlp'.*is 'model'; the mesh has data, fsdp, context, tensor"):
        sharding.param_shardings(shapes({"up": (16, 8)}), sharding.make_mesh(), rules)


class State(NamedTuple):
    params: Any
    opt_state: Any
    step: Any


def state_specs(optimizer, params):
    params = shapes(params)
    state = State(params, jax.eval_shape(optimizer.init, params), jax.ShapeDtypeStruct((), jnp.int32))
    return specs(sharding.state_shardings(state, sharding.make_mesh(data=2, tensor=2), RULES))


def test_adam_moments_lie_with_their_parameters():
    state = state_specs(optax.adamw(1e-3), PARAMS)
    assert state.opt_state[0].mu == state.opt_state[0].nu == state.params
    assert state.opt_state[0].count == state.step == P()


def test_a_top_level_and_a_stacked_parameter_of_one_name():
    state = state_specs(optax.adam(1e-3), {"up": (16, 24), "layers": {"up": (4, 16, 24)}})
    assert state.opt_state[0].mu == {"up": P("fsdp", "tensor"), "layers": {"up": P(None, "fsdp", "tensor")}}


def test_adafactor_sums_are_replicated_and_whole_moments_are_not():
    # 4 layers of [16, 24]: row sums [4, 16] and column sums [4, 24] look like matrices and are none.
    optimizer = optax.adafactor(1e-3, min_dim_size_to_factor=16)
    state = state_specs(optimizer, {"layers": {"up": (4, 16, 24), "key": (4, 16, 2, 8)}, "up_bias": (24,)})
    factored = state.opt_state[0]
    # A vector is not factored; in place of its sums stand vectors of one entry.
    assert factored.v["up_bias"] == P("tensor") and factored.v_row["up_bias"] == factored.v_col["up_bias"] == P()
    assert factored.v_row["layers"]["up"] == factored.v_col["layers"]["up"] == factored.v["layers"]["up"] == P()
    assert factored.v["layers"]["key"] == P(None, "fsdp", "tensor")  # too small to factor: kept as it is


def test_masked_and_partitioned_optimizers():
    optimizer = optax.partition(
        {"train": optax.masked(optax.adam(1e-3), {"up": True, "norm": False}), "freeze": optax.set_to_zero()},
        {"up": "train", "norm": "freeze"},
    )
    state = state_specs(optimizer, {"up": (16, 24), "norm": (16,)})
    inner = state.opt_state.inner_states["train"].inner_state.inner_state[0]
    assert inner.mu["up"] == inner.nu["up"] == P("fsdp", "tensor")
