"""Alternatives, repeated atoms, waters, elements and names as programs write them, in every format."""

import numpy as np
import pytest

from jaxalign.protein import StructureReport
from jaxalign.protein.vocabulary import element_class, residue_type
from tests.protein.lines import BACKBONE, WRITE, atom, atoms, put

C, N, O, S = (element_class(symbol) for symbol in "CNOS")
every_format = pytest.mark.parametrize("suffix", WRITE)


# Alternatives


@every_format
@pytest.mark.parametrize("blank, label, kept", [(0.6, 0.4, 1), (0.4, 0.6, 2), (0.5, 0.5, 1)])
def test_an_atom_without_a_label_is_an_alternative_to_one_with(read, suffix, blank, label, kept):
    text = atoms("CYS 1") + atom("CYS 1", "CB", at=(1, 9, 0), occupancy=blank)
    text += atom("CYS 1", "CB", at=(2, 9, 0), alt="B", occupancy=label)
    structure = read(WRITE[suffix](text), f"x.{suffix}")
    assert structure.coordinates[0, :6, 0].tolist() == [*[np.float32(3.8)] * 4, kept, 0]
    assert structure.report == StructureReport(alternatives=1)


def position(weights=(0.6, 0.4), shared=("N",)) -> str:
    """Proline and serine at one place, with atoms in common."""
    text = "".join(atom("PRO 2", name, at=(1, n, 0)) for n, name in enumerate(shared))
    for residue, alt, weight, x in (("PRO", "A", weights[0], 2), ("SER", "B", weights[1], 3)):
        own = [name for name in (*BACKBONE, "CB") if name not in shared]
        text += "".join(
            atom(f"{residue} 2", name, at=(x, n, 0), alt=alt, occupancy=weight) for n, name in enumerate(own)
        )
    return text


@every_format
@pytest.mark.parametrize("shared", [("N",), ("N", "CA"), ("N", "CA", "C"), ("N", "CA", "C", "O")])
@pytest.mark.parametrize("weights, kept, x", [((0.6, 0.4), "PRO", 2), ((0.3, 0.7), "SER", 3)])
def test_residues_at_one_place_share_atoms(read, suffix, shared, weights, kept, x):
    text = atoms("ALA 1") + position(weights, shared) + atoms("ALA 3")
    structure = read(WRITE[suffix](text), f"x.{suffix}")
    assert structure.names == ("A/ALA 1", f"A/{kept} 2", "A/ALA 3")
    assert structure.elements[1, :6].tolist() == [N, C, C, O, C, 0] and structure.alphas[1] == 1
    expected = [1 if name in shared else x for name in (*BACKBONE, "CB")]
    assert structure.coordinates[1, :5, 0].tolist() == expected
    assert structure.report == StructureReport(alternatives=5 - len(shared), variants=1)


@pytest.mark.parametrize("weights, kept", [((0.6, 0.4), "PRO"), ((0.4, 0.6), "SER")])
def test_one_of_two_residues_without_labels(read, weights, kept):
    text = atoms("PRO 2", occupancy=weights[0]) + atoms("SER 2", alt="B", occupancy=weights[1])
    structure = read(atoms("ALA 1") + text)
    assert structure.names[1:] == (f"A/{kept} 2",) and structure.report == StructureReport(alternatives=4, variants=1)


def test_ligands_of_one_number_with_labels_of_their_own_kind(read):
    ligands = atom("LIG 9", "C1", record="HETATM", at=(1, 1, 1)) + atom("LGX 9", "O1", record="HETATM", alt="A")
    assert read(atoms("ALA 1") + "TER\n" + ligands).names[1:] == ("A/LIG 9 C1", "A/LGX 9 O1")


# Atoms twice


@every_format
@pytest.mark.parametrize("times", [2, 3])
def test_atoms_that_are_pasted_twice_count_once(read, suffix, times):
    text = atoms("ALA 1") + atoms("GLY 2") + atoms("LIG 9", ("C1", "C2"), record="HETATM")
    structure = read(WRITE[suffix](text * times), f"x.{suffix}")
    assert structure.names == ("A/ALA 1", "A/GLY 2", "A/LIG 9 C1", "A/LIG 9 C2")
    assert structure.channel_mask.sum() == 10 and structure.report == StructureReport(repeated=10 * (times - 1))


@every_format
@pytest.mark.parametrize("name", ["CB", "N", "CA"])
def test_two_places_of_one_atom_are_told(read, suffix, name):
    text = atoms("ALA 1", (*BACKBONE, "CB")) + atom("ALA 1", name, at=(5, 5, 5))
    with pytest.raises(ValueError, match=f"expected one atom {name} in residue ALA 1 of chain 'A', got a second one"):
        read(WRITE[suffix](text), f"x.{suffix}")


@pytest.mark.parametrize("end", ["END\n", "ENDMDL\n", "TER\nEND\n"])
def test_files_behind_each_other_are_models(read, end):
    structure = read((atoms("ALA 1") + atoms("GLY 2") + end) * 3)
    assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.report == StructureReport(models=2)


# Waters


@every_format
@pytest.mark.parametrize("name", "HOH WAT DOD H2O OH2 SOL SPC TIP TP3 TP4 T3P T4P TP5 W".split())
def test_waters_of_all_names(read, suffix, name):
    water = atom(f"{name} 9", "OW", at=(9, 9, 9), element="O", record="HETATM")
    water += atom(f"{name} 9", "HW1", element="H") + atom(f"{name} 9", "HW2", element="H")
    water += atom(f"{name} 9", "MW", element="M", at=(9, 9, 9))
    structure = read(WRITE[suffix](atoms("ALA 1") + "TER\n" + water), f"x.{suffix}")
    assert structure.names == ("A/ALA 1",) and structure.report.waters == 1


@pytest.mark.parametrize("name", ["TIP3", "TIP4", "TIP5", "SPCE", "OPC3", "SWM4"])
@pytest.mark.parametrize("letter", ["W", " "])
def test_waters_of_four_letters(read, name, letter):
    water = put(atom("XXX 9", "OH2", at=(9, 9, 9), element="O", chain=letter), 17, name)
    structure = read(atoms("ALA 1") + "TER\n" + water)
    assert structure.names == ("A/ALA 1",)
    assert structure.report == (StructureReport(waters=1))


def test_an_oxygen_with_two_hydrogens_is_water_and_others_are_not(read):
    water = "".join(atom("XYZ 9", name, record="HETATM", at=(9, 9, 9)) for name in ("O", "H1", "H2"))
    assert read(atoms("ALA 1") + water).report == StructureReport(waters=1)
    for names in ("O",), ("O", "H1"), ("O", "H1", "H2", "C"):
        text = "".join(atom("XYZ 9", name, record="HETATM", at=(9, n, 9)) for n, name in enumerate(names))
        assert read(atoms("ALA 1") + text).report.waters == 0
    nucleotide = atoms("T3P 9", ("P", "O1", "C1", "N1"), record="HETATM")  # so it is called in the dictionary
    assert len(read(atoms("ALA 1") + "TER\n" + nucleotide).names) == 5


def test_waters_that_share_a_number_are_counted_each(read):
    water = "".join(atom("SOL 1", "OW", at=(n, 9, 9), element="O", record="HETATM") for n in range(3))
    alternatives = "".join(atom("HOH 2", "O", at=(n, 8, 8), alt=alt, record="HETATM") for n, alt in enumerate("AB"))
    assert read(atoms("ALA 1") + "TER\n" + water + alternatives).report == StructureReport(waters=4)


# Elements


@every_format
@pytest.mark.parametrize("symbol", ["", "X", "XX", "CA", "*"])
@pytest.mark.parametrize("left", [False, True])
def test_elements_of_amino_acids_are_read_off_names(read, suffix, symbol, left):
    names = ("N", "CA", "C", "O", "CB", "CG", "SD", "CE", "HE1", "OXT")
    text = put(atoms("MET 1", names), 76, f"{symbol:<2}")
    if left:
        text = "".join(put(line, 12, f"{line[12:16].strip():<4}") for line in text.splitlines(True))
    values = {"type_symbol": symbol or "?"}
    structure = read(WRITE[suffix](text, **values), f"x.{suffix}")
    assert structure.elements[0, :10].tolist() == [N, C, C, O, C, C, S, C, O, 0] and structure.alphas.tolist() == [1]
    assert structure.report == StructureReport(hydrogens=1, elements=10)


@pytest.mark.parametrize("symbol", ["CA", "  ", " X"])
def test_calcium_is_no_alpha_carbon(read, symbol):
    ion = put(put(atom("CA 9", "CA", at=(9, 9, 9), record="HETATM"), 12, "CA  "), 76, symbol)
    structure = read(put(atoms("ALA 1"), 76, symbol) + "TER\n" + ion)
    assert structure.alphas.tolist() == [1, -1] and structure.elements[:, :2].tolist() == [[N, C], [7, 0]]


@every_format
def test_elements_of_ligands(read, suffix):
    names = {
        "C1": 2,
        "CL1": 8,
        "BR2": 8,
        "N1": 3,
        "CA": 2,
        "NA": 3,
        "FE": 7,
        "P": 6,
        "O2": 4,
        "F3": 8,
        "ZN": 7,
        "S1": 5,
    }
    ligand = "".join(atom("LIG 9", name, at=(9, 9, n), record="HETATM") for n, name in enumerate(names))
    ligand = "".join(put(line, 12, f"{line[12:16].strip():<4}") for line in ligand.splitlines(True))
    backbone = "".join(put(line, 12, f"{line[12:16].strip():<4}") for line in atoms("ALA 1").splitlines(True))
    text = put(backbone + "TER\n" + ligand, 76, "  ")
    structure = read(WRITE[suffix](text, type_symbol="."), f"x.{suffix}")
    assert structure.elements[1:, 0].tolist() == list(names.values())
    assert structure.report == StructureReport(elements=4 + len(names))


def test_a_selenium_stays_one_and_hydrogens_are_no_mercury(read):
    text = atoms("MSE 1", (*BACKBONE, "CB", "CG"), record="HETATM") + atom("MSE 1", "SE", element="SE", record="HETATM")
    text += atoms("LYS 2", (*BACKBONE, "HG2", "HE2", "HZ1"))
    text = "".join(put(line, 76, f"{line[12:16].strip():>2}"[:2]) for line in text.splitlines(True))
    structure = read(text)
    assert structure.elements[0, :7].tolist() == [N, C, C, O, C, C, 9]
    assert structure.report.hydrogens == 3 and structure.alphas.tolist() == [1, 1]


def test_an_unknown_atom_stays_unknown(read):
    structure = read(atoms("ALA 1") + "TER\n" + atom("UNX 9", "UNK", element="X", record="HETATM", at=(9, 9, 9)))
    assert structure.elements[1, 0] == 9 and structure.report == StructureReport()


# Names of force fields


@pytest.mark.parametrize(
    "name, amino",
    [
        ("NALA", "ALA"),
        ("CGLY", "GLY"),
        ("NHIE", "HIS"),
        ("CCYX", "CYS"),
        ("HISE", "HIS"),
        ("LYSH", "LYS"),
        ("GLUP", "GLU"),
    ],
)
@pytest.mark.parametrize("layout", ["in its column", "no letter", "one column too far"])
def test_names_of_four_letters(read, name, amino, layout):
    letter = " " if layout == "no letter" else "A"
    first = atoms(f"{name} 1") if layout == "one column too far" else put(atoms("XXX 1", chain=letter), 17, name)
    structure = read(first + atoms("SER 2", chain=letter))
    assert structure.types.tolist() == [residue_type(amino), residue_type("SER")] and len(structure.chain_names) == 1
    np.testing.assert_array_equal(structure.coordinates[0, :4], np.float32([[3.8, n, 0] for n in range(4)]))
    assert structure.chain_names == (letter.strip(),) and structure.report == StructureReport()


@pytest.mark.parametrize("name", ["HID", "HIE", "HIP", "CYX", "CYM", "ASH", "GLH", "LYN", "HSD", "HSE", "HSP"])
@pytest.mark.parametrize("names", [BACKBONE, ("N", "C")])
def test_states_of_protonation_anywhere_in_a_chain(read, name, names):
    text = atoms(f"{name} 1", names) + atoms("ALA 2") + atoms(f"{name} 3", names)
    structure = read(text)
    assert structure.types.tolist() == [residue_type(name), 1, residue_type(name)] and residue_type(name) < 20


@pytest.mark.parametrize("suffix", ["cif", "bcif"])
def test_names_of_four_letters_in_mmcif(read, suffix):
    text = WRITE[suffix](atoms("ALA 1"), auth_comp_id="NALA", label_comp_id="NALA")
    assert read(text, f"x.{suffix}").names == ("A/ALA 1",)


@pytest.mark.parametrize("names", [("DA5", "DC", "DT3"), ("RA5", "RG", "U3"), ("ADE", "GUA", "THY")])
def test_nucleic_acids_of_force_fields(read, names):
    bases = "".join(atoms(f"{name} {n}", ("P", "C1'", "N1"), chain="B") for n, name in enumerate(names, 1))
    structure = read(atoms("ALA 1") + "TER\n" + bases)
    assert structure.names == ("A/ALA 1",) and structure.report == StructureReport(nucleotides=3)
