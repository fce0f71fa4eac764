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

import datetime
import html
import math
import numbers
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from jaxalign.io.report.sections import Code, Estimate, Section
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


def write_report(
    path: str | pathlib.Path,
    title: str,
    *,
    summary: Mapping[str, Any],
    sections: Sequence[Section],
    subtitle: str = "",
) -> pathlib.Path:
    """Writes a report, without passwords and the keys of the environment.

    Args:
      path: the file; its folder is made.
      title: the heading of the page.
      summary: texts, numbers or :class:`Estimate` by name, which stand first.
      sections: what follows.
      subtitle: a line below the title.

    Returns:
      ``path``.
    """
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
    """Returns metrics of a run for :class:`Curves`: (steps, values) by label.

    Args:
      directory: the folder of the run, with ``metrics.jsonl``.
      names: names of metrics.
      prefix: what stands before a name in its label.

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
    """Returns a text without user names and passwords in URLs, and without the keys and tokens of the environment.

    Args:
      text: the text.
      environment: environment variables by name; those that end with KEY, TOKEN, SECRET or PASSWORD hold secrets.

    >>> without_secrets("http://me:abc@host/v1, key 0123456789", {"MY_API_KEY": "0123456789"})
    'http://[user and password]@host/v1, key [MY_API_KEY]'
    """
    text = re.sub(r"(?<=://)[^\s/@:<>\"']*:[^\s/@<>\"']+(?=@)", "[user and password]", text)
    for name, value in environment.items():
        if len(value) >= _SECRET_LENGTH and name.upper().endswith(_SECRETS):
            text = text.replace(value, f"[{name}]").replace(html.escape(value), f"[{name}]")
    return text


def format_number(value: Any) -> str:
    """Returns a number as a report has it: integers and thousands with separators, others with three digits.

    Args:
      value: a number; a text or bool is given back as text.
    """
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
