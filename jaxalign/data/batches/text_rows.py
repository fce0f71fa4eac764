"""Batches of texts that stand alone, one to a row, in few static shapes."""

import functools
from collections.abc import Iterator, Sequence

import grain
import numpy as np
from jaxtyping import Int

from jaxalign.data.batches import pipeline
from jaxalign.data.text.single_texts import EncodedTexts
from jaxalign.typing import TextBatch


def text_batches(
    texts: EncodedTexts,
    *,
    batch_size: int,
    row_lengths: Sequence[int] | None = None,
    seed: int = 0,
    shuffle: bool = True,
    num_epochs: int | None = None,
    drop_remainder: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> grain.IterDataset[TextBatch]:
    """Returns a stream of texts as :class:`~jaxalign.typing.TextBatch` of NumPy arrays.

    Tokens come first and padding behind.

    Args:
      texts: N encoded texts.
      batch_size: texts of a batch, over all processes.
      row_lengths: lengths of rows in tokens, growing; a text goes to the first that holds it, and what does not fill a
        batch there goes on to the next. None is one length, the limit of the encoding.
      seed: the order of texts depends on it and on the epoch only.
      shuffle: False keeps the order of the texts within each length of rows.
      num_epochs: passes over the data; None repeats for ever, in a new order each time.
      drop_remainder: True leaves out the last, incomplete batch of an epoch (others come up in the next). False fills
        it with rows that are masked throughout, so that an evaluation meets every text exactly once.
      process_index: which part of each batch to prepare, ``jax.process_index()``.
      process_count: the parts that a batch is divided into, ``jax.process_count()``.
      num_workers: processes that prepare batches; 0 prepares them in threads, which is enough unless rows are huge.
        Workers are spawned: a script needs its ``if __name__ == "__main__":``. A state fits the number of workers it
        came from.

    Returns:
      The stream, whose iterator's state says where to continue.

    Raises:
      ValueError: if the lengths of rows do not grow or do not hold everything, or no batch could be filled.
    """
    lengths = check_row_lengths(texts, row_lengths)
    rows = pipeline.process_rows(batch_size, process_index, process_count)
    stream = pipeline.Stream(
        functools.partial(_plan_epoch, texts, lengths, batch_size, drop_remainder, seed, shuffle),
        functools.partial(_process_batch, texts, batch_size, rows),
        pipeline.num_batches(len(texts), batch_size, drop_remainder),
    )
    return pipeline.to_dataset(stream, num_epochs=num_epochs, num_workers=num_workers)


def ordered_text_batches(
    texts: EncodedTexts, *, batch_size: int, row_lengths: Sequence[int] | None = None, start: int = 0
) -> Iterator[TextBatch]:
    """Returns batches of all texts in their order, for predictions: row i of batch n is text ``n * batch_size + i``.

    The last batch is filled with rows where ``where`` is False.

    Args:
      texts: encoded texts.
      batch_size: texts of a batch.
      row_lengths: lengths of rows in tokens, growing; a batch has the first that holds its longest text. None is one
        length, the limit of the encoding.
      start: the first text, counted from 0, from which row i of batch n is counted then.

    Returns:
      An iterator of :class:`~jaxalign.typing.TextBatch` of NumPy arrays.

    Raises:
      ValueError: if the lengths of rows do not grow or do not hold everything.
    """
    lengths = np.asarray(check_row_lengths(texts, row_lengths))
    groups = (np.arange(first, min(first + batch_size, len(texts))) for first in range(start, len(texts), batch_size))
    return (
        make_text_batch(texts, rows, int(lengths[lengths >= texts.lengths[rows].max()][0]), batch_size)
        for rows in groups
    )


def make_text_batch(texts: EncodedTexts, rows: Int[np.ndarray, "n"], row_length: int, batch_size: int) -> TextBatch:
    """A batch of the texts of these numbers, filled up with masked rows to ``batch_size``."""
    labels = np.full(batch_size, -1, np.int32)
    if texts.labels.ndim == 2:
        labels = np.zeros((batch_size, texts.labels.shape[1]), np.float32)
    labels[: len(rows)] = texts.labels[rows]
    batch = TextBatch(
        tokens=np.full((batch_size, row_length), texts.pad_id, np.int32),
        mask=np.zeros((batch_size, row_length), bool),
        labels=labels,
        where=np.arange(batch_size) < len(rows),
    )
    for place, row in enumerate(rows):
        ids = texts.text(row)
        batch.tokens[place, : len(ids)] = ids
        batch.mask[place, : len(ids)] = True
    return batch


def check_row_lengths(texts: EncodedTexts, row_lengths: Sequence[int] | None) -> Sequence[int]:
    """The lengths of rows, or the one that the limit makes; ValueError if they do not serve."""
    if row_lengths is None:
        return (texts.limit,)
    longest = int(texts.lengths.max())
    grows = all(a < b for a, b in zip(row_lengths, row_lengths[1:], strict=False))
    if not row_lengths or not grows or row_lengths[-1] < longest:
        raise ValueError(
            f"expected row_lengths that grow and end with at least {longest}, the tokens of the longest text, got "
            f"{list(row_lengths)}; enlarge the last one or encode with a smaller max_tokens"
        )
    return tuple(row_lengths)


def _plan_epoch(texts, row_lengths, batch_size, drop_remainder, seed, shuffle, epoch):
    """The length of rows and the numbers of the texts of each batch."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(texts)) if shuffle else np.arange(len(texts))
    smallest = np.searchsorted(row_lengths, texts.lengths[order])
    batches, waiting = [], np.zeros(0, int)
    for number, length in enumerate(row_lengths):
        waiting = np.concatenate([waiting, order[smallest == number]])
        full = len(waiting) // batch_size * batch_size
        batches += [(length, rows) for rows in waiting[:full].reshape(-1, batch_size)]
        waiting = waiting[full:]
    if len(waiting) and not drop_remainder:
        batches.append((row_lengths[-1], waiting))
    return [batches[number] for number in rng.permutation(len(batches))] if shuffle else batches


def _process_batch(texts, batch_size, rows, planned) -> TextBatch:
    length, numbers = planned
    return make_text_batch(texts, numbers[rows], length, rows.stop - rows.start)
