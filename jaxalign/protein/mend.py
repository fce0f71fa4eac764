"""A table of atoms as it was meant: atoms that stand there twice, elements that are missing, names of force fields.

Programs write files that a reader of columns misunderstands. What is mended, and counted by chain:

- ``repeated``: an atom that stands in the file again, at the same place, counts once.
- ``elements``: an element that is missing or cannot be, such as calcium in an alanine, is read off the atom's name.

Which chain a residue belongs to is found in :mod:`jaxalign.protein.chains`. Waters and hydrogens are left out anyhow:
their numbers may be anything.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.protein import chains, names
from jaxalign.protein.rows import BadTable, Row

_ATOMS_OF_WATER = 6  # with points of charge


class Mended(NamedTuple):
    """The rows to go on with, and what was mended, by the name of the chain in the end."""

    rows: list[Row]
    counts: dict[str, Counter[str]]


def mend(rows: Sequence[Row]) -> Mended:
    """See the module.

    Raises:
      BadTable: an amino acid has two atoms of one name at different places, or an atom has no place.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    _name_residues(rows)
    _drop_false_segments(rows)
    runs = chains.runs_of(_without_repeated(rows, counts))
    for run in runs:
        _mend_elements(run, counts)
        _check_numbers(run)
    return Mended([row for run in chains.in_order(runs, counts) for row in run.rows], counts)


def _name_residues(rows: Sequence[Row]) -> None:
    unusual = {row.residue for row in rows if names.usual_name(row.residue, ("C1'", "O2'")) != row.residue}
    if not unusual:
        return
    for _, group in itertools.groupby(rows, key=lambda row: (row.chain, row.number, row.residue)):
        residue = list(group)
        if residue[0].residue in unusual:
            name = names.usual_name(residue[0].residue, {row.atom for row in residue})
            for row in residue:
                row.put(residue=name)


def _drop_false_segments(rows: Sequence[Row]) -> None:
    """What stands in the columns of segments is none if it changes inside a residue: charges of atoms, for instance."""
    if len({row.segment for row in rows}) < 2:
        return
    for _, group in itertools.groupby(rows, key=lambda row: (row.chain, row.number, row.residue)):
        seen: set[str] = set()
        segment = None
        for row in group:
            if segment not in (None, row.segment):
                if row.atom not in seen:
                    for other in rows:
                        other.put(segment="")
                    return
                seen = set()  # another residue of that number and name
            segment = row.segment
            seen.add(row.atom)


def _without_repeated(rows: Sequence[Row], counts: dict[str, Counter[str]]) -> list[Row]:
    seen, kept = set(), []
    for row in rows:
        # Where chains have no letters, a TER record is what tells one from the next.
        chain = row.chain or row.block
        key = (chain, row.number, row.residue, row.segment, row.atom, row.altloc, row.position)
        if key in seen and row.position is not None:
            counts[row.chain]["repeated"] += 1
        else:
            seen.add(key)
            kept.append(row)
    return kept


def _mend_elements(run: chains.RowRun, counts: dict[str, Counter[str]]) -> None:
    residue = run.first.residue
    standard, alone = names.is_standard(residue), len(run.rows) == 1
    for row in run.rows:
        element = row.element
        mended = names.element_in_amino_acid(row.atom, element, standard=standard) if run.amino else None
        if mended is None and not names.is_element(element):
            mended = names.element_of_columns(row.columns) if row.columns and not element else "X"
            if mended == "X":
                mended = names.element_of_name(row.atom, residue, alone=alone)
        if mended not in (None, element):
            row.put(element=mended)
            counts[row.chain]["elements"] += 1


def _check_numbers(run: chains.RowRun) -> None:
    water = names.may_be_water(run.first.residue) and len(run.rows) <= _ATOMS_OF_WATER
    for row in () if water else run.rows:
        if row.problem and not row.hydrogen:
            raise BadTable(f"{row.place}: {row.problem}")
