"""Which chain a residue belongs to: numbers that begin anew, segments, residues behind their chain."""

import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein import StructureReport
from jaxalign.protein.vocabulary import element_class, residue_type
from tests.protein.lines import WRITE, atom, atoms, bcif, chain, cif, cif_rows, moved, put

C, N, O, S = (element_class(symbol) for symbol in "CNOS")
every_format = pytest.mark.parametrize("suffix", WRITE)


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


def test_chains_of_two_letters(read):
    text = put(chain(2, "A"), 20, "AA") + put(moved(chain(2, "A"), 9), 20, "AB")
    assert sizes(read(text)) == {"AA": 2, "AB": 2}


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
