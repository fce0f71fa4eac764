"""Collects the records of rows, whatever they were read from: bad rows named, or skipped and counted, lists joined.

Everything is read into memory: preference data are texts that people or judges have read.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxalign.data.records.record import PreferenceRecord

SURROGATE = re.compile("[\ud800-\udfff]")
RowFn = Callable[[Mapping], Any]


class SourceReport(NamedTuple):
    """What a reader met.

    Attributes:
      rows: how many there were.
      skipped: how many were left out.
      problems: the first ten reasons.
    """

    rows: int
    skipped: int
    problems: tuple[str, ...]


class _Source(NamedTuple):
    records: list
    report: SourceReport


class Source(_Source):
    """Records, in the order of the source, and how reading them went: a pair.

    Beside the pair ``rows`` has the number of each record's row, from 0 over all files; rows that were skipped count,
    blank lines do not. Of a group it is the number of its first row.
    """

    rows: Sequence[int] = ()


def collect(
    located: Iterable[tuple[str, Any]],
    row_fn: RowFn,
    group_by_id: bool,
    skip_bad_rows: bool,
    *,
    parse: Callable[[Any], Any] = lambda row: row,
) -> Source:
    """Makes a record of each row; see :func:`~jaxalign.data.read_jsonl` for the arguments that are explained there.

    Args:
      located: rows as they are read, each with what errors call its place.
      row_fn: makes a record of a parsed row.
      group_by_id: whether rows of one id become one record.
      skip_bad_rows: whether a row that ``parse`` or ``row_fn`` rejects is left out and counted.
      parse: makes a mapping of what was read.

    Returns:
      The records in their order, and a report.

    Raises:
      ValueError: naming place and field of a bad row; if no row was good.
    """
    parts: dict[Any, list] = {}
    firsts: dict[Any, int] = {}
    rows, problems = 0, []
    for place, raw in located:
        rows += 1
        try:
            row = parse(raw)
            record = row_fn(row)
            _check_texts(row, record)
            key = rows
            if group_by_id:
                key = record.id
                _check_key(key, parts.get(key), record)
        except (ValueError, KeyError, TypeError) as error:
            # row_fn may be the user's own, which meets missing or mistyped values in its own way.
            reason = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            if not skip_bad_rows:
                raise ValueError(f"{place}: {reason}. Correct it, or skip bad rows") from error
            problems.append(f"{place}: {reason}")
            continue
        parts.setdefault(key, []).append(record)
        firsts.setdefault(key, rows - 1)
    if not parts:
        raise ValueError(f"no usable row among {rows}" + (f"; the first problem: {problems[0]}" if problems else ""))
    records = [_join(part) if group_by_id else part[0] for part in parts.values()]
    source = Source(records, SourceReport(rows, len(problems), tuple(problems[:10])))
    source.rows = list(firsts.values())
    return source


def _check_texts(row: Any, record: Any) -> None:
    """A text that cannot be encoded is a bad row here, where file and row are known, and not later.

    JSON can spell one half of a surrogate pair; texts cut at a UTF-16 unit are written so.
    """
    if not (half := _half_pair(record)):
        return
    fields = row if isinstance(row, Mapping) else getattr(record, "__dict__", {})
    field = next((f"{name}: " for name, value in fields.items() if _half_pair(value)), "")
    raise ValueError(
        f"{field}holds half of a surrogate pair, {half.group()!r} at character {half.start()}, which is no character "
        "and has no tokens. Remove it or write the whole character"
    )


def _half_pair(value: Any) -> re.Match | None:
    """The first in the texts of a row or a record."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str):
            if not value.isascii() and (found := SURROGATE.search(value)):
                return found
        elif isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
        elif dataclasses.is_dataclass(value):
            left += getattr(value, "__dict__", {}).values()
    return None


def _check_key(key, part: list[PreferenceRecord] | None, record: PreferenceRecord) -> None:
    if key == "":
        raise ValueError("id: empty, but rows are grouped by it")
    if part and part[0].prompt != record.prompt:
        raise ValueError(f"prompt: differs from that of earlier rows with id {record.id!r}")


def _join(part: list[PreferenceRecord]) -> PreferenceRecord:
    return dataclasses.replace(
        part[0],
        responses=tuple(itertools.chain.from_iterable(record.responses for record in part)),
        labels=tuple(itertools.chain.from_iterable(record.labels for record in part)),
    )


def plain(value: Any) -> Any:
    """NumPy values and bytes as the Python values that parquet and JSON give."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value
