"""Makes nodes of a graph of the residues of a chain; the rules are those of :mod:`jaxalign.protein.structures`."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import gemmi

from jaxalign.protein import names
from jaxalign.protein.vocabulary import FIRST_LIGAND_TYPE, NUM_CHANNELS, element_class, residue_type

_NUCLEIC = (
    gemmi.PolymerType.Dna,
    gemmi.PolymerType.Rna,
    gemmi.PolymerType.DnaRnaHybrid,
    gemmi.PolymerType.Pna,
)
_BACKBONE = ("N", "CA", "C", "O")
_BLANK = "\0"
_SACCHARIDE = (gemmi.PolymerType.SaccharideD, gemmi.PolymerType.SaccharideL)


class Node(NamedTuple):
    """A residue with its atoms, or one atom of a ligand."""

    name: str
    type: int
    chain: str | None  # None for a ligand
    elements: list[int]
    positions: list[list[float]]  # angstrom
    alpha: int = -1  # which of the atoms is the alpha carbon


def ligand_node(name: str, element: int, position: list[float]) -> Node:
    """The node of a ligand's atom."""
    return Node(name, FIRST_LIGAND_TYPE + element, None, [element], [position])


def chain_nodes(chain: gemmi.Chain, counts: Counter[str], *, ligands: bool) -> Iterator[Node]:
    """The nodes of a chain, in the order of the file; ``counts`` gets what is left out, see ``StructureReport``."""
    polymer = chain.get_polymer().check_polymer_type()
    for group in _positions(chain):
        kind = _kind(group[0], polymer)
        if kind == "waters":
            counts[kind] += _molecules(group)
            continue
        if kind == "nucleotides" or (kind == "ligands" and not ligands):
            counts[kind] += len(group)
            continue
        residue, atoms = _conformation(group, counts)
        name = f"{chain.name}/{residue.name} {residue.seqid}"
        if not atoms:
            counts["empty"] += 1
        elif kind == "ligands":
            counts["free"] += names.is_amino_acid(residue.name)
            for atom in atoms:
                yield ligand_node(f"{name} {atom.name}", element_class(atom.element.name), atom.pos.tolist())
        else:
            counts["cut"] += len(atoms[NUM_CHANNELS:])
            yield _residue_node(name, chain.name, residue, atoms[:NUM_CHANNELS])


def _residue_node(name: str, chain: str, residue: gemmi.Residue, atoms: list[gemmi.Atom]) -> Node:
    elements = [element_class(atom.element.name) for atom in atoms]
    positions = [atom.pos.tolist() for atom in atoms]
    alphas = [n for n, atom in enumerate(atoms) if atom.name == "CA" and atom.element.name == "C"]
    return Node(name, residue_type(residue.name), chain, elements, positions, alphas[0] if alphas else -1)


def _kind(residue: gemmi.Residue, polymer: gemmi.PolymerType) -> str:
    known = gemmi.find_tabulated_residue(residue.name)
    amino = names.is_amino_acid(residue.name)
    in_polymer = residue.entity_type == gemmi.EntityType.Polymer
    in_file_as_polymer = residue.het_flag != "H"  # an ATOM record
    if names.is_water(residue):
        return "waters"
    if (in_polymer and polymer in _NUCLEIC) or (in_file_as_polymer and known.is_nucleic_acid()):
        return "nucleotides"
    # Without a TER record, gemmi counts a ligand next to a chain's end, or before its start, to the polymer.
    stranger = not (known.found() or amino) and residue.find_atom("CA", "*", gemmi.Element("C")) is None
    if (in_polymer and polymer not in _SACCHARIDE and not stranger) or (in_file_as_polymer and amino):
        return "residues"
    return "ligands"


def _molecules(group: list[gemmi.Residue]) -> int:
    """How many waters have the number of the group: of alternatives to each other there is one."""
    oxygens = Counter(atom.altloc for residue in group for atom in residue if atom.element.name == "O")
    return max(oxygens.values(), default=1)


def _positions(chain: gemmi.Chain) -> Iterator[list[gemmi.Residue]]:
    """Residues one by one, those that are alternatives to each other together."""
    group: list[gemmi.Residue] = []
    for residue in chain:
        if group and residue.seqid == group[0].seqid and _alternatives(group, residue):
            group.append(residue)
            continue
        if group:
            yield group
        group = [residue]
    if group:
        yield group


def _alternatives(group: list[gemmi.Residue], residue: gemmi.Residue) -> bool:
    """Says whether a residue is one of several at the position of a group.

    Neighbours of one number are alternatives if each atom says of which. Atoms that several have in common say nothing,
    but then labels must differ. Without this, ligands that a program gave the same number would be taken for such. Of
    two amino acids one may have no label at all.
    """
    before = {atom.altloc for other in group for atom in other}
    here = {atom.altloc for atom in residue}
    if _BLANK not in before | here:
        return True
    shared = (before & here) - {_BLANK}
    labelled = before - {_BLANK} and here - {_BLANK}
    amino = all(names.is_amino_acid(each.name) for each in (*group, residue))
    return not shared and bool(labelled or (amino and (before | here) - {_BLANK}))


def _conformation(group: list[gemmi.Residue], counts: Counter[str]) -> tuple[gemmi.Residue, list[gemmi.Atom]]:
    """One residue of a position, and those of its heavy atoms that exist at the same time."""
    heavy = [[atom for atom in residue if not atom.is_hydrogen()] for residue in group]
    occupancies: Counter[tuple[int, str]] = Counter()
    for n, atoms in enumerate(heavy):
        alternatives = _names_with_alternatives(atoms, alone=len(group) == 1)
        for atom in atoms:
            if atom.has_altloc() or atom.name in alternatives:
                occupancies[n, atom.altloc] += atom.occ
    # Files have two digits; sums that differ only by rounding are ties, which the first wins.
    chosen, label = max(occupancies, key=lambda key: round(occupancies[key], 3), default=(0, _BLANK))
    own = {atom.name for atom in heavy[chosen] if atom.altloc == label}
    atoms = [atom for atom in heavy[chosen] if atom.altloc == label or (not atom.has_altloc() and atom.name not in own)]
    atoms = _with_shared(atoms, [atom for n, other in enumerate(heavy) if n != chosen for atom in other], label)
    counts["hydrogens"] += sum(len(residue) for residue in group) - sum(map(len, heavy))
    counts["alternatives"] += sum(map(len, heavy)) - len(atoms)
    counts["variants"] += len(group) - 1
    return group[chosen], atoms


def _names_with_alternatives(atoms: list[gemmi.Atom], *, alone: bool) -> set[str]:
    """Finds, of the atoms without a label, those that nevertheless are one of several."""
    labels = {atom.altloc for atom in atoms}
    if not alone and labels == {_BLANK}:
        return {atom.name for atom in atoms}
    labelled = {atom.name for atom in atoms if atom.has_altloc()}
    return {atom.name for atom in atoms if not atom.has_altloc()} & labelled


def _with_shared(atoms: list[gemmi.Atom], others: list[gemmi.Atom], label: str) -> list[gemmi.Atom]:
    """Adds the atoms of the backbone that another residue of the position lists, and this one shares with it."""
    there = {atom.name for atom in atoms}
    labelled = label != _BLANK and any(atom.has_altloc() for atom in others)
    shared = [atom for atom in others if not atom.has_altloc() and atom.name in _BACKBONE and atom.name not in there]
    if not (labelled and shared):
        return atoms
    rank = {name: n for n, name in enumerate(_BACKBONE)}
    return sorted([*shared, *atoms], key=lambda atom: rank.get(atom.name, len(rank)))
