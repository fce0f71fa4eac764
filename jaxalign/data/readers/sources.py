"""Readers: parquet, JSON lines (compressed or not), TFDS and rows in memory, all into records.

Everything is read into memory, see :mod:`jaxalign.data.readers.collecting`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from jaxalign.data.readers import files
from jaxalign.data.readers.collecting import RowFn, Source, collect, plain

Paths = str | os.PathLike | Sequence[str | os.PathLike]


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
    located = ((f"{path}, row {n}", row) for path in _listed(paths) for n, row in enumerate(parquet_rows(path), 1))
    return collect(located, row_fn, group_by_id, skip_bad_rows)


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
    return collect(lines, row_fn, group_by_id, skip_bad_rows, parse=json_object)


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
    return collect(tfds_rows(name, split, data_dir), row_fn, group_by_id, skip_bad_rows, parse=plain)


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
    return collect(located, row_fn, group_by_id, skip_bad_rows, parse=plain)


def _listed(paths: Paths) -> list[str | os.PathLike]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def parquet_rows(path: str | os.PathLike) -> Iterator[Mapping]:
    """The rows of a parquet file as Python values; ValueError for what is none."""
    import pyarrow
    import pyarrow.parquet

    if not files.is_parquet(path):
        raise ValueError(f"{path}: not a parquet file that can be read: it does not begin as one")
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024):
            yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: not a parquet file that can be read: {error}") from error


def tfds_rows(name: str, split: str | None, data_dir: str | os.PathLike | None = None) -> Iterator[tuple[str, Mapping]]:
    """Each row of a TFDS data set with its place; ValueError if no split is named and there are several."""
    import tensorflow_datasets as tfds

    rows = tfds.data_source(name, split=split, data_dir=None if data_dir is None else os.fspath(data_dir))
    if split is None:
        if len(rows) > 1:
            raise ValueError(f"{name}: expected a split, one of {', '.join(rows)}, got none; name one of them")
        [(split, rows)] = rows.items()
    for number in range(len(rows)):
        yield f"{name} {split}, row {number + 1}", rows[number]


def json_object(line: bytes) -> Mapping:
    """The row that a line of JSON spells; ValueError for what is no object."""
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, got {type(row).__name__}")
    return row
