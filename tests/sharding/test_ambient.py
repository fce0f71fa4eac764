import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from jaxalign import sharding

RULES = sharding.Rules({})


def zeros(shape, mesh):
    """Zeros on every device of the mesh."""
    return jax.device_put(jnp.zeros(shape), jax.NamedSharding(mesh, P()))


def test_outside_of_a_mesh_nothing_is_laid_out():
    x = jnp.zeros((4, 8))
    assert sharding.constrain(x, "batch", "length") is x
    assert sharding.mesh_axes("vocab") == () and sharding.num_shards("vocab") == 1


@pytest.mark.parametrize(
    ("shape", "logical", "expected"),
    [
        ((4, 8, 6), ("batch", "length", None), P("fsdp", "context")),
        ((4, 8, 6), ("batch",), P("fsdp")),
        ((8, 6), (None, "length"), P(None, "context")),
    ],
)
def test_dimensions_lie_where_the_rules_say(shape, logical, expected):
    mesh = sharding.make_mesh(fsdp=4, context=2)

    def laid_out(x):
        with sharding.on_mesh(mesh, RULES):
            assert sharding.mesh_axes("batch") == ("fsdp",)  # data has one device
            return sharding.constrain(x, *logical)

    assert jax.jit(laid_out)(zeros(shape, mesh)).sharding.is_equivalent_to(
        jax.NamedSharding(mesh, expected), len(shape)
    )
    assert sharding.num_shards("batch") == 1


def test_an_uneven_dimension_is_left_to_the_compiler():
    mesh = sharding.make_mesh(fsdp=4, context=2)

    def laid_out(x):
        with sharding.on_mesh(mesh, RULES):
            return sharding.constrain(x, "batch", "length")

    assert jax.jit(laid_out)(zeros((3, 8), mesh)).shape == (3, 8)


def test_inside_of_shard_map_an_array_is_a_shard_already():
    mesh = sharding.make_mesh(fsdp=4, tensor=2)

    def shard(x):
        assert sharding.mesh_axes("vocab") == () and sharding.mesh_axes("batch") == ("fsdp",)
        return x

    def whole(x):
        with sharding.on_mesh(mesh, RULES):
            return jax.shard_map(shard, axis_names={"tensor"}, in_specs=P(None, "tensor"), out_specs=P(None, "tensor"))(
                x
            )

    assert jax.jit(whole)(zeros((4, 8), mesh)).shape == (4, 8)
