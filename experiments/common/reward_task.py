"""What a reward model experiment needs to know of its data, and the figures that any rule for rewards gets on it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.common.lists import MIN_GAP, over_prompts, padded
from experiments.common.task import Row
from jaxalign import data, metrics
from jaxalign.data import EncodedLists, HfTokenizer, PreferencePair, PreferenceRecord

ScoreFn = Callable[[Sequence[PreferenceRecord]], np.ndarray]
"""``score_fn(records) -> [N, n]``: a number for each response, higher is better; anything where a record has fewer."""


class RewardTask(NamedTuple):
    """Data of one world."""

    tokenizer: HfTokenizer
    demonstrations: EncodedLists  # what a backbone from scratch first learns to imitate
    pairs: list[PreferencePair]  # what reward models are trained on
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
