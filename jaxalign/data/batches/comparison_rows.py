"""Rows of comparisons for training, packed as by :func:`jaxalign.data.sft_batches`.

Any two responses of a list make a comparison. Which of them is shown first is drawn anew for each comparison in every
epoch, from the seed and the epoch's number alone, so that the model learns nothing from the place.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, Int

from jaxalign.data.batches import pipeline
from jaxalign.data.batches.packing import first_fit
from jaxalign.data.text.encoding import EncodedLists
from jaxalign.typing import ComparisonBatch, ComparisonFormat

VerdictFn = Callable[[float, float], tuple[float, float, float]]
"""``verdict_fn(first_label, second_label)``: the chances that the first wins, the second wins, neither."""


class Pairs(NamedTuple):
    """Two responses each, counted over all records as :meth:`~jaxalign.data.EncodedLists.response` does."""

    records: Int[np.ndarray, "M"]
    responses: Int[np.ndarray, "M 2"]


def hard_verdict(first_label: float, second_label: float) -> tuple[float, float, float]:
    """Returns a target with all on the response with the higher label, or, of equal labels, on neither.

    Args:
      first_label: the label of the response that is shown first.
      second_label: the label of the other one.

    Returns:
      The chances that the first wins, the second wins, neither.

    Source: LiPO (arXiv 2402.01878), the pairwise reward-ranking model.
    """
    return float(first_label > second_label), float(first_label < second_label), float(first_label == second_label)


def soft_verdict(first_label: float, second_label: float) -> tuple[float, float, float]:
    """Returns the labels themselves as a target, where they are the chances q and 1 - q that each response wins.

    Args:
      first_label: q, the label of the response that is shown first.
      second_label: 1 - q, the label of the other one.

    Returns:
      The chances that the first wins, the second wins, neither: q, 1 - q and 0.

    Raises:
      ValueError: if they do not sum to 1.
    """
    if abs(first_label + second_label - 1) > 1e-3:
        raise ValueError(f"expected two labels that sum to 1, got {first_label} and {second_label}; use hard_verdict")
    return first_label, 1 - first_label, 0.0


def comparison_batches(
    lists: EncodedLists,
    form: ComparisonFormat,
    *,
    batch_size: int,
    row_length: int,
    verdict_fn: VerdictFn = hard_verdict,
    packed: bool = True,
    seed: int = 0,
    shuffle: bool = True,
    num_epochs: int | None = None,
    drop_remainder: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> grain.IterDataset[ComparisonBatch]:
    """Returns a stream of comparisons as :class:`~jaxalign.typing.ComparisonBatch` of NumPy arrays.

    Batches are ``[batch_size, row_length]``. Records of one response give nothing.

    Args:
      lists: from :func:`~jaxalign.data.encode_comparison_lists`, with the same ``form``.
      form: the ids of markers and verdicts, from :func:`~jaxalign.data.comparison_format`.
      batch_size: rows of a batch, over all processes.
      row_length: L, tokens of a row.
      verdict_fn: makes the target of two labels, in the order in which the responses are shown.
      packed: False puts one comparison into each row.
      seed: the order of rows, and which response is shown first, depend on it and on the epoch only.
      shuffle: False keeps the order of the comparisons, and shows the response first that is stored first.
      num_epochs: passes over the data; None repeats for ever, in a new order each time.
      drop_remainder: True leaves out the last, incomplete batch of an epoch (others come up in the next). False fills
        it with rows that are masked throughout, so that an evaluation meets every record exactly once.
      process_index: which part of each batch to prepare, ``jax.process_index()``.
      process_count: the parts that a batch is divided into, ``jax.process_count()``.
      num_workers: processes that prepare batches; 0 prepares them in threads, which is enough unless rows are huge.
        Workers are spawned: a script needs its ``if __name__ == "__main__":``. A state fits the number of workers it
        came from.

    Raises:
      ValueError: if a comparison is longer than a row, if no record has two responses, or no batch could be filled.
    """
    pairs = all_pairs(lists)
    lengths = pair_lengths(lists, pairs, form)
    if lengths.max() > row_length:
        raise ValueError(
            f"expected rows that hold the longest comparison, {lengths.max()} tokens, got row_length {row_length}; "
            f"encode with smaller limits, now {lists.limits[0]} + 2 * {lists.limits[1]}"
        )
    order = np.random.default_rng(seed).permutation(len(lengths)) if shuffle else np.arange(len(lengths))
    packs = [[item] for item in order.tolist()]
    if packed:
        packs = [order[pack].tolist() for pack in first_fit(lengths[order].tolist(), row_length)]
    rows = pipeline.process_rows(batch_size, process_index, process_count)
    stream = pipeline.Stream(
        functools.partial(_plan_epoch, packs, len(lengths), batch_size, drop_remainder, seed, shuffle),
        functools.partial(_process_batch, lists, pairs, form, verdict_fn, row_length, max(map(len, packs)), rows),
        pipeline.num_batches(len(packs), batch_size, drop_remainder),
    )
    return pipeline.to_dataset(stream, num_epochs=num_epochs, num_workers=num_workers)


def all_pairs(lists: EncodedLists) -> Pairs:
    """Returns any two responses of each record, once; a warning counts the records that have only one.

    Args:
      lists: encoded lists with M responses in all.

    Returns:
      The record of each pair, and its two responses counted over all M.

    Raises:
      ValueError: if no record has two.
    """
    counts = np.diff(lists.list_starts)
    if counts.max() < 2:
        raise ValueError("no record has two responses to compare; read rows of one response each with group_by_id=True")
    if (lonely := int((counts < 2).sum())) > 0:
        warnings.warn(f"{lonely} of {len(counts)} records have one response and give no comparison", stacklevel=3)
    places = [np.stack(np.triu_indices(count, k=1), axis=1) for count in counts]
    records = np.repeat(np.arange(len(counts)), [len(of_record) for of_record in places])
    return Pairs(records, lists.list_starts[records][:, None] + np.concatenate(places))


def pair_lengths(lists: EncodedLists, pairs: Pairs, form: ComparisonFormat) -> Int[np.ndarray, "M"]:
    """The tokens of each comparison, markers included, the verdict not: the same whichever response comes first."""
    responses = np.diff(lists.response_starts)[pairs.responses].sum(axis=1)
    return np.diff(lists.prompt_starts)[pairs.records] + responses + len(form.first + form.second + form.end)


class _Planned(NamedTuple):
    """The comparisons of each row of a batch, and whether each of all comparisons is shown the other way round."""

    packs: Sequence[Sequence[int]]
    flips: Bool[np.ndarray, "M"]


def make_comparison_batch(
    lists: EncodedLists,
    pairs: Pairs,
    form: ComparisonFormat,
    verdict_fn: VerdictFn,
    planned: _Planned,
    *,
    row_length: int,
    num_segments: int,
    batch_size: int,
) -> ComparisonBatch:
    """A batch with one row for each pack of comparisons, filled up with masked rows to ``batch_size``."""
    shape, slots = (batch_size, row_length), (batch_size, num_segments)
    batch = ComparisonBatch(
        tokens=np.full(shape, lists.pad_id, np.int32),
        segment_ids=np.zeros(shape, np.int32),
        positions=np.zeros(shape, np.int32),
        verdict_positions=np.zeros(slots, np.int32),
        verdicts=np.zeros((*slots, 3), np.float32),
        where=np.zeros(slots, bool),
    )
    for row, pack in enumerate(planned.packs):
        start = 0
        for slot, item in enumerate(pack):
            first, second = pairs.responses[item][::-1] if planned.flips[item] else pairs.responses[item]
            parts = lists.prompt(pairs.records[item]), form.first, lists.response(first), form.second
            tokens = np.concatenate([*parts, lists.response(second), form.end])
            stop = start + len(tokens)
            batch.tokens[row, start:stop] = tokens
            batch.segment_ids[row, start:stop] = slot + 1
            batch.positions[row, start:stop] = np.arange(len(tokens))
            batch.verdict_positions[row, slot] = stop - 1
            batch.verdicts[row, slot] = verdict_fn(float(lists.labels[first]), float(lists.labels[second]))
            batch.where[row, slot] = True
            start = stop
    return batch


def _plan_epoch(packs, num_pairs, batch_size, drop_remainder, seed, shuffle, epoch) -> list[_Planned]:
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(packs)) if shuffle else np.arange(len(packs))
    flips = rng.random(num_pairs) < 0.5 if shuffle else np.zeros(num_pairs, bool)
    count = pipeline.num_batches(len(packs), batch_size, drop_remainder)
    batches = (order[number * batch_size : (number + 1) * batch_size] for number in range(count))
    return [_Planned([packs[row] for row in rows], flips) for rows in batches]


def _process_batch(lists, pairs, form, verdict_fn, row_length, num_segments, rows, planned) -> ComparisonBatch:
    sizes = {"row_length": row_length, "num_segments": num_segments, "batch_size": rows.stop - rows.start}
    planned = planned._replace(packs=planned.packs[rows])
    return make_comparison_batch(lists, pairs, form, verdict_fn, planned, **sizes)
