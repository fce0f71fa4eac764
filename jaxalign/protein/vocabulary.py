"""What a node of a protein graph can be: 20 amino acids, an unknown residue, or a ligand atom of one of ten elements.

The order is that of HeMeNet's code (arXiv 2404.01693), so that its weights fit. Two rules go beyond it; there, both
kinds of residues are unknown:

- A modified residue has the type of the amino acid that it was made of (``MSE`` is ``MET``), by the one-letter codes of
  gemmi's table of residues, which follow the chemical component dictionary.
- Force fields' names of protonation states are those of the amino acid (``HIE`` is ``HIS``).
"""

import gemmi

from jaxalign.protein.names import AMINO_ACIDS, PROTONATION_STATES, usual_name

UNKNOWN_TYPE = 20
FIRST_LIGAND_TYPE = 21  # a ligand atom's type is this and its element class

ELEMENT_CLASSES = ("Super", "H", "C", "N", "O", "S", "P", "Metal", "Halogen", "other")
NUM_TYPES = FIRST_LIGAND_TYPE + len(ELEMENT_CLASSES)
NUM_CHANNELS = 14  # heavy atoms of tryptophan, the largest amino acid

_HALOGENS = ("F", "Cl", "Br", "I", "At", "Ts")
_OTHER = ELEMENT_CLASSES.index("other")
_TYPES = {name: number for number, name in enumerate(AMINO_ACIDS)}
_TYPE_OF_LETTER = {gemmi.find_tabulated_residue(name).one_letter_code: _TYPES[name] for name in AMINO_ACIDS}


def residue_type(name: str) -> int:
    """The type of a residue in a polymer, 0 to 20, by its name.

    >>> residue_type("ALA"), residue_type("MSE") == residue_type("MET"), residue_type("UNK")
    (1, True, 20)
    """
    name = usual_name(name, ())
    name = PROTONATION_STATES.get(name, name)
    # Letters of nucleotides mean other things: A is adenosine.
    known = gemmi.find_tabulated_residue(name)
    return _TYPE_OF_LETTER.get(known.one_letter_code.upper(), UNKNOWN_TYPE) if known.is_amino_acid() else UNKNOWN_TYPE


def element_class(symbol: str) -> int:
    """The class of an element, 1 to 9, by its symbol in any case; 0 ("Super") is nobody's and marks empty channels.

    Metals are what gemmi counts as metals. What is no element is 9, "other", and deuterium is hydrogen.

    >>> [ELEMENT_CLASSES[element_class(symbol)] for symbol in ("C", "ZN", "Br", "Se", "D")]
    ['C', 'Metal', 'Halogen', 'other', 'H']
    """
    element = gemmi.Element("H" if symbol.upper() == "T" else symbol)  # tritium
    if element.is_hydrogen:
        return ELEMENT_CLASSES.index("H")
    if element.is_metal:
        return ELEMENT_CLASSES.index("Metal")
    if element.name in _HALOGENS:
        return ELEMENT_CLASSES.index("Halogen")
    return ELEMENT_CLASSES.index(element.name) if element.name in ELEMENT_CLASSES[2:7] else _OTHER
