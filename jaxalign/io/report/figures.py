"""Plots as inline SVG that follow the page: its font, its text colour in light and dark mode, its width."""

import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

Numbers = Sequence | np.ndarray | Array

# Okabe and Ito's colours without the yellow: told apart by colour-blind readers, readable on white and on black.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_INK = "#010203"  # replaced by the colour of the page's text
_LINES = {"-": "solid", "--": "dashed", ":": "dotted"}  # tell a seventh series from the first
_STYLE = {
    "svg.fonttype": "none",
    "axes.prop_cycle": matplotlib.cycler(linestyle=list(_LINES)) * matplotlib.cycler(color=_COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "font.size": 10,
    "legend.frameon": False,
    **{name: _INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")},
    "grid.color": _INK,
}
_WIDTH = 5.2  # inches: on a phone as wide as the page, so that letters keep their size
_POINTS = 200
_BINS = 30
_TITLE = 64  # characters of a line
Series = Mapping[str, tuple[Numbers, Numbers]]
"""(x, y) by label."""


class Mark(NamedTuple):
    """An entry of a legend, which the page shows as text: it wraps, and its letters keep their size.

    Attributes:
      label: the text.
      color: the colour of the line, as in HTML.
      line: solid, dashed or dotted.
    """

    label: str
    color: str
    line: str  # solid, dashed or dotted


class Drawing(NamedTuple):
    """A figure.

    Attributes:
      svg: its markup.
      description: what it shows, in words.
      legend: its legend.
    """

    svg: str
    description: str
    legend: Sequence[Mark] = ()


def draw_panels(panels: Mapping[str, Series], x_label: str, y_label: str) -> list[Drawing]:
    """Draws a figure of lines for each panel, all with the same axes; a label has the same colour in all of them.

    Args:
      panels: (x, y) by label, by the title of a figure.
      x_label: what x is.
      y_label: what y is.

    Returns:
      One drawing for each panel.
    """
    drawn = [_lines(series, x_label, y_label) for series in panels.values()]
    _share_limits([axes for _, axes, _ in drawn])
    return [
        Drawing(_to_svg(figure), f"{_name(title)}Lines over {x_label}: {words}.", _marks(axes))
        for title, (figure, axes, words) in zip(panels, drawn, strict=True)
    ]


def draw_reliability(panels: Mapping[str, Series], x_label: str, y_label: str) -> list[Drawing]:
    """Draws lines in the unit square with its diagonal, on which probabilities come true as often as they say.

    Args:
      panels: (x, y) by label, by the title of a figure.
      x_label: what x is.
      y_label: what y is.

    Returns:
      One drawing for each panel.
    """
    drawings = []
    for title, series in panels.items():
        figure, axes, words = _lines(series, x_label, y_label, marker="o", markersize=3.5)
        marks = _marks(axes)
        axes.plot([0, 1], [0, 1], color=_INK, linestyle=(0, (2, 3)), linewidth=1, alpha=0.6)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        described = f"{_name(title)}Lines over {x_label}, beside the diagonal of perfect calibration: {words}."
        drawings.append(Drawing(_to_svg(figure), described, marks))
    return drawings


def draw_histograms(samples: Mapping[str, Numbers], x_label: str) -> Drawing:
    """Draws shares per bin, a row for each sample; rows have their bins and both axes in common.

    Args:
      samples: values by label.
      x_label: what a value is.

    Returns:
      One drawing.
    """
    values = {label: np.asarray(sample, float) for label, sample in samples.items()}
    edges = _bin_edges(np.concatenate(list(values.values())))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.6 + 1.0 * max(len(values), 1)), layout="constrained")
        rows = figure.subplots(max(len(values), 1), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    words = []
    for number, (axes, (label, sample)) in enumerate(zip(rows, values.items(), strict=False)):
        weights = np.full(sample.size, 1 / max(sample.size, 1))
        axes.hist(sample, bins=edges, weights=weights, color=_COLOURS[number % len(_COLOURS)])
        axes.set_title(textwrap.fill(label, _TITLE), loc="left", fontsize=10)
        axes.set_ylabel("share")
        median = f"median {np.median(sample):.3g}" if sample.size else "no median"
        words.append(f"{label}: {sample.size} values, {median}")
    rows[-1].set_xlabel(x_label)
    return Drawing(_to_svg(figure), f"Histogram of {x_label}. {'; '.join(words)}.")


def _lines(series: Series, x_label: str, y_label: str, **style):
    """A figure, its axes, and in words from where to where each line goes."""
    figure, axes = _figure(x_label, y_label)
    words = []
    for label, (x, y) in series.items():
        y = np.asarray(y, float)
        x, mean, low, high = _thin(np.asarray(x, float), y)
        marked = {"marker": "o"} if len(x) == 1 else style
        (line,) = axes.plot(x, mean, label=label, linewidth=1.6, **marked)
        if not np.array_equal(low, high, equal_nan=True):
            axes.fill_between(x, low, high, alpha=0.15, linewidth=0, color=line.get_color())
        finite = y[np.isfinite(y)]
        if finite.size:
            words.append(f"{label} from {finite[0]:.3g} to {finite[-1]:.3g}")
    return figure, axes, "; ".join(words) or "no finite value"


def _name(title: str) -> str:
    return f"{title}. " if title else ""


def _share_limits(axes: Sequence) -> None:
    """The widest limits of those that have something to show, for all."""
    for get, set_ in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        limits = [getattr(each, get)() for each in axes if each.has_data()]
        for each in axes if limits else ():
            getattr(each, set_)(min(low for low, _ in limits), max(high for _, high in limits))


def _figure(x_label: str, y_label: str):
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
    return figure, axes


def _marks(axes) -> list[Mark]:
    """One for each line of a figure."""
    return [Mark(line.get_label(), line.get_color(), _LINES[line.get_linestyle()]) for line in axes.get_lines()]


def _thin(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]):
    """x, mean, least and greatest y of at most _POINTS stretches of equal length."""
    if len(x) <= _POINTS:
        return x, y, y, y
    starts = np.linspace(0, len(x), _POINTS, endpoint=False).astype(int)
    sizes = np.diff(np.append(starts, len(x)))
    mean_x, mean_y = (np.add.reduceat(values, starts) / sizes for values in (x, y))
    return mean_x, mean_y, np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)


def _bin_edges(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "edges"]:
    """_BINS or fewer bins; of integers, each holds equally many, so that none stands out for its width."""
    if values.size and np.array_equal(values, np.round(values)):
        width = max(1, math.ceil((values.max() - values.min() + 1) / _BINS))
        return np.arange(values.min() - 0.5, values.max() + 0.5 + width, width)
    return np.histogram_bin_edges(values, bins=_BINS)


def _to_svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # names such as "axes_1", the same in every figure of a page
    return re.sub(r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
