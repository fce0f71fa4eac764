"""Types of config fields that say which numbers make sense, and one check of them all before any work is done."""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from jaxalign.io.llm.http import check_base_url


class Range(NamedTuple):
    """Finite numbers from ``low`` to ``high``; ``above`` leaves ``low`` itself out."""

    low: float
    high: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        return math.isfinite(value) and self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        first = f"{'more than' if self.above else 'at least'} {self.low:g}"
        return first if self.high == math.inf else f"{first} and at most {self.high:g}"


Count = Annotated[int, Range(1)]
CountOrNone = Annotated[int, Range(0)]
"""A number of something that may be left out, with 0."""
Rate = Annotated[float, Range(0)]
"""A learning rate; at 0, a model stays what it is."""
Positive = Annotated[float, Range(0, above=True)]
Share = Annotated[float, Range(0, 1)]


def check(config: Any) -> None:
    """Refuses what no run can come of, before files are written and hours are spent.

    Raises:
      ValueError: a number out of its range; a URL of another form, or with a user name, a password or a query, which
        hold secrets.
    """
    for name, hint in typing.get_type_hints(type(config), include_extras=True).items():
        value, flag = getattr(config, name), f"--{name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            check(value)
        for limits, number in _numbers(hint, value):
            if not limits.holds(number):
                raise ValueError(f"{flag}: expected {limits}, got {_shown(value)}")
        if is_url(value):
            try:
                check_base_url(value)
            except ValueError as error:
                raise ValueError(f"{flag}: {str(error).removeprefix('base_url: ')}") from None


def flat(config: Any) -> dict[str, Any]:
    """The flags of a config with their values: its fields, and the fields of those that are configs themselves."""
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        values |= flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def is_url(value: Any) -> bool:
    """Says whether a teacher or a model is a server."""
    return isinstance(value, str) and value.strip().lower().startswith(("http://", "https://"))


def _numbers(hint: Any, value: Any) -> Iterator[tuple[Range, float]]:
    """The numbers in a value that have a range, each with it."""
    if value is None:
        return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        yield from ((limits, value) for limits in hint.__metadata__ if isinstance(limits, Range))
    elif origin is tuple:
        hints = [arguments[0]] * len(value) if arguments[1:] == (...,) else arguments
        for each, item in zip(hints, value, strict=False):
            yield from _numbers(each, item)
    elif origin in (typing.Union, types.UnionType):
        for each in arguments:
            yield from _numbers(each, value)


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
