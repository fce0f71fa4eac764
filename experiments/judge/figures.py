"""The figures of judges on pairs with known answers."""

import functools
import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common.judging.methods import LONGER, STRUCTURED
from experiments.common.llm.reliability import calibration_error
from experiments.common.report import Figures
from experiments.common.task import Row, estimate, exactly
from experiments.judge.results import JudgeResult
from jaxalign import metrics
from jaxalign.data import PreferencePair
from jaxalign.io.llm import Usage
from jaxalign.judge import OrderArrays, order_arrays
from jaxalign.numerics import Ratio
from jaxalign.prompting import Verdict


def tables(results: Mapping[str, JudgeResult], pairs: Sequence[PreferencePair]) -> dict[str, Figures]:
    """Returns figures of every judge on all pairs, and on those of each source where there are several."""
    chosen = {"all pairs": [True] * len(pairs)}
    sources = dict.fromkeys(pair.source for pair in pairs)
    if len(sources) > 1:
        chosen |= {source: [pair.source == source for pair in pairs] for source in sources}
    return {test: _table(results, pairs, some) for test, some in chosen.items()}


def figures(name: str, result: JudgeResult, pairs: Sequence[PreferencePair]) -> Row:
    """Computes accuracies, orders, calibration and cost, with 95 % bootstrap intervals over pairs.

    ``unread scores`` is the share of all questions about options whose scores could not be read. Unparsed judgements
    are left out and counted; "longer wins" has no answer for equal lengths. Pairs with a target of 0.5 have no better
    side. ``accuracy`` goes by the mean of both orders, ``either order`` counts each by itself. ``asked outright`` is
    the share of pairs of which structured comparison read nothing in what the model wrote, so that it asks as
    "direct".
    """
    arrays = order_arrays(result.judgements)
    targets = np.array([pair.target for pair in pairs], np.float32)
    decided = np.array([judgement.verdict is not Verdict.TIE for judgement in result.judgements])
    where = arrays.where & (decided if name == LONGER else True) & (targets != 0.5)
    unparsed = {
        "unparsed judgements": exactly(1 - float(arrays.where.mean())),
        "unread scores": exactly(result.scored.share),
        **({"asked outright": exactly(_without_table(result))} if name.startswith(STRUCTURED) else {}),
    }
    if not where.any():
        return unparsed
    asked = sum(judgement.asked for judgement in result.judgements)
    calibrated = order_arrays(result.calibrated).probability
    return {
        **{figure: estimate(ratio) for figure, ratio in _ratios(arrays, targets, where).items()},
        "ECE": calibration_error(arrays.probability, targets, where),
        "ECE calibrated": calibration_error(calibrated, targets, where),
        **unparsed,
        "unparsed texts": exactly(sum(judgement.unparsed for judgement in result.judgements) / max(asked, 1)),
        "tokens a pair": exactly(result.spent.tokens / len(pairs)),
    }


def _without_table(result: JudgeResult) -> float:
    return float(np.mean([not judgement.table for judgement in result.judgements]))


def _table(results: Mapping[str, JudgeResult], pairs: Sequence[PreferencePair], chosen: Sequence[bool]) -> Figures:
    some = list(itertools.compress(pairs, chosen))
    return {name: figures(name, _take(result, chosen), some) for name, result in results.items()}


def _take(result: JudgeResult, chosen: Sequence[bool]) -> JudgeResult:
    """Takes some of the judgements; what they cost is the share of all that they are."""
    share = sum(chosen) / len(chosen)
    spent = Usage(*(round(share * count) for count in result.spent))
    judgements, calibrated = (list(itertools.compress(each, chosen)) for each in (result.judgements, result.calibrated))
    return result._replace(judgements=judgements, calibrated=calibrated, spent=spent)


@jax.jit
@functools.partial(jax.vmap, in_axes=0)
def _ratios(arrays: OrderArrays, target: Array, where: Array) -> dict[str, Ratio]:
    """Computes for each pair, ``[N]``, whether it is right, and what the order of the texts does, over both orders."""
    exchanged = 1 - arrays.shown_second
    both, one_half = jnp.stack([arrays.shown_first, arrays.shown_second]), jnp.full(2, 0.5)
    targets, counted = jnp.full(2, target), jnp.full(2, where)
    shown_first = jnp.stack([arrays.shown_first, exchanged])
    return {
        "accuracy": metrics.preference_accuracy_metric(arrays.probability, jnp.float32(0.5), target, where=where),
        "either order": metrics.preference_accuracy_metric(both, one_half, targets, where=counted),
        "orders agree": metrics.swap_consistency_metric(arrays.shown_first, exchanged, where=arrays.where),
        "first shown wins": metrics.win_rate_metric(shown_first, one_half, where=jnp.full(2, arrays.where)),
    }
