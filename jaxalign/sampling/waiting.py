"""Samples that wait for a slot, and the prefill of their prompts, several at once where several slots are free.

One prompt alone leaves a device idle: on two CPU cores, eight prompts of 64 tokens take half as long together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array

from jaxalign.sampling.decode import Prompts
from jaxalign.sampling.readers import Weights
from jaxalign.sampling.rules import Rule
from jaxalign.sampling.slots import keys_of, padded_row, prefill_rows, row_of

TOGETHER = 8  # prompts; each number would be a program of its own, so there are this many or one
TOKENS_TOGETHER = 2048  # at most: long prompts fill a device alone, and their attention its memory


class Job(NamedTuple):
    """Samples to draw from one prompt."""

    number: int  # the row of ``generate`` that this job stands for: it determines the keys
    prompt: Sequence[int]  # at least one token
    samples: Sequence[int]  # which: 0, 1, ... K - 1, or those of them that are still missing


class Waiting(NamedTuple):
    """A sample whose prompt has been prefilled."""

    job: int
    sample: int
    prompt: Prompts  # of one row
    key: Array  # [1, 1]


def prefilled(
    model,
    weights: Weights,
    jobs: Iterable[Job],
    key: Array,
    *,
    max_prompt_tokens: int,
    rule: Rule,
    num_free: Callable[[], int],
) -> Iterator[Waiting]:
    """Yields the samples of ``jobs``, reading no more jobs than ``num_free()`` slots have room for when it asks."""
    jobs = iter(jobs)
    while taken := _take(jobs, num_free(), max_prompt_tokens):
        for group in _groups([(job, *padded_row(job.prompt, max_prompt_tokens)) for job in taken]):
            tokens, mask = (np.concatenate(rows) for rows in ([row[i] for row in group] for i in (1, 2)))
            prompts = prefill_rows(model, weights, tokens, mask, rule=rule)
            for row, (job, _, _) in enumerate(group):
                prompt = row_of(prompts, np.int32(row)) if len(group) > 1 else prompts
                keys = keys_of(key, np.array([job.number]), np.array(job.samples))
                for index, sample in enumerate(job.samples):
                    yield Waiting(job.number, sample, prompt, keys[:, index : index + 1])


def _take(jobs: Iterator[Job], slots: int, max_prompt_tokens: int) -> list[Job]:
    """The next jobs, as many as it takes to fill the slots."""
    taken = []
    while slots > 0 and (job := next(jobs, None)) is not None:
        _check_prompt(job, max_prompt_tokens)
        taken.append(job)
        slots -= len(job.samples)
    return taken


def _groups(rows: list[tuple[Job, np.ndarray, np.ndarray]]) -> Iterator[list[tuple[Job, np.ndarray, np.ndarray]]]:
    """Rows of one width, as many as may be prefilled together, or one."""
    by_width: dict[int, list] = {}
    for row in rows:
        by_width.setdefault(row[1].shape[1], []).append(row)
    for width, same in by_width.items():
        size = max(1, min(TOGETHER, TOKENS_TOGETHER // width))
        whole = len(same) - len(same) % size
        yield from (same[first : first + size] for first in range(0, whole, size))
        yield from ([row] for row in same[whole:])


def _check_prompt(job: Job, max_prompt_tokens: int) -> None:
    length = len(job.prompt)
    if not length:
        raise ValueError(f"job {job.number} has a prompt without tokens; begin it with the beginning-of-sequence token")
    if length > max_prompt_tokens:
        raise ValueError(
            f"job {job.number} has a prompt of {length} tokens, and slots have room for {max_prompt_tokens}; "
            "shorten it, leave it out, or raise max_prompt_tokens"
        )
