"""Texts as rows of tokens, in few lengths, and what a network says of each of them in their order."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from experiments.common.task import Policy
from jaxalign import data
from jaxalign.data import EncodedTexts
from jaxalign.typing import TextBatch

BATCH = 64  # texts that are read at once


def row_lengths(text_lengths: Sequence[int], network: Policy) -> tuple[int, ...]:
    """The lengths of rows in tokens, as far as the network has positions for them."""
    most = int(min(network.model.config.max_length, text_lengths[-1]))
    return (*(length for length in text_lengths if length < most), most)


def select(texts: EncodedTexts, rows: Int[np.ndarray, "n"]) -> EncodedTexts:
    """Some of the texts, in the order of ``rows``; how many of them were cut is not known any more."""
    chosen = [(texts.text(row).tolist(), False) for row in rows]
    return data.join_texts(chosen, pad_id=texts.pad_id, limit=texts.limit, labels=texts.labels[rows])


def read_texts(
    read: Callable[[Iterator[TextBatch]], Float[np.ndarray, "N D"]], texts: EncodedTexts, lengths: Sequence[int]
) -> Float[np.ndarray, "N D"]:
    """What ``read(batches)`` gives for each text, in the order of the texts; similar lengths share a batch."""
    order = np.argsort(texts.lengths, kind="stable")
    batches = data.ordered_text_batches(select(texts, order), batch_size=BATCH, row_lengths=lengths)
    found = read(batches)
    return found[np.argsort(order)]
