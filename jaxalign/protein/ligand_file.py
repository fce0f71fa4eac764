"""The first molecule of an sdf or mol2 file, checked.

A drawing is no structure: atoms that all lie in one place, or flat where the file does not say that they do so in
space, stop here. Atoms that stand twice in one place, lone pairs and other points that are no atoms, and the waters of
a mol2 file are left out and counted.

biotite reads sdf. No light library reads mol2, of which a ligand's nodes need only the ``@<TRIPOS>ATOM`` block: that
one is read here.
"""

import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.protein import names
from jaxalign.protein.rows import PLACEHOLDER, BadTable, number
from jaxalign.protein.third_party import Unreadable, reading

_ENOUGH_FOR_A_DRAWING = 4  # any three atoms lie in a plane
_REMEDY = "Write it again, for instance with Open Babel"
_COUNT = r"(?:  [0-9]| [0-9]{2}|[0-9]{3})"  # in three columns
# Points of force fields, and the parts of molecules that queries leave open.
_NO_ATOMS = frozenset("DU LP X XX * A Q L R R# M ANY HAL HET HEV AH QH MH XH POL".split())


class Atom(NamedTuple):
    """An atom of a ligand file: its name, element symbol and position in angstrom."""

    name: str
    element: str
    position: tuple[float, float, float]


class Ligand(NamedTuple):
    """The first molecule of a file, how many molecules follow, and what of the first is left out."""

    atoms: list[Atom]
    others: int
    counts: Counter[str]


def read_sdf(text: str) -> Ligand:
    """A molecule in either version of the format.

    Raises:
      ValueError: naming the line that is not as it should be, what was expected and what came.
    """
    from biotite.structure.io import mol

    # biotite's own reader of several molecules keeps one of each name, and docked poses have the same.
    molecules = [molecule for molecule in re.split(r"^\$\$\$\$.*\n", text, flags=re.MULTILINE) if molecule.strip()]
    if not molecules:
        raise Unreadable("no molecule")
    lines = molecules[0].split("\n")
    (_check_v3000 if "V3000" in "".join(lines[3:4]) else _check_v2000)(lines)
    with reading(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of bond types, which nothing here needs
        atoms = mol.MOLFile.read(io.StringIO(molecules[0])).get_structure()
    located = zip(atoms.element.tolist(), atoms.coord.tolist(), strict=True)
    # The format has no names of atoms: element and number make one.
    named = [Atom(f"{element.capitalize()}{n}", element, tuple(at)) for n, (element, at) in enumerate(located, 1)]
    found, counts = _without_others(named)
    _check_space(found, dimension=lines[1][20:22].upper() if len(lines) > 1 else "")
    return Ligand(found, len(molecules) - 1, counts)


def read_mol2(text: str) -> Ligand:
    """Lines of ``@<TRIPOS>ATOM`` are: number, name, x, y, z, type such as ``C.ar``, and more that is not needed.

    Raises:
      ValueError: naming the line that is not as it should be, what was expected and what came.
    """
    lines = [line.strip() for line in text.split("\n")]
    starts = [n for n, line in enumerate(lines) if line == "@<TRIPOS>MOLECULE"]
    if not starts:
        raise Unreadable("no @<TRIPOS>MOLECULE record")
    molecule = range(starts[0], starts[1] if len(starts) > 1 else len(lines))
    block = next((n for n in molecule if lines[n] == "@<TRIPOS>ATOM"), None)
    if block is None:
        raise Unreadable("no @<TRIPOS>ATOM record")
    end = next((n for n in molecule if n > block and lines[n].startswith("@<TRIPOS>")), molecule.stop)
    numbers = [n for n in range(block + 1, end) if lines[n] and not lines[n].startswith("#")]
    rows = [lines[n].split() for n in numbers]
    atoms = [_mol2_atom(n + 1, row) for n, row in zip(numbers, rows, strict=True)]
    declared = (lines[starts[0] + 2].split() or [""])[0]
    if not declared.isdecimal() or len(rows) != int(declared):
        raise BadTable(f"expected the {declared} atoms that the molecule declares, got {len(rows)}. {_REMEDY}")
    dry, waters = _without_waters(atoms, [tuple(row[6:8]) for row in rows])
    found, counts = _without_others(dry)
    _check_space(found, dimension="")
    return Ligand(found, len(starts) - 1, counts + Counter(waters=waters))


def _mol2_atom(n: int, row: Sequence[str]) -> Atom:
    if len(row) < 6:
        raise BadTable(
            f"line {n}: expected number, name, x, y, z and type of an atom, got {' '.join(row)!r}. {_REMEDY}"
        )
    position = _position(n, row[1], row[2:5])
    symbol = row[5].partition(".")[0]
    # Two letters of a force field look like other elements: ca and CA are carbons there, os is an oxygen.
    sure = len(symbol) == 1 or symbol.istitle() or symbol.upper() in ("CL", "BR")
    named = symbol.isupper() and row[1].upper().startswith(symbol)
    if not (symbol.upper() in _NO_ATOMS or (names.is_element(symbol) and (sure or named))):
        raise BadTable(
            f"line {n}: expected a type of Sybyl such as C.ar or Cl, got {row[5]!r}. Types of a force field do not say "
            "what an atom is: write the file with Sybyl's, for instance by antechamber -at sybyl or with Open Babel"
        )
    return Atom(row[1], symbol, position)


def _check_v2000(lines: Sequence[str]) -> None:
    if len(lines) < 4 or not re.match(rf"{_COUNT}{_COUNT}", lines[3]):
        raise BadTable(f"line 4: expected the numbers of atoms and bonds, got {''.join(lines[3:4])!r}. {_REMEDY}")
    atoms, bonds = int(lines[3][:3]), int(lines[3][3:6])
    for n, line in enumerate(lines[4 : 4 + atoms], 5):
        _position(n, f"{line[31:34].strip()}{n - 4}", [line[start : start + 10] for start in (0, 10, 20)])
        if not line[31:34].strip():
            raise BadTable(f"line {n}: expected the symbol of an element in columns 32-34, got {line!r}. {_REMEDY}")
    _check_end(lines, 4 + atoms + bonds)


def _check_v3000(lines: Sequence[str]) -> None:
    starts = [n for n, line in enumerate(lines) if line.split() == ["M", "V30", "BEGIN", "ATOM"]]
    if not starts:
        raise BadTable(f"expected M  V30 BEGIN ATOM, got none. {_REMEDY}")
    n = starts[0] + 1
    while n < len(lines) and lines[n].split()[:4] != ["M", "V30", "END", "ATOM"]:
        fields = lines[n].split()
        if len(fields) < 7:
            raise BadTable(f"line {n + 1}: expected number, symbol, x, y, z of an atom, got {lines[n]!r}. {_REMEDY}")
        _position(n + 1, fields[3], fields[4:7])
        n += 1
    _check_end(lines, n + 1)


def _check_end(lines: Sequence[str], least: int) -> None:
    """Behind ``least`` lines, so that none of those that are declared is missing."""
    ends = [n for n, line in enumerate(lines) if line.split()[:2] == ["M", "END"]]
    if not ends or ends[0] < least:
        got = f"it on line {ends[0] + 1}" if ends else "none: the file is cut off"
        raise BadTable(f"expected M  END behind {least} lines, got {got}. {_REMEDY}")


def _position(n: int, name: str, texts: Sequence[str]) -> tuple[float, float, float]:
    values = [number(text) for text in texts]
    for axis, text, value in zip("xyz", texts, values, strict=True):
        if value is None or abs(value) >= PLACEHOLDER:
            raise BadTable(
                f"line {n}: expected positions of atoms, got none for one of LIG {name}: {axis} is {text!r}. {_REMEDY}"
            )
    return tuple(values)


def _without_waters(atoms: Sequence[Atom], residues: Sequence[tuple[str, ...]]) -> tuple[list[Atom], int]:
    """Leaves out substructures of the name of waters that have one heavy atom, an oxygen, and counts them."""
    heavy: dict[tuple[str, ...], list[str]] = {}
    for atom, residue in zip(atoms, residues, strict=True):
        if atom.element.upper() not in ("H", "D", "T", *_NO_ATOMS):
            heavy.setdefault(residue, []).append(atom.element.upper())
    waters = {
        residue
        for residue, elements in heavy.items()
        if len(residue) == 2 and elements == ["O"] and names.may_be_water(residue[1].rstrip("0123456789") or residue[1])
    }
    return [atom for atom, residue in zip(atoms, residues, strict=True) if residue not in waters], len(waters)


def _without_others(atoms: Sequence[Atom]) -> tuple[list[Atom], Counter[str]]:
    """Real atoms, each once."""
    real = [atom for atom in atoms if atom.element.upper() not in _NO_ATOMS]
    seen: dict[tuple, Atom] = {}
    for atom in real:
        seen.setdefault((atom.element.upper(), atom.position), atom)
    if len(seen) == 1 < len(real):
        raise BadTable(f"expected atoms in space, got {len(real)} in one place. Make coordinates in space first")
    return list(seen.values()), Counter(dummies=len(atoms) - len(real), repeated=len(real) - len(seen))


def _check_space(atoms: Sequence[Atom], *, dimension: str) -> None:
    places = {atom.position for atom in atoms}
    if len(places) == 1 < len(atoms):
        raise BadTable(f"expected atoms in space, got {len(atoms)} in one place. Make coordinates in space first")
    flat = len(atoms) >= _ENOUGH_FOR_A_DRAWING and all(z == 0 for _, _, z in places)
    if dimension == "2D" or (flat and dimension != "3D"):
        raise BadTable(
            f"expected atoms in space, got a drawing: {len(atoms)} atoms, all with z = 0. Make coordinates in space, "
            "for instance with Open Babel's --gen3d; a molecule that is flat in space can be an sdf file that says 3D "
            "in columns 21-22 of its second line"
        )
