"""Types of config fields that say which numbers make sense, one check of them all, and configs with groups of fields.

A group is a field that is a dataclass itself, such as the flags of a language model. On the command line, in reports
and in run folders its fields are flags like any other.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Collection, Iterator
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


def check_names(kind: str, names: Collection[str], known: Collection[str]) -> None:
    """Refuses names that nothing has.

    Args:
      kind: what they are names of, for instance ``"methods"``.
      names: those that were asked for.
      known: those that there are.

    Raises:
      ValueError: naming the unknown ones.
    """
    if unknown := set(names) - set(known):
        raise ValueError(f"unknown {kind} {sorted(unknown)}; there are {', '.join(known)}")


def flat(config: Any) -> dict[str, Any]:
    """Returns the flags of a config with their values: its fields, and those of its groups."""
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        values |= flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def replace(config: Any, **changes: Any) -> Any:
    """Returns the config with other values of these flags, as ``dataclasses.replace`` does, in its groups too."""
    for field in dataclasses.fields(config):
        group = getattr(config, field.name)
        if dataclasses.is_dataclass(group):
            inside = {name: changes.pop(name) for name in flat(group) if name in changes}
            changes = {field.name: replace(group, **inside), **changes}
    return dataclasses.replace(config, **changes)


def flattened(config: Any) -> Any:
    """Returns a dataclass of the config's flags, without groups, for those who read settings by name."""
    return _flat_type(type(config))(**flat(config))


@functools.cache
def _flat_type(kind: type) -> type:
    flags = [(name, Any, default) for name, default in flat(kind()).items()]
    return dataclasses.make_dataclass(kind.__name__, flags, frozen=True)


def is_url(value: Any) -> bool:
    """Says whether a teacher or a model is a server."""
    return isinstance(value, str) and value.strip().lower().startswith(("http://", "https://"))


def _numbers(hint: Any, value: Any) -> Iterator[tuple[Range, float]]:
    """Yields the numbers in a value that have a range, each with it."""
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
