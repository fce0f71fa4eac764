"""Products in float8 against rounding by hand, and a model that trains with them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import models, numerics, training
from jaxalign.models import float8
from tests import processes

E4M3, E5M2 = (3, -6, 448.0), (2, -14, 57344.0)
"""Bits of the mantissa, exponent of the smallest normal number, largest number."""


def rounded(array, form):
    """Rounds to the format's nearest number, ties to even, with the largest one scaled to the format's largest."""
    bits, smallest, largest = form
    scale = np.float32(np.abs(array).max() / largest)
    scaled = np.float32(array / scale)
    exponent = np.maximum(np.floor(np.log2(np.maximum(np.abs(scaled), 1e-30))), smallest)
    step = 2.0 ** (exponent - bits)
    return np.round(scaled / step) * step * scale


def test_rounding_by_hand():
    """The largest is 448, so scales are 1: of 17 the neighbours are 16 and 18, of 0.001 they are 0 and 2^-9."""
    array = np.array([448.0, 17.0, 19.0, -0.3, 0.001], np.float32)
    np.testing.assert_allclose(rounded(array, E4M3), [448, 16, 20, -0.3125, 2**-9], rtol=1e-6)
    np.testing.assert_allclose(float8.multiply(jnp.asarray(array)[None], jnp.eye(5), 1)[0], rounded(array, E4M3))


# The older emitter, which tests use where XLA still has it, rounds twice.
OLDER = "--xla_cpu_use_fusion_emitters=false" in processes.FAST_COMPILATION
NEW_EMITTER = {"xla_cpu_use_fusion_emitters": True} if OLDER else None


def test_values_and_gradients_by_hand():
    """Two axes of rows, of inputs and of outputs; magnitudes over many decades."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return (rng.standard_normal(shape) * 10 ** rng.uniform(-4, 0, shape)).astype(np.float32)

    x, kernel, gradient = draw(3, 5, 4, 6), draw(4, 6, 2, 7), draw(3, 5, 2, 7)
    run = jax.jit(
        lambda x, kernel, g: (y := jax.vjp(lambda *a: float8.multiply(*a, 2), x, kernel))[1](g) + (y[0],),
        compiler_options=NEW_EMITTER,
    )
    dx, dkernel, y = run(x, kernel, gradient)
    x, kernel, gradient = rounded(x, E4M3), rounded(kernel, E4M3), rounded(gradient, E5M2)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    close(y, np.einsum("abij,ijkl->abkl", x, kernel))
    close(dx, np.einsum("abkl,ijkl->abij", gradient, kernel))
    close(dkernel, np.einsum("abij,abkl->ijkl", x, gradient))


def test_programs_for_gpus_multiply_float8():
    x, kernel = jnp.ones((8, 16), jnp.bfloat16), jnp.ones((16, 16))
    gradient = jax.jit(jax.grad(lambda *a: float8.multiply(*a, 1).astype(jnp.float32).sum(), (0, 1)))
    program = gradient.trace(x, kernel).lower(lowering_platforms=("cuda",)).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert len(products) == 2 and all(line.count("f8E4M3FN") == line.count("f8E5M2") == 1 for line in products)


@pytest.mark.parametrize("config", [tiny.MIXED, tiny.ENCODER, tiny.V1_1], ids=["decoder", "encoder", "encoder-decoder"])
def test_every_network_has_them(config):
    """Near what it computes in float32, but not equal to it."""
    model, params = tiny.init(config)
    params = jax.tree.map(lambda leaf: np.asarray(leaf) / 2, params)
    again = models.build(dataclasses.replace(config, float8=True))
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 61, (2, 9)))
    expected, actual = (tiny.forward(each, params, tokens) for each in (model, again))
    assert 0 < np.std(np.asarray(actual) - expected) < 0.2 * np.std(expected)


def test_training_reaches_the_loss_of_bfloat16():
    """Tokens that follow from the token before, learned from one batch."""
    tokens = np.cumsum(np.random.default_rng(0).integers(1, 3, (8, 17)), axis=1) % 61

    def loss_fn(model, params, batch, key):
        logps = jax.nn.log_softmax(model.apply({"params": params}, batch[:, :-1]))
        return numerics.ratio(-jnp.take_along_axis(logps, batch[:, 1:, None], axis=-1)), {}

    def train(config):
        model, optimizer = models.build(config), training.adamw(1e-2)
        params = jax.tree.map(lambda leaf: leaf / 3, tiny.init(config)[1])
        step = training.make_train_step(functools.partial(loss_fn, model), optimizer)
        state, history = training.init_state(params, optimizer), []
        for _ in range(60):
            state, metrics = step(state, tokens, jax.random.key(0))
            history.append(float(metrics["loss"].value))
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
        return history

    half = dataclasses.replace(tiny.PLAIN, dtype="bfloat16")
    expected, actual = train(half), train(dataclasses.replace(half, float8=True))
    assert expected[-1] < 0.5 * expected[0] and abs(actual[-1] - expected[-1]) < 0.1 * expected[0], (expected, actual)
