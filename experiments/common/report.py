"""What an alignment experiment prints and writes when it is done."""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common import origin
from experiments.common.task import Row, Sample, exactly
from jaxalign import metrics
from jaxalign.io import report
from jaxalign.io.cluster import launch
from jaxalign.io.report.figures import Series

Figures = Mapping[str, Row]
"""Held-out figures by policy."""
DIAGONAL = "On the dotted diagonal, what is said to be likely is as often so."
"""The caption of reliability lines."""


class Curve(NamedTuple):
    """One metric of several training runs, each in its folder, or in those of its rounds, one after the other."""

    title: str
    metric: str
    runs: Mapping[str, pathlib.Path | Sequence[pathlib.Path]]
    unit: str = ""


def summarise(by_seed: Sequence[Figures]) -> Figures:
    """Averages over seeds, with 95 % t-intervals; one seed keeps its own bootstrap intervals.

    A figure that some seed lacks, because nothing could be read in it, is left out.
    """
    if len(by_seed) == 1:
        return by_seed[0]
    return {
        policy: {
            name: _over_seeds([figures[policy][name].value for figures in by_seed])
            for name in row
            if all(name in figures[policy] for figures in by_seed)
        }
        for policy, row in by_seed[0].items()
    }


def summarise_tables(by_seed: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    """Does what :func:`summarise` does, for each table by its title."""
    return {title: summarise([tables[title] for tables in by_seed]) for title in by_seed[0]}


def minus(by_seed: Sequence[Figures], base_fn: Callable[[str], str]) -> Figures:
    """Averages what each row has more of than another of the same seed, since seeds differ by more than rows do.

    Args:
      by_seed: figures of each of several seeds.
      base_fn: names the row that is subtracted from the row of a name. Rows without such a row, other than themselves
        and with the same figures, are left out.
    """
    first = by_seed[0]
    bases = {name: base_fn(name) for name in first}
    bases = {name: base for name, base in bases.items() if base in first.keys() - {name}}
    bases = {name: base for name, base in bases.items() if set(first[name]) == set(first[base])}
    return summarise(
        [{name: _minus(figures[name], figures[base]) for name, base in bases.items()} for figures in by_seed]
    )


def _minus(row: Row, base: Row) -> Row:
    return {name: exactly(figure.value - base[name].value) for name, figure in row.items() if name in base}


def spread(seeds: int, over: str) -> str:
    """Returns what the two ends of a figure are, as a sentence.

    Args:
      over: what is resampled where there is one seed: prompts, pairs, questions.
    """
    if seeds == 1:
        return f"Below a figure stand the ends of its 95 % bootstrap interval over {over}; without them it is exact."
    return f"Each figure is the mean of {seeds} seeds; below it stand the ends of its 95 % t-interval."


def print_table(figures: Figures) -> None:
    """Prints one line a policy."""
    width = max(map(len, figures))
    for policy, row in figures.items():
        print(f"{policy:{width}}  " + "  ".join(f"{name} {show(figure)}" for name, figure in row.items()))


def show(figure: report.Estimate) -> str:
    """Returns the number with its interval, or alone where it is exact."""
    if figure.low == figure.value == figure.high:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def write_report(
    run: origin.Run,
    title: str,
    figures: Figures,
    *,
    caption: str,
    curves: Sequence[Curve],
    samples: Mapping[str, Sequence[Sample]],
    compared: Mapping[str, Figures] | None = None,
    **said: Any,
) -> None:
    """Writes ``report.html`` of a run, which opens with what was run on what.

    Args:
      caption: how the figures came about.
      curves: what to draw of training.
      samples: responses of each policy to the same prompts.
      compared: further tables by title, for instance of differences.
      said: as for :func:`experiments.common.origin.facts`.
    """
    if not launch.is_main():
        return
    tables = {"Held-out figures": figures} | dict(compared or {})
    lengths = {policy: [sample.num_tokens for sample in drawn] for policy, drawn in samples.items()}
    shown = [
        {"prompt": same_prompt[0].prompt}
        | {policy: sample.response for policy, sample in zip(samples, same_prompt, strict=True)}
        for same_prompt in list(zip(*samples.values(), strict=True))[:8]
    ]
    sections = [
        *(_table(name, table, caption) for name, table in tables.items()),
        *map(draw, curves),
        report.Histogram("Length of responses", lengths, x_label="tokens, end of sequence included"),
        report.Texts("Samples", shown, caption="Each policy has written one response to each held-out prompt."),
    ]
    write_sections(run, title, sections, **said)


def _table(title: str, figures: Figures, caption: str) -> report.Table:
    """Returns a table of one row a policy, all with the figures of the last."""
    names = list(next(reversed(figures.values())))
    rows = [(policy, *(row[name] for name in names)) for policy, row in figures.items()]
    return report.Table(title, ("policy", *names), rows, caption=caption)


def write_sections(run: origin.Run, title: str, sections: Sequence[report.Section], **said: Any) -> None:
    """Writes ``report.html`` of a run, which opens with what was run on what.

    Args:
      said: as for :func:`experiments.common.origin.facts`.
    """
    if not launch.is_main():
        return
    opening = origin.facts(run, **said)
    path = report.write_report(run.config.output / "report.html", title, summary={}, sections=[opening, *sections])
    print(f"report: {path}")


def report_tables(
    run: origin.Run,
    title: str,
    tables: Mapping[str, Figures],
    *,
    caption: str,
    sections: Sequence = (),
    **said: Any,
) -> dict[str, float]:
    """Prints a table for each test, writes ``report.html`` of a run, and returns all values by name.

    The report opens with what was run on what; tables and ``sections`` follow. A rule that lacks a figure has an empty
    cell.

    Args:
      said: as for :func:`experiments.common.origin.facts`.
    """
    shown = []
    for test, figures in tables.items():
        print(f"\n{test}")
        print_table(figures)
        names = list(dict.fromkeys(name for row in figures.values() for name in row))
        rows = [(rule, *(row.get(name, "") for name in names)) for rule, row in figures.items()]
        exact = all(figure.low == figure.high for row in figures.values() for figure in row.values())
        shown.append(report.Table(test, ("method", *names), rows, caption="" if exact else caption))
    write_sections(run, title, [*shown, *sections], **said)
    return {
        f"{test}/{rule}/{name}": figure.value
        for test, figures in tables.items()
        for rule, row in figures.items()
        for name, figure in row.items()
    }


def write_predictions(path: pathlib.Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes what was predicted and from what, a row a line, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def reliability_line(table: metrics.ReliabilityTable) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean probability and the mean outcome in each bin that has entries: a line to draw."""
    filled = np.asarray(table.count) > 0
    return np.asarray(table.mean_probability)[filled], np.asarray(table.mean_outcome)[filled]


def draw(curve: Curve) -> report.Curves:
    """Draws the metric of each run, as a section of a report, empty but in process 0."""
    return report.Curves(curve.title, _series(curve), y_label=curve.unit)


def draw_together(title: str, curves: Sequence[Curve]) -> report.Panels:
    """Draws several curves of one unit with the same axes, empty but in process 0."""
    return report.Panels(title, {curve.title: _series(curve) for curve in curves}, y_label=curves[0].unit)


def _series(curve: Curve) -> Series:
    if not launch.is_main():
        return {}
    return {name: _joined(place, curve.metric) for name, place in curve.runs.items()}


def _joined(place: pathlib.Path | Sequence[pathlib.Path], metric: str) -> tuple[list, list]:
    """Returns steps and values; the steps of a further round go on from those of the one before."""
    steps, values = [], []
    for folder in [place] if isinstance(place, pathlib.Path) else place:
        its_steps, its_values = report.metric_series(folder, (metric,))[metric]
        before = steps[-1] if steps else 0
        steps += [before + step for step in its_steps]
        values += its_values
    return steps, values


def _over_seeds(values: Sequence[float]) -> report.Estimate:
    from scipy.special import stdtrit  # scipy.stats would take half a second of every start

    mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    half = stdtrit(len(values) - 1, 0.975) * error
    return report.Estimate(float(mean), float(mean - half), float(mean + half))
