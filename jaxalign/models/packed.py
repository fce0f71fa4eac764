"""Log-probabilities of the responses of packed lists, by a decoder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.losses import token_logps
from jaxalign.models.decoder import Decoder
from jaxalign.models.responses import unembedding
from jaxalign.typing import PackedListBatch, Params


def packed_response_logps(model, params: Params, batch: PackedListBatch) -> Float[Array, "B S K"]:
    """:func:`jaxalign.models.response_logps` of every list of every row: the same numbers and gradients.

    Only response tokens meet the vocabulary. What packs lists is :func:`jaxalign.data.packed_list_batches`.

    Raises:
      TypeError: the model is no decoder. An encoder reads one prompt a row, since its positions are relative.
    """
    if not isinstance(model, Decoder):
        raise TypeError(
            f"packed lists are read by a Decoder, got {type(model).__name__}; give it padded lists "
            "(data.list_batches, models.response_logps)"
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
