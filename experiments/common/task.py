"""What an alignment experiment needs to know of its data: the seam between a method and a world."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxalign import metrics
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord
from jaxalign.io.report import Estimate
from jaxalign.models import Decoder, EncoderDecoder
from jaxalign.numerics import Ratio
from jaxalign.typing import Params

Row = Mapping[str, Estimate]
"""Held-out figures of one policy, by name."""

EstimatesFn = Callable[[Mapping[Any, Ratio]], dict[Any, Estimate]]
"""``estimates(per_prompt)``: :func:`estimates`, or :func:`points`."""


class Policy(NamedTuple):
    """A model and its parameters."""

    model: Decoder | EncoderDecoder
    params: Params


class Sample(NamedTuple):
    """One response that a policy gave."""

    prompt: str
    response: str
    num_tokens: int  # end of sequence included


class Task(NamedTuple):
    """Data of one world."""

    tokenizer: HfTokenizer
    demonstrations: EncodedLists  # what supervised fine-tuning imitates
    make_lists: Callable[[Policy, Array], EncodedLists]  # (sft, key): labelled lists to align on
    evaluate: Callable[[Policy, Policy, Array], Row]  # (policy, sft, key), with sft itself first
    baselines: Callable[[Array], Mapping[str, Row]]  # (key): figures of rules that need no policy
    samples: Callable[[Policy, Array], list[Sample]]  # (policy, key): responses to held-out prompts
    preferences: Callable[[Policy, Array], list[PreferenceRecord]] | None = None
    """(sft, key): labelled responses to other prompts, what a reward model may learn from."""


def estimate(per_prompt: Ratio) -> Estimate:
    """Returns the ratio over all prompts with its 95 % bootstrap interval, prompts being resampled."""
    return estimates({"": per_prompt})[""]


def estimates(per_prompt: Mapping[Any, Ratio]) -> dict[Any, Estimate]:
    """Does what :func:`estimate` does for many ratios; those over as many prompts share their resamples, and are fast.

    Args:
      per_prompt: ratios ``[N]`` by name; N may differ from one to the next.
    """
    parts = {name: np.asarray(tuple(ratio), np.float32) for name, ratio in per_prompt.items()}
    found = {}
    for number in {part.shape[1] for part in parts.values()}:
        names = [name for name, part in parts.items() if part.shape[1] == number]
        together = Ratio(*np.stack([parts[name] for name in names], axis=-1))
        ends = metrics.bootstrap_interval(jax.random.key(0), Ratio(*map(jnp.asarray, together)))
        with np.errstate(invalid="ignore"):  # a ratio over nothing is NaN
            values = together.numerator.sum(axis=0) / together.denominator.sum(axis=0)
        found |= dict(zip(names, map(_estimate, values, *map(np.asarray, ends)), strict=True))
    return {name: found[name] for name in parts}


def points(per_prompt: Mapping[Any, Ratio]) -> dict[Any, Estimate]:
    """Returns the ratios over all prompts alone, for the intervals of several seeds, which take their place."""
    with np.errstate(invalid="ignore"):  # a ratio over nothing is NaN
        return {
            name: exactly(float(np.sum(ratio.numerator) / np.sum(ratio.denominator)))
            for name, ratio in per_prompt.items()
        }


def _estimate(value, low, high) -> Estimate:
    return Estimate(float(value), float(low), float(high))


def exactly(value: float) -> Estimate:
    """Returns a number that no draw of prompts changes: a cost, a count."""
    return Estimate(value, value, value)


def mean_over_prompts(values: np.ndarray) -> Estimate:
    """Averages ``[prompts, samples]``, with an interval over prompts."""
    values = np.asarray(values, np.float32)
    return estimate(Ratio(values.sum(axis=1), np.full(len(values), values.shape[1], np.float32)))
