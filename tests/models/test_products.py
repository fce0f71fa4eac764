"""Activations times a linear map: numpy.tensordot, in each layout; the compiled gradient moves no activations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxalign import models, sharding
from jaxalign.models.products import FlatMap, multiply, multiply_flat, multiply_tied
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
    y, dx, dkernel = run(x, kernel, weights)
    # By hand in float64: y = x W, dx = g W', dW = x' g.
    x, kernel, g = (np.asarray(array, np.float64) for array in (x, kernel, weights))
    np.testing.assert_allclose(y, np.tensordot(x, kernel, axes), rtol=1e-5, atol=1e-5)
    backwards = tuple(range(2, 2 + len(outputs))), tuple(range(axes, axes + len(outputs)))
    np.testing.assert_allclose(dx, np.tensordot(g, kernel, backwards), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dkernel, np.tensordot(x, g, ((0, 1), (0, 1))), rtol=1e-5, atol=1e-5)


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


@pytest.mark.parametrize("mesh", [None, {"fsdp": 2, "tensor": 4}])
def test_a_tied_embedding_values_and_gradients(mesh):
    x, embedding, weights = draw(2, 3, 4), draw(8, 4), draw(2, 3, 8)
    mesh = mesh and sharding.make_mesh(**mesh)

    @jax.jit
    def run(x, embedding, weights):
        with on_mesh(mesh, RULES):

            def total(x, embedding):
                return (multiply_tied(x, embedding) * weights).sum()

            return multiply_tied(x, embedding), *jax.grad(total, (0, 1))(x, embedding)

    if mesh is not None:
        embedding = jax.device_put(embedding, NamedSharding(mesh, PartitionSpec("tensor", "fsdp")))
    y, dx, dembedding = run(x, embedding, weights)
    x, embedding, g = (np.asarray(array, np.float64) for array in (x, embedding, weights))
    np.testing.assert_allclose(y, x @ embedding.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, g @ embedding, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dembedding, np.tensordot(g, x, ((0, 1), (0, 1))), rtol=1e-5, atol=1e-5)


def test_a_tied_embedding_is_the_left_factor():
    """As the right factor of a product on CPUs it would be laid out anew, with the vocabulary last."""
    embedding = draw(640, 48)

    def is_left(product):
        program = jax.jit(product).lower(draw(2, 1, 48), embedding).compile().as_text()
        return "f32[640,2]{1,0} dot(" in program

    assert is_left(multiply_tied)
    assert not is_left(lambda x, embedding: (embedding @ x[:, 0].T).T)  # what XLA makes of it without the barrier


def test_a_flat_map_with_one_row_is_no_plain_loop():
    """On CPUs XLA would fuse the reshaping of a map into its product with one row."""
    x, kernel = draw(1, 1, 48), draw(48, 4, 16)

    def looped(product, kernel):
        program = jax.jit(product).lower(x, kernel).compile().as_text()
        return "dot_fusion" in program

    assert looped(lambda x, kernel: multiply(x, kernel, 1), kernel)
    flat = FlatMap(kernel.reshape(48, 64))
    assert not looped(lambda x, flat: multiply_flat(x, flat, 1, (4, 16)), flat)
    np.testing.assert_allclose(multiply_flat(x, flat, 1, (4, 16)), np.tensordot(x, kernel, 1), rtol=1e-5, atol=1e-5)
    two = multiply_flat(draw(1, 6, 8), flat, 2, (64,))  # two axes of inputs
    np.testing.assert_allclose(two, draw(1, 6, 8).reshape(1, 48) @ flat.matrix, rtol=1e-5, atol=1e-5)
