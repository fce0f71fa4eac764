"""Held-out lists side by side, and metrics of them with intervals over prompts."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.task import estimate
from jaxalign.data import PreferenceRecord
from jaxalign.io.report import Estimate

MIN_GAP = 0.1  # pairs whose labels differ by less are not counted: the judge was not sure


class Padded(NamedTuple):
    """Each ``[N, n]``."""

    labels: np.ndarray
    lengths: np.ndarray  # characters
    where: np.ndarray


def padded(records: Sequence[PreferenceRecord]) -> Padded:
    """Labels, lengths in characters, and which are real."""
    width = max(len(record.labels) for record in records)
    labels, lengths = np.zeros((2, len(records), width), np.float32)
    where = np.zeros(labels.shape, bool)
    for row, record in enumerate(records):
        count = len(record.labels)
        labels[row, :count], where[row, :count] = record.labels, True
        lengths[row, :count] = [len(response) for response in record.responses]
    return Padded(labels, lengths, where)


def over_prompts(metric, *arrays: np.ndarray, **more: np.ndarray) -> Estimate:
    """``metric`` of each list, over all lists; arrays are ``[N, n]`` and passed on row by row."""
    per_prompt = jax.jit(jax.vmap(lambda arrays, more: metric(*arrays, **more)))
    return estimate(per_prompt(*jax.tree.map(jnp.asarray, (arrays, more))))
