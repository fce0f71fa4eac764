"""Plots as inline SVG that follow the page: its font, its text colour in light and dark mode, its width."""

import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

Numbers = Sequence | np.ndarray | Array

# Okabe and Ito's colours without the yellow: told apart by colour-blind readers, readable on white and on black.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_INK = "#010203"  # replaced by the colour of the page's text
_STYLE = {
    "svg.fonttype": "none",
    "axes.prop_cycle": matplotlib.cycler(color=_COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "font.size": 10,
    "legend.frameon": False,
    **{name: _INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")},
    "grid.color": _INK,
}
_POINTS = 200
_BINS = 30
_LEGEND = 100  # characters of a line, six of them for each entry's mark and space


class Drawing(NamedTuple):
    """A figure as markup, and what it shows in words."""

    svg: str
    description: str


def draw_curves(series: Mapping[str, tuple[Numbers, Numbers]], x_label: str, y_label: str) -> Drawing:
    """Lines over a common x axis."""
    figure, axes = _figure(x_label, y_label)
    words = []
    for label, (x, y) in series.items():
        y = np.asarray(y, float)
        x, mean, low, high = _thin(np.asarray(x, float), y)
        (line,) = axes.plot(x, mean, label=label, linewidth=1.6, marker="o" if len(x) == 1 else None)
        if not np.array_equal(low, high, equal_nan=True):
            axes.fill_between(x, low, high, alpha=0.15, linewidth=0, color=line.get_color())
        finite = y[np.isfinite(y)]
        if finite.size:
            words.append(f"{label} from {finite[0]:.3g} to {finite[-1]:.3g}")
    _legend(axes, series)
    return Drawing(_to_svg(figure), f"Lines over {x_label}: {'; '.join(words) or 'no finite value'}.")


def draw_histogram(samples: Mapping[str, Numbers], x_label: str) -> Drawing:
    """Shares per bin, in bins that all samples have in common."""
    figure, axes = _figure(x_label, "share")
    values = {label: np.asarray(sample, float) for label, sample in samples.items()}
    edges = _bin_edges(np.concatenate(list(values.values())))
    words = []
    for label, sample in values.items():
        weights = np.full(sample.size, 1 / max(sample.size, 1))
        axes.hist(sample, bins=edges, weights=weights, histtype="stepfilled", alpha=0.35, label=label)
        median = f"median {np.median(sample):.3g}" if sample.size else "no median"
        words.append(f"{label}: {sample.size} values, {median}")
    _legend(axes, samples)
    return Drawing(_to_svg(figure), f"Histogram of {x_label}. {'; '.join(words)}.")


def _figure(x_label: str, y_label: str):
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
    return figure, axes


def _legend(axes, labels: Collection[str]):
    # Of a legend that is wider than the figure, the layout would leave nothing for the axes.
    columns = max(min(len(labels), 4, _LEGEND // (max(map(len, labels), default=0) + 6)), 1)
    with matplotlib.rc_context(_STYLE):
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0)


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
