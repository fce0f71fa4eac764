"""Numbers, times and texts as the operators' page shows them."""

import datetime
import json
import math
from typing import Any

NOTHING = "–"


def count(value: float | int) -> str:
    """Returns a count with separators, to the next whole number.

    Args:
      value: the count.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{value:,.0f}"


def share(value: float | int | None) -> str:
    """Returns a share as percent.

    Args:
      value: from 0 to 1; None where there is none.

    >>> share(0.123)
    '12.3 %'
    """
    return NOTHING if value is None else f"{100 * value:.1f} %"


def amount(value: float | int | None) -> str:
    """Returns a number with three significant digits, thousands with separators.

    Args:
      value: the number; None where there is none.

    >>> amount(0.12345), amount(12345.6), amount(0)
    ('0.123', '12,346', '0')
    """
    if value is None:
        return NOTHING
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")


def seconds(value: float | int | None) -> str:
    """Returns a time in seconds.

    Args:
      value: seconds; None where there is none.
    """
    return NOTHING if value is None else f"{amount(value)} s"


def moment(value: float | int) -> str:
    """Returns a point of time, in UTC.

    Args:
      value: seconds since 1970.

    >>> moment(0)
    '1970-01-01 00:00:00'
    """
    return datetime.datetime.fromtimestamp(value, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(value: float | int, now: float | int) -> str:
    """Returns how long ago something was.

    Args:
      value: seconds since 1970.
      now: likewise.

    >>> ago(0, 59), ago(0, 7200), ago(0, 200_000)
    ('59 s ago', '2 h ago', '2 d ago')
    """
    passed = max(now - value, 0)
    for size, name, most in ((1, "s", 90), (60, "min", 5400), (3600, "h", 129_600)):
        if passed < most:
            return f"{passed / size:.0f} {name} ago"
    return f"{passed / 86400:.0f} d ago"


def cut(text: str, most: int) -> str:
    """Returns the beginning of a text.

    Args:
      text: the text.
      most: characters.
    """
    return text if len(text) <= most else text[:most].rstrip() + " …"


def plain(value: Any) -> str:
    """Returns a value of JSON as one line.

    Args:
      value: what JSON holds.
    """
    if isinstance(value, float):
        return amount(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
