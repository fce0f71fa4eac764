"""Files of one JSON object a line that grow at their end, so that a kill at any moment costs one line at most.

A line counts once its end is written. What stands behind the last end is being written, or was when its writer died:
readers pass over it, and the next writer removes it.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, TypeVar

from jaxalign import files

Row = TypeVar("Row")
_BLOCK = 2**16  # bytes that are looked through at once for the last end of a line


class Place(NamedTuple):
    """How far a file has been read.

    Attributes:
      lines: lines that were read.
      bytes: their length, their ends included.
    """

    lines: int = 0
    bytes: int = 0


START = Place()


def read_rows(
    path: str | os.PathLike,
    parse: Callable[[Any], Row] = lambda value: value,
    *,
    what: str = "JSON",
    remedy: str = "remove the line",
) -> list[Row]:
    """Reads all rows of a file, without a last line that was cut off.

    Args:
      path: the file.
      parse: makes a row of a line's JSON; what it raises (KeyError, TypeError, ValueError) means a damaged line.
      what: what a line should be, for the message of an error.
      remedy: what to do about a damaged line, for the same.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line is damaged; names the file, the line and the remedy.
    """
    return [row for row, _ in read_on(path, parse, what=what, remedy=remedy)]


def read_on(
    path: str | os.PathLike,
    parse: Callable[[Any], Row] = lambda value: value,
    *,
    after: Place = START,
    what: str = "JSON",
    remedy: str = "remove the line",
) -> Iterator[tuple[Row, Place]]:
    """Reads the rows behind a place one by one, without a last line that was cut off.

    Args:
      path: the file.
      parse: makes a row of a line's JSON; what it raises (KeyError, TypeError, ValueError) means a damaged line.
      after: the end of the last line that was read.
      what: what a line should be, for the message of an error.
      remedy: what to do about a damaged line, for the same.

    Returns:
      Each row, and the place behind it.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line is damaged; names the file, the line and the remedy.
    """
    with open(path, "rb") as file:
        file.seek(after.bytes)
        for line in file:
            if not line.endswith(b"\n"):
                return
            number = after.lines + 1
            try:
                row = parse(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"{path}, line {number}: not {what} ({type(error).__name__}: {error}); {remedy}"
                ) from error
            after = Place(number, after.bytes + len(line))
            yield row, after


class Writer(contextlib.AbstractContextManager):
    """Appends lines to a file, whose last line is removed first if it was cut off. A context manager that closes it.

    Args:
      path: the file; there need not be one, but there must be its folder.
      promise: what the same command does after a full disk, for the message of an error.
    """

    def __init__(self, path: str | os.PathLike, *, promise: str = "it continues"):
        self._path, self._promise = pathlib.Path(path), promise
        if self._path.exists():
            _remove_cut_line(self._path)
        self._file = self._path.open("ab", buffering=0)  # nothing is left to write when writing failed

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def append(self, line: str, name: str = "a line") -> None:
        """Writes a line.

        Args:
          line: JSON, without the end of a line.
          name: what the line is, for the message of an error.

        Raises:
          OSError: it could not be written, not even in part; names it, the file and the remedy.
        """
        with files.explained(f"{name} to {self._path}", self._promise):
            append(self._file, f"{line}\n".encode())


def append(file: BinaryIO, line: bytes) -> None:
    """Writes a line, or nothing of it.

    Args:
      file: open for appending, without a buffer. Nobody else writes to it meanwhile.
      line: the line with its end.

    Raises:
      OSError: it could not be written.
    """
    start = file.seek(0, os.SEEK_END)
    rest = memoryview(line)
    try:
        while rest:  # a disk that is nearly full takes a part
            rest = rest[file.write(rest) :]
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(start)
        raise


def _remove_cut_line(path: pathlib.Path) -> None:
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(end - _BLOCK, 0)
            file.seek(start)
            if (found := file.read(end - start).rfind(b"\n")) >= 0:
                end = start + found + 1
                break
            end = start
        file.truncate(end)
