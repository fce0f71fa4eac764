"""Types of residues and classes of elements."""

import pytest

from jaxalign import protein
from jaxalign.protein.vocabulary import UNKNOWN_TYPE, element_class, residue_type


def test_types_are_those_of_the_reference():
    names = "GLY ALA SER PRO VAL THR CYS ILE LEU ASN ASP GLN LYS GLU MET HIS PHE ARG TYR TRP".split()
    assert [residue_type(name) for name in names] == list(range(20)) and protein.NUM_TYPES == 31


@pytest.mark.parametrize(
    "name, parent",
    [("MSE", "MET"), ("SEP", "SER"), ("HYP", "PRO"), ("PCA", "GLU"), ("DAL", "ALA"), ("HIE", "HIS"), ("CYX", "CYS")],
)
def test_parents(name, parent):
    assert residue_type(name) == residue_type(parent)


@pytest.mark.parametrize("name", ["UNK", "SEC", "PYL", "ASX", "GLX", "ACE", "A", "DG", "HOH", "", "what"])
def test_unknown_residues(name):
    assert residue_type(name) == UNKNOWN_TYPE


def test_element_classes():
    symbols = {
        "H D": 1,
        "C c": 2,
        "N": 3,
        "O": 4,
        "S": 5,
        "P": 6,
        "Na ZN Fe MG U": 7,
        "F Cl BR I": 8,
        "Se B Si As Ar X ?": 9,
    }
    for group, number in symbols.items():
        assert {element_class(symbol) for symbol in group.split()} == {number}, group
    assert element_class("") == 9
