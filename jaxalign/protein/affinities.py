"""Readers of binding affinities: PDBbind's index files, protein-ligand (LBA) and protein-protein (PPA) alike.

An affinity is ``-log10`` of a dissociation or inhibition constant in mol/l: 1 nM is 9, 1 uM is 6. Two forms of line
are read, both with the code first and anything behind ``//``::

    2tpi  2.10  1982   4.31  Kd=49uM       // 2tpi.pdf (2-mer)     INDEX_general_PL_data, INDEX_refined_data
    1a22  2.60  1998  Kd=0.34nM            // 1a22.pdf (hGHR)      INDEX_general_PL, INDEX_general_PP

Where the number is given, it is taken. A value with ``<``, ``>``, ``~`` (also ``<=``, ``>=``) is a bound or a guess: it
is kept as if it were exact, as the benchmark does, and flagged, or left out on request.

Kd, Ki and IC50 are put on one scale, which is the benchmark's choice: an IC50 depends on the assay.

Source: PDBbind (Wang et al., 2004); HeMeNet's code (arXiv 2404.01693) reads the first form.
"""

import math
import os
import pathlib
import re
from typing import NamedTuple

from jaxalign.protein.annotations import entry_name

MOLAR = {"fM": 1e-15, "pM": 1e-12, "nM": 1e-9, "uM": 1e-6, "mM": 1e-3, "M": 1.0}
_MEASURED = re.compile(r"(Kd|Ki|IC50)(<=|>=|=|<|>|~)([0-9.]+(?:[eE][-+]?[0-9]+)?)(fM|pM|nM|uM|mM|M)")


class Affinity(NamedTuple):
    """One measured affinity.

    Attributes:
      value: -log10 of a dissociation or inhibition constant in mol/l: 1 nM is 9.
      exact: False for a bound or an approximate value.
    """

    value: float
    exact: bool


class AffinityIndex(NamedTuple):
    """Affinities of an index file, and what was left out.

    Attributes:
      affinities: by PDB code in lower case.
      inexact: lines with a relation other than "=", kept or dropped.
      dropped: the codes that ``drop_inexact`` left out.
      problems: the lines that ``skip_bad_rows`` left out, and why.
    """

    affinities: dict[str, Affinity]
    inexact: int
    dropped: tuple[str, ...]
    problems: tuple[str, ...]


def parse_affinity(text: str) -> Affinity:
    """Returns the affinity that a text such as ``Kd=49uM`` states.

    Args:
      text: ``Kd``, ``Ki`` or ``IC50``, a relation, a number and a unit from ``fM`` to ``M``.

    Raises:
      ValueError: if it is not of that form, or not above 0.

    >>> parse_affinity("Ki<=10nM")
    Affinity(value=8.0, exact=False)
    """
    match = _MEASURED.fullmatch(text)
    if not match:
        raise ValueError(
            f"expected Kd, Ki or IC50, a relation of = < > ~ <= >=, a number and a unit of {', '.join(MOLAR)}, such as "
            f"Kd=49uM, got {text!r}"
        )
    _, relation, number, unit = match.groups()
    try:
        amount = float(number)
    except ValueError as error:
        raise ValueError(f"expected a number in {text!r}, got {number!r}") from error
    if amount <= 0:
        raise ValueError(f"expected a concentration above 0, got {text!r}")
    # Rounded, so that 10 nM is 8 and not 8.000000000000002; indices give two decimals.
    return Affinity(round(-math.log10(amount) - math.log10(MOLAR[unit]), 9), relation == "=")


def read_affinities(
    path: str | os.PathLike, *, drop_inexact: bool = False, skip_bad_rows: bool = False
) -> AffinityIndex:
    """Reads all affinities of an index file of PDBbind, protein-ligand or protein-protein.

    Args:
      path: a text file whose lines have a PDB code, a resolution, a year and ``-log10`` of the constant, or such as
        ``Kd=49uM``, or both; anything may follow ``//``.
      drop_inexact: leave out bounds and approximate values, instead of taking the number for the value.
      skip_bad_rows: leave out what cannot be read, and say so, instead of stopping there.

    Returns:
      The affinities by PDB code, and what was left out.

    Raises:
      ValueError: naming file and line of what cannot be read, and of a code with two values; if no line can be read.

    Source: PDBbind (Wang et al., 2004); HeMeNet's code (arXiv 2404.01693) reads lines with both.
    """
    found: dict[str, Affinity] = {}
    inexact, dropped, problems = 0, [], []
    for number, line in enumerate(pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            code, affinity = _parse_line(line)
            if found.get(code, affinity) != affinity:
                raise ValueError(
                    f"{code} has {affinity.value} here and {found[code].value} before; drop one of the two"
                )
        except ValueError as error:
            if not skip_bad_rows:
                raise ValueError(f"{path}, line {number}: {error}. Correct it, or skip bad rows") from error
            problems.append(f"line {number}: {error}")
            continue
        inexact += not affinity.exact
        if drop_inexact and not affinity.exact:
            dropped.append(code)
        else:
            found[code] = affinity
    if not (found or dropped):
        raise ValueError(f"{path}: no usable line" + (f"; the first problem: {problems[0]}" if problems else ""))
    return AffinityIndex(found, inexact, tuple(dropped), tuple(problems))


def _parse_line(line: str) -> tuple[str, Affinity]:
    fields = line.split("//")[0].split()
    if len(fields) not in (4, 5):
        raise ValueError(
            f"expected code, resolution, year, and pK or such as Kd=49uM, then //, got {len(fields)} fields: {line!r}"
        )
    code = entry_name(fields[0])
    if "-" in code:
        raise ValueError(f"expected a PDB code, got {fields[0]!r}")
    if not fields[2].isdigit():
        raise ValueError(f"expected a year in the third field, got {fields[2]!r}")
    if len(fields) == 4 and "M" in fields[3]:
        return code, parse_affinity(fields[3])
    exact = len(fields) == 4 or parse_affinity(fields[4]).exact
    return code, Affinity(_finite(fields[3]), exact)


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected pK as a number, or a value such as Kd=49uM, got {text!r}")
    return value
