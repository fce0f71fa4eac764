"""What an alignment experiment prints and writes when it is done."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from experiments.common.task import Row, Sample, exactly
from jaxalign.io import launch, report

Figures = Mapping[str, Row]
"""Held-out figures by policy."""


class Curve(NamedTuple):
    """One metric of several training runs, each in its folder."""

    title: str
    metric: str
    runs: Mapping[str, pathlib.Path]


def summarise(by_seed: Sequence[Figures]) -> Figures:
    """Over seeds: the mean of the values with its 95 % t-interval; one seed keeps its own bootstrap intervals.

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


def subtract(figures: Figures, policy: str) -> Figures:
    """What each policy has more of than this one, of the same seed: values to summarise, without intervals."""
    base = figures[policy]
    return {
        other: {name: exactly(figure.value - base[name].value) for name, figure in row.items()}
        for other, row in figures.items()
        if other != policy
    }


def print_table(figures: Figures) -> None:
    """One line a policy."""
    width = max(map(len, figures))
    for policy, row in figures.items():
        print(f"{policy:{width}}  " + "  ".join(f"{name} {show(figure)}" for name, figure in row.items()))


def show(figure: report.Estimate) -> str:
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def write_report(
    directory: pathlib.Path,
    title: str,
    figures: Figures,
    *,
    caption: str,
    curves: Sequence[Curve],
    samples: Mapping[str, Sequence[Sample]],
) -> None:
    """Writes ``report.html``.

    Args:
      caption: how the figures came about.
      curves: what to draw of training.
      samples: responses of each policy to the same prompts.
    """
    if not launch.is_main():
        return
    names = list(next(reversed(figures.values())))
    rows = [(policy, *(row[name] for name in names)) for policy, row in figures.items()]
    lengths = {policy: [sample.num_tokens for sample in drawn] for policy, drawn in samples.items()}
    shown = [
        {"prompt": same_prompt[0].prompt}
        | {policy: sample.response for policy, sample in zip(samples, same_prompt, strict=True)}
        for same_prompt in list(zip(*samples.values(), strict=True))[:8]
    ]
    sections = [
        report.Table("Held-out figures", ("policy", *names), rows, caption=caption),
        *map(draw, curves),
        report.Histogram("Length of responses", lengths, x_label="tokens, end of sequence included"),
        report.Texts("Samples", shown, caption="Held-out prompts, one sample of each policy."),
    ]
    path = report.write_report(directory / "report.html", title, summary={}, sections=sections)
    print(f"report: {path}")


def report_tables(
    directory: pathlib.Path, title: str, tables: Mapping[str, Figures], *, caption: str, sections: Sequence = ()
) -> dict[str, float]:
    """Prints a table for each test, writes them and ``sections`` to ``report.html``, and returns all values by name.

    A rule that lacks a figure has an empty cell.
    """
    shown = []
    for test, figures in tables.items():
        print(f"\n{test}")
        print_table(figures)
        names = list(dict.fromkeys(name for row in figures.values() for name in row))
        rows = [(rule, *(row.get(name, "") for name in names)) for rule, row in figures.items()]
        shown.append(report.Table(test, ("method", *names), rows, caption=caption))
    if launch.is_main():
        path = report.write_report(directory / "report.html", title, summary={}, sections=[*shown, *sections])
        print(f"report: {path}")
    return {
        f"{test}/{rule}/{name}": figure.value
        for test, figures in tables.items()
        for rule, row in figures.items()
        for name, figure in row.items()
    }


def draw(curve: Curve) -> report.Curves:
    """The metric of each run, as a section of a report, empty but in process 0."""
    if not launch.is_main():
        return report.Curves(curve.title, {})
    series = {name: report.metric_series(folder, (curve.metric,))[curve.metric] for name, folder in curve.runs.items()}
    return report.Curves(curve.title, series)


def _over_seeds(values: Sequence[float]) -> report.Estimate:
    mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    half = stats.t.ppf(0.975, len(values) - 1) * error
    return report.Estimate(float(mean), float(mean - half), float(mean + half))
