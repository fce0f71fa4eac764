"""Figures of served requests: quality, cost, latency, regret; as tables and over time."""

from collections.abc import Mapping

import numpy as np

from experiments.common.task import EstimatesFn, Row, exactly
from experiments.echolm.simulate import Served
from experiments.echolm.world import SMALL
from jaxalign.io import report
from jaxalign.numerics import Ratio

WINDOW = 250  # requests of a point in a curve
QUALITY, TO_SMALL, COST, P99 = "quality, points", "to the small model", "cost", "p99, s"
FIRST, LAST = "regret, first fifth", "regret, last fifth"


def rows(served: Mapping[str, Served], estimates: EstimatesFn) -> dict[str, Row]:
    """Returns the figures of each method.

    Quality is the chance that an answer is good, in points of 100; cost is that of answers of the large model; reward
    is quality less what cost takes off, in points; regret is what a request brought less than the best examples and
    model would have; examples are those that were shown and, of these, the share that help.
    """
    found = {(name, figure): ratio for name, one in served.items() for figure, ratio in _means(one).items()}
    made: dict[str, dict] = {name: {} for name in served}
    for (name, figure), value in estimates(found).items():
        made[name][figure] = value
    for name, one in served.items():
        low, high = np.percentile(one.latencies, [50, 99], method="higher")
        made[name] |= {"p50, s": exactly(float(low)), P99: exactly(float(high))}
    return made


def _means(one: Served) -> dict[str, Ratio]:
    count = len(one.models)
    fifth = np.arange(count) * 5 // count
    means = {
        QUALITY: 100 * one.quality,
        TO_SMALL: one.models == SMALL,
        COST: one.costs,
        "reward, points": 100 * one.rewards,
    }
    return {
        **{name: _ratio(values) for name, values in means.items()},
        FIRST: _ratio(100 * one.regrets, fifth == 0),
        LAST: _ratio(100 * one.regrets, fifth == 4),
        "examples": _ratio(one.shown),
        **(
            {"of them help": Ratio(one.helping.astype(np.float32), one.shown.astype(np.float32))}
            if one.shown.any()
            else {}
        ),
    }


def _ratio(values: np.ndarray, where: np.ndarray | None = None) -> Ratio:
    counted = np.ones(len(values)) if where is None else where
    return Ratio(np.asarray(values * counted, np.float32), np.asarray(counted, np.float32))


def swing(one: Served) -> float:
    """Returns how far the share of the small model swings beyond chance in the second half, as a standard deviation.

    Windows of 50 requests are compared; what their binomial spread explains is taken off.
    """
    half = one.models[len(one.models) // 2 :] == SMALL
    windows = half[: len(half) // 50 * 50].reshape(-1, 50).mean(1)
    share = windows.mean()
    return float(np.sqrt(max(windows.var() - share * (1 - share) / 50, 0)))


def curves(served: Mapping[str, Served], arrivals: np.ndarray) -> list[report.Curves]:
    """Draws what happens over the requests: quality, cost, latency, offload, regret and load."""
    window = min(WINDOW, max(1, len(arrivals) // 8))

    def series(values_of, reduce_fn=lambda windows: windows.mean(1)):
        return {name: _windows(values_of(one), window, reduce_fn) for name, one in served.items()}

    def percentile(percent):
        return lambda windows: np.percentile(windows, percent, axis=1)

    def cumulative(one):
        return np.arange(len(one.regrets)), one.regrets.cumsum()

    regret = {name: cumulative(one) for name, one in served.items()}
    x = {"x_label": "requests"}
    return [
        report.Curves("Quality", series(lambda one: 100 * one.quality), y_label="points", **x),
        report.Curves("Offload", series(lambda one: one.models == SMALL), y_label="share to the small model", **x),
        report.Curves("Cost", series(lambda one: one.costs), y_label="of the large model's answer", **x),
        report.Curves("Latency, median", series(lambda one: one.latencies, percentile(50)), y_label="s", **x),
        report.Curves("Latency, p99", series(lambda one: one.latencies, percentile(99)), y_label="s", **x),
        report.Curves("Cumulative regret", regret, y_label="reward", **x),
        report.Curves("Load of the large model", series(lambda one: one.loads), y_label="of its slots", **x),
    ]


def _windows(values: np.ndarray, window: int, reduce_fn) -> tuple[np.ndarray, np.ndarray]:
    count = len(values) // window
    reduced = reduce_fn(np.asarray(values, float)[: count * window].reshape(count, window))
    return window * (np.arange(count) + 0.5), reduced
