"""``report.html``: one file that shows what a run did, without scripts and without anything from elsewhere.

A report is a title, a summary and sections; each section has a ``title`` and a ``caption`` that says what to see, and
its texts are escaped. Passwords in URLs, and the values of environment variables that hold keys and tokens, are left
out wherever they stand. An experiment lists what it has:

    write_report(
        directory / "report.html", "LiPO on the synthetic world",
        summary={"win rate against SFT": Estimate(0.71, 0.66, 0.75), "steps": 400},
        sections=[
            Curves("Training", metric_series(directory / "lipo", ("loss", "eval/loss")), y_label="nats per list"),
            Histogram("Response lengths", {"SFT": before, "LiPO": after}, x_label="tokens"),
            Table("Win rates", ("loss", "win rate"), [("lambda", Estimate(0.71, 0.66, 0.75))]),
            Texts("Samples", [{"prompt": "...", "SFT": "...", "LiPO": "..."}]),
        ],
    )
"""

import dataclasses
import datetime
import html
import math
import numbers
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2

from jaxalign.io.report import figures
from jaxalign.io.run.writers import read_metrics

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("jaxalign.io.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")  # how variables of the environment that hold some end
_SECRET_LENGTH = 8  # shorter values are words that occur in texts


class Estimate(NamedTuple):
    """A number with the ends of its interval; one within [0, 1] is also drawn, with a line at one half.

    Where both ends are the number itself, it is exact and stands alone.
    """

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names with what there is to say of each: texts, numbers, or lists of texts. A :class:`Code` is shown as such."""

    title: str
    facts: Mapping[str, Any]
    caption: str = ""
    template = "facts.html"


class Code(str):
    """What can be copied and run."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of texts, numbers and :class:`Estimate`; the first cell of a row is its heading."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    template = "table.html"

    @property
    def text_columns(self) -> set[int]:
        """The columns with texts, which are read from the left, unlike numbers; an empty text is a missing number."""
        return {place for row in self.rows for place, value in enumerate(row) if isinstance(value, str) and value}


@dataclasses.dataclass(frozen=True)
class Curves:
    """Lines: ``series`` maps labels to (x, y). Long ones are drawn as means, with a band from least to greatest."""

    title: str
    series: figures.Series
    x_label: str = "step"
    y_label: str = ""
    caption: str = ""
    template = "figure.html"

    @property
    def panels(self) -> Mapping[str, figures.Series]:
        return {"": self.series}

    def draw(self) -> list[figures.Drawing]:
        return figures.draw_panels(self.panels, self.x_label, self.y_label)


@dataclasses.dataclass(frozen=True)
class Panels:
    """Several figures of lines of one meaning, by title: they have the same axes."""

    title: str
    panels: Mapping[str, figures.Series]
    x_label: str = "step"
    y_label: str = ""
    caption: str = ""
    template = "figure.html"

    def draw(self) -> list[figures.Drawing]:
        return figures.draw_panels(self.panels, self.x_label, self.y_label)


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How often what has a probability comes true: lines by title and label, beside the diagonal of the unit square."""

    title: str
    panels: Mapping[str, figures.Series]
    x_label: str
    y_label: str
    caption: str = ""
    template = "figure.html"

    def draw(self) -> list[figures.Drawing]:
        return figures.draw_reliability(self.panels, self.x_label, self.y_label)


@dataclasses.dataclass(frozen=True)
class Histogram:
    """How often values occur: ``samples`` maps labels to values; each has a row, all share axes and bins."""

    title: str
    samples: Mapping[str, figures.Numbers]
    x_label: str
    caption: str = ""
    template = "figure.html"

    @property
    def panels(self) -> Mapping[str, Mapping[str, figures.Numbers]]:
        return {"": self.samples}

    def draw(self) -> list[figures.Drawing]:
        return [figures.draw_histograms(self.samples, self.x_label)]


@dataclasses.dataclass(frozen=True)
class Texts:
    """Samples, each a mapping from what a text is (prompt, response of the policy) to the text, shown as it is."""

    title: str
    samples: Sequence[Mapping[str, str]]
    caption: str = ""
    template = "texts.html"


Section = Facts | Table | Curves | Panels | Reliability | Histogram | Texts


def write_report(
    path: str | pathlib.Path,
    title: str,
    *,
    summary: Mapping[str, Any],
    sections: Sequence[Section],
    subtitle: str = "",
) -> pathlib.Path:
    """Writes the report to ``path`` and returns it. ``summary`` maps names to texts, numbers or Estimates."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z")
    page = _TEMPLATES.get_template("report.html").render(
        title=title, subtitle=subtitle, summary=summary, sections=sections, written=written
    )
    path.write_text(without_secrets(page, os.environ), encoding="utf-8")
    return path


def metric_series(
    directory: str | pathlib.Path, names: Sequence[str], *, prefix: str = ""
) -> dict[str, tuple[list, list]]:
    """The metrics ``names`` of the run in ``directory``, for :class:`Curves`, each label with ``prefix`` in front.

    Raises:
      ValueError: no row has a metric of that name.
    """
    rows = read_metrics(directory)
    series = {
        prefix + name: (
            [row["step"] for row in rows if name in row],
            [row[name] for row in rows if name in row],
        )
        for name in names
    }
    empty = [name for name in names if not series[prefix + name][0]]
    if empty:
        known = sorted({name for row in rows for name in row} - {"step"})
        raise ValueError(f"no metric {', '.join(empty)} in {directory}; there are {', '.join(known) or 'none'}")
    return series


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """The text without user names and passwords in URLs, and without the keys and tokens of the environment.

    >>> without_secrets("http://me:abc@host/v1, key 0123456789", {"MY_API_KEY": "0123456789"})
    'http://[user and password]@host/v1, key [MY_API_KEY]'
    """
    text = re.sub(r"(?<=://)[^\s/@:<>\"']*:[^\s/@<>\"']+(?=@)", "[user and password]", text)
    for name, value in environment.items():
        if len(value) >= _SECRET_LENGTH and name.upper().endswith(_SECRETS):
            text = text.replace(value, f"[{name}]").replace(html.escape(value), f"[{name}]")
    return text


def format_number(value: Any) -> str:
    """Texts as they are, integers and thousands with separators, other numbers with three digits."""
    if isinstance(value, str | bool):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    if isinstance(value, numbers.Integral) or abs(number) >= 999.5:
        return f"{number:,.0f}"
    return f"{number:#.3g}".rstrip(".") if number else "0"


_TEMPLATES.filters["number"] = format_number
_TEMPLATES.tests["estimate"] = lambda value: isinstance(value, Estimate)
_TEMPLATES.tests["code"] = lambda value: isinstance(value, Code)
_TEMPLATES.tests["exact"] = lambda value: value.low == value.value == value.high or math.isnan(value.low + value.high)
_TEMPLATES.tests["share"] = lambda value: 0 <= value.low <= value.high <= 1
