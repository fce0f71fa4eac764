"""Small charts as SVG: bars on top of each other, and lines with gaps. Geometry here, markup in the template."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jaxalign.io.serve.admin import formats

WIDTH, HEIGHT = 600, 190  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 594, 10, 162  # of the plot in it
COLOURS = 6  # classes c0 to c5 of the style sheet

Values = Sequence[float | int | None]


class Bar(NamedTuple):
    """A rectangle of the drawing."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    told: str


class Line(NamedTuple):
    """A line of the drawing."""

    path: str
    colour: int


class Tick(NamedTuple):
    """A label at an axis."""

    place: float
    label: str


class Chart(NamedTuple):
    """What the template draws."""

    title: str
    described: str  # for who does not see it
    legend: list[tuple[str, int]]
    bars: list[Bar]
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def stacked(title: str, times: Sequence[int], series: Mapping[str, Values]) -> Chart:
    """Returns bars of counts, those of one time on top of each other.

    Args:
      title: of the chart.
      times: the beginnings of the bars in seconds since 1970, all equally far apart.
      series: counts by name, one for each time.
    """
    totals = [sum(values[place] or 0 for values in series.values()) for place in range(len(times))]
    most = _round_up(max(totals, default=0))
    step, bars, below = (RIGHT - LEFT) / max(len(times), 1), [], [0.0] * len(times)
    for colour, (name, values) in enumerate(series.items()):
        for place, value in enumerate(values):
            if value:
                height = (BOTTOM - TOP) * value / most
                top = BOTTOM - (BOTTOM - TOP) * below[place] / most - height
                told = f"{name}: {formats.count(value)} at {_clock(times[place])}"
                left, width = LEFT + step * (place + 0.1), 0.8 * step
                bars.append(Bar(*(round(each, 1) for each in (left, top, width, height)), colour % COLOURS, told))
                below[place] += value
    told = f"{title}: {formats.count(sum(totals))} in all"
    return Chart(title, told, _legend(series), bars, [], _x_ticks(times), _y_ticks(most, formats.amount))


def lines(
    title: str,
    times: Sequence[int],
    series: Mapping[str, Values],
    *,
    most: float | int | None = None,
    label: Callable[[float | int | None], str] = formats.amount,
) -> Chart:
    """Returns one line for each series, with gaps where there is no value.

    Args:
      title: of the chart.
      times: seconds since 1970, all equally far apart.
      series: values by name, one for each time.
      most: the upper end of the axis; None for what the values need.
      label: writes a value.
    """
    known = [value for values in series.values() for value in values if value is not None]
    top = most or _round_up(max(known, default=0))
    step = (RIGHT - LEFT) / max(len(times), 1)
    drawn = []
    for colour, values in enumerate(series.values()):
        points = [
            None
            if value is None
            else (LEFT + step * (place + 0.5), BOTTOM - (BOTTOM - TOP) * min(max(value / top, 0), 1))
            for place, value in enumerate(values)
        ]
        drawn.append(Line(_path(points), colour % COLOURS))
    last = {name: next((v for v in reversed(values) if v is not None), None) for name, values in series.items()}
    told = f"{title}, latest: " + ", ".join(f"{name} {label(value)}" for name, value in last.items())
    return Chart(title, told, _legend(series), [], drawn, _x_ticks(times), _y_ticks(top, label))


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """A point between gaps is a line of no length, which round ends make a dot."""
    parts, down = [], False
    for place, point in enumerate(points):
        if point is not None:
            alone = not down and (place + 1 == len(points) or points[place + 1] is None)
            parts.append(f"{'L' if down else 'M'}{point[0]:.1f} {point[1]:.1f}" + ("h0" if alone else ""))
        down = point is not None
    return "".join(parts)


def _round_up(value: float | int) -> float:
    """The next of 1, 2, 5, 10, 20, ... so that ticks are readable."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= value * (1 - 1e-9))


def _legend(series: Mapping[str, Values]) -> list[tuple[str, int]]:
    return [(name, colour % COLOURS) for colour, name in enumerate(series)]


def _y_ticks(most: float | int, label: Callable[[float | int | None], str]) -> list[Tick]:
    return [Tick(BOTTOM - (BOTTOM - TOP) * part, label(most * part)) for part in (0, 0.5, 1)]


def _x_ticks(times: Sequence[int]) -> list[Tick]:
    step = (RIGHT - LEFT) / max(len(times), 1)
    places = sorted({part * len(times) // 4 for part in range(4)}) if times else []
    form = "%a %H:%M" if times and times[-1] - times[0] > 86400 else "%H:%M"
    return [Tick(round(LEFT + step * (place + 0.5), 1), _clock(times[place], form)) for place in places]


def _clock(second: int, form: str = "%a %H:%M") -> str:
    return datetime.datetime.fromtimestamp(second, datetime.UTC).strftime(form)
