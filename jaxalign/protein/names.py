"""Names that programs give residues and atoms, and what they mean: amino acids, waters, nucleotides, elements.

Files of force fields have names of their own: ``NALA`` is the alanine that a chain begins with, ``HIE`` a histidine,
``TIP3`` a water. Elements are read off the names of atoms only where a file has none that can be.
"""

import re
from collections.abc import Collection

import gemmi

AMINO_ACIDS = tuple("GLY ALA SER PRO VAL THR CYS ILE LEU ASN ASP GLN LYS GLU MET HIS PHE ARG TYR TRP".split())
"""Amino acids, in the order of HeMeNet's types."""

PROTONATION_STATES = {
    **dict.fromkeys(("HID", "HIE", "HIP", "HSD", "HSE", "HSP"), "HIS"),
    **dict.fromkeys(("CYX", "CYM"), "CYS"),
    "ASH": "ASP",
    "GLH": "GLU",
    "LYN": "LYS",
}
_FOUR_LETTERS = {
    **{end + name: name for name in (*AMINO_ACIDS, *PROTONATION_STATES) for end in "NC"},
    **{"HISA": "HID", "HISB": "HIE", "HISD": "HID", "HISE": "HIE", "HISH": "HIP", "HIS1": "HID", "HIS2": "HIE"},
    **{"LYSH": "LYS", "LYSN": "LYN", "ARGN": "ARG", "ASPH": "ASH", "ASPP": "ASH", "GLUH": "GLH", "GLUP": "GLH"},
    **{"CYSH": "CYS", "CYS1": "CYS", "CYS2": "CYX"},
}
_BASES = {"ADE": "A", "GUA": "G", "CYT": "C", "THY": "DT", "URA": "U"}
_TERMINAL_BASE = re.compile(r"(D?)R?([ACGTU])[35N]?")
_WATERS = frozenset(
    "HOH WAT DOD H2O OH2 HHO OHH SOL SPC SPCE SPE TIP TIP2 TIP3 TIP4 TIP5 TP3 TP4 TP5 T3P T4P T5P T3H T4E T4H "
    "TIP3P TIP4P TIP5P OPC OPC3 OP3 SPF SPFW MTW W SWM4 SWM WTR".split()
)
_VIRTUAL_SITE = re.compile(r"(M|MW|OM|EP|EPW|IW|LP|LA|LB)[0-9]*")

BACKBONE = {"N": "N", "CA": "C", "C": "C", "O": "O", "CB": "C", "OXT": "O"}
_OF_AMINO_ACIDS = ("H", "D", "C", "N", "O", "S", "SE")
_IONS = {"SOD": "NA", "CLA": "CL", "POT": "K", "CAL": "CA", "CES": "CS", "RUB": "RB", "LIT": "LI", "BAR": "BA"}
# Those that names of organic atoms hardly begin with otherwise; CA, CD, NA, HG and the like mostly are C, N and H.
_TWO_LETTERS = frozenset("CL BR SE SI FE ZN MG MN CU AL LI AS CR MO RU RH AG PT AU".split())
_ONE_LETTER = tuple("HDCNOPSFIB")


def four_letters(name: str) -> str | None:
    """The usual name of a residue whose name has four letters in a force field, or None if it is none of these.

    >>> four_letters("NALA"), four_letters("CHIE"), four_letters("POPC")
    ('ALA', 'HIE', None)
    """
    return _FOUR_LETTERS.get(name.upper())


def usual_name(name: str, atoms: Collection[str]) -> str:
    """The name by which tables know a residue that has ``atoms``: of termini, bases; others keep theirs.

    >>> usual_name("CGLY", ["CA"]), usual_name("DA5", ["C1'"]), usual_name("ADE", ["N9"])
    ('GLY', 'DA', 'ADE')
    """
    if name in _FOUR_LETTERS:
        return _FOUR_LETTERS[name]
    if not ("C1'" in atoms or "C1*" in atoms):  # a base without its sugar is a ligand
        return name
    if name in _BASES:
        ribose = "O2'" in atoms or "O2*" in atoms
        return _BASES[name] if ribose or name == "THY" else f"D{_BASES[name]}"
    found = _TERMINAL_BASE.fullmatch(name)
    return found[1] + found[2] if found and len(name) > 1 else name


def is_standard(name: str) -> bool:
    """Says whether it is one of the 20 amino acids, in any state of protonation."""
    return PROTONATION_STATES.get(name, name) in AMINO_ACIDS


def is_amino_acid(name: str) -> bool:
    """Says whether it is an amino acid, modified ones included."""
    return is_standard(name) or gemmi.find_tabulated_residue(name).is_amino_acid()


def may_be_water(name: str) -> bool:
    """Says whether programs call waters so. ``T3P`` is a nucleotide as well: see :func:`is_water`."""
    return name.upper() in _WATERS


def is_water(residue: gemmi.Residue) -> bool:
    """Says whether a residue is water: of such a name, or two hydrogens, and no heavy atom but oxygen.

    Points of charge that a model of water has beside its atoms do not count.
    """
    if residue.is_water():
        return True
    hydrogens = sum(atom.is_hydrogen() for atom in residue)
    heavy = [atom for atom in residue if not atom.is_hydrogen() and not _VIRTUAL_SITE.fullmatch(atom.name)]
    oxygens = bool(heavy) and all(atom.element.name == "O" for atom in heavy)
    return oxygens and (may_be_water(residue.name) or (len(heavy) == 1 and hydrogens == 2))


def is_element(symbol: str) -> bool:
    """Says whether it is the symbol of an element, of deuterium or of tritium, in any case.

    >>> [is_element(symbol) for symbol in ("ca", "D", "X", "", "C1")]
    [True, True, False, False, False]
    """
    return symbol.isalpha() and (gemmi.Element(symbol).atomic_number > 0 or symbol.upper() == "T")


def element_in_amino_acid(atom: str, element: str, *, standard: bool) -> str | None:
    """What the element of an amino acid's atom has to be, or None where the file's own may be right.

    Args:
      standard: one of the 20; a modified one may have other elements in its side chain.

    >>> element_in_amino_acid("CA", "CA", standard=True), element_in_amino_acid("CD", "C", standard=True)
    ('C', None)
    """
    if atom in BACKBONE and element not in (BACKBONE[atom], "D"):
        return BACKBONE[atom]
    if element in _OF_AMINO_ACIDS or (is_element(element) and not standard):
        return None
    letters = atom.lstrip("0123456789'")
    if letters.startswith("SE"):
        return "SE"
    return letters[:1] if standard and letters[:1] in _OF_AMINO_ACIDS else None


def element_of_columns(name: str) -> str:
    """The element that a name in the four columns of a pdb file stands for, ``X`` if it is none.

    The first two columns are for the symbol, flush right; names of four characters may begin there with H or a number.

    >>> [element_of_columns(name) for name in (" CA ", "CA  ", "HG11", "1HB ", "C210")]
    ['C', 'CA', 'H', 'H', 'C']
    """
    name = f"{name.upper():<4}"
    if name[0] == " " or name[0].isdigit():
        symbol = name[1]
    elif name[1].isdigit() or (name[3] != " " and name[0] in "HD"):
        symbol = name[0]
    else:
        symbol = name[:2].strip()
    return symbol if is_element(symbol) else "X"


def element_of_name(atom: str, residue: str, *, alone: bool) -> str:
    """The likeliest element of an atom by its name, ``X`` if none is likely.

    Args:
      alone: it is the residue's only atom, perhaps an ion.

    >>> element_of_name("CA", "CA", alone=True), element_of_name("CA", "LIG", alone=False)
    ('CA', 'C')
    >>> element_of_name("CL1", "LIG", alone=False), element_of_name("1HB", "LIG", alone=False)
    ('CL', 'H')
    """
    letters = re.match(r"[^A-Za-z]*([A-Za-z]*)", atom)[1].upper()
    if alone:
        ion = _IONS.get(letters, letters)
        named = re.match(r"[A-Za-z]*", residue)[0].upper()
        if is_element(ion) and _IONS.get(named, named) == ion:
            return ion
    if letters[:2] in _TWO_LETTERS:
        return letters[:2]
    return letters[:1] if letters[:1] in _ONE_LETTER else "X"
