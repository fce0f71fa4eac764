"""What a token sees: the attention patterns that a decoder can be run with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxalign.models.attention import attention, cudnn_attention, shared_attention, visible
from jaxalign.models.config import DecoderConfig
from jaxalign.models.streams import Streams, join_row, split_row
from jaxalign.sharding import constrain, num_shards
from jaxalign.typing import PackedListBatch


class LayerInfo(NamedTuple):
    """What distinguishes one layer from the next: arrays where layers are scanned, Python values where they are not."""

    index: Int[Array, ""] | int
    windowed: Bool[Array, ""] | bool


Attend = Callable[[Array, Array, Array, LayerInfo, Any], tuple[Array, Any]]
"""``attend(query [B,T,H,D], key [B,T,N,D], value [B,T,N,D], layer, cache) -> (attended [B,T,H,D], cache)``."""


def logit_options(config: DecoderConfig) -> dict[str, float | None]:
    """The scale and soft-cap of attention logits."""
    scale = config.head_dim**-0.5 if config.query_scale is None else config.query_scale
    return {"scale": scale, "softcap": config.attention_softcap}


def layer_masks(config: DecoderConfig, *positions_and_segments: Array) -> Callable[[LayerInfo], Bool[Array, "B Q S"]]:
    """Masks by layer from the arguments of :func:`visible`: windowed layers see less than the others."""
    windows = config.layer_windows
    if not any(windows):
        far = visible(*positions_and_segments)
        return lambda layer: far
    near = visible(*positions_and_segments, window=config.window)
    if all(windows):
        return lambda layer: near
    far = visible(*positions_and_segments)
    return lambda layer: jnp.where(layer.windowed, near, far)


def _replicate_length(x: Array) -> Array:
    """Keys or values ``[B, ..., N, D]``, replicated over the devices of a mesh that splits rows: each sees all tokens.

    With grouped queries they are small beside the queries, which stay where they are.
    """
    return constrain(x, "batch", *[None] * (x.ndim - 3), "kv_heads") if num_shards("length") > 1 else x


def _fused(config: DecoderConfig) -> bool:
    """Whether cuDNN attends. Its kernel caps no logits and takes complete rows."""
    return config.attention == "cudnn" and config.attention_softcap is None and num_shards("length") == 1


def attend_rows(config: DecoderConfig, positions: Int[Array, "B L"], segments: Int[Array, "B L"] | None) -> Attend:
    """Causal rows; positions grow within a segment. Without segments every token is real."""
    if segments is None and _fused(config):
        return _attend_cudnn(config)
    segments = jnp.ones_like(positions) if segments is None else segments
    mask_of = layer_masks(config, positions, positions, segments, segments)
    if _fused(config):
        return _attend_cudnn_masked(config, mask_of)

    def attend(query, key, value, layer, cache):
        return attention(
            query, _replicate_length(key), _replicate_length(value), mask_of(layer), **logit_options(config)
        ), cache

    return attend


def _attend_cudnn(config: DecoderConfig) -> Attend:
    windows, scale = config.layer_windows, logit_options(config)["scale"]

    def fused(window):
        return lambda query, key, value: cudnn_attention(query, key, value, scale=scale, window=window)

    def attend(query, key, value, layer, cache):
        if all(windows) or not any(windows):
            return fused(config.window if any(windows) else None)(query, key, value), cache
        # The kernel's window is static, so a layer picks one of two kernels.
        return jax.lax.cond(layer.windowed, fused(config.window), fused(None), query, key, value), cache

    return attend


def _attend_cudnn_masked(config: DecoderConfig, mask_of: Callable[[LayerInfo], Bool[Array, "B T T"]]) -> Attend:
    """Rows in which no token sees a later one, and of the earlier ones those that the mask says."""
    scale = logit_options(config)["scale"]

    def attend(query, key, value, layer, cache):
        length = query.shape[1]
        more = length % 2  # the kernel takes masks of even sides only
        query, key, value = (jnp.pad(x, ((0, 0), (0, more), (0, 0), (0, 0))) for x in (query, key, value))
        mask = jnp.pad(mask_of(layer), ((0, 0), (0, more), (0, more)))
        return cudnn_attention(query, key, value, mask, scale=scale)[:, :length], cache

    return attend


def attend_lists(config: DecoderConfig, streams: Streams) -> Attend:
    """Rows of one prompt followed by its K responses: each response sees the prompt and itself."""
    own = streams.response_valid.astype(jnp.int32)
    prompts = streams.prompt_valid.astype(jnp.int32)
    return _attend_streams(config, streams, prompts, jnp.ones_like(own), own)


def attend_packed_lists(config: DecoderConfig, batch: PackedListBatch) -> Attend:
    """Rows of several prompts followed by lanes of their responses: each response sees its prompt and itself."""
    # A lane may hold response k of two lists.
    own = jnp.where(batch.response_slots > 0, batch.response_lists * batch.where.shape[2] + batch.response_slots, 0)
    return _attend_streams(config, batch, batch.prompt_lists, batch.response_lists, own)


def _attend_streams(config, streams, prompt_segments, prompts_seen, own_segments) -> Attend:
    """Prompts ``[B, P]``, then lanes of responses ``[B, K, R]``, which see both a prompt and part of their lane.

    Segments as in :func:`visible`: of prompt tokens, of the prompts that response tokens see, and within lanes.
    """
    b, p = streams.prompt_tokens.shape
    k, r = streams.response_tokens.shape[1:]
    prompt_positions, positions = streams.prompt_positions, streams.response_positions
    flat, own = positions.reshape(b, k * r), positions.reshape(b * k, r)
    prompt_mask_of = layer_masks(config, prompt_positions, prompt_positions, prompt_segments, prompt_segments)
    cross_mask_of = layer_masks(config, flat, prompt_positions, prompts_seen.reshape(b, k * r), prompt_segments)
    if _fused(config):
        own_segments = own_segments.reshape(b, k * r)
        own_mask_of = layer_masks(config, flat, flat, own_segments, own_segments)
        lanes = np.arange(k * r) // r
        one_lane = jnp.asarray(lanes[:, None] == lanes)[None]

        def mask_of(layer):
            return _row_mask(prompt_mask_of(layer), cross_mask_of(layer), own_mask_of(layer) & one_lane)

        return _attend_cudnn_masked(config, mask_of)
    own_segments = own_segments.reshape(b * k, r)
    own_mask_of = layer_masks(config, own, own, own_segments, own_segments)
    options = logit_options(config)

    def attend(query, key, value, layer, cache):
        (prompt_query, own_query), (prompt_key, own_key), (prompt_value, own_value) = (
            split_row(x, (p, k, r)) for x in (query, key, value)
        )
        prompt_key, prompt_value = _replicate_length(prompt_key), _replicate_length(prompt_value)
        if k % num_shards("length"):  # every device holds a stretch of each response, not complete responses
            own_key, own_value = _replicate_length(own_key), _replicate_length(own_value)
        prompt = attention(prompt_query, prompt_key, prompt_value, prompt_mask_of(layer), **options)
        cross_mask = cross_mask_of(layer).reshape(b, k, r, p)
        own_mask = own_mask_of(layer).reshape(b, k, r, r)
        responses = shared_attention(
            own_query, prompt_key, prompt_value, cross_mask, own_key, own_value, own_mask, **options
        )
        return join_row(prompt, responses), cache

    return attend


def _row_mask(prompt: Bool[Array, "B P P"], cross: Bool[Array, "B M P"], own: Bool[Array, "B M M"]) -> Array:
    """The mask ``[B, P + M, P + M]`` of one pass over the row that :func:`join_row` makes.

    It has more pairs than two passes, but a fused kernel keeps their logits to itself and skips those of later tokens.
    """
    nothing = jnp.zeros((prompt.shape[0], prompt.shape[1], own.shape[1]), bool)
    return jnp.concatenate([jnp.concatenate([prompt, nothing], axis=2), jnp.concatenate([cross, own], axis=2)], axis=1)
