"""Structures as arrays: a node per residue, with up to 14 heavy atoms as channels, and a node per ligand heavy atom.

What becomes of a file; :class:`StructureReport` counts what is left out or mended:

- The first model (of ligand files: molecule) counts. Chains have the names that the authors gave them. Chains that
  share one are kept apart as ``A``, ``A_2``, ``A_3``, see :mod:`jaxalign.protein.chains`: no edge of the sequence goes
  from one to the other.
- Waters are left out, by whatever name. So are the residues of nucleic acids, for which there is no type of node.
- Residues are what gemmi takes for a part of a polymer, unless it is unknown there and has no alpha carbon, and amino
  acids in ATOM records. Insertion codes make residues of their own, in the order of the file. Modified residues have
  the type of their parent, see :mod:`jaxalign.protein.vocabulary`, also where a file lists them behind the chain.
- Everything else, be it a drug, a sugar, an ion or a free amino acid, is ligand, and belongs to the chain that its
  author's name says; sugars often have one of their own.
- Hydrogens are left out, deuterium and tritium too. Atoms of occupancy 0 count like others.
- Of alternative conformations, residue and ligand keep one as a whole: that with the highest sum of occupancies over
  heavy atoms, the first in the file among equals, and the atoms that have no alternative. An atom without a label is an
  alternative to one of its name that has a label. Where the file has several residues at one position
  (microheterogeneity), it is a node of the residue whose conformation wins, with the backbone atoms that they share.
- A residue's atoms are channels in the order of the file, and without gaps: what is missing is not there. The terminal
  oxygen is an atom like others. After the 14th atom, the rest is cut.
- An atom's element is the file's. Where there is none, or none that an amino acid has, its name says it.
- Residues of which nothing is left are no nodes. An atom that stands in the file twice, at one place, counts once.
- A number that is none (stars, blanks, a comma, NaN) is an error; it is 0 nowhere.

Source: HeMeNet (arXiv 2404.01693); what its public code makes of an entry without alternatives comes out exactly.
"""

import os
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxalign.protein import files
from jaxalign.protein.nodes import Node, chain_nodes, ligand_node
from jaxalign.protein.vocabulary import NUM_CHANNELS, element_class


class StructureReport(NamedTuple):
    """How much of a file is no part of the structure, and, from ``free`` on, what was made of other parts.

    All but ``chains`` is counted in the chains that are kept.

    Attributes:
      models: models, or molecules of ligand files, beyond the first.
      chains: chains that were not asked for.
      waters: molecules.
      nucleotides: residues.
      ligands: molecules, left out by ``ligands=False``.
      hydrogens: atoms.
      alternatives: heavy atoms of conformations that lost.
      variants: residues whose position is another one's.
      cut: heavy atoms beyond the 14th of a residue.
      empty: residues and ligands without a heavy atom.
      without_alpha: residues that :func:`alpha_carbons` left out.
      repeated: atoms that stand in the file again, at the same place.
      dummies: points of ligand files that are no atoms, such as lone pairs.
      free: amino acids outside of chains, which are kept as ligands.
      elements: atoms whose element was missing or could not be, and was read off their name.
      split: chains that share their name with another one in the file, as A_2 does with A.
      moved: modified residues that were brought back into their chain.
    """

    models: int = 0
    chains: int = 0
    waters: int = 0
    nucleotides: int = 0
    ligands: int = 0
    hydrogens: int = 0
    alternatives: int = 0
    variants: int = 0
    cut: int = 0
    empty: int = 0
    without_alpha: int = 0
    repeated: int = 0
    dummies: int = 0
    free: int = 0
    elements: int = 0
    split: int = 0
    moved: int = 0


class Structure(NamedTuple):
    """N nodes: residues in the order of the file, then ligand atoms.

    Attributes:
      coordinates: of atoms, in angstrom, float32, 0 where there is none.
      elements: element classes of atoms, 0 where there is none.
      channel_mask: True where there is an atom, from the first channel on.
      types: of nodes: amino acids and elements of ligand atoms.
      chains: index into ``chain_names``, -1 for ligand atoms.
      alphas: the channel of the alpha carbon, -1 where there is none.
      chain_names: of the chains that have residues.
      names: of nodes: "A/ALA 12B", "A/HEM 154 FE", of a ligand file "LIG C1".
      report: what is not part of it.
    """

    coordinates: Float[np.ndarray, "N 14 3"]
    elements: Int[np.ndarray, "N 14"]
    channel_mask: Bool[np.ndarray, "N 14"]
    types: Int[np.ndarray, "N"]
    chains: Int[np.ndarray, "N"]
    alphas: Int[np.ndarray, "N"]
    chain_names: tuple[str, ...]
    names: tuple[str, ...]
    report: StructureReport


def read_structure(
    path: str | os.PathLike, *, chains: Collection[str] | None = None, ligands: bool = True
) -> Structure:
    """Reads the protein in a pdb, ent, mmCIF or BinaryCIF file, or the ligand in an sdf or mol2 file.

    Args:
      path: the file; it may be packed by gzip and then end in ``.gz`` as well.
      chains: names of the chains to keep, by default all; ligands are kept with the chain that they belong to. Ligand
        files have none.
      ligands: whether to keep ligands of a protein's file; not if they come from files of their own, see
        :func:`combine`.

    Returns:
      Residues and ligand atoms as arrays, and a report of what was left out.

    Raises:
      OSError: if there is no such file, or it cannot be opened.
      ValueError: if the file cannot be read, has no such chain, no residue of a protein, or an atom without position;
        it names the file, what is wrong and the remedy.
    """
    content = files.read_bytes(path)
    if files.file_format(path) in files.LIGAND_SUFFIXES:
        return _ligand(path, files.parse_ligand(path, content))
    polymers = files.parse_polymers(path, content)
    model = polymers.structure[0]
    counts: Counter[str] = Counter(models=polymers.others)
    present = [chain.name for chain in model]
    kept = set(present if chains is None else chains)
    if absent := sorted(kept - set(present)):
        wanted, got = (", ".join(name or "''" for name in each) for each in (absent, present))
        raise ValueError(f"{path}: expected chains {wanted}, got {got}. Choose among these")
    counts["chains"] = len(set(present) - kept)
    for name in kept:
        counts += polymers.mended.get(name, Counter())
    nodes = [node for c in model if c.name in kept for node in chain_nodes(c, counts, ligands=ligands)]
    # A stable sort: ligands go last.
    nodes.sort(key=lambda node: node.chain is None)
    if not nodes or nodes[0].chain is None:
        raise ValueError(
            f"{path}: expected residues of a protein, got {len(nodes)} ligand atoms in {', '.join(sorted(kept))}. "
            "Choose another file or other chains; a ligand alone is read from .sdf or .mol2"
        )
    return _structure(path, nodes, StructureReport(**counts))


def combine(structure: Structure, ligand: Structure) -> Structure:
    """Returns a protein with a ligand that was read from a file of its own; what was left out of them adds up.

    Args:
      structure: the protein.
      ligand: has no residues.

    Raises:
      ValueError: if the ligand has residues.
    """
    if ligand.chain_names:
        raise ValueError(f"expected a ligand, got chains {', '.join(ligand.chain_names)}. Give the protein first")
    report = StructureReport(*map(sum, zip(structure.report, ligand.report, strict=True)))
    return Structure(
        coordinates=np.concatenate([structure.coordinates, ligand.coordinates]),
        elements=np.concatenate([structure.elements, ligand.elements]),
        channel_mask=np.concatenate([structure.channel_mask, ligand.channel_mask]),
        types=np.concatenate([structure.types, ligand.types]),
        chains=np.concatenate([structure.chains, ligand.chains]),
        alphas=np.concatenate([structure.alphas, ligand.alphas]),
        chain_names=structure.chain_names,
        names=structure.names + ligand.names,
        report=report,
    )


def alpha_carbons(structure: Structure) -> Structure:
    """Returns residues with nothing but their alpha carbon, as channel 0; those without one are left out. Ligands stay.

    Args:
      structure: with all its atoms.
    """
    ligand = structure.chains < 0
    kept = np.flatnonzero(ligand | (structure.alphas >= 0))
    channels = np.where(ligand, 0, structure.alphas)[kept]
    coordinates, elements, mask, _ = _empty(len(kept))
    coordinates[:, 0], elements[:, 0] = structure.coordinates[kept, channels], structure.elements[kept, channels]
    mask[:, 0] = True
    lost = len(ligand) - len(kept)
    return structure._replace(
        coordinates=coordinates,
        elements=elements,
        channel_mask=mask,
        types=structure.types[kept],
        chains=structure.chains[kept],
        alphas=np.where(ligand[kept], -1, 0).astype(np.int32),
        names=tuple(structure.names[n] for n in kept),
        report=structure.report._replace(without_alpha=structure.report.without_alpha + lost),
    )


def _ligand(path: str | os.PathLike, ligand: files.Ligand) -> Structure:
    nodes, hydrogen = [], element_class("H")
    for atom in ligand.atoms:
        element = element_class(atom.element)
        if element != hydrogen:
            nodes.append(ligand_node(f"LIG {atom.name}", element, list(atom.position)))
    if not nodes:
        raise ValueError(f"{path}: expected heavy atoms, got only hydrogens, {len(ligand.atoms)}. Choose another file")
    report = StructureReport(models=ligand.others, hydrogens=len(ligand.atoms) - len(nodes), **ligand.counts)
    return _structure(path, nodes, report)


def _structure(path: str | os.PathLike, nodes: list[Node], report: StructureReport) -> Structure:
    coordinates, elements, mask, chains = _empty(len(nodes))
    chain_names: dict[str, int] = {}
    for n, node in enumerate(nodes):
        atoms = len(node.elements)
        coordinates[n, :atoms], elements[n, :atoms], mask[n, :atoms] = node.positions, node.elements, True
        if node.chain is not None:
            chains[n] = chain_names.setdefault(node.chain, len(chain_names))
    if mask.sum() > 1 and (coordinates[mask] == coordinates[mask][0]).all():
        raise ValueError(f"{path}: expected atoms in space, got {mask.sum()} in one place. Make coordinates first")
    return Structure(
        coordinates=coordinates,
        elements=elements,
        channel_mask=mask,
        types=np.array([node.type for node in nodes], np.int32),
        chains=chains,
        alphas=np.array([node.alpha for node in nodes], np.int32),
        chain_names=tuple(chain_names),
        names=tuple(node.name for node in nodes),
        report=report,
    )


def _empty(nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates, elements, mask and chains before anything is known."""
    return (
        np.zeros((nodes, NUM_CHANNELS, 3), np.float32),
        np.zeros((nodes, NUM_CHANNELS), np.int32),
        np.zeros((nodes, NUM_CHANNELS), bool),
        np.full(nodes, -1, np.int32),
    )
