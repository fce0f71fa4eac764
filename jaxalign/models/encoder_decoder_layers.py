"""The layers of T5's encoder and decoder.

What a token sees is injected, as in :mod:`jaxalign.models.decoder`: ``attend`` for a layer's own tokens,
``attend_memory`` for what the encoder has read. A memory is one decoder layer's keys and values of the encoder's
states, which a decoding loop computes once.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from jaxalign.models.config import EncoderDecoderConfig
from jaxalign.models.layers import ACTIVATIONS, RmsNorm, project

Attend = Callable[[Array, Array, Array, Any], tuple[Array, Any]]
"""``attend(query [B,T,H,D], key [B,T,H,D], value [B,T,H,D], cache) -> (attended [B,T,H,D], cache)``."""

Memory = tuple[Float[Array, "B P H head_dim"], Float[Array, "B P H head_dim"]]
"""Keys and values of the encoder's states."""

AttendMemory = Callable[[Array, Callable[[Array], Memory], Any], Array]
"""``attend_memory(query [B,T,H,D], remember, cache) -> attended [B,T,H,D]``; ``remember(encoded)`` makes the memory."""


def _linear(module: nn.Module, name: str, x: Array, outputs: tuple[int, ...], axes: int = 1, **options) -> Array:
    c = module.config
    return project(module, name, x, outputs, axes=axes, bias=False, dtype=c.dtype, float8=c.float8, **options)


def _query(module: nn.Module, x: Array) -> Array:
    # Logits are not scaled, so queries start smaller instead.
    c = module.config
    return _linear(module, "query", x, (c.num_heads, c.head_dim), variance=1 / c.head_dim)


class SelfAttention(nn.Module):
    config: EncoderDecoderConfig

    @nn.compact
    def __call__(self, x, cache, attend: Attend):
        c = self.config
        key, value = (_linear(self, name, x, (c.num_heads, c.head_dim)) for name in ("key", "value"))
        attended, cache = attend(_query(self, x), key, value, cache)
        return _linear(self, "output", attended, (c.width,), axes=2), cache


class Remember(nn.Module):
    """The encoder's states to a decoder layer's memory."""

    config: EncoderDecoderConfig

    @nn.compact
    def __call__(self, encoded: Float[Array, "B P D"]) -> Memory:
        heads = self.config.num_heads, self.config.head_dim
        return _linear(self, "key", encoded, heads), _linear(self, "value", encoded, heads)


class CrossAttention(nn.Module):
    config: EncoderDecoderConfig

    @nn.compact
    def __call__(self, x, remember: Callable[[Array], Memory], cache, attend_memory: AttendMemory):
        attended = attend_memory(_query(self, x), remember, cache)
        return _linear(self, "output", attended, (self.config.width,), axes=2)


class PlainMlp(nn.Module):
    """``down(activation(up(x)))``: v1.0."""

    config: EncoderDecoderConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        c = self.config
        return _linear(self, "down", ACTIVATIONS[c.activation](_linear(self, "up", x, (c.mlp_width,))), (c.width,))


class GatedMlp(nn.Module):
    """``down(activation(gate(x)) * up(x))``: v1.1."""

    config: EncoderDecoderConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        c = self.config
        gate = ACTIVATIONS[c.activation](_linear(self, "gate", x, (c.mlp_width,)))
        return _linear(self, "down", gate * _linear(self, "up", x, (c.mlp_width,)), (c.width,))


def _mlp(config: EncoderDecoderConfig) -> nn.Module:
    # Two names, since files have two: a parameter's path says which tensor it is.
    return GatedMlp(config, name="gated_mlp") if config.gated_mlp else PlainMlp(config, name="mlp")


class EncoderLayer(nn.Module):
    config: EncoderDecoderConfig

    @nn.compact
    def __call__(self, x, attend: Attend):
        norm = functools.partial(RmsNorm, self.config.norm_epsilon, False)
        x = x + SelfAttention(self.config, name="attention")(norm(name="attention_norm")(x), (), attend)[0]
        return x + _mlp(self.config)(norm(name="mlp_norm")(x))


class DecoderLayer(nn.Module):
    config: EncoderDecoderConfig

    @nn.compact
    def __call__(self, x, cache, attend: Attend, attend_memory: AttendMemory):
        c = self.config
        norm = functools.partial(RmsNorm, c.norm_epsilon, False)
        y, cache = SelfAttention(c, name="attention")(norm(name="attention_norm")(x), cache, attend)
        x = x + y
        cross = CrossAttention(c, name="cross_attention")
        x = x + cross(norm(name="cross_norm")(x), Remember(c, name="memory"), cache, attend_memory)
        return x + _mlp(c)(norm(name="mlp_norm")(x)), cache
