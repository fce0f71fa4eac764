"""Files of structures: ligands in their formats, and what is said of those that cannot be read."""

import gzip
import sys

import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein import StructureReport, cif_file, ligand_file, pdb_file
from tests.protein.lines import MOL2, atom, atoms, sdf


def test_mol2_by_hand(read):
    ligand = read(MOL2.replace("\n", "\r\n") + MOL2, "x.mol2")
    assert ligand.names == ("LIG C1", "LIG CL2", "LIG N1") and ligand.types.tolist() == [23, 29, 24]
    assert ligand.elements[:, 0].tolist() == [2, 8, 3] and ligand.chains.tolist() == [-1] * 3
    assert ligand.coordinates[:, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert ligand.report == StructureReport(models=1, hydrogens=1) and ligand.chain_names == ()


def test_sdf_by_hand(read):
    ligand = read(sdf("C", "H", "Br") + sdf("C"), "x.sdf")
    assert ligand.names == ("LIG C1", "LIG Br3") and ligand.types.tolist() == [23, 29]
    assert ligand.coordinates[:, 0, 0].tolist() == [0, 2] and ligand.report == StructureReport(models=1, hydrogens=1)


def test_bytes_that_are_no_text_shift_no_columns(read):
    content = "AUTHOR    MÜLLER\n".encode("latin-1") + atoms("ALA 1").encode().replace(b" O  ", b" \xe9\xff ")
    structure = read(content)
    assert structure.channel_mask.sum() == 4 and structure.coordinates[0, 3].tolist() == [np.float32(3.8), 3, 0]


WHOLE = atoms("ALA 1") * 50


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("x.pdb", b"", "expected a structure, got an empty file. Download it again"),
        ("x.cif", b" \n", "expected a structure, got an empty file"),
        ("x.pdb", b"\n<!DOCTYPE html><html>404</html>", "expected a structure, got a web page"),
        # Contents are in the names of tests, which workers compare: no time of writing in them.
        ("x.cif.gz", gzip.compress(b"<html>", mtime=0), "expected a structure, got a web page"),
        ("x.txt", b"x", "expected a name that ends in one of .pdb, .ent, .cif, .mmcif, .bcif, .sdf, .mol2"),
        ("x", b"x", "expected a name that ends in one of"),
        ("x.pdb.gz", gzip.compress(WHOLE.encode(), mtime=0)[:-30], "not a complete gzip file: .*. Download it again"),
        ("x.pdb.gz", WHOLE.encode(), "not a complete gzip file: Not a gzipped file"),
        ("x.pdb.gz", gzip.compress(b"", mtime=0), "expected a structure, got an empty file"),
        ("x.pdb", b"REMARK nothing here\n", "expected atoms, got none"),
        ("x.pdb", b"HEADER\nATOM      1  CA\n", "not a .pdb file that can be read: .*too short"),
        ("x.pdb", b"data_x\nloop_\n_atom_site.id\n1\n", "not a .pdb file that can be read"),
        ("x.cif", WHOLE.encode(), "not a .cif file that can be read"),
        ("x.cif", b"# comment only\n", "not a .cif file that can be read: no data block"),
        ("x.cif", b"data_x\n_cell.length_a 1\n", "expected atoms, got none"),
        ("x.bcif", WHOLE.encode(), "not a .bcif file that can be read"),
        ("x.bcif", bytes(range(256)), "not a .bcif file that can be read"),
        (
            "x.pdb",
            atom("HOH 1", "O", record="HETATM").encode(),
            "expected residues of a protein, got 0 ligand atoms in A",
        ),
        ("x.sdf", b"what\n", "not a .sdf file that can be read"),
        ("x.sdf", b"$$$$\n", "not a .sdf file that can be read: no molecule"),
        ("x.sdf", sdf("H").encode(), "expected heavy atoms, got only hydrogens, 1"),
        ("x.mol2", b"what\n", "no @<TRIPOS>MOLECULE record"),
        ("x.mol2", MOL2[:60].encode(), "no @<TRIPOS>ATOM record"),
        ("x.mol2", MOL2[:240].encode(), "expected number, name, x, y, z and type of an atom, got"),
        ("x.mol2", MOL2.replace(" 4 3", " 5 3").encode(), "expected the 5 atoms that the molecule declares, got 4"),
        ("x.mol2", MOL2.replace("7.0000", "nan").encode(), "expected positions of atoms, got none for one of LIG N1"),
    ],
)
def test_a_bad_file_says_what_is_wrong(read, name, content, reason):
    with pytest.raises(ValueError, match=reason) as error:
        read(content, name)
    assert str(error.value).startswith(str(read.path))


def test_a_truncated_binary_file_says_what_is_wrong(read, folder):
    with pytest.raises(ValueError, match="not a .bcif file that can be read: .*. Download it again"):
        read((folder / "1dix.bcif").read_bytes()[:100_000], "x.bcif")


@pytest.mark.parametrize("name", ["1ay7.bcif", "1j01_ligand.sdf"])
def test_a_library_that_is_missing_is_no_fault_of_the_file(folder, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "biotite.structure.io", None)
    with pytest.raises(ImportError, match="biotite"):
        protein.read_structure(folder / name)


@pytest.mark.parametrize(
    "name, module, function",
    [
        ("1l2y.pdb", pdb_file, "_fields"),
        ("1l2y.pdb", pdb_file, "mend"),
        ("edge_altloc.cif", cif_file, "_rows"),
        ("1ay7.bcif", cif_file, "_quoted"),
        ("1ay7.bcif", cif_file, "_read_block"),
        ("1j01_ligand.sdf", ligand_file, "_without_others"),
        ("x.mol2", ligand_file, "_mol2_atom"),
    ],
)
def test_an_error_in_our_own_code_is_no_fault_of_the_file(folder, tmp_path, monkeypatch, name, module, function):
    """It stays what it is, so that it is neither skipped as a bad file nor reported with a wrong remedy."""

    def broken(*args, **options):
        raise TypeError("ours")

    monkeypatch.setattr(module, function, broken)
    (tmp_path / "x.mol2").write_text(MOL2)
    with pytest.raises(TypeError, match="^ours$"):
        protein.read_structure((tmp_path if name == "x.mol2" else folder) / name)


def test_counts_that_only_look_like_numbers(read):
    """Digits that Python's int does not take, or with a blank between them."""
    with pytest.raises(ValueError, match="expected the \u00b2 atoms that the molecule declares"):
        read(MOL2.replace(" 4 3", " \u00b2 3"), "x.mol2")
    content = sdf("C", "H")
    with pytest.raises(ValueError, match="line 4: expected the numbers of atoms and bonds, got '1 2"):
        read(content.replace(content.split("\n")[3][:3], "1 2", 1), "x.sdf")
