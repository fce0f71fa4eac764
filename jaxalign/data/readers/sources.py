"""Readers: parquet, JSON lines (compressed or not), TFDS and rows in memory, all into records.

Everything is read into memory: preference data are texts that people or judges have read.
"""

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxalign.data.readers import files
from jaxalign.data.records.record import PreferenceRecord

SURROGATE = re.compile("[\ud800-\udfff]")
RowFn = Callable[[Mapping], Any]
Paths = str | os.PathLike | Sequence[str | os.PathLike]


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


def read_parquet(paths: Paths, row_fn: RowFn, *, group_by_id: bool = False, skip_bad_rows: bool = False) -> Source:
    """Reads the records of one or several parquet files.

    Args:
      paths: a file, or several in their order.
      row_fn: makes a record of a row, for instance :class:`~jaxalign.data.ListColumns`; or a pair, or a question.
      group_by_id: rows of one id are parts of one list and become one record, at the place of the first; they need not
        be neighbours. For :class:`~jaxalign.data.ResponseColumns`, which needs it, and its like.
      skip_bad_rows: leave out what ``row_fn`` rejects, and count it, instead of stopping there.

    Returns:
      The records in their order, and a report of how reading them went.

    Raises:
      ValueError: naming file, row (from 1) and field of a bad row; if no row was good; if a file is not parquet.
    """
    import pyarrow
    import pyarrow.parquet

    def rows(path) -> Iterator[Mapping]:
        if not files.is_parquet(path):
            raise ValueError(f"{path}: not a parquet file that can be read: it does not begin as one")
        try:
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024):
                yield from batch.to_pylist()
        except pyarrow.ArrowInvalid as error:
            raise ValueError(f"{path}: not a parquet file that can be read: {error}") from error

    located = ((f"{path}, row {n}", row) for path in _listed(paths) for n, row in enumerate(rows(path), 1))
    return _collect(located, row_fn, group_by_id, skip_bad_rows)


def read_jsonl(paths: Paths, row_fn: RowFn, *, group_by_id: bool = False, skip_bad_rows: bool = False) -> Source:
    """Reads the records of one or several files of JSON objects, one a line or in one array, compressed or not.

    Args:
      paths: a file, or several in their order.
      row_fn: makes a record of a row, for instance :class:`~jaxalign.data.ListColumns`; or a pair, or a question.
      group_by_id: rows of one id are parts of one list and become one record, at the place of the first; they need not
        be neighbours. For :class:`~jaxalign.data.ResponseColumns`, which needs it, and its like.
      skip_bad_rows: leave out what ``row_fn`` rejects, and count it, instead of stopping there.

    Returns:
      The records in their order, and a report of how reading them went.

    Raises:
      ValueError: naming file, row (the line, from 1) and field of a bad row; if no row was good.
    """
    lines = ((f"{path}, row {n}", line) for path in _listed(paths) for n, line in files.json_rows(path))
    return _collect(lines, row_fn, group_by_id, skip_bad_rows, parse=_json_object)


def read_file(path: str | os.PathLike, row_fn: RowFn, **options: bool) -> Source:
    """Reads the records of a parquet file, or else of JSON lines.

    Args:
      path: the file.
      row_fn: makes a record of a row, for instance :class:`~jaxalign.data.ListColumns`; or a pair, or a question.
      options: ``group_by_id`` and ``skip_bad_rows`` of :func:`read_jsonl`.

    Returns:
      The records in their order, and a report of how reading them went.

    Raises:
      ValueError: naming file, row (from 1) and field of a bad row; if no row was good.
    """
    return (read_parquet if files.is_parquet(path) else read_jsonl)(path, row_fn, **options)


def read_tfds(
    name: str,
    row_fn: RowFn,
    *,
    split: str,
    data_dir: str | os.PathLike | None = None,
    group_by_id: bool = False,
    skip_bad_rows: bool = False,
) -> Source:
    """Reads the records of a TFDS data set that is stored as array_record, without TensorFlow.

    Args:
      name: what ``tfds.data_source`` calls it, for instance ``"my_preferences:1.0.0"``.
      split: for instance ``"train"`` or ``"train[:10%]"``.
      data_dir: where data sets lie; TFDS has a default.
      row_fn: makes a record of a row, for instance :class:`~jaxalign.data.ListColumns`; or a pair, or a question.
      group_by_id: rows of one id are parts of one list and become one record, at the place of the first; they need not
        be neighbours. For :class:`~jaxalign.data.ResponseColumns`, which needs it, and its like.
      skip_bad_rows: leave out what ``row_fn`` rejects, and count it, instead of stopping there.

    Returns:
      The records in their order, and a report of how reading them went.

    Raises:
      ValueError: naming data set, row (from 1) and field of a bad row; if no row was good.
    """
    import tensorflow_datasets as tfds

    rows = tfds.data_source(name, split=split, data_dir=None if data_dir is None else os.fspath(data_dir))
    located = ((f"{name} {split}, row {n}", rows[n - 1]) for n in range(1, len(rows) + 1))
    return _collect(located, row_fn, group_by_id, skip_bad_rows, parse=_plain)


def read_rows(
    rows: Iterable[Mapping], row_fn: RowFn, *, group_by_id: bool = False, skip_bad_rows: bool = False
) -> Source:
    """Reads the records of rows in memory, for instance of a Hugging Face data set or of ``frame.to_dict("records")``.

    Args:
      rows: mappings from columns to values.
      row_fn: makes a record of a row, for instance :class:`~jaxalign.data.ListColumns`; or a pair, or a question.
      group_by_id: rows of one id are parts of one list and become one record, at the place of the first; they need not
        be neighbours. For :class:`~jaxalign.data.ResponseColumns`, which needs it, and its like.
      skip_bad_rows: leave out what ``row_fn`` rejects, and count it, instead of stopping there.

    Returns:
      The records in their order, and a report of how reading them went.

    Raises:
      ValueError: naming row (from 1) and field of a bad row; if no row was good.
    """
    located = ((f"row {n}", row) for n, row in enumerate(rows, 1))
    return _collect(located, row_fn, group_by_id, skip_bad_rows, parse=_plain)


def _collect(
    located: Iterable[tuple[str, Any]],
    row_fn: RowFn,
    group_by_id: bool,
    skip_bad_rows: bool,
    *,
    parse: Callable[[Any], Any] = lambda row: row,
) -> Source:
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


def _listed(paths: Paths) -> list[str | os.PathLike]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _json_object(line: bytes) -> Mapping:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, got {type(row).__name__}")
    return row


def _plain(value: Any) -> Any:
    """NumPy values and bytes as the Python values that parquet and JSON give."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value
