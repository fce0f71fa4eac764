"""What all tables share: taking turns, ratios, and a line about the machine."""

import datetime
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from jaxalign.io.cluster import machine


class Table(NamedTuple):
    """A title, sentences that say what was measured, a header, and rows of cells.

    Rows may be measured as they are read: what a run that is cut off has measured by then has been printed.
    """

    title: str
    notes: Sequence[str]
    header: Sequence[str] = ()
    rows: Iterable[Sequence[str]] = ()

    def lines(self) -> Iterator[str]:
        """Markdown, line by line."""
        yield from (f"### {self.title}", "", *self.notes)
        if self.header:
            yield from ("", render_row(self.header), render_row(["---"] * len(self.header)))
            yield from map(render_row, self.rows)

    def render(self) -> str:
        """Markdown."""
        return "\n".join(self.lines())


def render_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def within(lines: Iterable[str], deadline: float) -> Iterator[str]:
    """``lines``, none of which is begun after ``deadline`` on the monotonic clock; then a sentence says so."""
    for line in lines:
        yield line
        if time.monotonic() > deadline:
            yield "Time is up: rows after this one, if any, were not measured."
            return


def take_turns(forms: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, the forms one after the other in every round; one call of each before that is not timed."""
    seconds = {name: [] for name in forms}
    for form in forms.values():
        jax.block_until_ready(form())
    for _ in range(rounds):
        for name, form in forms.items():
            start = time.perf_counter()
            jax.block_until_ready(form())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def take_warm_turns(forms: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Takes turns as :func:`take_turns`, each timed call right after an untimed one of its form, as in training.

    For forms that differ much in memory: what one gives back to the system would slow the other's next call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            seconds[name] += take_turns({name: form}, 1)[name]
    return seconds


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def needed_bytes(compiled: Any) -> int:
    """What a program needs on its device at once by XLA's count: arguments, results that reuse none, and temporaries.

    Unlike a device's own count, which holds the peak since the process started, this is of one program.
    """
    sizes = compiled.memory_analysis()
    results = sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return sizes.argument_size_in_bytes + results + sizes.temp_size_in_bytes


def device_bytes() -> int | None:
    """What programs may use of the device's memory; None where it keeps no count."""
    return (jax.devices()[0].memory_stats() or {}).get("bytes_limit")


def temporary_bytes(compiled: Any) -> int:
    """What XLA allocates besides arguments and results."""
    return compiled.memory_analysis().temp_size_in_bytes


def on_accelerator() -> bool:
    return jax.default_backend() != "cpu"


def describe_machine() -> str:
    """Device, date, versions, and how busy the machine is."""
    parts = [
        machine.describe_hardware(),
        datetime.date.today().isoformat(),
        machine.describe_versions(),
        f"load average {os.getloadavg()[0]:.1f}",
    ]
    return "; ".join(parts)
