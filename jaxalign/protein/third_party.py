"""The libraries that read files, gemmi and biotite: what they raise is about the file, and what we raise is not."""

import contextlib
from collections.abc import Iterator


class Unreadable(ValueError):
    """A file is not of its format, for the reason that a library gave or because it has nothing of what it should."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Makes an :class:`Unreadable` of what a library raises inside.

    Only calls of libraries may stand inside: an error in code of ours would look like a bad file. A library that is not
    installed, or a machine without memory, is nothing that the file could help.
    """
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # gemmi has several kinds, and biotite's readers any that NumPy and msgpack know
        raise Unreadable(f"{type(error).__name__}: {error}") from error
