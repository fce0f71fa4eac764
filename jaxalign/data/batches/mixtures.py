"""Rows of tokens for supervised fine-tuning on several tasks at once, each with its share of the examples."""

import functools
from collections.abc import Sequence

import grain
import numpy as np
from jaxtyping import Int

from jaxalign.data.batches import pipeline
from jaxalign.data.batches.packing import example_lengths, first_fit, make_token_batch
from jaxalign.data.text.encoding import EncodedLists, join_lists
from jaxalign.typing import TokenBatch


def mixture_batches(
    tasks: Sequence[EncodedLists],
    weights: Sequence[float | int],
    *,
    batch_size: int,
    row_length: int,
    packed: bool = True,
    examples_per_epoch: int | None = None,
    seed: int = 0,
    num_epochs: int | None = None,
    drop_remainder: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> grain.IterDataset[TokenBatch]:
    """Returns a stream of examples of several tasks as :class:`~jaxalign.typing.TokenBatch` of NumPy arrays.

    The task of each example is drawn by the weights, independently of all others; within a task no example comes again
    before all others have come, within an epoch. An epoch is drawn from seed and epoch number alone, so that a stream
    resumes exactly. ``loss_mask`` is True on response tokens only: prompts add nothing to a loss.

    Args:
      tasks: encoded records of each task; every response is an example.
      weights: the share of the examples of each task, at least 0; they need not sum to 1.
      batch_size: rows of a batch, over all processes.
      row_length: L, tokens of a row. An example of n tokens takes n - 1, since its last one is only a target.
      packed: False puts one example into each row.
      examples_per_epoch: that are drawn anew together; None takes as many as the tasks have.
      seed: the draw and the order of rows depend on it and on the epoch only.
      num_epochs: draws in all; None goes on for ever.
      drop_remainder: True leaves out the last, incomplete batch of an epoch; False fills it with masked rows.
      process_index: which part of each batch to prepare, ``jax.process_index()``.
      process_count: the parts that a batch is divided into, ``jax.process_count()``.
      num_workers: processes that prepare batches; 0 prepares them in threads.

    Returns:
      The stream, whose iterator's state says where to continue.

    Raises:
      ValueError: for weights that are not one for each task, are negative or all 0; if an example is longer than a
        row, or no batch could be filled.
    """
    shares = _shares(weights, len(tasks))
    joined = join_lists(tasks)
    lengths = example_lengths(joined)
    if lengths.max() > row_length:
        raise ValueError(
            f"expected rows that hold the longest example, {lengths.max()} tokens, got row_length {row_length}; "
            f"encode with smaller limits, now {joined.limits[0]} + {joined.limits[1]}"
        )
    bounds = np.cumsum([0, *(len(task.response_starts) - 1 for task in tasks)])
    count = len(lengths) if examples_per_epoch is None else examples_per_epoch
    plan_rows = functools.partial(_plan_rows, lengths, bounds, shares, count, row_length if packed else 0, seed)
    rows = pipeline.process_rows(batch_size, process_index, process_count)
    make_batch = functools.partial(_process_batch, joined, row_length, rows)
    stream = pipeline.UnevenStream(plan_rows, make_batch, batch_size, drop_remainder)
    return pipeline.to_dataset(stream, num_epochs=num_epochs, num_workers=num_workers)


def draw_mixture(bounds, shares, count: int, rng: np.random.Generator) -> Int[np.ndarray, "count"]:
    """Draws ``count`` examples: the task of each by its share, and within a task one permutation after the other.

    Args:
      bounds: examples ``bounds[t]`` to ``bounds[t + 1]`` belong to task t.
      shares: of the tasks, with sum 1.
      count: how many to draw.
      rng: consumed.

    Returns:
      The numbers of the examples, ``[count]``.
    """
    drawn = rng.choice(len(shares), size=count, p=shares)
    examples = np.empty(count, int)
    for task, (low, high) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        places = np.flatnonzero(drawn == task)
        rounds = -(-len(places) // (high - low))
        order = [low + rng.permutation(high - low) for _ in range(rounds)]
        examples[places] = np.concatenate([np.zeros(0, int), *order])[: len(places)]
    return examples


def _plan_rows(lengths, bounds, shares, count: int, capacity: int, seed: int, epoch: int) -> list[list[int]]:
    """The examples of each row of an epoch; without a capacity a row has one."""
    rng = np.random.default_rng((seed, epoch))
    examples = draw_mixture(bounds, shares, count, rng)
    if not capacity:
        return [[int(example)] for example in examples]
    packs = first_fit(lengths[examples].tolist(), capacity)
    # First fit fills early rows best, so that their order would say how full they are.
    return [examples[packs[number]].tolist() for number in rng.permutation(len(packs))]


def _process_batch(lists: EncodedLists, row_length: int, rows: slice, packs: Sequence[Sequence[int]]) -> TokenBatch:
    return make_token_batch(lists, packs[rows], row_length, rows.stop - rows.start)


def _shares(weights: Sequence[float | int], count: int) -> np.ndarray:
    values = np.asarray(weights, float)
    if values.shape != (count,) or not np.isfinite(values).all() or (values < 0).any() or not values.sum():
        raise ValueError(f"expected one weight of at least 0 for each of {count} tasks, not all 0, got {list(weights)}")
    return values / values.sum()
