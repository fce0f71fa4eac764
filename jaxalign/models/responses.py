"""Log-probabilities of the responses of lists, padded or packed, by a decoder or an encoder-decoder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.losses import token_logps
from jaxalign.models.config import LanguageModelConfig
from jaxalign.models.decoder import Decoder
from jaxalign.typing import ListBatch, PackedListBatch, Params


def response_logps(
    model, params: Params, batch: ListBatch | PackedListBatch, *, shared_prompt: bool = True
) -> Float[Array, "... K"]:
    """Returns ``log p(response | prompt)`` of every response: the sum over its tokens, end of sequence included.

    The prompt runs through the network once, not once per response. Only response tokens meet the vocabulary. Packed
    lists have the numbers and gradients of the same lists padded.

    Args:
      model: a decoder or an encoder-decoder, as ``models.build`` makes it.
      params: its parameters.
      batch: lists padded one to a row (``data.list_batches``), or several packed into each row
        (``data.packed_list_batches``), which a decoder alone reads.
      shared_prompt: False runs K separate rows of prompt and response: the same numbers and gradients at the cost of
        K * (P + R) tokens a list instead of P + K * R. It is the reference that tests and benchmarks compare with, and
        is for padded lists only.

    Returns:
      ``[B, K]`` of padded lists, ``[B, S, K]`` of packed ones: nats, float32; 0 where ``batch.where`` is False.

    Raises:
      TypeError: the lists are packed and the model is no decoder. An encoder reads one prompt a row, since its
        positions are relative.
      ValueError: the lists are packed and ``shared_prompt`` is False.
    """
    if isinstance(batch, PackedListBatch):
        return _packed_response_logps(model, params, batch, shared_prompt)
    return response_token_logps(model, params, batch, shared_prompt=shared_prompt).sum(axis=-1)


def response_token_logps(
    model, params: Params, batch: ListBatch, *, shared_prompt: bool = True
) -> Float[Array, "B K R"]:
    """Returns the log-probability of each response token, given the prompt and the tokens before it.

    Args:
      model: a decoder or an encoder-decoder, as ``models.build`` makes it.
      params: its parameters.
      batch: padded lists.
      shared_prompt: whether the prompt runs through the network once, or (False) once per response.

    Returns:
      ``[B, K, R]``: nats, float32; 0 where ``batch.response_mask`` or ``batch.where`` is False.
    """
    hidden = response_hidden(model, params, batch, shared_prompt=shared_prompt)
    logps = token_logps(
        hidden, unembedding(model.config, params), batch.response_tokens, logit_softcap=model.config.logit_softcap
    )
    return jnp.where(batch.response_mask & batch.where[:, :, None], logps, 0)


def response_hidden(model, params: Params, batch: ListBatch, *, shared_prompt: bool = True) -> Float[Array, "B K R D"]:
    """Returns the hidden states that predict the response tokens: times :func:`unembedding`, next-token logits.

    Args:
      model: a decoder or an encoder-decoder, as ``models.build`` makes it.
      params: its parameters.
      batch: padded lists.
      shared_prompt: whether the prompt runs through the network once, or (False) once per response.

    Returns:
      ``[B, K, R, D]`` in the model's compute dtype: at ``[b, k, r]`` the state before token r of the response is read.
      What padding has is meaningless.
    """
    streams = model.split_streams(batch.prompt_tokens, batch.prompt_mask, batch.response_tokens, batch.response_mask)
    hidden_fn = model.response_hidden if shared_prompt else model.separate_response_hidden
    return model.apply({"params": params}, streams, method=hidden_fn)


def response_lengths(batch: ListBatch | PackedListBatch) -> Float[Array, "... K"]:
    """Returns how many tokens each response has, end of sequence included.

    Args:
      batch: lists, padded or packed.

    Returns:
      ``[B, K]`` of padded lists, ``[B, S, K]`` of packed ones: float32; 0 where ``batch.where`` is False.
    """
    if isinstance(batch, PackedListBatch):
        ones = jnp.ones(batch.targets.shape, jnp.float32)
        return jnp.where(batch.where, _sum_responses(ones, batch), 0)
    return jnp.sum(batch.response_mask & batch.where[:, :, None], axis=-1, dtype=jnp.float32)


def unembedding(config: LanguageModelConfig, params: Params) -> Float[Array, "D V"]:
    """Returns the output matrix: the embedding transposed, if the parameters have no matrix of their own for it.

    Args:
      config: the model's config, whose ``dtype`` the matrix gets.
      params: the model's parameters.
    """
    matrix = params["unembedding"] if "unembedding" in params else params["embedding"].T
    return matrix.astype(config.dtype)


def _packed_response_logps(model, params: Params, batch: PackedListBatch, shared_prompt: bool) -> Float[Array, "B S K"]:
    if not isinstance(model, Decoder):
        raise TypeError(
            f"packed lists are read by a Decoder, got {type(model).__name__}; give it padded lists (data.list_batches)"
        )
    if not shared_prompt:
        raise ValueError(
            "packed lists share their prompts, got shared_prompt=False; leave it out, or give padded lists "
            "(data.list_batches)"
        )
    hidden = model.apply({"params": params}, batch, method=model.packed_response_hidden)
    logps = token_logps(
        hidden, unembedding(model.config, params), batch.targets, logit_softcap=model.config.logit_softcap
    )
    return jnp.where(batch.where, _sum_responses(logps, batch), 0)


def _sum_responses(logps: Float[Array, "B N R"], batch: PackedListBatch) -> Float[Array, "B S K"]:
    """The sum over the tokens of each response; what padding has goes to a place of its own."""
    b, s, k = batch.where.shape
    place = jnp.where(batch.response_slots > 0, (batch.response_lists - 1) * k + batch.response_slots - 1, s * k)
    sums = jax.vmap(lambda values, ids: jax.ops.segment_sum(values, ids, s * k + 1))
    return sums(logps.reshape(b, -1), place.reshape(b, -1))[:, :-1].reshape(b, s, k)
