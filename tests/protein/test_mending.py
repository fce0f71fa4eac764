"""Files that programs write beside the standard: each is read as it was meant, stops with the place, or is counted.

A case is read as pdb, mmCIF and BinaryCIF where all three can hold it.
"""

import gzip

import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein import StructureReport
from jaxalign.protein.vocabulary import element_class, residue_type
from tests.protein.lines import BACKBONE, atom, atoms, bcif, cif, cif_rows, moved, put

C, N, O, S = (element_class(symbol) for symbol in "CNOS")
WRITE = {
    "pdb": lambda text, **values: text,
    "cif": lambda text, **values: cif(cif_rows(text, **values)),
    "bcif": lambda text, **values: bcif(cif_rows(text, **values)),
}
every_format = pytest.mark.parametrize("suffix", WRITE)


def chain(count: int, letter=" ", first=1, names=("ALA", "GLY", "SER")) -> str:
    return "".join(atoms(f"{names[n % len(names)]} {first + n}", chain=letter) for n in range(count))


def sequence_edges_across(structure) -> int:
    graph = protein.make_graph(structure, num_neighbors=0)
    return int((structure.chains[graph.senders] != structure.chains[graph.receivers]).sum())


def sizes(structure) -> dict[str, int]:
    return {name: int((structure.chains == n).sum()) for n, name in enumerate(structure.chain_names)}


# Chains


@pytest.mark.parametrize("copies, length", [(2, 2), (3, 4), (5, 26)])
@pytest.mark.parametrize("end", ["TER\n", "REMARK no end\n"])
def test_chains_without_letters_whose_numbers_begin_anew(read, copies, length, end):
    structure = read("".join(moved(chain(length), 9 * n) + end for n in range(copies)))
    assert list(sizes(structure).values()) == [length] * copies and not sequence_edges_across(structure)
    assert structure.chain_names[:2] == ("", "_2") and structure.report == StructureReport(split=copies - 1)
    np.testing.assert_array_equal(structure.coordinates[length:, 0, 2][:length], np.full(length, 9))


@pytest.mark.parametrize("suffix", ["cif", "bcif"])
def test_chains_of_one_letter_in_mmcif(read, suffix):
    text = "".join(moved(chain(4, "A"), 9 * n) for n in range(3))
    structure = read(WRITE[suffix](text), f"x.{suffix}")
    assert sizes(structure) == {"A": 4, "A_2": 4, "A_3": 4} and structure.report == StructureReport(split=2)
    assert not sequence_edges_across(structure)


@pytest.mark.parametrize("second", [("VAL", "LEU"), ("GLY", "ALA"), ("MSE", "ALA")])
def test_the_second_chain_may_have_other_residues(read, second):
    later = "".join(
        atoms(f"{name} {n}", chain=" ", record="HETATM" if name == "MSE" else "ATOM")
        for n, name in enumerate(second, 1)
    )
    structure = read(chain(3) + "TER\n" + moved(later, 9) + "TER\n")
    assert sizes(structure) == {"": 3, "_2": 2} and structure.types[3] == residue_type(second[0])


def test_chains_without_letters_that_number_on_are_parted_by_their_ends(read):
    structure = read(
        chain(3) + "TER\n" + chain(2, first=4) + "TER\n" + atoms("LIG 9", ("C1",), chain=" ", record="HETATM")
    )
    assert sizes(structure) == {"": 3, "_2": 2} and structure.names[-1] == "/LIG 9 C1"


def test_chains_of_one_letter(read):
    text = chain(3, "A") + "TER\n" + moved(chain(3, "A"), 9) + "TER\n" + chain(2, "B") + "TER\n"
    text += atom("ZN 9", "ZN", element="ZN", record="HETATM", at=(9, 9, 9))
    structure = read(text)
    assert sizes(structure) == {"A": 3, "A_2": 3, "B": 2} and structure.names[-1] == "A/ZN 9 ZN"
    chosen = read(text, chains=("A_2",))
    assert chosen.names == ("A_2/ALA 1", "A_2/GLY 2", "A_2/SER 3")
    assert chosen.report == StructureReport(chains=2, split=1)
    with pytest.raises(ValueError, match="expected chains A_3, got A, A_2, B. Choose among these"):
        read(text, chains=("A_3",))


def test_a_new_name_is_no_name_that_the_file_has(read):
    rows = cif_rows(chain(2, "A") + moved(chain(2, "A"), 9)) + cif_rows(moved(chain(2, "B"), 20), auth_asym_id="A_2")
    assert sizes(read(cif(rows), "x.cif")) == {"A": 2, "A_3": 2, "A_2": 2}


@pytest.mark.parametrize(
    "text",
    [
        chain(3, "A") + "TER\n" + chain(3, "A", first=4),  # the author's letter says that it is one
        chain(2, "A", first=9) + chain(2, "A", first=2),  # as parts of fused proteins have them
        atoms("ALA 3", insert="B") + atoms("GLY 1") + atoms("SER 2"),
        chain(3) + atom("ALA 1", "H", chain=" ") + atom("GLY 2", "H", chain=" "),  # hydrogens of all residues behind
        chain(3) + atom("ALA 1", "OXT", chain=" "),  # an atom that was added later
    ],
)
def test_one_chain_stays_one(read, text):
    structure = read(text)
    assert len(structure.chain_names) == 1 and not structure.report.split


def test_what_is_bonded_is_one_chain(read):
    first = "".join(atom("ALA 9", name, at=(n, 0, 0), chain=" ") for n, name in enumerate(("N", "CA", "C")))
    second = "".join(atom("ALA 1", name, at=(3.3 + n, 0, 0), chain=" ") for n, name in enumerate(("N", "CA", "C")))
    assert sizes(read(first + second)) == {"": 2}
    assert sizes(read(first + moved(second, 2))) == {"": 1, "_2": 1}


@pytest.mark.parametrize("letter", ["A", " "])
@pytest.mark.parametrize("first", [1, 4])
def test_segments_are_chains(read, letter, first):
    text = put(chain(3, letter), 72, "PROA") + put(moved(chain(3, letter, first=first), 9), 72, "PROB")
    text += put(atoms("LIG 1", ("C1",), chain=letter, record="HETATM"), 72, "HETA")
    structure = read(text)
    assert list(sizes(structure).values()) == [3, 3] and not sequence_edges_across(structure)


@pytest.mark.parametrize("suffix", ["cif", "bcif"])
def test_labels_of_chains_are_chains(read, suffix):
    rows = cif_rows(chain(3, "A"), label_seq_id="1") + cif_rows(
        chain(2, "A", first=7), label_asym_id="B", label_seq_id="1"
    )
    rows += cif_rows(atoms("ALA 301", record="HETATM"), label_asym_id="C")  # free, as its label says
    structure = read({"cif": cif, "bcif": bcif}[suffix](rows), f"x.{suffix}")
    assert sizes(structure) == {"A": 3, "A_2": 2} and structure.report == StructureReport(split=1, free=1)


def test_charges_in_the_columns_of_segments_are_none(read):
    lines = chain(2, "A").splitlines(True)
    structure = read("".join(put(line, 72, f"{n / 10:4.1f}") for n, line in enumerate(lines)))
    assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.channel_mask.sum() == 8


# Modified residues


@pytest.mark.parametrize(
    "name, parent", [("MSE", "MET"), ("SEP", "SER"), ("TPO", "THR"), ("CSO", "CYS"), ("PTR", "TYR")]
)
@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_modified_residue_behind_its_chain_goes_to_its_place(read, name, parent, number):
    others = [n for n in range(1, 6) if n != number]
    text = "".join(atoms(f"ALA {n}") for n in others) + "TER\n" + atoms("GLY 1", chain="B") + "TER\n"
    structure = read(text + atoms(f"{name} {number}", record="HETATM"))
    assert structure.names[number - 1] == f"A/{name} {number}" and structure.names[5] == "B/GLY 1"
    assert structure.types[number - 1] == residue_type(parent) and structure.report == StructureReport(moved=1)


def test_several_of_them(read):
    text = atoms("ALA 1") + atoms("ALA 3") + "TER\n" + "".join(atoms(f"MSE {n}", record="HETATM") for n in (5, 4, 2))
    structure = read(text)
    assert [name.split()[1] for name in structure.names] == ["1", "2", "3", "4", "5"]
    assert structure.report == StructureReport(moved=3)


def test_a_bond_tells_a_residue_from_a_free_amino_acid(read):
    first = "".join(atom("ALA 1", name, at=(n, 0, 0)) for n, name in enumerate(("N", "CA", "C"))) + "TER\n"
    glycine = "".join(
        atom("GLY 7", name, at=(3.3 + n, 0, 0), record="HETATM") for n, name in enumerate(("N", "CA", "C"))
    )
    assert read(first + glycine).report == StructureReport(moved=1)
    free = read(first + moved(glycine, 9))
    assert free.types.tolist() == [1, 21 + N, 21 + C, 21 + C] and free.report == StructureReport(free=1)
    far = read(chain(2, "A") + "TER\n" + atoms("MSE 301", record="HETATM"))
    assert far.types.tolist()[2:] == [21 + N, 21 + C, 21 + C, 21 + O] and far.report == StructureReport(free=1)


@every_format
def test_a_modified_residue_inside_a_chain(read, suffix):
    text = atoms("MSE 1", record="HETATM") + atoms("ALA 2") + atoms("TPO 3", record="HETATM") + atoms("ALA 4")
    structure = read(WRITE[suffix](text), f"x.{suffix}")
    assert structure.types.tolist() == [residue_type(name) for name in ("MET", "ALA", "THR", "ALA")]


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


def test_chains_of_two_letters(read):
    text = put(chain(2, "A"), 20, "AA") + put(moved(chain(2, "A"), 9), 20, "AB")
    assert sizes(read(text)) == {"AA": 2, "AB": 2}


@pytest.mark.parametrize("names", [("DA5", "DC", "DT3"), ("RA5", "RG", "U3"), ("ADE", "GUA", "THY")])
def test_nucleic_acids_of_force_fields(read, names):
    bases = "".join(atoms(f"{name} {n}", ("P", "C1'", "N1"), chain="B") for n, name in enumerate(names, 1))
    structure = read(atoms("ALA 1") + "TER\n" + bases)
    assert structure.names == ("A/ALA 1",) and structure.report == StructureReport(nucleotides=3)


# Bytes and columns


@every_format
@pytest.mark.parametrize("change", ["mark", "returns", "both line ends", "gzip"])
def test_ways_to_write_the_same_file(read, suffix, change):
    text = WRITE[suffix](chain(3, "A"))
    data = text if isinstance(text, bytes) else text.encode()
    if change == "gzip":
        data = gzip.compress(data)
    elif suffix != "bcif":  # which is no text
        ends = {"mark": b"\n", "returns": b"\r", "both line ends": b"\r\n"}[change]
        data = (b"\xef\xbb\xbf" if change == "mark" else b"") + data.replace(b"\n", ends)
    assert read(data, f"x.{suffix}").names == ("A/ALA 1", "A/GLY 2", "A/SER 3")


BAD_NUMBERS = (
    "********",
    "        ",
    "   1,400",
    "     nan",
    "    -inf",
    " 1 2.000",
    "9999.999",
    "  1.2.3 ",
    "0x1.8   ",
)


@pytest.mark.parametrize("value", BAD_NUMBERS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_coordinate_that_is_none_is_told(read, value, axis):
    text = atoms("GLY 7") + put(atom("ALA 8", "N"), 30 + 8 * axis, value)
    expected = f"line 5: expected a coordinate in columns {31 + 8 * axis}-{38 + 8 * axis}, got '{value}'. Correct"
    with pytest.raises(ValueError) as error:
        read(text)
    assert expected in str(error.value) and str(error.value).startswith(str(read.path))


@pytest.mark.parametrize("value", ["?", ".", "********", "1,400", "nan", "inf", "9999.0", "1.2.3"])
@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("write", [cif, bcif])
def test_a_coordinate_that_is_none_is_told_in_mmcif(read, value, axis, write):
    rows = cif_rows(chain(2, "A"))
    rows[5][f"Cartn_{axis}"] = value
    with pytest.raises(
        ValueError, match=f"row 6 of atom_site, id 6: expected a coordinate in Cartn_{axis}, got"
    ) as error:
        read(write(rows), f"x.{write.__name__}")
    assert repr(value) in str(error.value)


def test_numbers_of_what_is_left_out_may_be_anything(read):
    water = put(put(atom("SOL 9", "OW", element="O", record="HETATM"), 30, "********"), 22, "****")
    structure = read(atoms("ALA 1") + put(atom("ALA 1", "H"), 30, "********") + "TER\n" + water)
    assert structure.channel_mask.sum() == 4 and structure.report == StructureReport(waters=1, hydrogens=1)


@pytest.mark.parametrize(
    "text, message",
    [
        (put(atoms("ALA 1"), 22, "****"), r"line 1: expected a residue's number in columns 23-26, got '\*\*\*\*'"),
        (put(atoms("ALA 1"), 22, " 1x "), "line 1: expected a residue's number in columns 23-26, got ' 1x '"),
        (put(atoms("ALA 1"), 22, "    "), "line 1: expected a residue's number in columns 23-26, got '    '"),
        (atoms("ALA 1") + " " + atoms("GLY 2"), "line 5: expected ATOM or HETATM in the first column"),
        (atoms("ALA 1")[:-31], "line 4: the line is too short: expected 54 columns, got"),
        ("MODEL        1\n" + atoms("ALA 1"), "expected ENDMDL behind the first MODEL, got the end of the file"),
        (
            put(atoms("ALA 1", alt="A"), 54, " *****"),
            r"line 1: expected an occupancy in columns 55-60, got ' \*\*\*\*\*'",
        ),
        (atoms("ALA 1").replace("   ", "\t"), "line 1: "),
        (atoms("ALA 1") + "\0\0", "expected text, got bytes of 0"),
        ("".join(atom("ALA 1", name) for name in BACKBONE), "expected atoms in space, got 4 in one place"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_told(read, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(text)
    assert str(error.value).startswith(str(read.path))


def test_numbers_beyond_the_columns(read):
    text = "".join(
        put(atoms(f"{name} {n}"), 22, number)
        for n, (name, number) in enumerate((("ALA", "9999"), ("GLY", "A000"), ("SER", "A001")))
    )
    assert read(text).names == ("A/ALA 9999", "A/GLY 10000", "A/SER 10001")
    serials = "".join(
        line[:6] + f"{n:>6}" + line[11:] for n, line in enumerate(chain(2, "A").splitlines(True), 100_000)
    )
    assert read(serials).names == ("A/ALA 1", "A/GLY 2")
    assert read(put(chain(2, "A"), 6, "*****")).names == ("A/ALA 1", "A/GLY 2")


def test_old_files_with_numbers_of_lines(read):
    lines = chain(2, "A").splitlines()
    structure = read("".join(f"{line[:72]}1CRN{n:>4}\n" for n, line in enumerate(lines, 998)))
    assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.report == StructureReport(elements=8)


@pytest.mark.parametrize("start, kind", [(b"PK\x03\x04", "zip"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\x00", "xz")])
def test_other_packings_are_named(read, start, kind):
    with pytest.raises(ValueError, match=f"got a {kind} file. Unpack it"):
        read(start + b"x" * 50)


@pytest.mark.parametrize("write", [cif, bcif])
@pytest.mark.parametrize(
    "dropped",
    [
        ("auth_seq_id", "auth_comp_id", "auth_asym_id"),
        ("label_alt_id", "occupancy", "pdbx_PDB_ins_code", "pdbx_PDB_model_num"),
        ("group_PDB", "id", "type_symbol"),
        ("label_comp_id", "label_asym_id"),
    ],
)
def test_columns_that_a_table_lacks(read, write, dropped):
    rows = [{k: v for k, v in row.items() if k not in dropped} for row in cif_rows(chain(2, "A"))]
    for n, row in enumerate(rows):
        row["label_seq_id"] = str(1 + n // 4)
    structure = read(write(rows), f"x.{write.__name__}")
    assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.elements[0, :4].tolist() == [N, C, C, O]


def test_models_and_blocks_of_mmcif(read):
    rows = cif_rows(chain(2, "A"))
    other = cif_rows(moved(chain(2, "A"), 9), pdbx_PDB_model_num="2")
    between = [row for pair in zip(rows, other, strict=True) for row in pair]
    for text in cif(rows + other), cif(between), cif(rows) + cif(other).replace("data_x", "data_y"):
        structure = read(text, "x.cif")
        assert structure.names == ("A/ALA 1", "A/GLY 2") and structure.report == StructureReport(models=1)
        assert structure.channel_mask.sum() == 8 and not structure.coordinates[..., 2].any()
    assert read("data_first\n_x.y 1\n" + cif(rows), "x.cif").report == StructureReport()


# Real files, written otherwise


def variants(lines):
    """The atoms of a file as other programs write them."""
    atoms_of = lambda change: "".join(  # noqa: E731
        change(line) if line.startswith(("ATOM", "HETATM")) else line for line in lines
    )
    yield "no elements", atoms_of(lambda line: line[:76].rstrip() + "\n")
    yield (
        "names to the left, no elements",
        atoms_of(lambda line: f"{line[:12]}{line[12:16].strip():<4}{line[16:76].rstrip()}\n"),
    )
    yield "one letter", atoms_of(lambda line: f"{line[:21]}A{line[22:]}")
    yield "no letters", atoms_of(lambda line: f"{line[:21]} {line[22:]}")
    yield "segments", atoms_of(lambda line: f"{line[:21]}A{line[22:72]}SEG{line[21]}{line[76:]}")
    yield "twice", "".join(line for line in lines if line.startswith(("ATOM", "HETATM"))) * 2
    yield "no TER", "".join(line for line in lines if not line.startswith("TER"))
    yield "waters of GROMACS", atoms_of(lambda line: line.replace("HOH", "SOL"))
    yield "numbers of lines", atoms_of(lambda line: f"{line[:72]}1XXX{len(line):>4}\n")


@pytest.mark.parametrize("name", ["1dix.pdb", "1nca.pdb", "4hhh_frag.pdb", "3o5r.pdb"])
def test_real_files_written_otherwise_are_the_same(read, folder, name):
    expected = protein.read_structure(folder / name)
    for what, text in variants((folder / name).read_text().splitlines(True)):
        structure = read(text)
        for field in "coordinates", "elements", "channel_mask", "types", "chains", "alphas":
            np.testing.assert_array_equal(getattr(structure, field), getattr(expected, field), err_msg=what)
