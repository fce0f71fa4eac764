"""The product of activations and a linear map."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.sharding import num_shards, on_cpu

Contracted = tuple[tuple[int, ...], tuple[int, ...]]
"""Axes of the left and of the right factor that are summed over, as ``jax.lax.dot_general`` takes them."""
FEW = 64
"""Vectors; what is done to the map, or to speed up many of them, is worth it from there on only."""


class OutputRows(NamedTuple):
    """A linear map as decoding holds it: a matrix of one row for each output, whatever axes either side had."""

    matrix: Float[Array, "outputs inputs"]


def multiply(x: Array, kernel: Array, axes: int) -> Array:
    """``x`` times ``kernel``: the last ``axes`` axes of the one over the first ones of the other.

    With a matrix it is a product of two matrices wherever a device holds complete rows. XLA would make one of it
    anyway; but for the gradient of the kernel, a sum over rows and tokens, its CPU backend would first make a
    transposed copy of the activations on one thread, a fifth of a training step (tools/benchmarks/RESULTS.md). A kernel
    of more axes stays as it is: flattened, it would be kept for the backward pass a second time.
    """
    if num_shards("length") > 1:  # tokens are split too: no one axis of rows and tokens would be
        return jax.lax.dot_general(x, kernel, (contracted_axes(x, axes), ((), ())))
    if x.dtype == jnp.bfloat16 and on_cpu() and x.size > FEW * math.prod(kernel.shape[:axes]):
        return _summed_in_float32(x, kernel, axes)
    if kernel.ndim > 2:
        return jax.lax.dot_general(x, kernel, (contracted_axes(x, axes), ((), ())))
    return jax.lax.dot(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], kernel.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _summed_in_float32(x: Array, kernel: Array, axes: int) -> Array:
    """The product of numbers in bfloat16, for CPUs: accelerators sum in float32 by themselves.

    Asked for a result in bfloat16, XLA's CPU backend widens both factors and multiplies in float32. Asked for float32
    it takes the instructions that multiply bfloat16, where there are any, six times as fast; a transposed left
    factor it would widen again.
    """
    rows, columns = _flat(x, axes), kernel.reshape(math.prod(kernel.shape[:axes]), -1)
    return _narrow_dot(rows, columns).reshape(*x.shape[: x.ndim - axes], *kernel.shape[axes:])


def _forward(x, kernel, axes):
    return _summed_in_float32(x, kernel, axes), (x, kernel)


def _backward(axes, kept, slope):
    x, kernel = kept
    rows, columns = _flat(x, axes), kernel.reshape(math.prod(kernel.shape[:axes]), -1)
    slopes = slope.reshape(len(rows), -1)
    # Without the barrier XLA would put the transposition back into the product.
    to_kernel = _narrow_dot(jax.lax.optimization_barrier(rows.T), slopes)
    return _narrow_dot(slopes, columns.T).reshape(x.shape), to_kernel.reshape(kernel.shape)


_summed_in_float32.defvjp(_forward, _backward)


def _flat(x, axes):
    return x.reshape(-1, math.prod(x.shape[x.ndim - axes :]))


def _narrow_dot(left, right):
    return jnp.matmul(left, right, preferred_element_type=jnp.float32).astype(left.dtype)


def multiply_rows(x: Float[Array, "... D"], rows: Float[Array, "N D"], dtype: Any = None) -> Float[Array, "... N"]:
    """``x`` times each row of a matrix, such as a tied embedding; the result has ``dtype``, by default that of ``x``.

    On CPUs few vectors are multiplied from the right: XLA copies a right factor at every call into an order of its own,
    and first transposes it where its rows are outputs. For a vocabulary this takes longer than the product.
    """

    def left(x, rows):
        columns = jax.lax.dot_general(rows, x.reshape(-1, x.shape[-1]), contracted, preferred_element_type=dtype)
        # Without the barrier XLA would exchange the factors again.
        return jax.lax.optimization_barrier(columns).T.reshape(*x.shape[:-1], len(rows))

    def right(x, rows):
        return jnp.matmul(x, rows.T, preferred_element_type=dtype)

    contracted = ((1,), (1,)), ((), ())
    if x.size > FEW * x.shape[-1]:
        return right(x, rows)
    return jax.lax.platform_dependent(x, rows, cpu=left, default=right)


def contracted_axes(x: Array, axes: int) -> Contracted:
    """The last ``axes`` axes of ``x`` and the first ones of the other factor."""
    return tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
