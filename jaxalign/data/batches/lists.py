"""Batches of lists: K responses to each prompt, in few static shapes."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Float, Int

from jaxalign.data.batches import pipeline
from jaxalign.data.text.encoding import EncodedLists
from jaxalign.typing import ListBatch

Bucket = tuple[int, int]
"""The static shape of a batch: tokens of a prompt (P) and of a response (R)."""


class Selection(NamedTuple):
    """Which responses of which records make lists; responses are counted within their record, -1 stands for none."""

    records: Int[np.ndarray, "M"]
    responses: Int[np.ndarray, "M K"]

    def take(self, rows) -> "Selection":
        return Selection(self.records[rows], self.responses[rows])


def list_batches(
    lists: EncodedLists,
    *,
    batch_size: int,
    list_size: int,
    buckets: Sequence[Bucket] | None = None,
    reference_logps: Float[np.ndarray, "N n"] | None = None,
    seed: int = 0,
    shuffle: bool = True,
    num_epochs: int | None = None,
    drop_remainder: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> grain.IterDataset[ListBatch]:
    """Returns a stream of lists as :class:`~jaxalign.typing.ListBatch` of NumPy arrays.

    Tokens come first and padding behind. A record with more than K responses gives K of them, drawn anew in every
    epoch; one with fewer is filled up with slots where ``where`` is False. Drawn lists are in random order, so that
    ties are not broken by how data are stored.

    Args:
      lists: N encoded records.
      batch_size: lists of a batch, over all processes.
      list_size: K.
      buckets: shapes (P, R), each at least as large as the one before in both; a list goes to the first that holds it,
        and what does not fill a batch there goes on to the next. None is one shape, the limits of the encoding.
      reference_logps: by record and response, from :func:`~jaxalign.data.load_reference_logps`, in nats. Without it
        they are NaN, so that a loss that needs them cannot go unnoticed. Where ``where`` is False they are 0.
      seed: the order of records and the choice of responses depend on it and on the epoch only.
      shuffle: False keeps the order of the records within each shape and takes the first K responses.
      num_epochs: passes over the data; None repeats for ever, in a new order each time.
      drop_remainder: True leaves out the last, incomplete batch of an epoch (others come up in the next). False fills
        it with rows that are masked throughout, so that an evaluation meets every record exactly once.
      process_index: which part of each batch to prepare, ``jax.process_index()``.
      process_count: the parts that a batch is divided into, ``jax.process_count()``.
      num_workers: processes that prepare batches; 0 prepares them in threads, which is enough unless rows are huge.
        Workers are spawned: a script needs its ``if __name__ == "__main__":``. A state fits the number of workers it
        came from.

    Raises:
      ValueError: if the buckets do not grow or do not hold everything, if no batch could be filled, or if no record
        has two responses to compare.
    """
    check_rankable(lists, list_size)
    buckets = check_buckets(lists, buckets)
    plan = functools.partial(_plan_epoch, lists, list_size, buckets, batch_size, drop_remainder, seed, shuffle)
    rows = pipeline.process_rows(batch_size, process_index, process_count)
    stream = pipeline.Stream(
        plan,
        functools.partial(_process_batch, lists, reference_logps, batch_size, rows),
        pipeline.num_batches(len(lists), batch_size, drop_remainder),
    )
    return pipeline.to_dataset(stream, num_epochs=num_epochs, num_workers=num_workers)


def draw_responses(lists: EncodedLists, list_size: int, rng: np.random.Generator | None) -> Selection:
    """One list per record: a random choice in random order, or, without ``rng``, the first responses as they are."""
    owners, slots = _slots(lists)
    # Random keys sort the responses of each record; those that land in the first K slots are chosen.
    chosen = slots if rng is None else slots[np.lexsort((rng.random(len(owners)), owners))]
    responses = np.full((len(lists), list_size), -1)
    inside = slots < list_size
    responses[owners[inside], slots[inside]] = chosen[inside]
    return Selection(np.arange(len(lists)), responses)


def all_responses(lists: EncodedLists, list_size: int) -> Selection:
    """Every response exactly once: records with more than K take several lists."""
    owners, slots = _slots(lists)
    lists_of_record = -(-np.diff(lists.list_starts) // list_size)
    first = np.cumsum(lists_of_record) - lists_of_record
    responses = np.full((lists_of_record.sum(), list_size), -1)
    responses[first[owners] + slots // list_size, slots % list_size] = slots
    return Selection(np.repeat(np.arange(len(lists)), lists_of_record), responses)


def plan_batches(
    lists: EncodedLists, selection: Selection, buckets: Sequence[Bucket], batch_size: int, drop_remainder: bool
) -> list[tuple[Bucket, Selection]]:
    """Batches of one shape each, in order of shape; their number depends on that of lists and batch size only."""
    prompts = np.diff(lists.prompt_starts)[selection.records]
    index = lists.list_starts[selection.records][:, None] + selection.responses
    lengths = np.diff(lists.response_starts)[np.where(selection.responses < 0, 0, index)]
    responses = np.where(selection.responses < 0, 0, lengths).max(axis=1)
    fits = [(prompts <= p) & (responses <= r) for p, r in buckets]
    smallest = np.argmax(fits, axis=0)
    batches, waiting = [], np.zeros(0, int)
    for number, bucket in enumerate(buckets):
        waiting = np.concatenate([waiting, np.flatnonzero(smallest == number)])
        full = len(waiting) // batch_size * batch_size
        batches += [(bucket, selection.take(rows)) for rows in waiting[:full].reshape(-1, batch_size)]
        waiting = waiting[full:]
    if len(waiting) and not drop_remainder:
        batches.append((buckets[-1], selection.take(waiting)))
    return batches


def make_list_batch(
    lists: EncodedLists,
    reference_logps: Float[np.ndarray, "N n"] | None,
    bucket: Bucket,
    selection: Selection,
    batch_size: int,
) -> ListBatch:
    """A batch of the selected lists, filled up with masked rows to ``batch_size``."""
    (p, r), k = bucket, selection.responses.shape[1]
    where = np.zeros((batch_size, k), bool)
    where[: len(selection.records)] = selection.responses >= 0
    batch = ListBatch(
        prompt_tokens=np.full((batch_size, p), lists.pad_id, np.int32),
        prompt_mask=np.zeros((batch_size, p), bool),
        response_tokens=np.full((batch_size, k, r), lists.pad_id, np.int32),
        response_mask=np.zeros((batch_size, k, r), bool),
        labels=np.zeros((batch_size, k), np.float32),
        where=where,
        reference_logps=np.where(where, np.float32(np.nan), np.float32(0)),
    )
    for row, (record, chosen) in enumerate(zip(*selection, strict=True)):
        _fill(batch.prompt_tokens[row], batch.prompt_mask[row], lists.prompt(record))
        for slot in np.flatnonzero(chosen >= 0):
            index = lists.list_starts[record] + chosen[slot]
            _fill(batch.response_tokens[row, slot], batch.response_mask[row, slot], lists.response(index))
            batch.labels[row, slot] = lists.labels[index]
            if reference_logps is not None:
                batch.reference_logps[row, slot] = reference_logps[record, chosen[slot]]
    return batch


def check_rankable(lists: EncodedLists, list_size: int) -> None:
    """ValueError if every list would have one response, where more are wanted."""
    if list_size > 1 and np.diff(lists.list_starts).max() < 2:
        raise ValueError("no record has two responses to rank; read rows of one response each with group_by_id=True")


def check_buckets(lists: EncodedLists, buckets: Sequence[Bucket] | None) -> Sequence[Bucket]:
    """The buckets, or the one that the limits make; ValueError if they do not serve."""
    if buckets is None:
        return (lists.limits,)
    longest = int(np.diff(lists.prompt_starts).max()), int(np.diff(lists.response_starts).max())
    grows = all(a[0] <= b[0] and a[1] <= b[1] for a, b in zip(buckets, buckets[1:], strict=False))
    if not grows or buckets[-1][0] < longest[0] or buckets[-1][1] < longest[1]:
        raise ValueError(
            f"expected buckets (P, R) that grow in both and end with at least {longest}, the longest prompt and "
            f"response, got {buckets}; enlarge the last one or encode with smaller limits"
        )
    return tuple(buckets)


def _plan_epoch(lists, list_size, buckets, batch_size, drop_remainder, seed, shuffle, epoch):
    rng = np.random.default_rng((seed, epoch)) if shuffle else None
    selection = draw_responses(lists, list_size, rng)
    if not shuffle:
        return plan_batches(lists, selection, buckets, batch_size, drop_remainder)
    selection = selection.take(rng.permutation(len(lists)))
    batches = plan_batches(lists, selection, buckets, batch_size, drop_remainder)
    return [batches[number] for number in rng.permutation(len(batches))]


def _process_batch(lists, reference_logps, batch_size, rows, planned) -> ListBatch:
    bucket, selection = planned
    return make_list_batch(lists, reference_logps, bucket, selection.take(rows), rows.stop - rows.start)


def _slots(lists: EncodedLists) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"]]:
    """The record of each response, and its place there."""
    owners = lists.owners
    return owners, np.arange(len(owners)) - lists.list_starts[owners]


def _fill(tokens: Int[np.ndarray, "L"], mask, values) -> None:
    tokens[: len(values)] = values
    mask[: len(values)] = True
