"""Readers of what is known about protein chains: EC numbers, gene ontology, UniProt ids, splits, identity bins.

A chain is written ``4pr3-A`` and a complex ``1f4e``. PDB codes are compared in lower case and chain ids as they are:
``A`` and ``a`` are two chains of one entry. Files may write codes in either case; what is read is in lower case.

All readers raise ValueError that names file and line of what is not as expected.

Source: files of DeepFRI (Gligorijevic et al., 2021) and of Protein-MT (arXiv 2404.01693).
"""

import csv
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

TASKS = ("ec", "go_mf", "go_bp", "go_cc")
"""The property tasks, in the order of every mask."""

GO_BRANCHES = {"go_mf": "molecular_function", "go_bp": "biological_process", "go_cc": "cellular_component"}
IDENTITY_COLUMNS = ("<30%", "<40%", "<50%", "<70%", "<95%")

Path = str | os.PathLike


class Annotations(NamedTuple):
    """The terms of one task, and which of them each annotated chain has; other chains are missing, not negative.

    Attributes:
      terms: all that the file knows, for instance EC numbers.
      chains: by chain, such as ``4pr3-A``, ascending indices into ``terms``, at least one; in the order of the file.
    """

    terms: tuple[str, ...]
    chains: Mapping[str, tuple[int, ...]]


def entry_name(name: str) -> str:
    """Returns the name of an entry as this package writes it: ``4PR3-A`` as ``4pr3-A``, ``1F4E`` as ``1f4e``.

    Args:
      name: a PDB code, or a code and a chain; only the code's case does not matter.

    Raises:
      ValueError: if it is neither a PDB code nor a code and a chain.

    >>> entry_name("3QRF-F")
    '3qrf-F'
    """
    if not re.fullmatch(r"[0-9][A-Za-z0-9]{3}(-[A-Za-z0-9]+)?", name):
        raise ValueError(f"expected a PDB code such as 1f4e, or code and chain such as 3QRF-F, got {name!r}")
    code, dash, chain = name.partition("-")
    return code.lower() + dash + chain


def read_ec(path: Path) -> Annotations:
    """Reads the EC numbers of chains from a file of DeepFRI.

    Args:
      path: a tsv with classes on line 2, and from line 4 rows of ``4PR3-A<TAB>3.2.2.9,3.2.2.-``.

    Returns:
      The classes, and those of each chain.

    Raises:
      ValueError: naming file and line of what is not as expected.

    Source: DeepFRI (Gligorijevic et al., 2021).
    """
    lines = _lines(path)
    _expect_header(path, lines, 1, "EC-numbers")
    _expect_header(path, lines, 3, "PDB-chain")
    terms = _terms(path, lines, 2)
    rows = list(_fields(path, lines, first=4, columns=2))
    found = _rows(path, rows, first=4, terms=[terms])[0]
    for line, (name, *fields) in rows:
        if not fields[0]:
            raise ValueError(f"{path}, line {line}: expected one EC number or more for {name}, got none; drop the line")
    return found


def read_go(path: Path) -> dict[str, Annotations]:
    """Reads the gene ontology of chains from a file of DeepFRI.

    Args:
      path: a tsv with terms on lines 2, 6 and 10, their names on lines 4, 8 and 12, and rows of four columns from line
        14: chain and the terms of each branch, with commas between them.

    Returns:
      The terms of each branch, ``go_mf``, ``go_bp`` and ``go_cc``, and those of each chain. A chain whose column is
      empty is missing from that branch.

    Raises:
      ValueError: naming file and line of what is not as expected.

    Source: DeepFRI (Gligorijevic et al., 2021).
    """
    lines = _lines(path)
    for number, branch in zip((1, 5, 9), GO_BRANCHES.values(), strict=True):
        _expect_header(path, lines, number, branch)
    _expect_header(path, lines, 13, "PDB-chain")
    terms = [_terms(path, lines, number) for number in (2, 6, 10)]
    rows = _fields(path, lines, first=14, columns=4)
    return dict(zip(GO_BRANCHES, _rows(path, rows, first=14, terms=terms), strict=True))


def read_chain_map(path: Path) -> dict[str, dict[str, str]]:
    """Reads the UniProt ids of chains from a file of Protein-MT.

    An empty entry of no entry's name is passed over: the published file has an ``index``, which was a folder's name.

    Args:
      path: JSON, an object of entries, which are objects of chains and UniProt ids.

    Returns:
      UniProt ids by entry and chain, such as ``{"1o5g": {"L": "P00734", "H": "P00734"}, "5ohv-D": {}}``. Entries
      without a known UniProt id are there and empty.

    Raises:
      ValueError: naming file and entry of what is not as expected.
    """
    text = pathlib.Path(path).read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object of entries, got {type(content).__name__}")
    found: dict[str, dict[str, str]] = {}
    for name, chains in content.items():
        if not (isinstance(chains, dict) and all(isinstance(uniprot, str) and uniprot for uniprot in chains.values())):
            raise ValueError(f"{path}, entry {name}: expected chains and their UniProt ids, got {chains!r}")
        try:
            key = entry_name(name)
        except ValueError as error:
            if not chains:
                continue
            raise ValueError(f"{path}: {error}") from error
        if found.setdefault(key, chains) != chains:
            raise ValueError(f"{path}, entry {name}: expected one set of chains, got {found[key]} and {chains}")
    return found


def read_split(path: Path) -> tuple[str, ...]:
    """Reads the entries of a split.

    Args:
      path: a text file with an entry on each line, such as ``1f4e`` or ``4PR3-A``.

    Returns:
      The entries in the order of the file.

    Raises:
      ValueError: naming file and line of what is not an entry, or stands there twice; if there is none.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            name = entry_name(line.strip())
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        if name in found:
            raise ValueError(f"{path}, line {number}: {name} stands on line {found[name]} already; drop one of the two")
        found[name] = number
    if not found:
        raise ValueError(f"{path}: expected one entry or more, got an empty file")
    return tuple(found)


def read_splits(folder: Path) -> dict[str, tuple[str, ...]]:
    """Reads all splits of a folder.

    Args:
      folder: with files such as ``train.txt`` and ``test.txt``.

    Returns:
      The entries of each split, by file name without ``.txt``.

    Raises:
      ValueError: naming file and line of what is not as expected; if there is no such file.
    """
    paths = sorted(pathlib.Path(folder).glob("*.txt"))
    if not paths:
        raise ValueError(f"{folder}: expected files such as train.txt and test.txt, got none that end in .txt")
    return {path.stem: read_split(path) for path in paths}


def read_identity_bins(path: Path) -> dict[str, tuple[bool, ...]]:
    """Reads whether each test chain is below 30, 40, 50, 70 and 95 % sequence identity to the training set.

    Bins are cumulative. Of DeepFRI's 3,416 and 1,919 rows 6 and 1 are not quite (a chain below 40 % and not below
    50 %); they are kept as they stand, so that bins are those of the published numbers.

    Args:
      path: a csv with the columns ``PDB-chain``, ``<30%``, ``<40%``, ``<50%``, ``<70%`` and ``<95%``.

    Returns:
      Five truth values for each chain.

    Raises:
      ValueError: naming file and line of what is not as expected.
    """
    rows = list(csv.reader(_lines(path)))
    expected = ["PDB-chain", *IDENTITY_COLUMNS]
    if not rows or rows[0] != expected:
        raise ValueError(f"{path}, line 1: expected the columns {expected}, got {rows[0] if rows else 'an empty file'}")
    found = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(expected) or not set(row[1:]) <= {"0", "1"}:
            raise ValueError(f"{path}, line {number}: expected a chain and five of 0 or 1, got {','.join(row)!r}")
        found[_name(path, number, row[0])] = tuple(value == "1" for value in row[1:])
    return found


def _lines(path: Path) -> list[str]:
    """Returns lines without their ends, of either kind, but with trailing tabs, which are empty columns."""
    return pathlib.Path(path).read_text(encoding="utf-8").split("\n")


def _expect_header(path: Path, lines: Sequence[str], number: int, word: str) -> None:
    line = lines[number - 1] if number <= len(lines) else ""
    if not (line.startswith("###") and word in line):
        raise ValueError(f"{path}, line {number}: expected a header such as '### ... {word}', got {line[:80]!r}")


def _terms(path: Path, lines: Sequence[str], number: int) -> tuple[str, ...]:
    terms = tuple(lines[number - 1].strip().split("\t"))
    if len(set(terms)) < len(terms) or not all(terms):
        raise ValueError(
            f"{path}, line {number}: expected distinct terms with tabs between them, got {len(terms)}, of "
            f"which {len(set(terms) - {''})} are distinct"
        )
    return terms


def _rows(
    path: Path, rows: Iterable[tuple[int, list[str]]], *, first: int, terms: Sequence[tuple[str, ...]]
) -> list[Annotations]:
    """One table per column of terms."""
    indices = [{term: index for index, term in enumerate(column)} for column in terms]
    seen: dict[str, list] = {}
    for number, (name, *fields) in rows:
        lists = [tuple(term for term in field.split(",") if term) for field in fields]
        for column, known in zip(lists, indices, strict=True):
            if unknown := [term for term in column if term not in known]:
                raise ValueError(f"{path}, line {number}: {name} has {unknown}, which the header does not list")
        row = [tuple(sorted({known[term] for term in column})) for column, known in zip(lists, indices, strict=True)]
        if seen.setdefault(name, row) != row:
            raise ValueError(f"{path}, line {number}: {name} has other terms on an earlier line; drop one of the two")
    if not seen:
        raise ValueError(f"{path}: expected rows from line {first}, got none")
    columns = zip(*seen.values(), strict=True)
    return [
        Annotations(names, {name: row for name, row in zip(seen, column, strict=True) if row})
        for names, column in zip(terms, columns, strict=True)
    ]


def _fields(path: Path, lines: Sequence[str], *, first: int, columns: int) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines[first - 1 :], first):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != columns:
            raise ValueError(f"{path}, line {number}: expected {columns} columns with tabs between, got {len(fields)}")
        yield number, [_name(path, number, fields[0]), *fields[1:]]


def _name(path: Path, number: int, name: str) -> str:
    try:
        found = entry_name(name)
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: {error}") from error
    if "-" not in found:
        raise ValueError(f"{path}, line {number}: expected code and chain such as 4PR3-A, got {name!r}")
    return found
