"""From the residues of a chain to nodes of a graph; the rules are those of :mod:`jaxalign.protein.structures`."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import gemmi

from jaxalign.protein.vocabulary import FIRST_LIGAND_TYPE, NUM_CHANNELS, element_class, residue_type

_NUCLEIC = (
    gemmi.PolymerType.Dna,
    gemmi.PolymerType.Rna,
    gemmi.PolymerType.DnaRnaHybrid,
    gemmi.PolymerType.Pna,
)
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
        if kind in ("waters", "nucleotides") or (kind == "ligands" and not ligands):
            counts[kind] += len(group)
            continue
        residue, atoms = _conformation(group, counts)
        name = f"{chain.name}/{residue.name} {residue.seqid}"
        if not atoms:
            counts["empty"] += 1
        elif kind == "ligands":
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
    in_polymer = residue.entity_type == gemmi.EntityType.Polymer
    in_file_as_polymer = residue.het_flag != "H"  # an ATOM record
    if known.is_water():
        return "waters"
    if (in_polymer and polymer in _NUCLEIC) or (in_file_as_polymer and known.is_nucleic_acid()):
        return "nucleotides"
    # Without a TER record, gemmi counts a ligand next to a chain's end, or before its start, to the polymer.
    stranger = not known.found() and residue.find_atom("CA", "*", gemmi.Element("C")) is None
    if (in_polymer and polymer not in _SACCHARIDE and not stranger) or (in_file_as_polymer and known.is_amino_acid()):
        return "residues"
    return "ligands"


def _positions(chain: gemmi.Chain) -> Iterator[list[gemmi.Residue]]:
    """Residues one by one, those that are alternatives to each other together.

    Neighbours of one number are alternatives if each atom says of which. Without this, ligands that a program gave the
    same number would be taken for such.
    """
    group: list[gemmi.Residue] = []
    for residue in chain:
        if group and residue.seqid == group[0].seqid and _labelled(group[0]) and _labelled(residue):
            group.append(residue)
            continue
        if group:
            yield group
        group = [residue]
    if group:
        yield group


def _labelled(residue: gemmi.Residue) -> bool:
    return all(atom.has_altloc() for atom in residue)


def _conformation(group: list[gemmi.Residue], counts: Counter[str]) -> tuple[gemmi.Residue, list[gemmi.Atom]]:
    """One residue of a position, and those of its heavy atoms that exist at the same time."""
    heavy = [[atom for atom in residue if not atom.is_hydrogen()] for residue in group]
    occupancies: Counter[tuple[int, str]] = Counter()
    for n, atoms in enumerate(heavy):
        for atom in atoms:
            if atom.has_altloc():
                occupancies[n, atom.altloc] += atom.occ
    # Files have two digits; sums that differ only by rounding are ties, which the first wins.
    chosen, label = max(occupancies, key=lambda key: round(occupancies[key], 3), default=(0, None))
    atoms = [atom for atom in heavy[chosen] if atom.altloc == label or not atom.has_altloc()]
    counts["hydrogens"] += sum(len(residue) for residue in group) - sum(map(len, heavy))
    counts["alternatives"] += sum(map(len, heavy)) - len(atoms)
    counts["variants"] += len(group) - 1
    return group[chosen], atoms
