"""Keys and values while decoding: one prompt's, held once, and a ring of each sample's own.

Every layer has arrays of its own. A windowed layer keeps what its window can still reach and no more: the last
``window - 1`` tokens of the prompt, and a ring of ``window`` of the tokens since.

All samples write the same column of their rings at a step, column ``step % C``, whenever each of them began: one
in-place update instead of a scatter. The age of a column, ``(step - column) % C``, says what it holds; a sample sees
the ages that it has lived through.

A ring has no axis of length 1 before its columns: XLA would drop it for the product, and then copy all of the ring
twice a token instead of updating it in place.

Letters beyond those of ``jaxalign.typing``: N key-value heads, G query heads to each, D width of a head, C columns.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.attend import Attend, LayerInfo, attend_rows, logit_options
from jaxalign.models.attention import MASKED_LOGIT
from jaxalign.models.config import DecoderConfig, LanguageModelConfig


class LayerCache(NamedTuple):
    """Keys and values of one layer; heads come before tokens, so that products over them need no transposition."""

    prompt_key: Float[Array, "B N P D"]
    prompt_value: Float[Array, "B N P D"]
    key: Float[Array, "*BK_N C D"]  # the leading axes are B * K and N, without those of length 1
    value: Float[Array, "*BK_N C D"]


def prompt_columns(config: LanguageModelConfig, windowed: bool, prompt_length: int) -> int:
    """Tokens of a prompt that a layer keeps: the first response token sees its own key and ``window - 1`` before it."""
    return min(prompt_length, config.window - 1) if windowed else prompt_length


def ring_columns(config: LanguageModelConfig, windowed: bool, max_new_tokens: int) -> int:
    """Own tokens that a layer keeps."""
    return min(max_new_tokens, config.window) if windowed else max_new_tokens


def empty_rings(config: LanguageModelConfig, rows: int, samples: int, max_new_tokens: int) -> list[tuple[Array, Array]]:
    """Makes each layer's ``key`` and ``value``, zeros."""

    def ring(windowed):
        columns = ring_columns(config, windowed, max_new_tokens)
        return jnp.zeros((*_long((rows * samples, config.num_kv_heads)), columns, config.head_dim), config.dtype)

    return [(ring(windowed), ring(windowed)) for windowed in config.layer_windows]


def attend_prefill(config: DecoderConfig, mask: Bool[Array, "B P"], lengths: Int[Array, "B"]) -> Attend:
    """Prompts padded on the right; each layer's cache becomes the keys and values that it keeps, ``[B, N, P, D]``.

    ``lengths`` counts the tokens that decoding will find in the cache.
    """
    positions = jnp.broadcast_to(jnp.arange(mask.shape[1]), mask.shape)
    rows = attend_rows(config, positions, mask.astype(jnp.int32))

    def attend(query, key, value, layer: LayerInfo, cache):
        columns = prompt_columns(config, layer.windowed, mask.shape[1])
        cache = [x.transpose(0, 2, 1, 3) for x in (key, value)]
        if columns < mask.shape[1]:
            kept = _kept_positions(lengths, columns, layer.windowed)[:, None, :, None]
            cache = [jnp.take_along_axis(x, kept, axis=2) for x in cache]
        return rows(query, key, value, layer, ())[0], tuple(cache)

    return attend


def attend_decode(
    config: DecoderConfig, lengths: Int[Array, "B"], counts: Int[Array, "B K"], step: Int[Array, ""]
) -> Attend:
    """One token of each sample: it sees the prompt and the ``counts`` own tokens before it, and joins the ring."""

    def attend(query, key, value, layer: LayerInfo, cache: LayerCache):
        cache = cache._replace(key=write_ring(cache.key, key, step), value=write_ring(cache.value, value, step))
        positions = _kept_positions(lengths, cache.prompt_key.shape[2], layer.windowed)[:, None]
        over_prompt = jnp.broadcast_to(positions < lengths[:, None, None], (*counts.shape, positions.shape[2]))
        if layer.windowed:
            over_prompt &= (lengths[:, None] + counts)[:, :, None] - positions < config.window
        over_own = ages(cache.key.shape[-2], step)[None, None] <= counts[:, :, None]
        return cached_attention(query, cache, over_prompt, over_own, **logit_options(config)), cache

    return attend


def write_ring(ring: Float[Array, "*BK_N C D"], new: Float[Array, "B K N D"], step: Int[Array, ""]) -> Array:
    """The ring with one token of each sample in the column of this step."""
    new = new.reshape(*ring.shape[:-2], 1, ring.shape[-1])
    return jax.lax.dynamic_update_slice_in_dim(ring, new, step % ring.shape[-2], axis=ring.ndim - 2)


def ages(columns: int, step: Int[Array, ""]) -> Int[Array, "C"]:
    """How many steps ago each column was written, 0 in this one."""
    return (step - jnp.arange(columns)) % columns


def cached_attention(
    query: Float[Array, "B K H D"],
    cache: LayerCache,
    prompt_mask: Bool[Array, "B K P"],
    mask: Bool[Array, "B K C"],
    *,
    scale: float,
    softcap: float | None,
) -> Float[Array, "B K H D"]:
    """Attention of one query a sample, over its prompt and its ring; masks are True where it sees a column."""
    b, k, h, d = query.shape
    n, p = cache.prompt_key.shape[1:3]
    g = h // n
    leading = cache.key.shape[:-2]
    query = query.reshape(b, k, n, g, d)
    by_prompt, by_sample = query.swapaxes(1, 2).reshape(b, n, k * g, d), query.reshape(*leading, g, d)
    over_prompt = product(by_prompt, cache.prompt_key, contract=-1).reshape(b, n, k, g, p).swapaxes(1, 2)
    over_own = product(by_sample, cache.key, contract=-1).reshape(b, k, n, g, -1)
    logits = jnp.concatenate([over_prompt, over_own], axis=-1) * scale
    if softcap is not None:
        logits = softcap * jnp.tanh(logits / softcap)
    seen = jnp.concatenate([prompt_mask, mask], axis=-1)[:, :, None, None]
    weights, total = unnormalized_softmax(logits, seen)
    weights = weights.astype(cache.value.dtype)
    by_prompt = weights[..., :p].swapaxes(1, 2).reshape(b, n, k * g, p)
    values = product(by_prompt, cache.prompt_value, contract=-2).reshape(b, n, k, g, d).swapaxes(1, 2)
    values += product(weights[..., p:].reshape(*leading, g, -1), cache.value, contract=-2).reshape(b, k, n, g, d)
    return (values / total).reshape(b, k, h, d).astype(query.dtype)


def unnormalized_softmax(logits: Float[Array, "... C"], seen: Bool[Array, "..."]) -> tuple[Array, Array]:
    """The weights of a softmax before their division, and what to divide them by; no weight where nothing is seen."""
    logits = jnp.where(seen, logits, MASKED_LOGIT)
    weights = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights, weights.sum(axis=-1, keepdims=True)


def product(x: Array, matrices: Array, contract: int) -> Array:
    """``x`` times matrices of the same leading axes, over its last axis and their axis ``contract``, in float32."""
    batch = tuple(range(x.ndim - 2))
    contracted = (x.ndim - 1,), (matrices.ndim + contract,)
    return jax.lax.dot_general(x, matrices, (contracted, (batch, batch)), preferred_element_type=jnp.float32)


def _long(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in sizes if size > 1)


def _kept_positions(lengths, columns, windowed):
    """Positions of the prompt's tokens in a layer's columns, ``[B, columns]``; from ``lengths`` on they are empty."""
    start = jnp.maximum(lengths - columns, 0) if windowed else jnp.zeros_like(lengths)
    return start[:, None] + jnp.arange(columns)[None]
