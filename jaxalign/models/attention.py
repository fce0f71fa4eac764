"""Attention over every mask that the framework needs, as pure functions.

Letters: B rows, K responses to a prompt, Q queries, S keys, P keys of the prompt, H query heads, N key-value heads
(H is a multiple of N), D width of a head. Masks are True where a query sees a key. A query that sees nothing gets a
finite, meaningless value. Logits and softmax are float32.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Finite, so that a query that sees nothing averages its values rather than becoming NaN.
HIDDEN = -1e30


def visible(
    query_positions: Int[Array, "B Q"],
    key_positions: Int[Array, "B S"],
    query_segments: Int[Array, "B Q"],
    key_segments: Int[Array, "B S"],
    window: Int[Array, ""] | int | None = None,
) -> Bool[Array, "B Q S"]:
    """A query sees the keys of its own segment (0 is padding), not after it, and less than ``window`` before it."""
    distance = query_positions[:, :, None] - key_positions[:, None, :]
    mask = (query_segments[:, :, None] == key_segments[:, None, :]) & (key_segments[:, None, :] != 0) & (distance >= 0)
    return mask if window is None else mask & (distance < window)


def _capped(logits, scale, softcap):
    logits = logits * scale
    return logits if softcap is None else softcap * jnp.tanh(logits / softcap)


def attention(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B S N D"],
    value: Float[Array, "B S N D"],
    mask: Bool[Array, "B Q S"],
    *,
    scale: float,
    softcap: float | None = None,
) -> Float[Array, "B Q H D"]:
    """Grouped-query attention in plain XLA: any mask, optional soft-capping of the logits."""
    b, q, h, d = query.shape
    n = key.shape[2]
    grouped = query.reshape(b, q, n, h // n, d)
    logits = jnp.einsum("bqngd,bsnd->bngqs", grouped, key, preferred_element_type=jnp.float32)
    logits = jnp.where(mask[:, None, None], _capped(logits, scale, softcap), HIDDEN)
    weights = jax.nn.softmax(logits, axis=-1).astype(value.dtype)
    return jnp.einsum("bngqs,bsnd->bqngd", weights, value).reshape(b, q, h, d)


def shared_attention(
    query: Float[Array, "B K Q H D"],
    prompt_key: Float[Array, "B P N D"],
    prompt_value: Float[Array, "B P N D"],
    prompt_mask: Bool[Array, "B K Q P"],
    key: Float[Array, "B K S N D"],
    value: Float[Array, "B K S N D"],
    mask: Bool[Array, "B K Q S"],
    *,
    scale: float,
    softcap: float | None = None,
) -> Float[Array, "B K Q H D"]:
    """Attention of K responses, each over one prompt's keys, held once, and over its own.

    One softmax over the union of both key sets: the exponentials of each are divided by their common sum, so neither
    the keys nor the logits are copied per response or joined in memory.
    """
    b, k, q, h, d = query.shape
    n = key.shape[3]
    grouped = query.reshape(b, k, q, n, h // n, d)
    prompt_logits = jnp.einsum("bkqngd,bpnd->bnkgqp", grouped, prompt_key, preferred_element_type=jnp.float32)
    own_logits = jnp.einsum("bkqngd,bksnd->bnkgqs", grouped, key, preferred_element_type=jnp.float32)
    prompt_mask, mask = (m[:, None, :, None] for m in (prompt_mask, mask))
    prompt_logits = jnp.where(prompt_mask, _capped(prompt_logits, scale, softcap), HIDDEN)
    own_logits = jnp.where(mask, _capped(own_logits, scale, softcap), HIDDEN)

    highest = jnp.maximum(prompt_logits.max(-1, keepdims=True), own_logits.max(-1, keepdims=True))
    highest = jax.lax.stop_gradient(highest)
    prompt_weights, own_weights = jnp.exp(prompt_logits - highest), jnp.exp(own_logits - highest)
    total = prompt_weights.sum(-1, keepdims=True) + own_weights.sum(-1, keepdims=True)
    prompt_weights, own_weights = ((w / total).astype(value.dtype) for w in (prompt_weights, own_weights))
    out = jnp.einsum("bnkgqp,bpnd->bkqngd", prompt_weights, prompt_value)
    out = out + jnp.einsum("bnkgqs,bksnd->bkqngd", own_weights, value)
    return out.reshape(b, k, q, h, d)


def cudnn_attention(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B Q N D"],
    value: Float[Array, "B Q N D"],
    *,
    scale: float,
    window: int | None = None,
) -> Float[Array, "B Q H D"]:
    """Causal attention over whole rows by cuDNN's fused kernel: no mask, no segments, no soft-capping; GPU only."""
    span = None if window is None else (window - 1, 0)
    return jax.nn.dot_product_attention(
        query, key, value, scale=scale, is_causal=True, local_window_size=span, implementation="cudnn"
    )
