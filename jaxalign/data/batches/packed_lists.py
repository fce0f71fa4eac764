"""Batches of packed lists: several ragged lists in a row, so that little of a batch is padding.

A row has a place for the prompts of its lists and lanes for their responses, see
:class:`~jaxalign.typing.PackedListBatch`.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Float

from jaxalign.data.batches import pipeline
from jaxalign.data.batches.lists import Selection, check_rankable, draw_responses
from jaxalign.data.batches.packing import first_fit
from jaxalign.data.text.encoding import EncodedLists
from jaxalign.typing import PackedListBatch

OPEN_ROWS = 64  # that a list may still join; of 560 lists of 8 responses, more left no less padding
SAMPLE = 512  # lists by which a shape is chosen
SLACKS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)


class RowShape(NamedTuple):
    """The static shape of a packed row.

    Attributes:
      prompt: P, the tokens of all its prompts.
      lanes: N.
      lane: R, the tokens of a lane.
      lists: S, the most lists of a row.
      responses: K, the responses of a list.
    """

    prompt: int
    lanes: int
    lane: int
    lists: int
    responses: int

    @property
    def tokens(self) -> int:
        """What runs through the network, padding included."""
        return self.prompt + self.lanes * self.lane


def fit_row(lists: EncodedLists, *, list_size: int, row_length: int) -> RowShape:
    """Chooses the shape of rows of at most ``row_length`` tokens that suits the lists.

    A lane is as long as the longest response, which keeps attention short. How many tokens the prompts get is tried on
    a sample of lists, from a little less than their share of all tokens to half as much again; the least padding wins.

    Args:
      lists: encoded records.
      list_size: K.
      row_length: the most tokens of a row, prompts and lanes together.

    Returns:
      The shape.

    Raises:
      ValueError: if a row is too short for the longest prompt and K lanes.
    """
    prompts, responses = np.diff(lists.prompt_starts) - 1, np.diff(lists.response_starts)
    longest, lane = max(int(prompts.max()), 1), max(int(responses.max()), 1)
    if row_length < longest + list_size * lane:
        raise ValueError(
            f"expected rows that hold the longest prompt, {longest} tokens without its last (record "
            f"{prompts.argmax()}), and {list_size} responses as long as the longest, {lane} tokens (record "
            f"{lists.owners[responses.argmax()]}), got row_length {row_length}; make it {longest + list_size * lane} "
            f"or more, or encode with smaller limits, now {lists.limits[0]} + {lists.limits[1]}"
        )
    rng = np.random.default_rng(0)
    sample = draw_responses(lists, list_size, rng).take(rng.permutation(len(lists))[:SAMPLE])
    fed, feeding = (np.array(lengths) for lengths in _lengths(lists, sample))
    of_prompts, of_all = fed.mean(), fed.mean() + feeding.sum(axis=1).mean()

    def shape(slack: float) -> RowShape:
        prompt = max(math.ceil(slack * of_prompts / of_all * row_length), longest)
        prompt = min(prompt, row_length - list_size * lane)
        # Rows of many short lists are as good as closed when they hold twice the lists that they do on average.
        most = max(math.ceil(2 * row_length / of_all), 1)
        return RowShape(prompt, (row_length - prompt) // lane, lane, lists=most, responses=list_size)

    return min(map(shape, SLACKS), key=lambda shape: len(pack_lists(lists, sample, shape)) * shape.tokens)


def packed_list_batches(
    lists: EncodedLists,
    shape: RowShape,
    *,
    batch_size: int,
    reference_logps: Float[np.ndarray, "N n"] | None = None,
    seed: int = 0,
    shuffle: bool = True,
    num_epochs: int | None = None,
    drop_remainder: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> grain.IterDataset[PackedListBatch]:
    """Returns a stream of packed lists as :class:`~jaxalign.typing.PackedListBatch` of NumPy arrays.

    Every epoch draws lists as :func:`~jaxalign.data.list_batches` does and packs them anew, so that epochs may differ
    by a batch; a stream that continues in a later epoch plans those before it once more.

    Args:
      lists: N encoded records.
      shape: of a row, for instance from :func:`fit_row`.
      batch_size: rows of a batch, over all processes. Each holds as many lists as fit.
      reference_logps: by record and response, from :func:`~jaxalign.data.load_reference_logps`, in nats. Without it
        they are NaN, so that a loss that needs them cannot go unnoticed.
      seed: the order of records and the choice of responses depend on it and on the epoch only.
      shuffle: False keeps the order of the records and takes the first K responses.
      num_epochs: passes over the data; None repeats for ever, in a new order each time.
      drop_remainder: True leaves out the last, incomplete batch of an epoch (others come up in the next). False fills
        it with rows that are masked throughout, so that an evaluation meets every record exactly once.
      process_index: which part of each batch to prepare, ``jax.process_index()``.
      process_count: the parts that a batch is divided into, ``jax.process_count()``.
      num_workers: processes that prepare batches; 0 prepares them in threads, which is enough unless rows are huge.
        Workers are spawned: a script needs its ``if __name__ == "__main__":``. A state fits the number of workers it
        came from.

    Raises:
      ValueError: if some list may not fit a row, naming its record, if no batch could be filled, or if no record has
        two responses to compare.
    """
    check_rankable(lists, shape.responses)
    check_shape(lists, shape)
    rows = pipeline.process_rows(batch_size, process_index, process_count)
    stream = pipeline.UnevenStream(
        functools.partial(_plan_rows, lists, shape, seed, shuffle),
        functools.partial(_process_batch, lists, reference_logps, shape, rows),
        batch_size,
        drop_remainder,
    )
    return pipeline.to_dataset(stream, num_epochs=num_epochs, num_workers=num_workers)


def check_shape(lists: EncodedLists, shape: RowShape) -> None:
    """ValueError if some list may not fit a row: at worst K responses are as long as the longest."""
    prompts, responses = np.diff(lists.prompt_starts) - 1, np.diff(lists.response_starts)
    if prompts.max() > shape.prompt:
        raise ValueError(
            f"expected room for every prompt, got {shape.prompt} tokens a row for the {prompts.max()} of record "
            f"{prompts.argmax()} (its last is fed with the responses); data.fit_row finds a shape"
        )
    longest = max(int(responses.max()), 1)
    if shape.lanes * (shape.lane // longest) < shape.responses:
        raise ValueError(
            f"expected room for {shape.responses} responses as long as the longest, {longest} tokens (record "
            f"{lists.owners[responses.argmax()]}), got {shape.lanes} lanes of {shape.lane}; data.fit_row finds a shape"
        )


def pack_lists(lists: EncodedLists, selection: Selection, shape: RowShape) -> list[list[int]]:
    """Puts each selected list into the first of the latest rows with room for it; the lists of each row."""
    prompts, responses = _lengths(lists, selection)
    sums = [sum(lengths) for lengths in responses]

    def fits(items: list[int]) -> bool:
        return (
            len(items) <= shape.lists
            and sum(prompts[item] for item in items) <= shape.prompt
            and sum(sums[item] for item in items) <= shape.lanes * shape.lane
            and len(_fill_lanes([responses[item] for item in items], shape.lane)) <= shape.lanes
        )

    rows: list[list[int]] = []
    for item in range(len(prompts)):
        row = next((row for row in rows[-OPEN_ROWS:] if fits([*row, item])), None)
        if row is None:
            rows.append([item])
        else:
            row.append(item)
    return rows


def make_packed_list_batch(
    lists: EncodedLists,
    reference_logps: Float[np.ndarray, "N n"] | None,
    shape: RowShape,
    packs: Sequence[Selection],
    batch_size: int,
) -> PackedListBatch:
    """A batch with one row for each pack of lists, filled up with masked rows to ``batch_size``."""
    prompts, lanes = (batch_size, shape.prompt), (batch_size, shape.lanes, shape.lane)
    numbers = batch_size, shape.lists, shape.responses
    batch = PackedListBatch(
        prompt_tokens=np.full(prompts, lists.pad_id, np.int32),
        prompt_lists=np.zeros(prompts, np.int32),
        prompt_positions=np.zeros(prompts, np.int32),
        response_tokens=np.full(lanes, lists.pad_id, np.int32),
        targets=np.full(lanes, lists.pad_id, np.int32),
        response_lists=np.zeros(lanes, np.int32),
        response_slots=np.zeros(lanes, np.int32),
        response_positions=np.zeros(lanes, np.int32),
        labels=np.zeros(numbers, np.float32),
        where=np.zeros(numbers, bool),
        reference_logps=np.zeros(numbers, np.float32),
    )
    for index, selection in enumerate(packs):
        row = PackedListBatch(*(array[index] for array in batch))
        _fill_prompts(row, lists, selection)
        _fill_responses(row, lists, selection)
        _fill_numbers(row, lists, reference_logps, selection)
    return batch


def _fill_prompts(row: PackedListBatch, lists: EncodedLists, selection: Selection) -> None:
    start = 0
    for number, record in enumerate(selection.records, start=1):
        prompt = lists.prompt(record)[:-1]
        at = slice(start, start + len(prompt))
        row.prompt_tokens[at], row.prompt_lists[at], row.prompt_positions[at] = prompt, number, np.arange(len(prompt))
        start = at.stop


def _fill_responses(row: PackedListBatch, lists: EncodedLists, selection: Selection) -> None:
    _, lengths = _lengths(lists, selection)
    for lane, places in enumerate(_fill_lanes(lengths, row.targets.shape[1])):
        start = 0
        for number, slot in places:
            record = selection.records[number]
            prompt = lists.prompt(record)
            response = lists.response(lists.list_starts[record] + selection.responses[number, slot])
            at = lane, slice(start, start + len(response))
            row.response_tokens[at] = np.concatenate([prompt[-1:], response[:-1]])
            row.targets[at] = response
            row.response_lists[at], row.response_slots[at] = number + 1, slot + 1
            row.response_positions[at] = len(prompt) - 1 + np.arange(len(response))
            start = at[1].stop


def _fill_numbers(row: PackedListBatch, lists: EncodedLists, reference_logps, selection: Selection) -> None:
    for number, (record, chosen) in enumerate(zip(*selection, strict=True)):
        slots = np.flatnonzero(chosen >= 0)
        row.where[number, slots] = True
        row.labels[number, slots] = lists.labels[lists.list_starts[record] + chosen[slots]]
        row.reference_logps[number, slots] = (
            np.nan if reference_logps is None else reference_logps[record, chosen[slots]]
        )


def _lengths(lists: EncodedLists, selection: Selection) -> tuple[list[int], list[list[int]]]:
    """The tokens that each selected list feeds: of its prompt, and of the response in each slot (0: none)."""
    prompts = np.diff(lists.prompt_starts)[selection.records] - 1
    index = lists.list_starts[selection.records][:, None] + np.maximum(selection.responses, 0)
    responses = np.where(selection.responses < 0, 0, np.diff(lists.response_starts)[index])
    return prompts.tolist(), responses.tolist()


def _fill_lanes(lengths: Sequence[Sequence[int]], lane: int) -> list[list[tuple[int, int]]]:
    """The responses ``(list, slot)`` of each lane, the longest placed first."""
    places = [(number, slot) for number, of in enumerate(lengths) for slot, length in enumerate(of) if length]
    places.sort(key=lambda place: -lengths[place[0]][place[1]])
    lanes = first_fit([lengths[number][slot] for number, slot in places], lane)
    return [[places[item] for item in items] for items in lanes]


def _plan_rows(lists, shape, seed, shuffle, epoch) -> list[Selection]:
    rng = np.random.default_rng((seed, epoch)) if shuffle else None
    selection = draw_responses(lists, shape.responses, rng)
    if not shuffle:
        return [selection.take(row) for row in pack_lists(lists, selection, shape)]
    selection = selection.take(rng.permutation(len(lists)))
    rows = pack_lists(lists, selection, shape)
    return [selection.take(rows[number]) for number in rng.permutation(len(rows))]


def _process_batch(lists, reference_logps, shape, rows, planned) -> PackedListBatch:
    return make_packed_list_batch(lists, reference_logps, shape, planned[rows], rows.stop - rows.start)
