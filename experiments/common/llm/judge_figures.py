"""The figures of judges on pairs with known answers, what a report shows of them, and their predictions as a file."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.llm.engine import Meter
from experiments.common.llm.judge_methods import LONGER, Run
from experiments.common.report import Figures
from experiments.common.task import Row, estimate, exactly
from jaxalign import metrics
from jaxalign.data import PreferencePair
from jaxalign.data.comparisons import render_context
from jaxalign.io.report import Curves, Estimate, Table, Texts
from jaxalign.judge import Judgement, OrderArrays, Verdict, order_arrays
from jaxalign.numerics import Ratio

RESAMPLES = 1000
SHOWN = 6  # pairs of which a report shows everything


def tables(runs: Mapping[str, Run], pairs: Sequence[PreferencePair]) -> dict[str, Figures]:
    """Figures of every judge on all pairs, and on those of each source where there are several."""
    sources = dict.fromkeys(pair.source for pair in pairs)
    names = {"all pairs": [True] * len(pairs)}
    if len(sources) > 1:
        names |= {source: [pair.source == source for pair in pairs] for source in sources}
    return {
        test: {
            name: figures(name, _take(run, chosen), list(itertools.compress(pairs, chosen)))
            for name, run in runs.items()
        }
        for test, chosen in names.items()
    }


def figures(name: str, run: Run, pairs: Sequence[PreferencePair]) -> Row:
    """Accuracies, orders, calibration and cost, with 95 % bootstrap intervals over pairs.

    Unparsed judgements are left out and counted; "longer wins" has no answer for equal lengths. Pairs with a target of
    0.5 have no better side. ``accuracy`` goes by the mean of both orders, ``either order`` counts each by itself.
    """
    arrays = order_arrays(run.judgements)
    targets = np.array([pair.target for pair in pairs], np.float32)
    decided = np.array([judgement.verdict is not Verdict.TIE for judgement in run.judgements])
    where = arrays.where & (decided if name == LONGER else True) & (targets != 0.5)
    if not where.any():
        return {"unparsed judgements": exactly(1 - float(arrays.where.mean()))}
    asked = sum(judgement.asked for judgement in run.judgements)
    row = {
        "accuracy": _share(arrays.probability, targets, where),
        "either order": _share(np.stack([arrays.shown_first, arrays.shown_second], 1), targets, where),
        "orders agree": _orders_agree(arrays),
        "first shown wins": _picks_first(arrays),
        "ECE": calibration_error(run.judgements, targets, where),
        "ECE calibrated": calibration_error(run.calibrated, targets, where),
        "unparsed judgements": exactly(1 - float(arrays.where.mean())),
        "unparsed texts": exactly(sum(j.unparsed for j in run.judgements) / max(asked, 1)),
        "tokens a pair": exactly(run.meter.tokens / len(pairs)),
    }
    return row


def calibration_error(judgements: Sequence[Judgement], targets: np.ndarray, where: np.ndarray) -> Estimate:
    """The expected calibration error in 10 bins; its interval is of resampled pairs, and biased upwards as it is."""
    probability, right = (jnp.asarray(each[where]) for each in (order_arrays(judgements).probability, targets))
    drawn = jax.random.randint(jax.random.key(0), (RESAMPLES, len(right)), 0, len(right))
    low, high = jnp.quantile(_errors(probability[drawn], right[drawn]), jnp.array([0.025, 0.975]))
    return Estimate(float(_errors(probability[None], right[None])[0]), float(low), float(high))


def sections(runs: Mapping[str, Run], pairs: Sequence[PreferencePair]) -> list:
    """Reliability, the tables of the first pairs, and what every judge says of them."""
    shown = [(n, pair) for n, pair in enumerate(pairs)][:SHOWN]
    axes = "probability that the first text is better", "share of pairs in which it is"
    drawn: list = [
        Curves("Reliability", {name: reliability(run.judgements, pairs) for name, run in runs.items()}, *axes),
        Curves(
            "Reliability, calibrated", {name: reliability(run.calibrated, pairs) for name, run in runs.items()}, *axes
        ),
    ]
    for name, run in runs.items():
        if any(judgement.table for judgement in run.judgements):
            drawn += [comparison_table(name, n, run.judgements[n]) for n, _ in shown]
            break
    return [*drawn, Texts("Pairs", [describe(pair, n, runs) for n, pair in shown])]


def comparison_table(name: str, number: int, judgement: Judgement) -> Table:
    """Aspects as columns, three rows."""
    rows = [
        (part, *("; ".join(column.contrast[place]) or "none" for column in judgement.table))
        for place, part in enumerate(("only the first", "only the second", "both"))
    ]
    caption = f"By {name}: the first is better with {_percent(judgement.probability)}, {judgement.verdict.value}."
    return Table(f"Pair {number + 1}: comparison", ("", *(column.aspect for column in judgement.table)), rows, caption)


def describe(pair: PreferencePair, number: int, runs: Mapping[str, Run]) -> dict[str, str]:
    """A pair with what each judge says of it."""
    verdicts = (
        f"{name}: {_percent(run.judgements[number].probability)}, {run.judgements[number].verdict.value}"
        for name, run in runs.items()
    )
    return {
        f"prompt of pair {number + 1}": render_context(pair.prompt),
        "first": pair.first,
        "second": pair.second,
        "probability that the first is better": f"known: {pair.target:g}\n" + "\n".join(verdicts),
    }


def reliability(judgements: Sequence[Judgement], pairs: Sequence[PreferencePair]) -> tuple[np.ndarray, np.ndarray]:
    """The mean probability and the share of wins in each bin that has pairs."""
    arrays, targets = order_arrays(judgements), np.array([pair.target for pair in pairs], np.float32)
    table = metrics.reliability_table(
        jnp.asarray(arrays.probability), jnp.asarray(targets), where=jnp.asarray(arrays.where)
    )
    filled = np.asarray(table.count) > 0
    return np.asarray(table.mean_probability)[filled], np.asarray(table.mean_outcome)[filled]


def write_predictions(path: pathlib.Path, runs: Mapping[str, Run], pairs: Sequence[PreferencePair]) -> None:
    """One line a judge and pair, as JSON; a probability is null where nothing could be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for name, run in runs.items():
            for pair, judgement, calibrated in zip(pairs, run.judgements, run.calibrated, strict=True):
                row = {
                    "source": pair.source,
                    "id": pair.id,
                    "method": name,
                    "target": pair.target,
                    "probability": judgement.probability,
                    "calibrated": calibrated.probability,
                    **judgement.orders._asdict(),
                    "verdict": judgement.verdict.value,
                    "asked": judgement.asked,
                    "unparsed": judgement.unparsed,
                    "table": {column.aspect: column.contrast._asdict() for column in judgement.table},
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _take(run: Run, chosen: Sequence[bool]) -> Run:
    """Some of the judgements; what they cost is the share of all that they are."""
    share = sum(chosen) / len(chosen)
    meter = Meter(*(round(share * count) for count in dataclasses.astuple(run.meter)))
    judgements, calibrated = (list(itertools.compress(each, chosen)) for each in (run.judgements, run.calibrated))
    return run._replace(judgements=judgements, calibrated=calibrated, meter=meter)


def _share(probabilities: np.ndarray, targets: np.ndarray, where: np.ndarray) -> Estimate:
    """The accuracy of ``[N]`` or ``[N, orders]``, pairs being resampled."""
    width = probabilities.shape[1:]
    wide = (
        jnp.asarray(np.broadcast_to(each.reshape(-1, *[1] * len(width)), probabilities.shape))
        for each in (targets, where)
    )
    return estimate(_accuracies(jnp.asarray(probabilities), *wide))


@jax.jit
def _accuracies(probabilities, targets, where) -> Ratio:
    def one(p, target, where):
        return metrics.preference_accuracy_metric(p, jnp.full_like(p, 0.5), target, where=where)

    return jax.vmap(one)(probabilities, targets, where)


@jax.jit
def _errors(probabilities, outcomes):
    def one(p, outcome):
        return metrics.expected_calibration_error(metrics.reliability_table(p, outcome))

    return jax.vmap(one)(probabilities, outcomes)


def _orders_agree(arrays: OrderArrays) -> Estimate:
    plain, exchanged, where = (
        jnp.asarray(each) for each in (arrays.shown_first, 1 - arrays.shown_second, arrays.where)
    )
    return estimate(jax.vmap(lambda p, q, w: metrics.swap_consistency_metric(p, q, where=w))(plain, exchanged, where))


def _picks_first(arrays: OrderArrays) -> Estimate:
    """The share of questions whose answer is what was shown first."""
    shown = np.stack([arrays.shown_first, 1 - arrays.shown_second], 1)
    picks = np.where(arrays.where[:, None], 0.5 + 0.5 * np.sign(shown - 0.5), 0).astype(np.float32)
    return estimate(Ratio(picks.sum(1), 2.0 * arrays.where.astype(np.float32)))


def _percent(probability: float | None) -> str:
    return "nothing that could be read" if probability is None else f"{probability:.1%}"
