"""Tasks of made proteins: exact functions of residue types and coordinates, each of something that HeMeNet sees.

HeMeNet's relation features do not change when all distances double, and no node knows its chain. So tasks ask for
order, shape and who is nearest, and, save for two folds, not for angstroms. Nearest to a residue or an ion are seven
others, by the closest pair of atoms; residues up to four apart in the protein's numbering are then left out:

- ``motif``, of chains: which of six pairs of residue kinds are next to each other in the sequence, in this order.
  Every protein that is learnt from has its label.
- ``family``, of chains: which of four Boolean functions of the motifs hold. One label in twelve is known.
- ``contact``, of chains: which of four pairs of kinds occur as a residue of the chain and one to which it is nearest.
  Without atoms behind CB, others are nearest.
- ``fold``, of chains: which of six hold. Two or more helices; two or more strands; a helix first; a helix last; ends
  within 25 angstrom; an alpha carbon of the first third within 12 angstrom of one of the last.
- ``pocket``, of proteins with an ion: the mean hydropathy (Kyte and Doolittle, 1982) of the residues nearest to it.
- ``hand``, of chains: whether the protein is as in nature or its mirror image, which half of them are if that is asked
  for. No network that sees nothing but distances can tell.

``motif`` and ``family`` share all that there is to learn; ``pocket``, ``fold`` and ``contact`` share nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from experiments.hemenet.side_chains import CHANNELS, ELEMENTS
from jaxalign import protein
from jaxalign.protein.vocabulary import AMINO_ACIDS

TASKS = {
    task.name: task
    for task in (
        protein.Task("motif", "chain", "classes", 6),
        protein.Task("family", "chain", "classes", 4),
        protein.Task("contact", "chain", "classes", 4),
        protein.Task("fold", "chain", "classes", 6),
        protein.Task("pocket", "graph"),
        protein.Task("hand", "chain", "classes", 2),
    )
}
LABELLED = {"motif": 1.0, "family": 0.08, "contact": 0.5, "fold": 0.5, "hand": 1.0}
"""The share of chains that are learnt from whose labels are known; of those held out, all are."""
_KIND_NAMES = ("LYS ARG HIS", "ASP GLU", "PHE TYR TRP", "SER THR CYS")
KINDS = np.array([np.isin(AMINO_ACIDS, names.split()) for names in _KIND_NAMES])
"""Which amino acids are basic, acidic, aromatic, small and polar, ``[4, 20]``."""
MOTIFS = ((0, 1), (1, 0), (2, 3), (3, 2), (0, 2), (2, 0))
"""Kinds of a residue and of the next one. Each pair has its reverse, so that who sees no order sees half."""
CONTACTS = ((0, 0), (1, 1), (3, 3), (0, 1))
"""Kinds of two residues, in either order."""
HYDROPATHY = dict(
    zip(
        "ILE VAL LEU PHE CYS MET ALA GLY THR SER TRP TYR PRO HIS GLU GLN ASP ASN LYS ARG".split(),
        (4.5, 4.2, 3.8, 2.8, 2.5, 1.9, 1.8, -0.4, -0.7, -0.8, -0.9, -1.3, -1.6, -3.2, *[-3.5] * 4, -3.9, -4.5),
        strict=True,
    )
)
_HYDROPATHY = np.array([HYDROPATHY[name] for name in AMINO_ACIDS])
NEAREST, FAR = 7, 5
"""How many are nearest, and which difference of numbers counts, as in :func:`jaxalign.protein.make_graph`."""


class Chain(NamedTuple):
    """A made chain.

    Attributes:
      places: of atoms, ``[residues, CHANNELS, 3]`` in angstrom; which of them there are is in ``ELEMENTS``.
      types: of residues, 0 to 19.
      elements: which of helix and strand its three elements are.
    """

    places: np.ndarray
    types: np.ndarray
    elements: list[str]


def labels(chains: Sequence[Chain], ion: np.ndarray, *, left: bool) -> dict[str, np.ndarray]:
    """Computes what is true of a protein, whether it is told or not.

    Args:
      chains: one or two.
      ion: its place, ``[1, 3]`` in angstrom; ``[0, 3]`` of a protein without.
      left: whether the protein is a mirror image.
    """
    near = nearest(chains, ion)
    found = np.array([motifs(chain.types) for chain in chains])
    return {
        "motif": found.astype(np.float32),
        "family": families(found).astype(np.float32),
        "contact": contacts(chains, near).astype(np.float32),
        "fold": np.array([fold(chain.places[:, 1], chain.elements) for chain in chains], np.float32),
        "pocket": np.array([pocket(chains, near)], np.float32),
        "hand": np.array([[not left, left]] * len(chains), np.float32),
    }


def motifs(types: np.ndarray) -> list[bool]:
    """Tells which motifs occur in a sequence of residue types."""
    first, second = KINDS[:, types[:-1]], KINDS[:, types[1:]]
    return [bool((first[a] & second[b]).any()) for a, b in MOTIFS]


def families(found: np.ndarray) -> np.ndarray:
    """Computes the families ``[chains, 4]`` of chains with these motifs ``[chains, 6]``."""
    a, b, c, d, e, f = found.T
    return np.stack([a & ~b, c & ~d, b | e, d & f], axis=1)


def fold(alphas: np.ndarray, elements: list[str]) -> list[bool]:
    """Returns the six properties of a chain's fold."""
    third = len(alphas) // 3
    ends = np.linalg.norm(alphas[0] - alphas[-1]) < 25
    touch = closest(alphas[:third], alphas[-third:]).min() < 12
    helices = elements.count("helix")
    return [helices >= 2, helices <= 1, elements[0] == "helix", elements[-1] == "helix", ends, touch]


def nearest(chains: Sequence[Chain], ion: np.ndarray) -> np.ndarray:
    """Tells for each residue, and last for an ion, which others ``[nodes, nodes]`` are nearest to it.

    Args:
      chains: one or two, of which residues are numbered on.
      ion: its place, ``[1, 3]`` in angstrom; ``[0, 3]`` of a protein without.
    """
    there = np.concatenate(
        [*(ELEMENTS[chain.types] > 0 for chain in chains), np.eye(1, CHANNELS, dtype=bool)[: len(ion)]]
    )
    places = np.concatenate([*(chain.places for chain in chains), np.repeat(ion[:, None], CHANNELS, axis=1)])
    starts = np.cumsum([0, *there.sum(axis=1)[:-1]])
    atoms = cdist(places[there], places[there])
    apart = np.minimum.reduceat(np.minimum.reduceat(atoms, starts, axis=0), starts, axis=1)
    np.fill_diagonal(apart, np.inf)
    found = np.zeros(apart.shape, bool)
    np.put_along_axis(found, np.argsort(apart, axis=1, kind="stable")[:, :NEAREST], True, axis=1)
    numbers, residues = np.arange(len(apart)), len(apart) - len(ion)
    near = np.abs(numbers[:, None] - numbers[None]) < FAR
    found[:residues, :residues] &= ~near[:residues, :residues]
    return found


def contacts(chains: Sequence[Chain], near: np.ndarray) -> np.ndarray:
    """Tells for chains ``[chains, 4]`` which pairs of kinds are a residue of theirs and one to which it is nearest."""
    types = np.concatenate([chain.types for chain in chains])
    ours, theirs = KINDS[:, types].astype(int), KINDS[:, types].astype(int) @ near[: len(types), : len(types)]
    pairs = [(ours[a] & (theirs[b] > 0)) | (ours[b] & (theirs[a] > 0)) for a, b in CONTACTS]
    ends = np.cumsum([len(chain.types) for chain in chains])[:-1]
    return np.array([part.any(axis=1) for part in np.split(np.array(pairs), ends, axis=1)])


def pocket(chains: Sequence[Chain], near: np.ndarray) -> float:
    """Computes the mean hydropathy of the residues nearest to an ion, 0 without one."""
    types = np.concatenate([chain.types for chain in chains])
    return float(_HYDROPATHY[types[near[-1, : len(types)]]].mean()) if len(near) > len(types) else 0.0


def closest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Computes the distance ``[...]`` from each of the points ``[..., 3]`` to the nearest of the others ``[N, 3]``."""
    return KDTree(others).query(points)[0]
