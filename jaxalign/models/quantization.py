"""A frozen base in 8 or 4 bit, for low-rank adapters that learn beside it (QLoRA, arXiv 2305.14314).

:func:`quantize_base` puts a ``qwix.QArray`` of small numbers and scales in the place of each linear map of the layers.
:func:`jaxalign.models.layers.project` makes the map anew wherever it is multiplied, in the compute dtype and one layer
at a time, so the complete map is never in memory: neither in the forward pass nor kept for the backward one.
Embeddings, norms, biases, an output matrix and a reward's head stay as they are.

- ``"int8"``: one scale for each output of each layer, the largest absolute weight over 127.5; 8 bits a weight.
- ``"nf4"``: 16 values that a normal distribution fills evenly (the paper's appendix E), with a float32 scale for each
  block of 64 inputs of an output; 4.5 bits a weight. Where 64 does not divide the map's last input axis, blocks have
  the greatest common divisor of the two.

Quantise first, then place on a mesh: codes lie as their map does, and scales too in every dimension that the mesh
divides; the others are replicated (a block that spans two devices has its scale on both). Codes are ``uint4``,
half a byte on the device, though ``nbytes`` counts a byte, and Orbax cannot write them: a checkpoint holds the
adapter, and the same weights give the same base at the next start.

Departures from the paper: scales are not quantised a second time, which would spare 0.37 bits a weight. The optimizer's
state has no pages in host memory: that of an adapter is small.
"""

import functools
import math
from typing import Any

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxalign.models import products
from jaxalign.models.axes import is_map, is_stacked, split_shape
from jaxalign.typing import Params

BLOCK = 64
"""Inputs that share a scale in NF4."""


def quantize_base(params: Params, kind: str) -> Params:
    """Quantises the linear maps of a model's layers, as the frozen base of an adapter (QLoRA, arXiv 2305.14314).

    Embeddings, norms, biases, an output matrix and a reward's head stay as they are. It needs the extra
    ``jaxalign[quantization]``.

    Args:
      params: any model's parameters in float32 or bfloat16.
      kind: ``"int8"``, one scale for each output, or ``"nf4"``, 4 bits with one scale for each 64 inputs of an output.

    Returns:
      The parameters with a ``qwix.QArray`` in the place of each such map. Every function of parameters takes them; the
      maps have no gradient.

    Raises:
      ValueError: ``kind`` is neither ``"int8"`` nor ``"nf4"``, or there is no map to quantise.
    """
    if kind not in ("int8", "nf4"):
        raise ValueError(f"kind must be 'int8' or 'nf4', got {kind!r}")
    leaves = flax.traverse_util.flatten_dict(params, sep="/")
    maps = {path: leaf for path, leaf in leaves.items() if is_map(path) and is_stacked(path) and not is_quantized(leaf)}
    if not maps:
        raise ValueError(f"no linear map of layers is left to quantise; there are {', '.join(leaves)}")
    quantized = {path: _quantize(leaf, split_shape(path, leaf.shape)[1], kind) for path, leaf in maps.items()}
    return flax.traverse_util.unflatten_dict(leaves | quantized, sep="/")


def dequantize_base(params: Params) -> Params:
    """Returns parameters with quantised maps as float32 arrays again, for export and wherever a gradient is wanted.

    Args:
      params: the result of ``models.quantize_base``, or parameters without such maps, which stay as they are.
    """
    return jax.tree.map(lambda leaf: to_float32(leaf) if is_quantized(leaf) else leaf, params, is_leaf=is_quantized)


def is_quantized(leaf: Any) -> bool:
    """Whether ``leaf`` is a ``qwix.QArray``, found without the library, which models in floats do not need."""
    return hasattr(leaf, "qvalue")


def to_float32(leaf: Any) -> Array:
    """A map, quantised or not, in float32."""
    return dequantize(leaf, jnp.float32) if is_quantized(leaf) else leaf.astype(jnp.float32)


def dequantize(array: Any, dtype: Any) -> Array:
    """The values of a ``qwix.QArray``: code times scale in float32, rounded to ``dtype``."""
    # As qwix.dequantize, which flattens NF4 first: on a mesh every device would gather the complete map.
    values = nf4_values()[array.qvalue] if array.qtype == "nf4" else array.qvalue
    scale = array.scale
    for axis, (size, scales) in enumerate(zip(values.shape, scale.shape, strict=True)):
        scale = jnp.repeat(scale, size // scales, axis)
    return (values * scale).astype(dtype)


def multiply(x: Array, array: Any, axes: int) -> Array:
    """``x`` times a quantised map, in the dtype of ``x``: its last ``axes`` axes over the first ones of the map."""

    # Without it the backward pass would keep every layer's map in full.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def product(x, array):
        return products.multiply(x, dequantize(array, x.dtype), axes)

    return product(x, array)


def nf4_values() -> Array:
    """The 16 values of NF4, ascending from -1 to 1, one of which is 0."""
    import qwix

    return qwix.dequantize(qwix.QArray(jnp.arange(16, dtype=jnp.uint4), jnp.ones(1), qtype="nf4"))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _quantize(leaf: Array, inputs: tuple[int, ...], kind: str) -> Any:
    """A stack of maps, layer by layer: on the way a weight takes tens of bytes."""
    import qwix

    last, outputs = len(inputs) - 1, tuple(range(len(inputs), leaf.ndim - 1))
    if kind == "int8":
        one = functools.partial(qwix.quantize, qtype=jnp.int8, channelwise_axes=outputs)
    else:
        scaled_apart = (*range(last), *outputs)
        blocks = {last: math.gcd(BLOCK, inputs[last])}
        one = functools.partial(qwix.quantize, qtype="nf4", channelwise_axes=scaled_apart, tiled_axes=blocks)
    return jax.lax.map(lambda layer: one(layer.astype(jnp.float32)), leaf)
