"""What fills a device: exact sizes by hand, and what the compiler says when there is no room."""

import jax
import jax.numpy as jnp
import pytest

from jaxalign import sharding
from tests.tools.planning import tiny
from tools.planning import memory
from tools.planning.clusters import find_cluster
from tools.planning.steps import lay_out, row_unit


def test_exact_arrays_by_hand():
    """On 4 shards of rows and parameters, the matrices are split, the norms whole."""
    setup = tiny.make_setup(batch=8, list_size=3)
    layout = lay_out(setup, sharding.make_abstract_mesh(4))
    # Embedding 512 x 128. A layer: query and output 128 x 128 each, key and value 128 x 64 each, three of 128 x 256;
    # four norms of 128. One norm at the end.
    matrices, norms = 512 * 128 + 2 * (2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 256), 2 * 4 * 128 + 128
    arrays = memory.exact_arrays(layout)
    assert arrays.parameters == 4 * (matrices // 4 + norms) == memory.gradient_bytes(layout)
    # Adam keeps two moments and a count; the state itself a count (int32) and whether it is finite (bool).
    assert arrays.optimizer == 2 * arrays.parameters + 4 + 4 + 1
    # Two lists: 16 prompt tokens and 3 x 8 of responses, each a number and a bool; labels, where, reference for 3.
    assert arrays.batch == 2 * (5 * 16 + 5 * 24 + 3 * (4 + 1 + 4))
    assert arrays.total == arrays.parameters + arrays.optimizer + arrays.batch


@pytest.mark.parametrize(("name", "share"), [("adamw-bfloat16", 1 / 2), ("adamw-float8", 1 / 4 * (1 + 4 / 256))])
def test_optimizer_state_in_few_bits(name, share):
    """Matrices are stored in a half, or in a quarter with a scale of four bytes for each block of 256."""
    mesh = sharding.make_abstract_mesh(1)
    setup = tiny.make_setup(batch=8)
    whole, stored = (memory.exact_arrays(lay_out(s, mesh)) for s in (setup, setup._replace(optimizer=name)))
    assert stored.parameters == whole.parameters
    assert stored.optimizer == pytest.approx(share * whole.optimizer, rel=0.02)  # norms stay as they are


def test_tensor_axis_and_data_axis():
    layout = lay_out(tiny.make_setup(batch=8), sharding.make_abstract_mesh(8, data=2, fsdp=2, tensor=2))
    whole = lay_out(tiny.make_setup(batch=8), sharding.make_abstract_mesh(1))
    split, all_ = (memory.exact_arrays(each) for each in (layout, whole))
    norms = 4 * (2 * 4 * 128 + 128)
    assert split.parameters - norms == (all_.parameters - norms) // 4
    assert split.batch * 4 == all_.batch


def test_the_allocation_is_what_memory_analysis_says():
    def fn(state, x):
        return state + x.sum(), jnp.outer(x, x)

    x = jax.ShapeDtypeStruct((64,), jnp.float32)
    compiled = jax.jit(fn, donate_argnums=0).lower(x, x).compile()
    stats, found = compiled.memory_analysis(), memory.allocation(compiled)
    assert found.arguments == 2 * 64 * 4 and found.outputs >= 64 * 64 * 4
    assert found.total == (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        - stats.alias_size_in_bytes
        + stats.temp_size_in_bytes
        + stats.generated_code_size_in_bytes
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 24.50G of 15.75G hbm. Exceeded hbm ...",
            (int(24.5 * 2**30), int(15.75 * 2**30)),
        ),
        (
            "RESOURCE_EXHAUSTED: Allocation (size=47244640256) would exceed memory (size=34359738368) :: %s2 = ...",
            (None, 34359738368),
        ),
    ],
)
def test_errors_about_memory(message, expected):
    excess = memory.parse_excess(message)
    assert (excess.used, excess.capacity) == expected


def test_other_errors_are_not_about_memory():
    assert memory.parse_excess("UNIMPLEMENTED: Stable sorting of more than 2^31-1 elements") is None

    class Lowered:
        def compile(self):
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        memory.compile_step(Lowered())


def test_a_batch_that_cannot_be_dealt_out():
    mesh = sharding.make_abstract_mesh(8, data=2, fsdp=2, tensor=2)
    assert row_unit(3, mesh.shape) == 12
    with pytest.raises(
        ValueError, match="batch of 6 .* data=2 x fsdp=2 and 1 microbatches; use a multiple of 4, such as 8"
    ):
        lay_out(tiny.make_setup(batch=6), mesh)


def test_a_mesh_that_divides_no_parameter():
    with pytest.raises(ValueError, match="cannot be split over tensor=3"):
        lay_out(tiny.make_setup(batch=3), sharding.make_abstract_mesh(3, fsdp=1, tensor=3))


def test_a_program_for_devices_that_are_not_here_is_not_kept():
    """JAX writes such a program to its cache, cannot read it, and would warn, which is an error here."""
    device = find_cluster("v5e:2x2").devices[0]
    shape = jax.ShapeDtypeStruct((8,), jnp.float32, sharding=jax.sharding.SingleDeviceSharding(device))
    for _ in range(2):
        jax.clear_caches()
        lowered = jax.jit(lambda x: jnp.sin(x) + 17).lower(shape)
        assert "sine" in memory.compile_step(lowered).as_text()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0  # the tests keep all other programs
