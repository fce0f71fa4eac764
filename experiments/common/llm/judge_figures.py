"""The figures of judges on pairs with known answers."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.llm.engine import Meter
from experiments.common.llm.judge_methods import LONGER, Run
from experiments.common.llm.reliability import calibration_error
from experiments.common.report import Figures
from experiments.common.task import Row, estimate, exactly
from jaxalign import metrics
from jaxalign.data import PreferencePair
from jaxalign.io.report import Estimate
from jaxalign.judge import OrderArrays, Verdict, order_arrays
from jaxalign.numerics import Ratio


def tables(runs: Mapping[str, Run], pairs: Sequence[PreferencePair]) -> dict[str, Figures]:
    """Figures of every judge on all pairs, and on those of each source where there are several."""
    chosen = {"all pairs": [True] * len(pairs)}
    sources = dict.fromkeys(pair.source for pair in pairs)
    if len(sources) > 1:
        chosen |= {source: [pair.source == source for pair in pairs] for source in sources}
    return {test: _table(runs, pairs, some) for test, some in chosen.items()}


def figures(name: str, run: Run, pairs: Sequence[PreferencePair]) -> Row:
    """Accuracies, orders, calibration and cost, with 95 % bootstrap intervals over pairs.

    Unparsed judgements are left out and counted; "longer wins" has no answer for equal lengths. Pairs with a target of
    0.5 have no better side. ``accuracy`` goes by the mean of both orders, ``either order`` counts each by itself.
    """
    arrays = order_arrays(run.judgements)
    targets = np.array([pair.target for pair in pairs], np.float32)
    decided = np.array([judgement.verdict is not Verdict.TIE for judgement in run.judgements])
    where = arrays.where & (decided if name == LONGER else True) & (targets != 0.5)
    unparsed = {"unparsed judgements": exactly(1 - float(arrays.where.mean()))}
    if not where.any():
        return unparsed
    asked = sum(judgement.asked for judgement in run.judgements)
    calibrated = order_arrays(run.calibrated).probability
    return {
        "accuracy": _accuracy(arrays.probability[:, None], targets, where),
        "either order": _accuracy(np.stack([arrays.shown_first, arrays.shown_second], 1), targets, where),
        "orders agree": _orders_agree(arrays),
        "first shown wins": _picks_first(arrays),
        "ECE": calibration_error(arrays.probability[where], targets[where]),
        "ECE calibrated": calibration_error(calibrated[where], targets[where]),
        **unparsed,
        "unparsed texts": exactly(sum(judgement.unparsed for judgement in run.judgements) / max(asked, 1)),
        "tokens a pair": exactly(run.meter.tokens / len(pairs)),
    }


def _table(runs: Mapping[str, Run], pairs: Sequence[PreferencePair], chosen: Sequence[bool]) -> Figures:
    some = list(itertools.compress(pairs, chosen))
    return {name: figures(name, _take(run, chosen), some) for name, run in runs.items()}


def _take(run: Run, chosen: Sequence[bool]) -> Run:
    """Some of the judgements; what they cost is the share of all that they are."""
    share = sum(chosen) / len(chosen)
    meter = Meter(*(round(share * count) for count in dataclasses.astuple(run.meter)))
    judgements, calibrated = (list(itertools.compress(each, chosen)) for each in (run.judgements, run.calibrated))
    return run._replace(judgements=judgements, calibrated=calibrated, meter=meter)


def _accuracy(probabilities: np.ndarray, targets: np.ndarray, where: np.ndarray) -> Estimate:
    """Of ``[N, orders]``, pairs being resampled."""
    wide = (np.broadcast_to(each[:, None], probabilities.shape) for each in (targets, where))
    return estimate(_accuracies(*map(jnp.asarray, (probabilities, *wide))))


@jax.jit
def _accuracies(probabilities, targets, where) -> Ratio:
    def one(p, target, where):
        return metrics.preference_accuracy_metric(p, jnp.full_like(p, 0.5), target, where=where)

    return jax.vmap(one)(probabilities, targets, where)


def _orders_agree(arrays: OrderArrays) -> Estimate:
    shown = map(jnp.asarray, (arrays.shown_first, 1 - arrays.shown_second, arrays.where))
    return estimate(jax.vmap(lambda p, q, where: metrics.swap_consistency_metric(p, q, where=where))(*shown))


def _picks_first(arrays: OrderArrays) -> Estimate:
    """The share of questions, in both orders, whose answer is what was shown first."""
    shown = np.stack([arrays.shown_first, 1 - arrays.shown_second], 1)
    picks = np.where(arrays.where[:, None], 0.5 + 0.5 * np.sign(shown - 0.5), 0).astype(np.float32)
    return estimate(Ratio(picks.sum(1), 2.0 * arrays.where.astype(np.float32)))
