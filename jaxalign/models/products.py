"""The product of activations and a linear map."""

import jax
from jaxtyping import Array

from jaxalign.sharding import num_shards

Contracted = tuple[tuple[int, ...], tuple[int, ...]]
"""Axes of the left and of the right factor that are summed over, as ``jax.lax.dot_general`` takes them."""


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


def contracted_axes(x: Array, axes: int) -> Contracted:
    """The last ``axes`` axes of ``x`` and the first ones of the other factor."""
    return tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
