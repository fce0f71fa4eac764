"""How a network reads while decoding: prompts once, then one token of each sample after the other.

A :class:`Reader` is what a decoder and an encoder-decoder do differently. A decoder keeps the prompt's keys and values,
and its samples go on from the prompt's last token. An encoder-decoder runs its encoder, keeps what each decoder layer
makes of the states, and its samples begin with the start token.
"""

import functools
import math
import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models import Decoder, EncoderDecoder
from jaxalign.models.axes import is_map, split_shape
from jaxalign.models.products import OutputRows
from jaxalign.models.quantization import is_quantized
from jaxalign.sampling.cache import LayerCache, attend_decode, attend_prefill
from jaxalign.sampling.cross import attend_own, attend_prompts
from jaxalign.typing import Params


class Weights(NamedTuple):
    """Parameters as decoding wants them: matrices in the compute dtype, every layer on its own."""

    outer: Params
    layers: tuple[Params, ...]


class Read(NamedTuple):
    """What the network keeps of prompts, and from what token their samples go on."""

    caches: tuple[tuple[Array, Array], ...]  # each layer's keys and values [B, N, P, D]
    lengths: Int[Array, "B"]  # tokens in the caches
    last: Int[Array, "B"]


class Place(NamedTuple):
    """Where the samples stand."""

    step: Int[Array, ""]  # columns of the rings that have been written
    lengths: Int[Array, "B"]
    last: Int[Array, "B K"]
    counts: Int[Array, "B K"]  # tokens drawn so far


class Reader(NamedTuple):
    """Four functions, for the models of one type."""

    take_layers: Callable[[Params], tuple[Params, Params]]
    """``take_layers(params) -> (outer, layers)``: those of the layers that decoding runs, stacked, and all others."""
    read_prompts: Callable[..., Read]
    """``read_prompts(model, weights, tokens [B, P], mask [B, P])``, prompts padded on the right."""
    said: Callable[..., tuple[Array, Array]]
    """``said(model, tokens [B, P], mask [B, P])``: the tokens of each row that samples go on from, and so do rules."""
    read_tokens: Callable[..., tuple[Array, tuple[LayerCache, ...]]]
    """``read_tokens(model, weights, place, caches) -> (hidden [B, K, D], caches)``: one more token of each sample."""


def reader_of(model) -> Reader:
    """The reader for a decoder or an encoder-decoder."""
    return READERS[type(model)]


def split_once(model, params: Params) -> Weights:
    """Casts parameters, cuts layers out of their stacks and turns maps, once instead of for every token.

    What is added in float32 stays: norms' scales, and biases. So do quantised maps: they are there to spare memory.

    Args:
      model: a decoder or an encoder-decoder, as ``models.build`` makes it.
      params: its parameters.

    Returns:
      The weights as :func:`~jaxalign.sampling.generate` and slots multiply them. An embedding that is of the compute
      dtype is not copied.
    """
    outer, stacked = reader_of(model).take_layers(params)
    # One by one: what a compiled function returns is a copy, even of what it leaves as it is.
    return Weights(_cast(outer, model.config.dtype), _cut(model, stacked))


def _cast(params: Params, dtype: str) -> Params:
    def cast(path, leaf):
        stays = path[-1].key in ("scale", "relative_bias") or is_quantized(leaf)
        return leaf if stays else jnp.asarray(leaf, dtype)

    return jax.tree_util.tree_map_with_path(cast, params, is_leaf=is_quantized)


@functools.partial(jax.jit, static_argnums=0)
def _cut(model, stacked: Params) -> tuple[Params, ...]:
    """The parameters of each layer."""
    stacked = _cast(stacked, model.config.dtype)
    stacked = stacked if model.config.float8 else _by_output(stacked)
    return tuple(jax.tree.map(operator.itemgetter(i), stacked) for i in range(len(model.config.layer_windows)))


def _by_output(stacked: Params) -> Params:
    """Every map that is multiplied as it is, output by output: see :func:`multiply_rows`."""

    def turned(path, leaf):
        name = path[-1].key
        if is_quantized(leaf) or not is_map(name):
            return leaf
        stack, inputs, outputs = split_shape(name, leaf.shape)
        return OutputRows(leaf.reshape(*stack, math.prod(inputs), math.prod(outputs)).mT)

    return jax.tree_util.tree_map_with_path(turned, stacked, is_leaf=is_quantized)


def _decoder_layers(params: Params):
    return {name: value for name, value in params.items() if name != "layers"}, params["layers"]


def _decoder_prompts(model, weights: Weights, tokens: Int[Array, "B P"], mask: Bool[Array, "B P"]) -> Read:
    """All but the prompt's last token, which decoding reads first. A prompt without one goes on from its padding."""
    lengths = jnp.maximum(mask.sum(axis=1) - 1, 0)
    positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    attend = attend_prefill(model.config, mask, lengths)
    arguments = weights.layers, tokens, positions, attend, [()] * len(weights.layers)
    caches = model.apply({"params": weights.outer}, *arguments, method="run_layers")[1]
    return Read(caches, lengths, jnp.take_along_axis(tokens, lengths[:, None], axis=1)[:, 0])


def _decoder_said(model, tokens: Int[Array, "B P"], mask: Bool[Array, "B P"]):
    return tokens, mask


def _decoder_tokens(model, weights: Weights, place: Place, caches):
    positions = place.lengths[:, None] + place.counts
    attend = attend_decode(model.config, place.lengths, place.counts, place.step)
    arguments = weights.layers, place.last, positions, attend, caches
    return model.apply({"params": weights.outer}, *arguments, method="run_layers")


def _encoder_decoder_layers(params: Params):
    outer, stacked = _decoder_layers(params["decoder"])
    return {**params, "decoder": outer}, stacked


def _encoder_decoder_prompts(model, weights: Weights, tokens: Int[Array, "B P"], mask: Bool[Array, "B P"]) -> Read:
    memories = model.apply({"params": weights.outer}, weights.layers, tokens, mask, method="remember")
    caches = tuple((key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3)) for key, value in memories)
    return Read(caches, mask.sum(axis=1), jnp.full(len(tokens), model.config.start_id, tokens.dtype))


def _encoder_decoder_said(model, tokens: Int[Array, "B P"], mask: Bool[Array, "B P"]):
    """The start token: what the encoder reads has not been said."""
    start = jnp.full((len(tokens), 1), model.config.start_id, tokens.dtype)
    return start, jnp.ones(start.shape, bool)


def _encoder_decoder_tokens(model, weights: Weights, place: Place, caches):
    bias: Float[Array, "H C"] = model.apply({"params": weights.outer}, caches[0].key.shape[-2], method="bias_by_age")
    attends = attend_own(bias, place.counts, place.step), attend_prompts(place.lengths)
    arguments = weights.layers, place.last, *attends, caches
    return model.apply({"params": weights.outer}, *arguments, method="run_layers")


READERS = {
    Decoder: Reader(_decoder_layers, _decoder_prompts, _decoder_said, _decoder_tokens),
    EncoderDecoder: Reader(
        _encoder_decoder_layers, _encoder_decoder_prompts, _encoder_decoder_said, _encoder_decoder_tokens
    ),
}
