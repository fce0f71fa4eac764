"""Finds structure files by their names, in folders as people have them.

``1abc.pdb``, ``1ABC.cif.gz``, ``1abc.bcif`` and ``pdb1abc.ent.gz`` are structures of the entry 1abc, ``1ABC-A.pdb`` is
one of its chain A alone; folders below the given one (``ab/pdb1abc.ent.gz``) are looked into. Other names are ignored.
"""

import concurrent.futures
import hashlib
import os
import re
from collections.abc import Iterable

from jaxalign.protein.annotations import entry_name

SUFFIXES = (".cif", ".bcif", ".pdb", ".ent")
"""Each also with ``.gz``. Where an entry has several files, the first of these is taken: mmCIF knows chains of several
letters, which the PDB format cannot hold."""

_NAME = re.compile(r"(?:pdb)?([0-9][A-Za-z0-9]{3}(?:-[A-Za-z0-9]+)?)(\.cif|\.bcif|\.pdb|\.ent)(\.gz)?", re.IGNORECASE)


def find_structures(folder: str | os.PathLike) -> dict[str, str]:
    """Returns the paths of structures in a folder, and in folders below it, by entry.

    Raises:
      ValueError: if there is no such folder, or no structure in it.
    """
    if not os.path.isdir(folder):
        raise ValueError(f"expected a folder of structures, got {os.fspath(folder)!r}, which is none")
    found: dict[str, tuple[int, str]] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            if match := _NAME.fullmatch(name):
                entry = entry_name(match[1])
                rank = 2 * SUFFIXES.index(match[2].lower()) + bool(match[3])
                found[entry] = min(found.get(entry, (99, "")), (rank, os.path.join(parent, name)))
    if not found:
        raise ValueError(f"{folder}: expected files such as 1abc.pdb, 1abc.cif.gz or pdb1abc.ent.gz, got none")
    return {entry: path for entry, (_, path) in found.items()}


def structure_of(entry: str, structures: dict[str, str]) -> tuple[str, tuple[str, ...] | None] | None:
    """The file of an entry and which of its chains to read, None for all; None if there is no file.

    >>> structure_of("1abc-B", {"1abc": "1abc.pdb"})
    ('1abc.pdb', ('B',))
    """
    code, _, chain = entry.partition("-")
    path = structures.get(entry) or structures.get(code)
    return None if path is None else (path, (chain,) if chain else None)


def listing(entries: Iterable[str], structures: dict[str, str]) -> list[tuple[str, str, str]]:
    """Entry, file name and a hash of the content of each entry that has a file: what its example depends on."""
    used = [(entry, file[0]) for entry in entries if (file := structure_of(entry, structures))]
    with concurrent.futures.ThreadPoolExecutor() as pool:  # reading is what takes long
        digests = dict(pool.map(_digest, {path for _, path in used}))
    return [(entry, os.path.basename(path), digests[path]) for entry, path in used]


def _digest(path: str) -> tuple[str, str]:
    try:
        with open(path, "rb") as file:
            return path, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:  # the entry will be dropped for it
        return path, f"unreadable: {error.strerror}"
