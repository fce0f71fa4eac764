"""Files that are complete or not there: written beside their place under a name of their own, then renamed.

Effects are this module's purpose. It lies below all others because ``data``, ``protein`` and ``io`` write such files.
"""

import contextlib
import errno
import json
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import Any, BinaryIO

_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
_DRAFT = ".part-"  # between a file's name and what tells its writers apart


@contextlib.contextmanager
def replaced(path: str | os.PathLike, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Gives a new binary file that takes the place of ``path`` once it is written; if that fails, it is removed.

    Several threads, processes and machines may write the same path at once: each has a file of its own, and the last
    one stays. A process that is killed leaves ``<name>.part-...``, which nobody reads (see :func:`remove_drafts`).

    Args:
      path: the file, in a folder that exists. What is there stays until the new file is complete.
      sync: whether to wait until the content is on the disk, so that it outlives a power cut. It may take seconds on a
        disk that is busy with checkpoints: False for what is written again and again.

    Returns:
      A context manager that gives the file, open for writing. Its ``name`` is a path, for a library that opens it.

    Raises:
      OSError: it could not be written, or the code inside raised one; names the file and the remedy.
    """
    path = pathlib.Path(path)
    draft = path.with_name(f"{path.name}{_DRAFT}{secrets.token_hex(8)}")
    with explained(str(path)):
        try:
            with draft.open("xb") as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise


def write_text(path: str | os.PathLike, text: str, *, sync: bool = True) -> None:
    """Writes a text as UTF-8, complete or not at all.

    Args:
      path: the file, in a folder that exists.
      text: its content.
      sync: whether to wait until it is on the disk, see :func:`replaced`.

    Raises:
      OSError: it could not be written; names the file and the remedy. What was there stays.
    """
    data = text.encode()
    with replaced(path, sync=sync) as file:
        file.write(data)


def write_json(path: str | os.PathLike, value: Any, *, sync: bool = True) -> None:
    """Writes a value as JSON, one entry a line, complete or not at all.

    Args:
      path: the file, in a folder that exists.
      value: what :mod:`json` can write.
      sync: whether to wait until it is on the disk, see :func:`replaced`.

    Raises:
      OSError: it could not be written; names the file and the remedy. What was there stays.
    """
    write_text(path, json.dumps(value, indent=1) + "\n", sync=sync)


def remove_drafts(folder: str | os.PathLike) -> None:
    """Removes what killed processes left half-written in a folder.

    Args:
      folder: a folder that no other process writes to.
    """
    for path in pathlib.Path(folder).glob(f"*{_DRAFT}*"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(what: str, promise: str = "") -> Iterator[None]:
    """Turns an OSError into one that says what could not be written, and the remedy.

    Args:
      what: for the message, after "could not write".
      promise: what the same command does then, for instance "it continues".

    Returns:
      A context manager for the code that writes.

    Raises:
      OSError: the code raised one.
    """
    try:
        yield
    except OSError as error:
        remedy = "Correct the path or its permissions" if error.errno in _NOT_ALLOWED else "Free space"
        again = f"start the same command again{promise and f': {promise}'}"
        raise OSError(f"could not write {what}: {error}. {remedy}, then {again}") from error
