"""Activations times a linear map: numpy.tensordot, in each layout; the compiled gradient moves no activations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxalign import models, sharding
from jaxalign.models.products import FEW, multiply, multiply_rows
from jaxalign.sharding import on_mesh

RULES = sharding.Rules(models.LOGICAL_AXES)


def draw(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape), jnp.float32)


def value_and_gradients(x, kernel, weights, axes):
    def total(x, kernel):
        y = multiply(x, kernel, axes)
        return (y * weights).sum(), y

    gradients, y = jax.grad(total, (0, 1), has_aux=True)(x, kernel)
    return y, *gradients


def by_hand(x, kernel, weights, axes):
    """In float64, for rows and tokens in front: ``y = x W``, ``dx = g W'``, ``dW = x' g``."""
    x, kernel, g = (np.asarray(array, np.float64) for array in (x, kernel, weights))
    backwards = tuple(range(2, g.ndim)), tuple(range(axes, kernel.ndim))
    return np.tensordot(x, kernel, axes), np.tensordot(g, kernel, backwards), np.tensordot(x, g, ((0, 1), (0, 1)))


@pytest.mark.parametrize("mesh", [None, {"data": 4, "fsdp": 2}, {"data": 2, "context": 4}, {"context": 2, "tensor": 4}])
@pytest.mark.parametrize(("inputs", "outputs"), [((6,), (8,)), ((6,), (4, 5)), ((4, 3), (6,)), ((4, 3), (2, 5))])
def test_values_and_gradients(inputs, outputs, mesh):
    x, kernel, weights = draw(8, 4, *inputs), draw(*inputs, *outputs), draw(8, 4, *outputs)
    mesh = mesh and sharding.make_mesh(**mesh)
    axes = len(inputs)

    @jax.jit
    def run(x, kernel, weights):
        with on_mesh(mesh, RULES):
            return value_and_gradients(x, kernel, weights, axes)

    if mesh is not None:
        x, weights = jax.device_put((x, weights), sharding.batch_sharding(mesh, RULES))
    for ours, exact in zip(run(x, kernel, weights), by_hand(x, kernel, weights, axes), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5)


def test_one_vector():
    x, kernel = draw(4, 3), draw(4, 3, 5)
    np.testing.assert_allclose(multiply(x, kernel, 2), np.tensordot(x, kernel, 2), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_a_kernel_copies_no_activations():
    """XLA would lay out 3 x 11 tokens anew for it on CPUs, with the tokens last."""
    x, kernel, g = draw(3, 11, 64), draw(64, 128), draw(3, 11, 128)

    def transposed(product):
        run = jax.jit(lambda x, kernel, g: jax.vjp(product, x, kernel)[1](jnp.sin(g)))
        program = run.lower(x, kernel, g).compile().as_text()
        return [shape for shape in ("f32[64,33]", "f32[128,33]") if shape in program]

    assert transposed(lambda x, kernel: jnp.tensordot(x, kernel, 1))
    assert not transposed(lambda x, kernel: multiply(x, kernel, 1))


@pytest.mark.parametrize("length", [3, FEW])
@pytest.mark.parametrize("mesh", [None, {"fsdp": 2, "tensor": 4}])
def test_rows_values_and_gradients(mesh, length):
    x, rows, weights = draw(2, length, 4), draw(8, 4), draw(2, length, 8)
    mesh = mesh and sharding.make_mesh(**mesh)

    @jax.jit
    def run(x, rows, weights):
        def total(x, rows):
            return (multiply_rows(x, rows) * weights).sum()

        with on_mesh(mesh, RULES):
            return multiply_rows(x, rows), *jax.grad(total, (0, 1))(x, rows)

    if mesh is not None:
        rows = jax.device_put(rows, NamedSharding(mesh, PartitionSpec("tensor", "fsdp")))
    y, dx, drows = run(x, rows, weights)
    x, rows, g = (np.asarray(array, np.float64) for array in (x, rows, weights))
    np.testing.assert_allclose(y, x @ rows.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, g @ rows, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(drows, np.tensordot(g, x, ((0, 1), (0, 1))), rtol=1e-5, atol=1e-5)


def test_rows_are_the_left_factor_of_few_vectors():
    """As the right factor of a product on CPUs they would be laid out anew, with the outputs last."""
    rows = draw(640, 48)

    def is_left(product, count):
        program = jax.jit(product).lower(draw(count, 1, 48), rows).compile().as_text()
        return f"f32[640,{count}]{{1,0}} dot(" in program

    assert is_left(multiply_rows, 2)
    assert not is_left(multiply_rows, FEW + 1)
    assert not is_left(lambda x, rows: (rows @ x[:, 0].T).T, 2)  # what XLA makes of it without the barrier


def test_rows_give_the_dtype_that_is_asked_for():
    x, rows = draw(3, 4).astype("bfloat16"), draw(5, 4).astype("bfloat16")
    assert multiply_rows(x, rows).dtype == "bfloat16"
    wide = multiply_rows(x, rows, jnp.float32)
    np.testing.assert_allclose(wide, np.float64(x) @ np.float64(rows).T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("platform", "barriers"), [("cpu", 1), ("cuda", 0), ("tpu", 0)])
def test_accelerators_multiply_rows_plainly(platform, barriers):
    lowered = jax.jit(multiply_rows).trace(draw(3, 4), draw(5, 4)).lower(lowering_platforms=(platform,))
    assert lowered.as_text().count("optimization_barrier") == barriers


@pytest.mark.parametrize("mesh", [None, {"fsdp": 2, "tensor": 4}])
@pytest.mark.parametrize(("inputs", "outputs"), [((6,), (4, 5)), ((4, 3), (6,))])
def test_bfloat16_sums_in_float32_on_cpus(inputs, outputs, mesh):
    """It equals the product in float64 of the same numbers, rounded once; so do the gradients."""
    x, kernel, weights = draw(8, FEW, *inputs), draw(*inputs, *outputs), draw(8, FEW, *outputs)
    x, kernel, weights = (array.astype(jnp.bfloat16) for array in (x, kernel, weights))
    mesh = mesh and sharding.make_mesh(**mesh)
    axes = len(inputs)

    @jax.jit
    def run(x, kernel, weights):
        with on_mesh(mesh, RULES):
            y, backward = jax.vjp(lambda x, kernel: multiply(x, kernel, axes), x, kernel)
            return y, *backward(weights)

    for ours, exact in zip(run(x, kernel, weights), by_hand(x, kernel, weights, axes), strict=True):
        assert ours.dtype == jnp.bfloat16
        scale = np.abs(exact).max()
        np.testing.assert_allclose(ours.astype(jnp.float32), exact, rtol=2**-8, atol=1e-5 * scale)
