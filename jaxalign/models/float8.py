"""Matrix products in float8, after Micikevicius et al. (arXiv 2209.05433), with the arithmetic of qwix.

Both factors are rounded to e4m3 and, in the backward pass, the gradient of the product to e5m2, which has a wider
range; each array is first scaled so that its largest number is the largest of the format. Sums run in float32. The
scale is that of the array at hand, not of earlier steps, so a product stays a function of its factors.

NVIDIA GPUs from Hopper on and TPU v7 have such products. Elsewhere XLA widens the numbers before it multiplies: the
same results, and no faster. AMD's MI300 has another e4m3, with half the range, which is not made here.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxalign.models.products import Contracted, contracted_axes


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def multiply(x: Array, kernel: Array, axes: int) -> Array:
    """``x`` times ``kernel``, in the dtype of ``x``: its last ``axes`` axes over the first ones of the kernel."""
    return _product(_e4m3(x), _e4m3(kernel), contracted_axes(x, axes), x.dtype)


def _forward(x, kernel, axes):
    quantized = _e4m3(x)
    # The kernel as it was: rounded ones would be a second copy of all layers' until the backward pass.
    return _product(quantized, _e4m3(kernel), contracted_axes(x, axes), x.dtype), (quantized, kernel)


def _backward(axes, residuals, gradient):
    x, kernel = residuals
    outputs = kernel.ndim - axes
    rows = tuple(range(x.ndim - axes))
    last = tuple(range(gradient.ndim - outputs, gradient.ndim)), tuple(range(axes, kernel.ndim))
    rounded = _quantize(gradient, jnp.float8_e5m2)
    dx = _product(rounded, _e4m3(kernel), last, gradient.dtype)
    return dx, _product(x, rounded, (rows, rows), kernel.dtype)


multiply.defvjp(_forward, _backward)


def _e4m3(array: Array) -> Any:
    return _quantize(array, jnp.float8_e4m3fn)


def _quantize(array: Array, dtype: Any) -> Any:
    """A ``qwix.QArray`` with one scale."""
    import qwix

    return qwix.quantize(array.astype(jnp.float32), dtype)


def _product(left: Any, right: Any, contracted: Contracted, dtype: Any) -> Array:
    import qwix

    return qwix.dot_general(left, right, (contracted, ((), ()))).astype(dtype)
