"""Held-out lists side by side, and metrics of them with intervals over prompts."""

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common.task import estimate
from jaxalign import metrics
from jaxalign.data import PreferenceRecord
from jaxalign.data.records.record import Answer
from jaxalign.io.report import Estimate
from jaxalign.numerics import Ratio

MIN_GAP = 0.1  # pairs whose labels differ by less are not counted: the judge was not sure
pairwise_accuracy = functools.partial(metrics.pairwise_accuracy_metric, min_gap=MIN_GAP)


class Padded(NamedTuple):
    """What lists of unlike lengths have side by side, each ``[N, n]``."""

    labels: np.ndarray
    lengths: np.ndarray  # characters
    where: np.ndarray


def padded(records: Sequence[PreferenceRecord]) -> Padded:
    """Returns labels, lengths in characters, and which are real."""
    width = max(len(record.labels) for record in records)
    labels, lengths = np.zeros((2, len(records), width), np.float32)
    where = np.zeros(labels.shape, bool)
    for row, record in enumerate(records):
        count = len(record.labels)
        labels[row, :count], where[row, :count] = record.labels, True
        lengths[row, :count] = list(map(_length, record.responses))
    return Padded(labels, lengths, where)


def spread_over_labels(record: PreferenceRecord, count: int) -> PreferenceRecord:
    """Keeps ``count`` responses at even distances in the order of their labels, or all if there are no more."""
    order = np.argsort([-label for label in record.labels], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))]
    return dataclasses.replace(
        record,
        responses=tuple(record.responses[i] for i in chosen),
        labels=tuple(record.labels[i] for i in chosen),
    )


def _length(answer: Answer) -> int:
    """Counts characters; a message that says more than a text, for instance a tool call, is as long as its JSON."""
    return len(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))


def over_prompts(metric: Callable[..., Ratio], *arrays: np.ndarray, **more: np.ndarray) -> Estimate:
    """Computes ``metric`` over all lists; arrays are ``[N, n]`` and passed on row by row."""
    return estimate(_of_each(metric, *jax.tree.map(jnp.asarray, (arrays, more))))


@functools.partial(jax.jit, static_argnums=0)
def _of_each(metric: Callable[..., Ratio], arrays: tuple[Array, ...], more: dict[str, Array]) -> Ratio:
    return jax.vmap(lambda arrays, more: metric(*arrays, **more))(arrays, more)
