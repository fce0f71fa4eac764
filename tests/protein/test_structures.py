"""Structures: exactly what the reference made of 1DIX, and each rule on a few lines written here."""

import functools
import gzip

import gemmi
import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein import StructureReport
from jaxalign.protein.vocabulary import UNKNOWN_TYPE, element_class, residue_type
from tests.protein.lines import BACKBONE, MOL2, atom, atoms

C, N, O, S = (element_class(symbol) for symbol in "CNOS")


def equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# Real files


@functools.cache
def real(path):
    return protein.read_structure(path)


@pytest.mark.parametrize("suffix", ["pdb", "cif", "bcif"])
def test_equals_the_reference(shared_data, folder, suffix):
    structure = real(folder / f"1dix.{suffix}")
    reference = np.load(shared_data / "hemenet_reference" / "1dix.npz")
    np.testing.assert_array_equal(structure.coordinates, reference["input/coordinates"])
    np.testing.assert_array_equal(structure.elements, reference["input/elements"])
    np.testing.assert_array_equal(structure.channel_mask, reference["input/channel_mask"])
    np.testing.assert_array_equal(structure.types, reference["input/residue_types"])
    np.testing.assert_array_equal(structure.chains, reference["input/chain"])
    assert structure.report == StructureReport(waters=136)
    assert structure.names[0] == "A/ALA 1X" and structure.chain_names == ("A",)
    assert equal(structure, real(folder / "1dix.pdb"))


# Residues and ligand atoms of every file; counts of residues are those of gemmi's polymers.
SIZES = {
    "11as.pdb": (654, 18),  # two free asparagines of 9 atoms
    "11as.pdb.gz": (654, 18),
    "1aki.pdb": (129, 0),
    "1ay7.bcif": (185, 0),
    "1dix.bcif": (208, 0),
    "1dix.cif": (208, 0),
    "1dix.pdb": (208, 0),
    "1f2n.cif": (590, 3),
    "1hml.bcif": (123, 7),
    "1igy.cif": (1294, 220),
    "1j01_ligand.sdf": (0, 18),
    "1l2y.pdb": (20, 0),
    "1nca.pdb": (619, 0),
    "1o1z.pdb": (226, 1),
    "1qgi.bcif": (259, 39),
    "2d0f.cif": (637, 125),
    "2olx.cif": (4, 0),
    "2yme_ligand.sdf": (0, 23),
    "3o5r.pdb": (128, 57),
    "4hhh_frag.pdb": (13, 0),
    "4tjz_ligand.sdf": (0, 12),
    "6b4n_ligand.sdf": (0, 46),
    "edge_altloc.cif": (1, 0),
    "edge_res_ids.cif": (3, 228),
}


def test_every_real_file_is_read_or_says_why_not(folder):
    for path in folder.iterdir():
        if path.name == "edge_hetatm.pdb":
            with pytest.raises(
                ValueError, match=r"edge_hetatm.pdb: expected residues of a protein, got 5 ligand atoms"
            ):
                protein.read_structure(path)
            continue
        structure = real(path)
        ligand = structure.chains == -1
        assert (int((~ligand).sum()), int(ligand.sum())) == SIZES[path.name], path.name
        counts = structure.channel_mask.sum(1)
        assert (structure.channel_mask == (np.arange(14) < counts[:, None])).all() and counts.min() >= 1
        assert (counts[ligand] == 1).all() and (structure.types[ligand] >= 21).all()
        assert not structure.coordinates[~structure.channel_mask].any()
        assert not structure.elements[~structure.channel_mask].any()
        assert structure.elements[structure.channel_mask].min() >= 2
        residues = structure.types < 21
        assert (ligand == ~residues).all() and not ligand[: residues.sum()].any()
        assert len(set(structure.names)) == len(structure.names)


def test_atoms_of_real_files_add_up(folder):
    """What is kept and what is counted is what the file has, where nothing is left out by the molecule."""
    for name in "1igy.cif", "1l2y.pdb", "1nca.pdb", "4hhh_frag.pdb":
        structure = real(folder / name)
        report = structure.report
        there = gemmi.read_structure(str(folder / name))[0].count_atom_sites()
        assert structure.channel_mask.sum() + report.hydrogens + report.alternatives + report.cut == there, name
        assert not report.waters + report.empty + report.ligands


def test_gz_is_the_same_file(folder):
    assert equal(real(folder / "11as.pdb.gz"), real(folder / "11as.pdb"))


def test_real_alternatives(folder):
    structure = protein.read_structure(folder / "edge_altloc.cif")
    # Proline has 14 atoms of 0.6, each of the serine's conformations 6 heavy atoms of 0.2; hydrogens do not count.
    assert structure.names == ("A/PRO 22",)
    assert structure.report == StructureReport(hydrogens=8 + 7, alternatives=12, variants=1)


# Rules, on lines written here


def test_by_hand(read):
    structure = read(atoms("ALA 1", (*BACKBONE, "CB")) + atoms("GLY 2"))
    assert structure.types.tolist() == [1, 0] and structure.names == ("A/ALA 1", "A/GLY 2")
    assert structure.elements[0].tolist() == [N, C, C, O, C] + [0] * 9
    assert structure.channel_mask.sum(1).tolist() == [5, 4] and structure.alphas.tolist() == [1, 1]
    np.testing.assert_array_equal(structure.coordinates[1, :5], np.float32([[7.6, n, 0] for n in range(4)] + [[0] * 3]))
    assert structure.report == StructureReport()
    assert [array.dtype for array in structure[:6]] == [np.float32, np.int32, bool, np.int32, np.int32, np.int32]


def test_the_conformation_of_more_occupancy_is_kept_as_a_whole(read):
    a, b = dict(alt="A", occupancy=0.4), dict(alt="B", occupancy=0.6)
    text = atoms("CYS 1") + atom("CYS 1", "CB", at=(1, 0, 0), **a) + atom("CYS 1", "CB", at=(2, 0, 0), **b)
    text += atom("CYS 1", "SG", at=(3, 0, 0), **a) + atom("CYS 1", "SG", at=(4, 0, 0), **b)
    structure = read(text)
    assert structure.coordinates[0, 4:6, 0].tolist() == [2, 4] and structure.elements[0, 4:6].tolist() == [C, S]
    assert structure.report == StructureReport(alternatives=2)


def test_among_equal_conformations_the_first_of_the_file_is_kept(read):
    # 0.1 + 0.7 and 0.5 + 0.3 differ in the last digits of a sum.
    text = atoms("CYS 1")
    for name, occupancies in ("CB", (0.1, 0.5)), ("SG", (0.7, 0.3)):
        for alt, x, occupancy in zip("BA", (1, 2), occupancies, strict=True):
            text += atom("CYS 1", name, at=(x, 0, 0), alt=alt, occupancy=occupancy)
    assert read(text).coordinates[0, 4:6, 0].tolist() == [1, 1]


def test_microheterogeneity_is_one_residue(read):
    for weights, kept in ((0.4, 0.6), "GLY"), ((0.6, 0.4), "SER"), ((0.5, 0.5), "SER"):
        serine = atoms("SER 2", alt="A", occupancy=weights[0])
        glycine = atoms("GLY 2", alt="B", occupancy=weights[1])
        structure = read(atoms("ALA 1") + serine + glycine + atoms("ALA 3"))
        assert structure.names == ("A/ALA 1", f"A/{kept} 2", "A/ALA 3")
        assert structure.report == StructureReport(alternatives=4, variants=1)


def test_interleaved_microheterogeneity(read):
    lines = [atoms(f"{name} 2", alt=alt, occupancy=0.5).splitlines(True) for name, alt in (("SER", "A"), ("GLY", "B"))]
    structure = read(atoms("ALA 1") + "".join(line for pair in zip(*lines, strict=True) for line in pair))
    assert structure.names == ("A/ALA 1", "A/SER 2") and structure.channel_mask.sum(1).tolist() == [4, 4]


def test_two_ligands_of_one_number_are_no_alternatives(read):
    ligands = atom("LIG 9", "C1", record="HETATM") + atom("LGX 9", "O1", record="HETATM")
    structure = read(atoms("ALA 1") + atoms("ALA 2") + "TER\n" + ligands)
    assert structure.names[2:] == ("A/LIG 9 C1", "A/LGX 9 O1")


def test_insertion_codes_make_residues(read):
    text = atoms("ALA 52") + atoms("GLY 52", insert="A") + atoms("SER 52", insert="B") + atoms("SER 53")
    assert read(text).names == ("A/ALA 52", "A/GLY 52A", "A/SER 52B", "A/SER 53")


def test_the_first_model_counts(read):
    text = "".join(f"MODEL     {n:>4}\n" + atoms(f"ALA {n}") + "ENDMDL\n" for n in (1, 2, 3))
    structure = read(text)
    assert structure.names == ("A/ALA 1",) and structure.report == StructureReport(models=2)


def test_modified_residues_are_residues_of_their_parent(read):
    text = atoms("ALA 1") + atoms("MSE 2", (*BACKBONE, "SE"), record="HETATM") + atoms("XYZ 3", record="HETATM")
    structure = read(text + atoms("ALA 4"))
    assert structure.types.tolist() == [1, residue_type("MET"), UNKNOWN_TYPE, 1]
    assert structure.names[1] == "A/MSE 2"


def test_waters_and_hydrogens_are_left_out(read):
    hydrogens = atom("ALA 1", "H") + atom("ALA 1", "D", element="D")
    waters = "".join(atom(f"{name} 9", "O", record="HETATM") for name in ("HOH", "DOD", "WAT"))
    structure = read(atoms("ALA 1") + hydrogens + "TER\n" + waters)
    assert structure.names == ("A/ALA 1",) and structure.channel_mask.sum() == 4
    assert structure.report == StructureReport(waters=3, hydrogens=2)


def test_a_residue_of_hydrogens_is_no_node(read):
    structure = read(atoms("ALA 1") + atom("GLY 2", "H") + atoms("ALA 3"))
    assert structure.names == ("A/ALA 1", "A/ALA 3") and structure.report == StructureReport(hydrogens=1, empty=1)


def test_missing_atoms_leave_no_gap(read):
    structure = read(atoms("ALA 1", ("N", "C")) + atoms("ALA 2", ("CA",)))
    assert structure.elements[:, :3].tolist() == [[N, C, 0], [C, 0, 0]] and structure.alphas.tolist() == [-1, 0]


def test_the_terminal_oxygen_is_an_atom_like_others(read):
    structure = read(atoms("ALA 1", (*BACKBONE, "CB", "OXT")))
    assert structure.elements[0, :7].tolist() == [N, C, C, O, C, O, 0] and structure.report.cut == 0


def test_the_fifteenth_atom_is_cut(read):
    side = ("CB", "CG", "CD1", "CD2", "NE1", "CE2", "CE3", "CZ2", "CZ3", "CH2")
    structure = read(atoms("TRP 1", (*BACKBONE, *side, "OXT")))
    assert structure.channel_mask.all() and structure.elements[0, -1] == C
    assert structure.report == StructureReport(cut=1)


def test_ligands_are_nodes_per_heavy_atom_behind_the_residues(read):
    heme = "".join(
        atom("HEM 154", name, at=(n, 9, 0), element=element, record="HETATM")
        for n, (name, element) in enumerate([("FE", "FE"), ("NA", "N"), ("CL", "CL"), ("H1", "H"), ("SE", "SE")])
    )
    text = atoms("ALA 1") + atoms("ALA 2") + "TER\n" + heme + atoms("GLY 1", chain="B") + atoms("GLY 2", chain="B")
    structure = read(text)
    assert structure.names[3:] == ("B/GLY 2", "A/HEM 154 FE", "A/HEM 154 NA", "A/HEM 154 CL", "A/HEM 154 SE")
    assert structure.types.tolist() == [1, 1, 0, 0, 21 + 7, 21 + 3, 21 + 8, 21 + 9]
    assert structure.chains.tolist() == [0, 0, 1, 1, -1, -1, -1, -1]
    assert structure.coordinates[4:, 0, 0].tolist() == [0, 1, 2, 4] and structure.report == StructureReport(hydrogens=1)
    without = read(text, ligands=False)
    assert len(without.names) == 4 and without.report == StructureReport(ligands=1)


def test_a_free_amino_acid_is_a_ligand(read):
    structure = read(atoms("ALA 1") + atoms("ALA 2") + "TER\n" + atoms("ASN 301", record="HETATM"))
    assert structure.types.tolist() == [1, 1, 21 + N, 21 + C, 21 + C, 21 + O]


@pytest.mark.parametrize("record", ["ATOM", "HETATM"])
@pytest.mark.parametrize("number", [0, 1, 4, 301])
@pytest.mark.parametrize("first", [True, False])
def test_a_ligand_without_a_terminal_record_is_a_ligand(read, record, number, first):
    parts = [
        "".join(atoms(f"ALA {n}") for n in (1, 2, 3)),
        atoms(f"LIG {number}", ("C1", "O1"), record=record, chain="A"),
    ]
    assert read("".join(parts[:: -1 if first else 1])).types.tolist() == [1, 1, 1, 21 + C, 21 + O]


def test_caps_are_residues_of_unknown_type(read):
    structure = read(atoms("ACE 0", ("CH3", "C", "O")) + atoms("ALA 1") + atoms("NH2 2", ("N",), record="HETATM"))
    assert structure.types.tolist() == [UNKNOWN_TYPE, 1, UNKNOWN_TYPE] and structure.alphas.tolist() == [-1, 1, -1]


def test_nucleic_acids_are_left_out_and_counted(read):
    dna = "".join(atoms(f"{name} {n}", ("P", "C1'", "N1"), chain="B") for n, name in enumerate(("DA", "DG", "DT"), 1))
    rna = atoms("A 1", ("P", "C1'"), chain="C") + atoms("PSU 2", ("P", "C1'"), chain="C", record="HETATM")
    structure = read(atoms("ALA 1") + atoms("GLY 2") + dna + rna)
    assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.report == StructureReport(nucleotides=5)


def test_chains_are_chosen_with_their_ligands(read):
    ligands = atom("ZN 9", "ZN", element="ZN", chain="A", record="HETATM") + atom(
        "CA 9", "CA", element="CA", chain="B", record="HETATM"
    )
    text = (
        atoms("ALA 1", chain="A") + "TER\n" + atoms("GLY 1", chain="B") + "TER\n" + atoms("SER 1", chain="C") + ligands
    )
    structure = read(text)
    assert structure.chain_names == ("A", "B", "C") and structure.chains.tolist() == [0, 1, 2, -1, -1]
    chosen = read(text, chains=("C", "B"))
    assert chosen.names == ("B/GLY 1", "C/SER 1", "B/CA 9 CA") and chosen.chain_names == ("B", "C")
    assert chosen.chains.tolist() == [0, 1, -1] and chosen.report == StructureReport(chains=1)
    assert chosen.elements[2, 0] == element_class("Ca")
    with pytest.raises(ValueError, match=r"x.pdb: expected chains X, Y, got A, B, C. Choose among these"):
        read(text, chains=("X", "A", "Y"))


def test_a_chain_that_continues_after_another_one(read):
    structure = read(atoms("ALA 1") + atoms("GLY 1", chain="B") + atoms("SER 2"))
    assert structure.names == ("A/ALA 1", "A/SER 2", "B/GLY 1")


def test_a_file_without_names_of_chains(read):
    structure = read(atoms("ALA 1", chain=" ") + atoms("MSE 2", chain=" ", record="HETATM"))
    assert structure.chain_names == ("",) and structure.types.tolist() == [1, 14]


def test_mmcif_has_the_authors_names(read):
    columns = (
        "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id Cartn_x Cartn_y"
    )
    columns += " Cartn_z occupancy auth_seq_id auth_asym_id pdbx_PDB_ins_code pdbx_PDB_model_num"
    head = "data_x\nloop_\n" + "".join(f"_atom_site.{name}\n" for name in columns.split())
    rows = "ATOM 1 N N . ALA Q 1 1.5 2.5 3.5 1.0 52 H A 1\nATOM 2 C CA . ALA Q 1 2 2 2 1.0 52 H A 1\n"
    rows += "HETATM 3 ZN ZN . ZN R . 7 7 7 1.0 99 H ? 1\nATOM 4 N N . ALA Q 1 1.5 2.5 3.5 1.0 52 H A 2\n"
    structure = read(head + rows, "x.cif")
    assert structure.names == ("H/ALA 52A", "H/ZN 99 ZN") and structure.chain_names == ("H",)
    assert structure.coordinates[0, 0].tolist() == [1.5, 2.5, 3.5] and structure.report == StructureReport(models=1)


@pytest.mark.parametrize("name", ["pdb1abc.ent", "X.PDB", "x.ent.gz"])
def test_names_of_files(read, name):
    text = atoms("ALA 1").encode()
    assert read(gzip.compress(text) if name.endswith("gz") else text, name).names == ("A/ALA 1",)


def test_combine(read):
    text = atoms("ALA 1") + atom("ALA 1", "H") + "TER\n" + atom("HOH 3", "O", record="HETATM")
    structure, ligand = read(text), read(MOL2, "x.mol2")
    both = protein.combine(structure, ligand)
    assert both.names == ("A/ALA 1", "LIG C1", "LIG CL2", "LIG N1") and both.chain_names == ("A",)
    assert both.chains.tolist() == [0, -1, -1, -1] and both.alphas.tolist() == [1, -1, -1, -1]
    assert both.report == StructureReport(waters=1, hydrogens=2)
    np.testing.assert_array_equal(both.coordinates[1:], ligand.coordinates)
    with pytest.raises(ValueError, match="expected a ligand, got chains A. Give the protein first"):
        protein.combine(ligand, structure)


def test_alpha_carbons(read):
    text = atoms("ALA 1", ("N", "CA", "CB")) + atoms("ALA 2", ("N", "C")) + atoms("GLY 3", ("CA", "N"))
    structure = protein.combine(read(text), read(MOL2, "x.mol2"))
    alphas = protein.alpha_carbons(structure)
    assert alphas.names == ("A/ALA 1", "A/GLY 3", "LIG C1", "LIG CL2", "LIG N1")
    assert alphas.channel_mask.tolist() == [[True] + [False] * 13] * 5
    assert alphas.elements[:, 0].tolist() == [C, C, C, 8, N] and not alphas.elements[:, 1:].any()
    np.testing.assert_array_equal(alphas.coordinates[:2, 0], np.float32([[3.8, 1, 0], [11.4, 0, 0]]))
    assert not alphas.coordinates[:, 1:].any() and alphas.report.without_alpha == 1
    assert equal(protein.alpha_carbons(alphas), alphas)
