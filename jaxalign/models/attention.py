"""Attention over every mask that the framework needs, as pure functions.

Letters: B rows, K responses to a prompt, Q queries, S keys, P keys of the prompt, H query heads, N key-value heads
(H is a multiple of N), D width of a head. Masks are True where a query sees a key. A query that sees nothing gets a
finite, meaningless value. Logits and softmax are float32.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Finite, so that a query that sees nothing averages its values rather than becoming NaN.
MASKED_LOGIT = -1e30


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


def _partial_softmax(query, key, value, mask, scale, softcap, bias=None):
    """Attention over a part of the keys, not yet normalised: ``(sum of weights * values, max logit, sum of weights)``.

    :func:`_combine` makes attention over all keys of two such parts, as flash attention does of its blocks.
    ``query [B, N, H/N, ..., D]``, ``key`` and ``value [B, S, N, D]``, ``mask [B, ..., S]``, ``bias [H, ..., S]``, with
    one or more axes of queries. Dividing after the sum over values touches D numbers a query instead of S, which halved
    the time of a forward pass on CPU.
    """
    logits = jnp.einsum("bng...d,bsnd->bng...s", query, key, preferred_element_type=jnp.float32) * scale
    if softcap is not None:
        logits = softcap * jnp.tanh(logits / softcap)
    if bias is not None:
        logits = logits + bias.reshape(1, *query.shape[1:3], *bias.shape[1:])
    logits = jnp.where(mask[:, None, None], logits, MASKED_LOGIT)
    max_logit = jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True))
    weights = jnp.exp(logits - max_logit)
    total = weights.sum(axis=-1, keepdims=True)
    values = jnp.einsum("bng...s,bsnd->bng...d", weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
    return values, max_logit, total


def _combine(first, second):
    """Attention over the union of two key sets, from the partial softmax over each: they are rescaled to one max."""
    max_logit = jnp.maximum(first[1], second[1])
    first_scale, second_scale = jnp.exp(first[1] - max_logit), jnp.exp(second[1] - max_logit)
    values = first[0] * first_scale + second[0] * second_scale
    return values / (first[2] * first_scale + second[2] * second_scale)


def attention(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B S N D"],
    value: Float[Array, "B S N D"],
    mask: Bool[Array, "B Q S"],
    *,
    scale: float,
    softcap: float | None = None,
    bias: Float[Array, "H Q S"] | None = None,
) -> Float[Array, "B Q H D"]:
    """Grouped-query attention in plain XLA: any mask, optional soft-capping of the logits, and a bias on them."""
    b, q, h, d = query.shape
    n = key.shape[2]
    grouped = query.reshape(b, q, n, h // n, d).transpose(0, 2, 3, 1, 4)
    values, _, total = _partial_softmax(grouped, key, value, mask, scale, softcap, bias)
    return (values / total).transpose(0, 3, 1, 2, 4).reshape(b, q, h, d).astype(query.dtype)


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

    Two passes, each a partial softmax, are combined by log-sum-exp: neither the prompt's keys nor the logits are
    copied per response.
    """
    b, k, q, h, d = query.shape
    n = key.shape[3]
    grouped = query.reshape(b, k, q, n, h // n, d).transpose(0, 3, 4, 1, 2, 5)
    over_prompt = _partial_softmax(grouped, prompt_key, prompt_value, prompt_mask, scale, softcap)
    over_own = jax.vmap(lambda *arrays: _partial_softmax(*arrays, scale, softcap), in_axes=(3, 1, 1, 1), out_axes=3)
    values = _combine(over_prompt, over_own(grouped, key, value, mask))
    return values.transpose(0, 3, 4, 1, 2, 5).reshape(b, k, q, h, d).astype(query.dtype)


def cudnn_attention(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B Q N D"],
    value: Float[Array, "B Q N D"],
    mask: Bool[Array, "B Q Q"] | None = None,
    *,
    scale: float,
    window: int | None = None,
) -> Float[Array, "B Q H D"]:
    """Causal attention over whole rows by cuDNN's fused kernel, on a GPU; no soft-capping, and half precision only.

    A ``mask`` hides more than causality does. It costs its own size in memory and traffic for every head, where logits
    would cost that of all heads; Q must be even with it.
    """
    span = None if window is None else (window - 1, 0)
    if mask is not None:
        mask = mask[:, None]
    return jax.nn.dot_product_attention(
        query, key, value, mask=mask, scale=scale, is_causal=True, local_window_size=span, implementation="cudnn"
    )
