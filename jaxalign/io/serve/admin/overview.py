"""What traffic amounts to: figures, a row for each model, and charts over time, from the store's counts."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.io.serve.admin import charts, formats
from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.rows import Traffic

PERIODS = {"hour": (60, 1), "day": (24 * 60, 30), "week": (7 * 24 * 60, 180)}
"""Minutes of each period, and of each bar of its charts."""


class Totals(NamedTuple):
    """Counts of a period, all or those of one model."""

    requests: int
    errors: int
    cached: int
    with_examples: int
    prompt_tokens: int
    answer_tokens: int
    cost: float
    seconds: float
    rated: int
    rating: float

    @property
    def answered(self) -> int:
        """Requests that got an answer, a kept one or a new one."""
        return self.requests - self.errors

    @property
    def mean_rating(self) -> float | None:
        """The mean of the ratings, 0 to 1."""
        return self.rating / self.rated if self.rated else None

    @property
    def mean_seconds(self) -> float | None:
        """The mean latency in seconds."""
        return self.seconds / self.requests if self.requests else None

    def of(self, value: float | int) -> float | None:
        """Returns a count as a share of the requests.

        Args:
          value: the count.
        """
        return value / self.requests if self.requests else None


class Overview(NamedTuple):
    """What the first page shows."""

    totals: Totals
    models: dict[str, Totals]
    dearest: str
    offload: float | None  # answers without a call of the dearest model, over all answers
    saved: float | None  # what the dearest model would have cost for the same tokens, less the cost
    charts: list[charts.Chart]


def overview(rows: Sequence[Traffic], config: ServeConfig, period: str, now: float) -> Overview:
    """Returns what the counts of a period amount to.

    Args:
      rows: counts since the period began.
      config: the models and their prices.
      period: one of :data:`PERIODS`.
      now: seconds since 1970.
    """
    costs = config.costs
    dearest = max(costs, key=lambda name: costs[name])
    totals, names = _totals(rows), sorted({row.model for row in rows if row.requests})
    price = next(model for model in config.models if model.name == dearest)
    whole = (totals.prompt_tokens * price.prompt_price + totals.answer_tokens * price.answer_price) / 1e6
    return Overview(
        totals,
        {name: _totals([row for row in rows if row.model == name]) for name in names},
        dearest,
        _offload(rows, dearest),
        whole - totals.cost if whole else None,
        _charts(rows, names, dearest, period, now),
    )


def first_minute(period: str, now: float) -> int:
    """Returns the minute since 1970 with which a period's first bar begins.

    Args:
      period: one of :data:`PERIODS`.
      now: seconds since 1970.
    """
    minutes, bar = PERIODS[period]
    return (int(now // 60) // bar + 1) * bar - minutes


def _totals(rows: Sequence[Traffic]) -> Totals:
    return Totals(*(sum(getattr(row, name) for row in rows) for name in Totals._fields))


def _offload(rows: Sequence[Traffic], dearest: str) -> float | None:
    answered = _totals(rows).answered
    own = _totals([row for row in rows if row.model == dearest])
    return 1 - (own.answered - own.cached) / answered if answered else None


def _charts(rows: Sequence[Traffic], names: Sequence[str], dearest: str, period: str, now: float) -> list[charts.Chart]:
    minutes, bar = PERIODS[period]
    first = first_minute(period, now)
    bins: list[list[Traffic]] = [[] for _ in range(minutes // bar)]
    for row in rows:
        if 0 <= (place := (row.minute - first) // bar) < len(bins):
            bins[place].append(row)
    times = [60 * (first + bar * place) for place in range(len(bins))]
    models = {name: [_totals([row for row in each if row.model == name]) for each in bins] for name in names}
    return [
        charts.stacked("Requests", times, {name: [each.requests for each in own] for name, own in models.items()}),
        charts.lines(
            "Offload and rating",
            times,
            {
                "offload": [_offload(each, dearest) for each in bins],
                "mean rating": [_totals(each).mean_rating for each in bins],
            },
            most=1,
            label=formats.share,
        ),
        charts.lines(
            "Mean latency",
            times,
            {name: [each.mean_seconds for each in own] for name, own in models.items()},
            label=formats.seconds,
        ),
        charts.lines("Cost", times, {"cost": [_totals(each).cost for each in bins]}),
    ]
