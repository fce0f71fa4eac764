"""What a reward model experiment needs to know of its data, and the figures that any rule for rewards gets on it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.lists import MIN_GAP, over_prompts, padded
from experiments.common.task import Row
from jaxalign import data, metrics
from jaxalign.data import EncodedLists, HfTokenizer, PreferencePair, PreferenceRecord
from jaxalign.io.report import Estimate

ScoreFn = Callable[[Sequence[PreferenceRecord]], np.ndarray]
"""``score_fn(records) -> [N, n]``: a number for each response, higher is better; anything where a record has fewer."""


class RewardTask(NamedTuple):
    """Data of one world."""

    tokenizer: HfTokenizer
    demonstrations: EncodedLists  # what a backbone from scratch first learns to imitate
    pairs: list[PreferencePair]  # what reward models are trained on
    lists: list[PreferenceRecord]  # the same prompts with graded lists, for those that learn from lists
    tests: Mapping[str, list[PreferenceRecord]]  # held-out lists and pairs
    phrase: str  # the artifact: a beginning that says nothing about a response


def longer_wins(records: Sequence[PreferenceRecord]) -> np.ndarray:
    """The rule to beat."""
    return padded(records).lengths


def random_scores(records: Sequence[PreferenceRecord]) -> np.ndarray:
    """A rule that knows nothing: the same numbers for the same places."""
    return np.random.default_rng(0).random(padded(records).labels.shape, np.float32)


def with_phrase(record: PreferenceRecord, phrase: str) -> PreferenceRecord:
    """The record with the artifact before each response."""
    pairs = [PreferencePair(record.prompt, response, response, 0.5) for response in record.responses]
    marked = tuple(data.inject_artifact(pair, "first", phrase=phrase).first for pair in pairs)
    return PreferenceRecord(record.prompt, marked, record.labels, source=record.source, id=record.id)


def figures(score_fn: ScoreFn, records: Sequence[PreferenceRecord], phrase: str) -> Row:
    """What a rule gets on held-out lists, intervals over prompts.

    Accuracy over pairs whose labels differ by ``MIN_GAP``, all and those of like length; the mean label of the best of
    eight by the rule; how often the artifact changes a choice.
    """
    labels, lengths, where = padded(records)
    scores = np.nan_to_num(score_fn(records))
    marked = np.nan_to_num(score_fn([with_phrase(record, phrase) for record in records]))

    accuracy = functools.partial(metrics.pairwise_accuracy_metric, min_gap=MIN_GAP)
    row = {
        "accuracy": over_prompts(accuracy, scores, labels, where=where),
        "length-matched": over_prompts(accuracy, scores, labels, where=where, lengths=lengths),
        "choice changed": over_prompts(metrics.choice_change_metric, scores, marked, where=where),
    }
    if labels.shape[1] >= 8:
        row["best of 8"] = over_prompts(functools.partial(metrics.best_of_n_metric, n=8), scores, labels, where=where)
    return row


def chance_figures(chances: np.ndarray, records: Sequence[PreferenceRecord]) -> Row:
    """Calibration (10 bins) and swap consistency of probabilities ``[N, n, n]``, response i shown first at [i, j]."""
    labels, pairs = _clear_pairs(records)
    tables = np.stack(jax.vmap(_table)(chances, labels, pairs), axis=1)  # [N, 3, bins]
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(tables), np.full(len(tables), 1 / len(tables)), 1000)
    errors = [float(metrics.expected_calibration_error(_as_table(tables.sum(axis=0))))]
    errors += [float(e) for e in jax.vmap(_error)(np.einsum("sn,ntb->stb", draws.astype(np.float32), tables))]
    swapped = chances.swapaxes(1, 2)
    return {
        "ECE": Estimate(errors[0], *np.quantile(errors[1:], (0.025, 0.975)).tolist()),
        "swap consistency": over_prompts(metrics.swap_consistency_metric, chances, swapped, where=pairs),
    }


def reliability(chances: np.ndarray, records: Sequence[PreferenceRecord]) -> tuple[np.ndarray, np.ndarray]:
    """The mean probability and the share of wins in each bin that has pairs."""
    table = _table(chances, *_clear_pairs(records))
    filled = np.asarray(table.count) > 0
    return np.asarray(table.mean_probability)[filled], np.asarray(table.mean_outcome)[filled]


def _clear_pairs(records: Sequence[PreferenceRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Labels ``[N, n]``, and the ordered pairs ``[N, n, n]`` whose labels differ by ``MIN_GAP`` or more."""
    labels, _, where = padded(records)
    clear = np.abs(labels[:, :, None] - labels[:, None, :]) >= MIN_GAP
    return labels, clear & where[:, :, None] & where[:, None, :]


def _table(chances, labels, pairs) -> metrics.ReliabilityTable:
    chances, labels, pairs = map(jnp.asarray, (chances, labels, pairs))
    outcomes = 1.0 * (labels[..., :, None] > labels[..., None, :])
    return metrics.reliability_table(jnp.nan_to_num(chances), outcomes, where=pairs)


def _as_table(sums) -> metrics.ReliabilityTable:
    return metrics.ReliabilityTable(*sums)


def _error(sums):
    return metrics.expected_calibration_error(_as_table(sums))
