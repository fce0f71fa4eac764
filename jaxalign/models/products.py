"""The product of activations and a linear map."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.sharding import num_shards

Contracted = tuple[tuple[int, ...], tuple[int, ...]]
"""Axes of the left and of the right factor that are summed over, as ``jax.lax.dot_general`` takes them."""


class FlatMap(NamedTuple):
    """A linear map whose axes of inputs have become one, and those of outputs another.

    Decoding holds maps so: a product of one row with a reshaped map is done by XLA's CPU backend in a plain loop, at a
    sixth of the speed.
    """

    matrix: Float[Array, "inputs outputs"]


def multiply(x: Array, kernel: Array, axes: int) -> Array:
    """``x`` times ``kernel``: the last ``axes`` axes of the one over the first ones of the other.

    With a matrix it is a product of two matrices wherever a device holds complete rows. XLA would make one of it
    anyway; but for the gradient of the kernel, a sum over rows and tokens, its CPU backend would first make a
    transposed copy of the activations on one thread, a fifth of a training step (tools/benchmarks/RESULTS.md). A kernel
    of more axes stays as it is: flattened, it would be kept for the backward pass a second time.
    """
    if kernel.ndim > 2 or num_shards("length") > 1:  # tokens are split too: no one axis of rows and tokens would be
        return jax.lax.dot_general(x, kernel, (contracted_axes(x, axes), ((), ())))
    return jax.lax.dot(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], kernel.shape[-1])


def multiply_flat(x: Array, kernel: FlatMap, axes: int, outputs: tuple[int, ...]) -> Array:
    """:func:`multiply` with a map to ``outputs`` that has been flattened."""
    rows = x.shape[: x.ndim - axes]
    return multiply(x.reshape(*rows, -1), kernel.matrix, 1).reshape(*rows, *outputs)


def multiply_tied(x: Float[Array, "... D"], embedding: Float[Array, "V D"]) -> Float[Array, "... V"]:
    """``x`` times each row of an embedding that is also the output matrix, in float32.

    On CPUs the embedding is the left factor, and the result is transposed. As the right factor XLA would transpose the
    embedding itself at every call, which takes several times as long as the product with a few rows.
    """

    def left(x, embedding):
        columns = jax.lax.dot_general(
            embedding, x.reshape(-1, x.shape[-1]), (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32
        )
        # Without the barrier XLA would exchange the factors again.
        return jax.lax.optimization_barrier(columns).T.reshape(*x.shape[:-1], len(embedding))

    def right(x, embedding):
        return jnp.matmul(x, embedding.T, preferred_element_type=jnp.float32)

    return jax.lax.platform_dependent(x, embedding, cpu=left, default=right)


def contracted_axes(x: Array, axes: int) -> Contracted:
    """The last ``axes`` axes of ``x`` and the first ones of the other factor."""
    return tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
