"""Ligand files: numbers that are none, drawings, points that are no atoms, atoms twice, both versions of sdf."""

import gzip
import io

import numpy as np
import pytest
from biotite.structure.io import mol

from jaxalign.protein import StructureReport

ATOMS = [("C", 0, 0, 0), ("N", 1.4, 0, 0.1), ("O", 0, 1.3, 0.3), ("Cl", 2, 2, 2), ("H", 3, 3, 3)]
SYBYL = {"C": "C.ar", "N": "N.am", "O": "O.co2", "Cl": "Cl", "H": "H"}


def shown(value) -> str:
    return value if isinstance(value, str) else f"{value:.4f}"


def v2000(atoms, *, dimension="", end="M  END\n") -> str:
    rows = "".join(f"{''.join(f'{shown(x):>10}' for x in at)} {symbol:<3} 0  0\n" for symbol, *at in atoms)
    head = f"name\n  program           {dimension}\n\n{len(atoms):>3}  0  0  0  0  0  0  0  0  0999 V2000\n"
    return f"{head}{rows}{end}$$$$\n"


def v3000(atoms, *, dimension="", end="M  END\n") -> str:
    rows = "".join(
        f"M  V30 {n} {symbol} {' '.join(shown(x).strip() or '?' for x in at)} 0\n"
        for n, (symbol, *at) in enumerate(atoms, 1)
    )
    head = f"name\n  program           {dimension}\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\n"
    counts = f"M  V30 COUNTS {len(atoms)} 0 0 0 0\nM  V30 BEGIN ATOM\n"
    return f"{head}{counts}{rows}M  V30 END ATOM\nM  V30 END CTAB\n{end}$$$$\n"


def mol2(atoms, *, residue="1 LIG1", more=()) -> str:
    rows = [
        f"{symbol.upper()}{n} {' '.join(map(shown, at))} {SYBYL[symbol]} {residue}"
        for n, (symbol, *at) in enumerate(atoms)
    ]
    rows += more
    lines = "".join(f"{n} {row} 0.0\n" for n, row in enumerate(rows, 1))
    return f"@<TRIPOS>MOLECULE\nx\n {len(rows)} 0 0\nSMALL\nNONE\n\n@<TRIPOS>ATOM\n{lines}@<TRIPOS>BOND\n"


SDF = pytest.mark.parametrize("write", [v2000, v3000])
ALL = pytest.mark.parametrize("write", [v2000, v3000, mol2])


def name_of(write) -> str:
    return "x.mol2" if write is mol2 else "x.sdf"


@ALL
def test_a_molecule_in_space(read, write):
    ligand = read(write(ATOMS), name_of(write))
    assert ligand.elements[:, 0].tolist() == [2, 3, 4, 8] and ligand.report == StructureReport(hydrogens=1)
    np.testing.assert_array_equal(ligand.coordinates[:, 0], np.float32([at for _, *at in ATOMS[:4]]))


@ALL
def test_several_molecules_of_one_name(read, write):
    ligand = read(write(ATOMS) + write(ATOMS[:2]) * 2, name_of(write))
    assert len(ligand.names) == 4 and ligand.report == StructureReport(models=2, hydrogens=1)


@ALL
@pytest.mark.parametrize("value", ["********", "1,4000", "nan", "inf", "-inf", "9999.0", "1.2.3"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_number_that_is_none_is_told(read, write, value, axis):
    atoms = [list(atom) for atom in ATOMS]
    atoms[2][1 + axis] = value
    with pytest.raises(ValueError, match=r"line \d+: expected positions of atoms, got none for one of LIG O") as error:
        read(write(atoms), name_of(write))
    line = int(str(error.value).partition("line ")[2].partition(":")[0])
    assert value in write(atoms).splitlines()[line - 1] and f"{'xyz'[axis]} is" in str(error.value)


def test_a_blank_is_no_number(read):
    with pytest.raises(ValueError, match="line 7: expected positions of atoms, got none for one of LIG O3: y is"):
        read(v2000([*ATOMS[:2], ("O", 1, " ", 2)]), "x.sdf")


@ALL
@pytest.mark.parametrize("count", [2, 3, 5])
def test_atoms_in_one_place_are_no_structure(read, write, count):
    for place in (0, 0, 0), (1.5, 2, 3):
        with pytest.raises(ValueError, match=f"expected atoms in space, got {count} in one place"):
            read(write([(symbol, *place) for symbol, *_ in ATOMS[:count]]), name_of(write))


@ALL
def test_a_drawing_is_no_structure(read, write):
    flat = [(symbol, x, y, 0) for symbol, x, y, _ in ATOMS]
    with pytest.raises(ValueError, match="got a drawing: 5 atoms, all with z = 0. Make coordinates in space"):
        read(write(flat), name_of(write))


@SDF
def test_an_sdf_file_says_whether_it_is_a_drawing(read, write):
    flat = [(symbol, x, y, 0) for symbol, x, y, _ in ATOMS]
    assert len(read(write(flat, dimension="3D"), "x.sdf").names) == 4
    with pytest.raises(ValueError, match="got a drawing"):
        read(write(ATOMS, dimension="2D"), "x.sdf")
    with pytest.raises(ValueError, match="in one place"):
        read(write([(symbol, 0, 0, 0) for symbol, *_ in ATOMS], dimension="3D"), "x.sdf")


@ALL
def test_atoms_that_are_pasted_twice_count_once(read, write):
    for again in ATOMS[:1], ATOMS[1:3], ATOMS[:4]:
        ligand = read(write([*ATOMS, *again]), name_of(write))
        assert len(ligand.names) == 4 and ligand.report == StructureReport(hydrogens=1, repeated=len(again))


def test_points_that_are_no_atoms(read):
    points = [("*", 5, 5, 5), ("Lp", 6, 6, 6), ("R#", 7, 7, 7), ("Du", 8, 8, 8)]
    assert read(v2000([*ATOMS, *points]), "x.sdf").report == StructureReport(hydrogens=1, dummies=4)
    more = ["LP1 5 5 5 LP 1 LIG1", "D1 6 6 6 Du 1 LIG1", "D2 7 7 7 Du.C 1 LIG1", "X1 8 8 8 Any 1 LIG1"]
    ligand = read(mol2(ATOMS, more=more), "x.mol2")
    assert len(ligand.names) == 4 and ligand.report == StructureReport(hydrogens=1, dummies=4)


@pytest.mark.parametrize("name", ["HOH", "WAT", "TIP3", "SOL", "HOH21"])
def test_waters_of_a_mol2_file(read, name):
    more = [f"O 5 5 5 O.3 2 {name}", f"H1 5 5 6 H 2 {name}", f"H2 5 6 5 H 2 {name}", f"O 9 9 9 O.3 3 {name}"]
    assert read(mol2(ATOMS, more=more), "x.mol2").report == StructureReport(waters=2, hydrogens=1)


@pytest.mark.parametrize("kind", ["ca", "c3", "os", "na", "CA", "CT", "OS", "cd"])
def test_types_of_a_force_field_are_no_elements(read, kind):
    with pytest.raises(ValueError, match=f"line 13: expected a type of Sybyl such as C.ar or Cl, got {kind!r}"):
        read(mol2(ATOMS, more=[f"C9 5 5 5 {kind} 1 LIG1"]), "x.mol2")


@pytest.mark.parametrize(
    "name, kind, element", [("CA", "Ca", 7), ("CA", "CA", 7), ("X", "CL", 8), ("X", "br", 8), ("SE", "Se", 9)]
)
def test_types_that_are_elements(read, name, kind, element):
    assert read(mol2(ATOMS, more=[f"{name} 5 5 5 {kind} 1 LIG1"]), "x.mol2").elements[-1, 0] == element


@SDF
def test_a_file_that_is_cut_off(read, write):
    with pytest.raises(ValueError, match="expected M  END behind .* lines, got none: the file is cut off"):
        read(write(ATOMS, end=""), "x.sdf")
    text = write(ATOMS)
    for share in 0.5, 0.6, 0.7, 0.8:
        with pytest.raises(ValueError, match="not a .sdf file that can be read"):
            read(text[: int(share * len(text))], "x.sdf")


@pytest.mark.parametrize(
    "counts, message",
    [("  9  0", "line 10: "), ("  5  3", "behind 12 lines, got it on line 10"), ("  x  0", "line 4: ")],
)
def test_counts_that_are_not_those_of_the_file(read, counts, message):
    with pytest.raises(ValueError, match=message):
        read(v2000(ATOMS).replace("  5  0", counts, 1), "x.sdf")


@ALL
@pytest.mark.parametrize("change", ["mark", "returns", "both line ends", "gzip"])
def test_ways_to_write_the_same_file(read, write, change):
    data = (write(ATOMS) * 2).encode()
    ends = {"returns": b"\r", "both line ends": b"\r\n"}.get(change, b"\n")
    data = (b"\xef\xbb\xbf" if change == "mark" else b"") + data.replace(b"\n", ends)
    ligand = read(gzip.compress(data) if change == "gzip" else data, name_of(write))
    assert len(ligand.names) == 4 and ligand.report == StructureReport(models=1, hydrogens=1)


def test_real_ligands_equal_another_reader(read, folder):
    for path in sorted(folder.glob("*_ligand.sdf")):
        text = path.read_text()
        expected = mol.MOLFile.read(io.StringIO(text.split("$$$$")[0])).get_structure()
        heavy = expected.element != "H"
        ligand = read(text.replace("\n", "\r"), "x.sdf")
        np.testing.assert_array_equal(ligand.coordinates[:, 0], expected.coord[heavy])
        assert ligand.report == StructureReport(hydrogens=int((~heavy).sum()))
