"""The parts of layers: norms, projections, gated MLP, and the scan over layers.

Parameters are float32; they are cast to the compute dtype where they are multiplied. Norms run in float32.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Int

from jaxalign.models import float8 as float8_products
from jaxalign.models import quantization
from jaxalign.models.config import DecoderConfig
from jaxalign.models.products import OutputRows, multiply, multiply_rows

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
}
LAYER_INPUT = "layer_input"


def _save_products(primitive: Any, *arguments: Any, **options: Any) -> bool:
    """Saves matrix products, and what cuDNN's attention returns: logits stay in its kernel, so that this is small."""
    if primitive.name == "dot_product_attention_fwd_wrapper":
        return True
    return jax.checkpoint_policies.dots_with_no_batch_dims_saveable(primitive, *arguments, **options)


REMAT_POLICIES = {
    "dots": _save_products,
    "full": None,
    "offload": jax.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[LAYER_INPUT],
        offload_src="device",
        offload_dst="pinned_host",
    ),
}
"""What the backward pass keeps of each layer but its input: results of matrix products (of plain attention, none),
nothing, or nothing and the input in host memory. XLA's CPU backend has no other memory and leaves inputs there."""


@jax.custom_vjp
def embed_tokens(
    table: Float[Array, "V D"], cast: Float[Array, "V D"], tokens: Int[Array, "..."]
) -> Float[Array, "... D"]:
    """Rows of ``cast``, which is ``table`` in the compute dtype. Their gradient goes to ``table``, summed in its dtype.

    In bfloat16 a sum of equal parts stops growing after 256 of them: a frequent token would lose most of its gradient.
    """
    return cast[tokens]


def _embed_tokens_forward(table, cast, tokens):
    return cast[tokens], (table, tokens)  # only the table's shape and dtype are used


def _embed_tokens_backward(residuals, cotangent):
    table, tokens = residuals
    return jnp.zeros(table.shape, table.dtype).at[tokens].add(cotangent.astype(table.dtype)), None, None


embed_tokens.defvjp(_embed_tokens_forward, _embed_tokens_backward)


class RmsNorm(nn.Module):
    """``x / rms(x) * weight`` over the last axis (Zhang and Sennrich, 2019)."""

    epsilon: float
    unit_offset: bool

    @nn.compact
    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        init = nn.initializers.zeros if self.unit_offset else nn.initializers.ones
        weight = self.param("scale", init, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        wide = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.epsilon)
        # float32 before the sum: of bfloat16 weights, 1 + weight would lose the last bits.
        weight = weight.astype(jnp.float32) + 1 if self.unit_offset else weight
        return (wide * jnp.broadcast_to(weight, wide.shape)).astype(x.dtype)


class LayerNorm(nn.Module):
    """``(x - mean) / standard deviation * weight + bias`` over the last axis (Ba et al., 2016)."""

    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        weight = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
        wide = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.epsilon)
        weight, bias = (jnp.broadcast_to(p.astype(jnp.float32), wide.shape) for p in (weight, bias))
        return (wide * weight + bias).astype(x.dtype)


def project(
    module: nn.Module,
    name: str,
    x: Array,
    outputs: tuple[int, ...],
    *,
    axes: int,
    bias: bool,
    dtype: str,
    float8: bool = False,
    variance: float = 1.0,
) -> Array:
    """A linear map from the last ``axes`` axes of ``x`` to ``outputs``; parameters ``name`` and ``name_bias``.

    Weights start with ``variance / inputs``. A quantised map is multiplied in ``dtype``, with ``float8`` or without.
    What :func:`jaxalign.models.apply_lora` laid beside the map takes part.
    """
    inputs = x.shape[x.ndim - axes :]
    axes_in, axes_out = tuple(range(axes)), tuple(range(axes, axes + len(outputs)))
    init = nn.initializers.variance_scaling(variance, "fan_in", "truncated_normal", axes_in, axes_out)
    given = module.get_variable("params", name)
    kernel = given if isinstance(given, OutputRows) else module.param(name, init, (*inputs, *outputs))
    if isinstance(kernel, OutputRows):
        rows = x.shape[: x.ndim - axes]
        y = multiply_rows(x.reshape(*rows, -1), kernel.matrix).reshape(*rows, *outputs)
    elif quantization.is_quantized(kernel):
        y = quantization.multiply(x, kernel, axes)
    elif float8:
        y = float8_products.multiply(x, kernel, axes)
    else:
        y = multiply(x, kernel.astype(dtype), axes)
    if module.has_variable("params", f"{name}_lora_a"):
        y = _adapt(module, name, x, y, axes)
    if bias:
        offset = module.param(f"{name}_bias", nn.initializers.zeros, outputs).astype(dtype)
        y = y + jnp.broadcast_to(offset, y.shape)
    return y


def _adapt(module, name, x, y, axes):
    """``y``, plus ``x`` through the two factors of low rank, times DoRA's gain where there is one."""
    first, second = (module.get_variable("params", f"{name}_lora_{factor}").astype(y.dtype) for factor in "ab")
    y = y + multiply(multiply(x, first, axes), second, 1)
    if not module.has_variable("params", f"{name}_gain"):
        return y
    return y * jnp.broadcast_to(module.get_variable("params", f"{name}_gain").astype(y.dtype), y.shape)


class GatedMlp(nn.Module):
    """``down(activation(gate(x)) * up(x))``."""

    config: DecoderConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        c = self.config
        linear = functools.partial(project, self, axes=1, bias=c.mlp_bias, dtype=c.dtype, float8=c.float8)
        gate = ACTIVATIONS[c.activation](linear("gate", x, (c.mlp_width,)))
        return linear("down", gate * linear("up", x, (c.mlp_width,)), (c.width,))


def scan_layers(step: Callable, layer: nn.Module, carry: Any, infos: Any, *, length: int, remat: str) -> Any:
    """The carry after ``length`` layers with stacked parameters, by ``step(layer, carry, info) -> (carry, None)``."""

    def named(layer, carry, info):
        return step(layer, jax.tree.map(lambda leaf: checkpoint_name(leaf, LAYER_INPUT), carry), info)

    if remat != "none":
        named = nn.remat(named, policy=REMAT_POLICIES[remat], prevent_cse=False)
    # Nothing is broadcast, so there is no invariant to check by tracing each layer once more.
    axes = dict(variable_axes={"params": 0}, split_rngs={"params": True}, check_constancy_invariants=False)
    scan = nn.scan(named, **axes, length=length)
    return scan(layer, carry, infos)[0]
