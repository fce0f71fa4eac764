"""Rows of tokens for supervised fine-tuning: one example a row, or several."""

import functools
from collections.abc import Sequence

import grain
import numpy as np
from jaxtyping import Int

from jaxalign.data.batches import pipeline
from jaxalign.data.text.encoding import EncodedLists
from jaxalign.typing import TokenBatch


def sft_batches(
    lists: EncodedLists,
    *,
    batch_size: int,
    row_length: int,
    packed: bool = True,
    seed: int = 0,
    shuffle: bool = True,
    num_epochs: int | None = None,
    drop_remainder: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> grain.IterDataset[TokenBatch]:
    """Returns a stream of examples as :class:`~jaxalign.typing.TokenBatch` of NumPy arrays.

    Batches are ``[batch_size, row_length]``. Every response of every record is an example, prompt and response one
    after the other: encode ``[record.best(1) for record in records]`` for the best ones only. ``loss_mask`` is True on
    response tokens.

    Packed rows are filled once, by first fit over the examples in random order; epochs differ in the order of the rows.
    Segments of a row must not attend to one another, for which ``segment_ids`` and ``positions`` are there; then it
    does not matter which examples share a row.

    Args:
      lists: encoded records.
      batch_size: rows of a batch, over all processes.
      row_length: L, tokens of a row. An example of n tokens takes n - 1, since its last one is only a target.
      packed: False puts one example into each row.
      seed: the order of rows, and which examples share one, depend on it and on the epoch only.
      shuffle: False keeps the order of the examples.
      num_epochs: passes over the data; None repeats for ever, in a new order each time.
      drop_remainder: True leaves out the last, incomplete batch of an epoch (others come up in the next). False fills
        it with rows that are masked throughout, so that an evaluation meets every record exactly once.
      process_index: which part of each batch to prepare, ``jax.process_index()``.
      process_count: the parts that a batch is divided into, ``jax.process_count()``.
      num_workers: processes that prepare batches; 0 prepares them in threads, which is enough unless rows are huge.
        Workers are spawned: a script needs its ``if __name__ == "__main__":``. A state fits the number of workers it
        came from.

    Raises:
      ValueError: if an example is longer than a row, or no batch could be filled.
    """
    lengths = example_lengths(lists)
    if lengths.max() > row_length:
        raise ValueError(
            f"expected rows that hold the longest example, {lengths.max()} tokens, got row_length {row_length}; "
            f"encode with smaller limits, now {lists.limits[0]} + {lists.limits[1]}"
        )
    order = np.random.default_rng(seed).permutation(len(lengths)) if shuffle else np.arange(len(lengths))
    packs = [[item] for item in order.tolist()]
    if packed:
        packs = [order[pack].tolist() for pack in first_fit(lengths[order].tolist(), row_length)]
    rows = pipeline.process_rows(batch_size, process_index, process_count)
    stream = pipeline.Stream(
        functools.partial(_plan_epoch, len(packs), batch_size, drop_remainder, seed, shuffle),
        functools.partial(_process_batch, lists, packs, row_length, rows),
        pipeline.num_batches(len(packs), batch_size, drop_remainder),
    )
    return pipeline.to_dataset(stream, num_epochs=num_epochs, num_workers=num_workers)


def example_lengths(lists: EncodedLists) -> Int[np.ndarray, "M"]:
    """The tokens that each example takes in a row: all of prompt and response but the last."""
    return np.diff(lists.prompt_starts)[lists.owners] + np.diff(lists.response_starts) - 1


def first_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Puts each item into the first row with room for it.

    A tree over the rows holds the most room below each node, so that n items cost n log n.

    Args:
      lengths: of the items, each at most ``capacity``.
      capacity: of a row.

    Returns:
      The items of each row, by place in ``lengths``.

    >>> first_fit([3, 4, 2, 1], 5)
    [[0, 2], [1, 3]]
    """
    leaves = 1 << max(len(lengths) - 1, 0).bit_length()
    room = [capacity] * (2 * leaves)
    rows: list[list[int]] = []
    for item, length in enumerate(lengths):
        node = 1
        while node < leaves:
            node = 2 * node if room[2 * node] >= length else 2 * node + 1
        room[node] -= length
        if node - leaves == len(rows):
            rows.append([])
        rows[node - leaves].append(item)
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return rows


def make_token_batch(
    lists: EncodedLists, packs: Sequence[Sequence[int]], row_length: int, batch_size: int
) -> TokenBatch:
    """A batch with one row for each pack of examples, filled up with masked rows to ``batch_size``."""
    shape = batch_size, row_length
    batch = TokenBatch(
        tokens=np.full(shape, lists.pad_id, np.int32),
        targets=np.full(shape, lists.pad_id, np.int32),
        loss_mask=np.zeros(shape, bool),
        segment_ids=np.zeros(shape, np.int32),
        positions=np.zeros(shape, np.int32),
    )
    for row, pack in enumerate(packs):
        start = 0
        for segment, example in enumerate(pack, start=1):
            prompt = lists.prompt(np.searchsorted(lists.list_starts, example, side="right") - 1)
            sequence = np.concatenate([prompt, lists.response(example)])
            stop = start + len(sequence) - 1
            batch.tokens[row, start:stop] = sequence[:-1]
            batch.targets[row, start:stop] = sequence[1:]
            batch.loss_mask[row, start + len(prompt) - 1 : stop] = True
            batch.segment_ids[row, start:stop] = segment
            batch.positions[row, start:stop] = np.arange(stop - start)
            start = stop
    return batch


def _plan_epoch(num_rows, batch_size, drop_remainder, seed, shuffle, epoch) -> list[Int[np.ndarray, "..."]]:
    order = np.random.default_rng((seed, epoch)).permutation(num_rows) if shuffle else np.arange(num_rows)
    count = pipeline.num_batches(num_rows, batch_size, drop_remainder)
    return [order[number * batch_size : (number + 1) * batch_size] for number in range(count)]


def _process_batch(lists, packs, row_length, rows, planned) -> TokenBatch:
    return make_token_batch(lists, [packs[i] for i in planned[rows]], row_length, rows.stop - rows.start)
