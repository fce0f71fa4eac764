"""Reads whatever holds rows: JSON lines, parquet, CSV, folders of ``datasets``, TFDS; the layout is recognised."""

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from jaxalign.data.readers import files, folders, tables
from jaxalign.data.readers.collecting import Source, collect, plain
from jaxalign.data.readers.layouts import Layout, named_layout, recognise
from jaxalign.data.readers.sources import json_object, parquet_rows, tfds_rows

_TFDS = "tfds:"
_TABLES = ".csv", ".tsv"


class _Rows(NamedTuple):
    """Rows that can be iterated over again, each with its place, and what makes a mapping of one."""

    located: Callable[[], Iterator[tuple[str, Any]]]
    parse: Callable[[Any], Mapping] = lambda row: row

    def good(self) -> Iterator[Mapping]:
        """Those that are mappings: reading names the others."""
        for _, raw in self.located():
            try:
                yield self.parse(raw)
            except ValueError:
                continue


def read_any(
    path_or_name: str | os.PathLike,
    *,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    skip_bad_rows: bool = False,
) -> tuple[Source, Layout]:
    """Reads a data set of any of the known kinds and layouts, see :func:`~jaxalign.data.recognise`.

    Args:
      path_or_name: a file of JSON lines or one JSON array, of parquet, or of CSV or TSV (by its name), perhaps
        compressed; a folder that ``datasets`` saved; or ``tfds:`` and what ``tfds.data_source`` calls a data set.
      split: which part of a data set that has several; None for a file.
      columns: the column of each role, see :func:`~jaxalign.data.named_layout`; None to recognise them.
      skip_bad_rows: leave out and count rows that cannot be used, instead of stopping there.

    Returns:
      The records with a report of how reading them went, and the layout, whose ``seen`` is to be shown.

    Raises:
      ValueError: if there is no such source or split; if no layout fits, or several; naming a bad row.
    """
    rows = _rows_of(path_or_name, split)
    layout = recognise(rows.good()) if columns is None else named_layout(columns, rows.good())
    source = collect(rows.located(), layout.row_fn, layout.group_by_id, skip_bad_rows, parse=rows.parse)
    return source, layout


def plain_rows(path_or_name: str | os.PathLike, *, split: str | None = None) -> list[Mapping]:
    """Reads the rows of a data set of any of the known kinds as they are.

    Args:
      path_or_name: a file of JSON lines or one JSON array, of parquet, or of CSV or TSV (by its name), perhaps
        compressed; a folder that ``datasets`` saved; or ``tfds:`` and what ``tfds.data_source`` calls a data set.
      split: which part of a data set that has several; None for a file.

    Returns:
      A mapping from columns to values for each row, in their order.

    Raises:
      ValueError: if there is no such source or split; naming a row that is none.
    """
    rows = _rows_of(path_or_name, split)
    return collect(rows.located(), lambda row: row, False, False, parse=rows.parse).records


def _rows_of(path_or_name: str | os.PathLike, split: str | None) -> _Rows:
    name = os.fspath(path_or_name)
    if name.startswith(_TFDS):
        return _Rows(lambda: tfds_rows(name.removeprefix(_TFDS), split), plain)
    path = pathlib.Path(name)
    if path.is_dir():
        if not folders.is_saved_dataset(path):
            raise ValueError(f"{path}: expected a folder that datasets.save_to_disk wrote; name a file in it")
        place = path if split is None else path / split
        return _Rows(lambda: _numbered(place, enumerate(folders.saved_rows(path, split), 1)))
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; correct it, or write tfds:NAME for a data set of TFDS")
    if split is not None:
        raise ValueError(f"{path}: a file has no splits, got split={split!r}; leave it out, or name another file")
    if files.is_parquet(path):
        return _Rows(lambda: _numbered(path, enumerate(parquet_rows(path), 1)))
    if any(suffix.lower() in _TABLES for suffix in path.suffixes[-2:]):
        return _Rows(lambda: tables.table_rows(path), tables.parse_cells)
    return _Rows(lambda: _numbered(path, files.json_rows(path)), json_object)


def _numbered(place: os.PathLike, rows: Iterable[tuple[int, Any]]) -> Iterator[tuple[str, Any]]:
    return ((f"{place}, row {number}", row) for number, row in rows)
