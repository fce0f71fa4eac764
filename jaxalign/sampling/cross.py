"""Attention of an encoder-decoder while decoding: to its own ring and to its prompt, each with a softmax of its own.

The caches are those of :mod:`jaxalign.sampling.cache`; the prompt's keys and values, held once for all its samples, are
a layer's memory of the encoder's states. How far back a ring's column lies is its age, so one bias serves all samples.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.encoder_decoder_layers import Attend, AttendMemory
from jaxalign.sampling.cache import LayerCache, ages, product, unnormalized_softmax, write_ring


def attend_own(bias: Float[Array, "H C"], counts: Int[Array, "B K"], step: Int[Array, ""]) -> Attend:
    """One token of each sample: it joins the ring and sees the ``counts`` own tokens before it.

    Args:
      bias: on the logits of tokens 0, 1, ... before the one that looks back.
    """

    def attend(query, key, value, cache: LayerCache):
        cache = cache._replace(key=write_ring(cache.key, key, step), value=write_ring(cache.value, value, step))
        age = ages(cache.key.shape[-2], step)
        seen = age[None, None] <= counts[:, :, None]
        return ring_attention(query, cache, bias[:, age], seen), cache

    return attend


def attend_prompts(lengths: Int[Array, "B"]) -> AttendMemory:
    """Each sample sees the ``lengths`` tokens of its prompt."""

    def attend_memory(query, remember, cache: LayerCache):
        return prompt_attention(query, cache, jnp.arange(cache.prompt_key.shape[2])[None] < lengths[:, None])

    return attend_memory


def ring_attention(
    query: Float[Array, "B K H D"], cache: LayerCache, bias: Float[Array, "H C"], mask: Bool[Array, "B K C"]
) -> Float[Array, "B K H D"]:
    """Attention of one query a sample over its ring; a bias for each head and column, True where a column is seen."""
    b, k, h, d = query.shape
    leading = cache.key.shape[:-2]
    logits = product(query.reshape(*leading, 1, d), cache.key, contract=-1).reshape(b, k, h, -1) + bias[None, None]
    unnormalized_softmaxts, total = unnormalized_softmax(logits, mask[:, :, None])
    unnormalized_softmaxts = unnormalized_softmaxts.astype(cache.value.dtype).reshape(*leading, 1, -1)
    values = product(unnormalized_softmaxts, cache.value, contract=-2).reshape(b, k, h, d)
    return (values / total).astype(query.dtype)


def prompt_attention(
    query: Float[Array, "B K H D"], cache: LayerCache, mask: Bool[Array, "B P"]
) -> Float[Array, "B K H D"]:
    """Attention of one query a sample over its prompt, which K samples share."""
    logits = product(query.swapaxes(1, 2), cache.prompt_key, contract=-1)
    unnormalized_softmaxts, total = unnormalized_softmax(logits, mask[:, None, None])
    values = product(unnormalized_softmaxts.astype(cache.prompt_value.dtype), cache.prompt_value, contract=-2)
    return (values / total).swapaxes(1, 2).astype(query.dtype)
