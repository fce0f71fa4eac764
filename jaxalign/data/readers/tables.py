"""CSV and TSV files as rows. Every cell is a text, but where a whole column holds JSON lists or messages."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jaxalign.data.readers import files
from jaxalign.data.readers.collecting import RowFn, Source, collect

# Answers are longer than the 131,072 characters that the csv module takes for a sign of a missing quote.
_LONGEST_CELL = 2**31 - 1


class Cells(NamedTuple):
    """One row of a table: the names of the columns, which of them hold JSON, and a text for each cell."""

    header: tuple[str, ...]
    json_columns: frozenset[str]
    cells: list[str]


def read_csv(
    path: str | os.PathLike, row_fn: RowFn, *, group_by_id: bool = False, skip_bad_rows: bool = False
) -> Source:
    """Reads the records of a CSV or TSV file with a header, compressed or not.

    A cell may hold line breaks within quotes. A cell is a text, a number too; where every cell of a column is JSON, a
    list or a message, it is that.

    Args:
      path: the file, in UTF-8; its first line tells whether commas, tabs or semicolons separate.
      row_fn: makes a record of a row, for instance :class:`~jaxalign.data.PairColumns`.
      group_by_id: rows of one id are parts of one list and become one record, at the place of the first.
      skip_bad_rows: leave out rows that ``row_fn`` rejects or that have too few or too many cells, and count them,
        instead of stopping there.

    Returns:
      The records in their order, and a report of how reading them went.

    Raises:
      ValueError: naming file, row (from 1, after the header) and field of a bad row; if no row was good.
    """
    return collect(table_rows(path), row_fn, group_by_id, skip_bad_rows, parse=parse_cells)


def table_rows(path: str | os.PathLike) -> Iterator[tuple[str, Cells]]:
    """Each row with its place; :func:`parse_cells` makes a mapping of it. ValueError for what is no table."""
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with files.open_bytes(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
            first = text.readline()
            delimiter = max(",\t;", key=first.count)
            text.seek(0)
            header, *rows = [row for row in csv.reader(text, delimiter=delimiter, strict=True) if row] or [()]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a table in UTF-8 that can be read: {error}; export it again") from error
    if not header or len(set(header)) < len(header):
        raise ValueError(f"{path}: expected a header of different names, got {', '.join(header) or 'nothing'}")
    columns = zip(*(row for row in rows if len(row) == len(header)), strict=True)
    found = frozenset(name for name, cells in zip(header, columns, strict=False) if _all_json(cells))
    for number, cells in enumerate(rows, 1):
        yield f"{path}, row {number}", Cells(tuple(header), found, cells)


def parse_cells(row: Cells) -> Mapping[str, Any]:
    """The row as a mapping; an empty cell of a JSON column is None. ValueError for too few or too many cells."""
    if len(row.cells) != len(row.header):
        raise ValueError(f"expected {len(row.header)} cells, as the header has names, got {len(row.cells)}")
    return {
        name: (json.loads(cell) if cell else None) if name in row.json_columns else cell
        for name, cell in zip(row.header, row.cells, strict=True)
    }


def _all_json(cells: tuple[str, ...]) -> bool:
    given = [cell for cell in cells if cell]
    return bool(given) and all(map(_is_json, given))


def _is_json(cell: str) -> bool:
    if not cell.lstrip().startswith(("[", "{")):
        return False
    try:
        value = json.loads(cell)
    except ValueError:
        return False
    return isinstance(value, list) or "role" in value
