"""What a batch has in it: real tokens and padding, of NumPy or JAX arrays."""

import numpy as np
from jaxtyping import Array, Bool

from jaxalign.numerics import Ratio, ratio
from jaxalign.typing import ListBatch, PackedListBatch, TextBatch, TokenBatch


def real_tokens(batch: ListBatch) -> Bool[Array | np.ndarray, "B K R"]:
    """True for the tokens of responses that are there."""
    return batch.response_mask & batch.where[:, :, None]


def padding_share(batch: ListBatch | PackedListBatch) -> Ratio:
    """The tokens of a batch that are padding, over all that run through the network.

    Args:
      batch: a padded list has P + K * R tokens, a packed row P + N * R.

    Returns:
      Their numbers as a :class:`~jaxalign.numerics.Ratio`, so that shares add up over batches.
    """
    if isinstance(batch, PackedListBatch):
        parts = batch.prompt_lists > 0, batch.response_slots > 0
    else:
        parts = batch.prompt_mask, real_tokens(batch)
    total = sum(part.size for part in parts)
    return Ratio(total - sum(part.sum() for part in parts), np.float32(total))


def count_tokens(batch: ListBatch | PackedListBatch | TokenBatch | TextBatch) -> Ratio:
    """The tokens of a batch that are no padding, over 1: a count that adds up over microbatches.

    Args:
      batch: lists, or rows of examples or of texts.
    """
    if isinstance(batch, TextBatch):
        return ratio(1.0 * batch.mask)._replace(denominator=np.float32(1))
    if isinstance(batch, TokenBatch):
        return ratio(1.0 * (batch.segment_ids > 0))._replace(denominator=np.float32(1))
    padding, total = padding_share(batch)
    return Ratio(total - padding, np.float32(1))
