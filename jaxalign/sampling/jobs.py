"""Continuous batching: a list of jobs of any length through a fixed number of slots.

A slot holds one sample. When it ends, the next sample takes its slot at once, so that none waits for the longest of a
batch. The text of a sample does not depend on its neighbours, the number of slots, or when it began: sample k of job i
is what :func:`~jaxalign.sampling.generate` draws as sample k of row i from the same key (up to rounding, where two
tokens are almost equally likely).
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array

from jaxalign.sampling.checks import check_sizes
from jaxalign.sampling.readers import split_once
from jaxalign.sampling.rules import Rule
from jaxalign.sampling.slots import check_room, decode, insert, open_slots
from jaxalign.sampling.waiting import Job, prefilled
from jaxalign.typing import Params

StopFn = Callable[[Sequence[int]], int | None]
"""``stop(tokens)``: after how many of them the text ends, None if it goes on."""


class Completion(NamedTuple):
    """A sample that has ended."""

    job: int
    sample: int
    tokens: tuple[int, ...]  # the stop token included, or all that a stop string was found in
    logps: tuple[float, ...]  # nats under the model at temperature 1
    finish: Literal["stop_token", "stop_string", "length"]


def job_numbers(prompts: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Returns a number of 32 bits for each distinct prompt, by its tokens, so that neighbours change no sample.

    Of two prompts with one hash the later one takes the next number that is free.

    Args:
      prompts: token ids; equal ones get one number.

    >>> len(job_numbers([(1, 2), (3,), (1, 2)]))
    2
    """
    numbers: dict[tuple[int, ...], int] = {}
    taken: set[int] = set()
    for prompt in dict.fromkeys(prompts):
        number = zlib.crc32(np.asarray(prompt, np.int64).tobytes())
        while number in taken:
            number = (number + 1) % 2**32
        taken.add(number)
        numbers[prompt] = number
    return numbers


def never(tokens: Sequence[int]) -> int | None:
    """The :data:`StopFn` of texts that end by a token or their length."""
    return None


def run_jobs(
    model,
    params: Params,
    jobs: Iterable[Job],
    key: Array,
    *,
    num_slots: int,
    max_prompt_tokens: int,
    max_new_tokens: int,
    eos_id: int | tuple[int, ...],
    rule: Rule,
    stop: StopFn = never,
    stride: int = 16,
    sharding: NamedSharding | None = None,
) -> Iterator[Completion]:
    """Yields the samples of ``jobs`` as they end, by continuous batching: a sample that ends makes room for the next.

    A prompt is prefilled once for all its samples, and with others where many slots are free. Sample k of the job with
    number i is what ``generate`` draws as sample k of row i from the same key, up to rounding where two tokens are
    almost equally likely.

    Args:
      model: a decoder or an encoder-decoder, as ``models.build`` makes it.
      params: its parameters.
      jobs: prompts, and which samples of each are to be drawn; read as slots become free.
      key: consumed; each sample draws from a key of its own.
      num_slots: samples that are decoded side by side.
      max_prompt_tokens: room for a prompt in each slot.
      max_new_tokens: tokens of a sample at most, the end of sequence included.
      eos_id: the token that ends a sample, or several such tokens.
      rule: how the next token is chosen, such as ``sampling.greedy``.
      stop: looks at each sample every ``stride`` tokens, see :func:`jaxalign.sampling.stop_strings`.
      stride: tokens between two looks; ended samples make room only then.
      sharding: how slots are dealt out over the devices that hold ``params``: ``jaxalign.sharding.batch_sharding``.

    Returns:
      An iterator of completions, in the order in which they end.

    Raises:
      ValueError: (when iterated) a prompt without tokens or longer than ``max_prompt_tokens``; more than the model's
        positions; a size that is no whole number of at least 1.
    """
    sizes = {"num_slots": num_slots, "max_prompt_tokens": max_prompt_tokens, "max_new_tokens": max_new_tokens}
    check_sizes(**sizes, stride=stride)
    check_room(model.config, max_prompt_tokens, max_new_tokens)
    weights = split_once(model, params)
    slots = open_slots(model.config, num_slots, max_prompt_tokens, max_new_tokens, rule, sharding)
    one_at_a_time = _may_deadlock((params, slots))
    running: dict[int, _Running] = {}
    waiting = prefilled(
        model,
        weights,
        jobs,
        key,
        max_prompt_tokens=max_prompt_tokens,
        rule=rule,
        num_free=lambda: num_slots - len(running),
    )
    stop_ids = (eos_id,) if isinstance(eos_id, int) else eos_id
    while True:
        free = (slot for slot in range(num_slots) if slot not in running)
        # The slots come first, so that zip asks for a sample only when it has a slot.
        for slot, (job, sample, prompt, sample_key) in zip(free, waiting, strict=False):
            slots = insert(slots, np.int32(slot), prompt, sample_key, sharding=sharding)
            if one_at_a_time:
                slots.done.block_until_ready()
            running[slot] = _Running(job, sample, [], [])
        if not running:
            return
        slots, *drawn = decode(model, weights, slots, rule, stop_ids, stride, max_new_tokens, sharding)
        tokens, logps, mask, done = jax.device_get((*drawn, slots.done[:, 0]))
        for slot in sorted(running):
            sample = running[slot]
            sample.tokens.extend(tokens[slot][mask[slot]].tolist())
            sample.logps.extend(logps[slot][mask[slot]].tolist())
            ended = _ended(sample, stop(sample.tokens), bool(done[slot]), stop_ids)
            if ended is not None:
                del running[slot]
                yield ended


def _may_deadlock(arrays: Any) -> bool:
    """Whether programs must run one at a time: those of several CPU devices may wait for each other for ever.

    After 40 s XLA aborts the process. On accelerators programs run in the order of their dispatch.
    """
    spread = (leaf.devices() for leaf in jax.tree.leaves(arrays) if isinstance(leaf, jax.Array))
    return any(len(devices) > 1 and next(iter(devices)).platform == "cpu" for devices in spread)


class _Running(NamedTuple):
    job: int
    sample: int
    tokens: list[int]
    logps: list[float]


def _ended(sample: _Running, cut: int | None, done: bool, stop_ids: tuple[int, ...]) -> Completion | None:
    if cut is not None:
        tokens, logps = tuple(sample.tokens[:cut]), tuple(sample.logps[:cut])
        return Completion(sample.job, sample.sample, tokens, logps, "stop_string")
    if not done:
        return None
    finish = "stop_token" if sample.tokens[-1] in stop_ids else "length"
    return Completion(sample.job, sample.sample, tuple(sample.tokens), tuple(sample.logps), finish)
