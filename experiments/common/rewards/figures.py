"""The figures that a reward model, or any other rule, gets on held-out lists and pairs; intervals are over prompts."""

import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common.lists import MIN_GAP, over_prompts, padded, pairwise_accuracy
from experiments.common.report import DIAGONAL, Figures, reliability_line
from experiments.common.rewards.task import Artifact, Opinion, OpinionFn, RewardTask
from experiments.common.task import Row
from jaxalign import metrics
from jaxalign.data import PreferencePair, PreferenceRecord
from jaxalign.io import report as reports
from jaxalign.io.report import Estimate
from jaxalign.io.report.figures import Series

BEST_OF: Mapping[int, functools.partial] = {
    n: functools.partial(metrics.best_of_n_metric, n=n) for n in (1, 2, 4, 8, 16)
}
"""Responses to choose the best of, where a test has as many, and the metric, compiled once for all judges."""
BEST_OF_TABLE = "{}: true label of the best of n by each rule"


def longer_wins(records: Sequence[PreferenceRecord]) -> Opinion:
    """Scores responses by their length: the rule to beat."""
    return Opinion(padded(records).lengths)


def random_scores(records: Sequence[PreferenceRecord]) -> Opinion:
    """Scores responses at random, with the same numbers for the same places: a rule that knows nothing."""
    return Opinion(np.random.default_rng(0).random(padded(records).labels.shape, np.float32))


BASELINES = {"longer wins": longer_wins, "random": random_scores}


def evaluate(task: RewardTask, judges: Mapping[str, OpinionFn]) -> tuple[dict[str, Figures], Series]:
    """Makes tables of baselines and judges, one a test, one of best-of-n for lists; and reliability on the first test.

    Each judge reads every test twice: as it is, and with the artifact at each response.
    """
    tables: dict[str, Figures] = {}
    reliability: Series = {}
    for test, records in task.tests.items():
        marked = [with_artifact(record, task.artifact) for record in records]
        rules = {name: (judge_fn(records), judge_fn(marked)) for name, judge_fn in (BASELINES | judges).items()}
        tables[test] = {name: figures(*opinions, records) for name, opinions in rules.items()}
        if padded(records).labels.shape[1] > 2:
            best = {name: best_of_n_figures(opinion, records) for name, (opinion, _) in rules.items()}
            tables[BEST_OF_TABLE.format(test)] = best
        reliability = reliability or {name: reliability_curve(rules[name][0].chances, records) for name in judges}
    return tables, reliability


def sections(tables: Mapping[str, Figures], reliability: Series) -> list[reports.Section]:
    """Draws what :func:`evaluate` returns, all of it on the first test."""
    axes = "probability that the first response wins", "share of pairs in which it does"
    first = next(iter(tables))
    drawn: list = [reports.Reliability(f"{first}: reliability", {"": reliability}, *axes, DIAGONAL)]
    if best := tables.get(BEST_OF_TABLE.format(first)):
        lines = {
            rule: ([*BEST_OF][: len(row)], [figure.value for figure in row.values()]) for rule, row in best.items()
        }
        drawn.append(reports.Curves(BEST_OF_TABLE.format(first), lines, "n", "mean true label"))
    return drawn


def with_artifact(record: PreferenceRecord, artifact: Artifact) -> PreferenceRecord:
    """Returns the record with the artifact at each response."""
    pairs = [PreferencePair(record.prompt, response, response, 0.5) for response in record.responses]
    marked = tuple(artifact.put(pair, "first").first for pair in pairs)
    return PreferenceRecord(record.prompt, marked, record.labels, source=record.source, id=record.id)


def figures(opinion: Opinion, marked: Opinion, records: Sequence[PreferenceRecord]) -> Row:
    """Computes accuracy, the changes of choices that the artifact makes, and calibration where there are chances.

    Accuracy is over pairs whose labels differ by ``MIN_GAP``, all and those of like length. What a test has no pairs
    for is left out.

    Args:
      opinion: of the responses ``[N, n]``.
      marked: of the same responses, each with the artifact.
      records: the lists with their labels.
    """
    labels, lengths, where = padded(records)
    scores, marked_scores = (np.nan_to_num(x.scores) for x in (opinion, marked))
    row = {
        "accuracy": over_prompts(pairwise_accuracy, scores, labels, where=where),
        "length-matched": over_prompts(pairwise_accuracy, scores, labels, where=where, lengths=lengths),
        "choice changed": over_prompts(metrics.choice_change_metric, scores, marked_scores, where=where),
    }
    row = {name: figure for name, figure in row.items() if np.isfinite(figure.value)}
    return row if opinion.chances is None else row | chance_figures(opinion.chances, records)


def best_of_n_figures(opinion: Opinion, records: Sequence[PreferenceRecord]) -> Row:
    """Returns the mean label of the best-scored response among n, by n: what best-of-n sampling would give."""
    labels, _, where = padded(records)
    scores = np.nan_to_num(opinion.scores)
    return {
        f"n = {n}": over_prompts(metric, scores, labels, where=where)
        for n, metric in BEST_OF.items()
        if n <= labels.shape[1]
    }


def chance_figures(chances: np.ndarray, records: Sequence[PreferenceRecord]) -> Row:
    """Computes calibration (10 bins) and swap consistency of ``[N, n, n]``, response i shown first at [i, j]."""
    labels, pairs = _clear_pairs(records)
    tables = np.stack(_tables(chances, labels, pairs), axis=1)  # [N, 3, bins]
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(tables), np.full(len(tables), 1 / len(tables)), 1000)
    errors = [float(metrics.expected_calibration_error(_as_table(tables.sum(axis=0))))]
    errors += np.asarray(_errors(np.einsum("sn,ntb->stb", draws.astype(np.float32), tables))).tolist()
    swapped = chances.swapaxes(1, 2)
    return {
        "ECE": Estimate(errors[0], *np.quantile(errors[1:], (0.025, 0.975)).tolist()),
        "swap consistency": over_prompts(metrics.swap_consistency_metric, chances, swapped, where=pairs),
    }


def reliability_curve(chances: np.ndarray, records: Sequence[PreferenceRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean probability and the share of wins in each bin that has pairs."""
    return reliability_line(_table(chances, *_clear_pairs(records)))


def _clear_pairs(records: Sequence[PreferenceRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels ``[N, n]``, and the ordered pairs ``[N, n, n]`` whose labels differ by ``MIN_GAP`` or more."""
    labels, _, where = padded(records)
    clear = np.abs(labels[:, :, None] - labels[:, None, :]) >= MIN_GAP
    return labels, clear & where[:, :, None] & where[:, None, :]


def _table(chances: Array, labels: Array, pairs: Array) -> metrics.ReliabilityTable:
    chances, labels, pairs = map(jnp.asarray, (chances, labels, pairs))
    outcomes = 1.0 * (labels[..., :, None] > labels[..., None, :])
    return metrics.reliability_table(jnp.nan_to_num(chances), outcomes, where=pairs)


_tables = jax.jit(jax.vmap(_table))


def _as_table(sums: Array) -> metrics.ReliabilityTable:
    return metrics.ReliabilityTable(*sums)


def _error(sums: Array) -> Array:
    return metrics.expected_calibration_error(_as_table(sums))


_errors = jax.jit(jax.vmap(_error))
