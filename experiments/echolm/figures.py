"""Figures of served requests: quality, cost, latency, regret; as tables and over time."""

from collections.abc import Mapping

import numpy as np

from experiments.common.task import EstimatesFn, Row, exactly
from experiments.echolm.simulate import Served
from experiments.echolm.world import SMALL
from jaxalign.io import report
from jaxalign.numerics import Ratio

WINDOW = 250  # requests of a point in a curve
SWING_WINDOW = 50
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


def load_row(one: Served, threshold: float) -> Row:
    """Returns how the load of the large model went, by its moving average, in slots.

    A surge is a rise above the threshold after the load was below three quarters of it: as many as arrivals have waves
    are in order, more are a router that swings. The swing of the small model's share is its standard deviation over
    windows of 50 requests in the second half, without what chance explains.
    """
    surges, calm = 0, True
    for load in one.loads:
        surges += bool(calm and load > threshold)
        calm = load <= threshold and (calm or load < 0.75 * threshold)
    half = one.models[len(one.models) // 2 :] == SMALL
    windows = half[: len(half) // SWING_WINDOW * SWING_WINDOW].reshape(-1, SWING_WINDOW).mean(1)
    share = half.mean()
    swing = np.sqrt(max(windows.var() - share * (1 - share) / SWING_WINDOW, 0)) if len(windows) else 0.0
    found = {
        "mean": one.loads.mean(),
        "highest": one.loads.max(),
        "surges": surges,
        "p99 in the worst tenth, s": max(
            np.percentile(part, 99) for part in np.array_split(one.latencies, min(10, len(one.latencies)))
        ),
        "swing of the share": swing,
    }
    return {name: exactly(float(value)) for name, value in found.items()}


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
    count = len(values) // window  # a rest that is no whole window is not drawn
    reduced = reduce_fn(np.asarray(values, float)[: count * window].reshape(count, window))
    return window * (np.arange(count) + 0.5), reduced
