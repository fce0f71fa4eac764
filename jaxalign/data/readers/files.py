"""Files of rows, however they are stored: JSON lines or one JSON array, as they are or compressed.

What a file holds is read from its first bytes, not from its name; compressed are gzip (of several members too) and
zstandard.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator

_GZIP, _ZSTANDARD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"


def open_bytes(path: str | os.PathLike) -> io.BufferedIOBase:
    """The content of a file, decompressed while it is read."""
    head = _first_bytes(path)
    if head.startswith(_GZIP):
        return gzip.open(path, "rb")
    if head.startswith(_ZSTANDARD):
        import pyarrow

        return io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.OSFile(os.fspath(path)), "zstd"))
    return open(path, "rb")


def is_parquet(path: str | os.PathLike) -> bool:
    """Says whether a file is parquet, whatever it is called."""
    return _first_bytes(path) == _PARQUET


def json_rows(path: str | os.PathLike) -> Iterator[tuple[int, bytes]]:
    """Each row as JSON with its number from 1: the lines that are not blank, or the items of a file that is one array.

    Raises:
      ValueError: a compressed file that ends early or is damaged.
    """
    try:
        with open_bytes(path) as file:
            lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            for number, line in lines:
                # An array of objects begins with a bracket and, at once or on the next line, a brace.
                if number == 1 and (line.strip() in (b"[", b"[]") or line.replace(b" ", b"").startswith(b"[{")):
                    yield from _items(path, line + file.read())
                    return
                yield number, line
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: a compressed file that ends early or is damaged ({reason}); fetch it again"
        ) from error


def _items(path: str | os.PathLike, text: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: begins as an array of JSON objects, and is none: {error}") from error
    for number, row in enumerate(rows, 1):
        yield number, json.dumps(row).encode()


def _first_bytes(path: str | os.PathLike) -> bytes:
    with open(path, "rb") as file:
        return file.read(4)
