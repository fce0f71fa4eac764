"""Optimizer state in bfloat16 or in 8 bit: stored small, computed in float32.

What decides whether this works is rounding. With Adam's b2 = 0.999 a second moment decays by a thousandth a step, less
than half the distance of two neighbours in bfloat16 (1/256) or float8 (1/16): rounded to the nearest, it never falls
again, and steps stay too small for ever. So numbers are rounded up or down at random, with the right mean.

8 bit means float8 (e4m3) in blocks with a scale each, by qwix, not int8: the second moments of one block differ by more
than the 127 steps of int8, and where they round to nearly nothing Adam divides by nearly nothing.

Sources: 8-bit optimizers in blocks, arXiv 2110.02861 (whose dynamic codes are float8 in spirit); stochastic rounding,
Gupta et al., arXiv 1502.02551.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

BLOCK = 256
"""The most numbers that share a scale, as in bitsandbytes."""
SMALLEST_BLOCK = 32
"""An array that has no axis for such blocks stays in float32."""
SMALLEST_ARRAY = 4096
"""Arrays of fewer numbers stay in float32: norms and biases, which are sensitive and take no memory."""


class LowPrecisionState(NamedTuple):
    """The state of the transformation within, with its large arrays small, and how many updates made it."""

    count: Int[Array, ""]
    inner: Any


def low_precision_state(optimizer: optax.GradientTransformation, kind: str) -> optax.GradientTransformation:
    """Makes an optimizer store the large arrays of its state in few bits, rounded at random; it computes in float32.

    The random bits of an update depend on its number only, so a run that is resumed gives the same numbers. The layout
    on a mesh is that of the parameters, see :func:`jaxalign.sharding.state_shardings`.

    Args:
      optimizer: for instance from :func:`jaxalign.training.adamw`.
      kind: ``"bfloat16"`` takes half the bytes. ``"float8"`` takes a quarter, and a float32 scale for each block of up
        to 256 numbers; it needs ``jaxalign[quantization]``. Second moments, in optax the fields called ``nu``, are
        stored as their square roots and never round from above 0 to 0.

    Returns:
      An optimizer of the same interface.

    Raises:
      ValueError: another ``kind``.
    """
    if kind not in ENCODERS:
        raise ValueError(f"kind must be {' or '.join(map(repr, ENCODERS))}, got {kind!r}")

    def encode(state, count):
        key = jax.random.fold_in(jax.random.key(0), count)
        leaves, structure = jax.tree_util.tree_flatten_with_path(state)
        keys = jax.random.split(key, max(len(leaves), 1))
        encoded = [
            ENCODERS[kind](leaf.astype(jnp.float32), each, _is_second_moment(path)) if _is_large(leaf) else leaf
            for (path, leaf), each in zip(leaves, keys, strict=True)
        ]
        return LowPrecisionState(count, structure.unflatten(encoded))

    def init(params):
        return encode(optimizer.init(params), jnp.zeros((), jnp.int32))

    def update(updates, state, params=None):
        updates, inner = optimizer.update(updates, _decode(state.inner), params)
        return updates, encode(inner, state.count + 1)

    return optax.GradientTransformation(init, update)


def round_stochastically(x: Float[Array, "*S"], dtype: Any, key: PRNGKeyArray) -> Float[Array, "*S"]:
    """Rounds ``x`` to one of its two neighbours in ``dtype``, such that the mean over ``key`` is ``x``.

    Args:
      x: float32; beyond the range of ``dtype`` it becomes the largest number there.
      key: for one number in [0, 1) for each of ``x``.
    """
    info = jnp.finfo(dtype)
    exponent = jnp.maximum(jnp.frexp(x)[1] - 1, info.minexp) - info.nmant
    # Not below float32's smallest number, which processors take for 0.
    distance = jnp.ldexp(jnp.ones_like(x), jnp.maximum(exponent, jnp.finfo(jnp.float32).minexp))
    rounded = jnp.floor(x / distance + jax.random.uniform(key, x.shape)) * distance
    return rounded.clip(float(info.min), float(info.max)).astype(dtype)


def _to_bfloat16(x, key, is_second_moment):
    del is_second_moment  # bfloat16 has the exponents of float32
    return round_stochastically(x, jnp.bfloat16, key)


def _to_float8(x, key, is_second_moment):
    import qwix

    axis = max(range(x.ndim), key=lambda axis: (math.gcd(BLOCK, x.shape[axis]), axis))
    block = math.gcd(BLOCK, x.shape[axis])
    if block < SMALLEST_BLOCK:
        return x
    x = jnp.sqrt(x) if is_second_moment else x
    others = tuple(other for other in range(x.ndim) if other != axis)
    array = qwix.quantize(x, jnp.float8_e4m3fn, channelwise_axes=others, tiled_axes={axis: block})
    x = x / jnp.repeat(array.scale, block, axis)
    if is_second_moment:
        smallest = float(jnp.finfo(jnp.float8_e4m3fn).smallest_subnormal)
        x = jnp.where(x > 0, jnp.maximum(x, smallest), 0)
    return dataclasses.replace(array, qvalue=round_stochastically(x, jnp.float8_e4m3fn, key))


ENCODERS = {"bfloat16": _to_bfloat16, "float8": _to_float8}


def _decode(state):
    def decode(path, leaf):
        if not _is_quantized(leaf):
            return leaf.astype(jnp.float32) if _is_large(leaf) else leaf
        import qwix

        x = qwix.dequantize(leaf)
        return x**2 if _is_second_moment(path) else x

    return jax.tree_util.tree_map_with_path(decode, state, is_leaf=_is_quantized)


def _is_large(leaf):
    return leaf.size >= SMALLEST_ARRAY and jnp.issubdtype(leaf.dtype, jnp.floating)


def _is_quantized(leaf):
    return hasattr(leaf, "qvalue")


def _is_second_moment(path):
    return any(isinstance(entry, jax.tree_util.GetAttrKey) and entry.name == "nu" for entry in path)
