"""Proteins made on the spot, with tasks that their geometry answers: one or two chains, perhaps a ligand.

A chain is three helices or strands with coils between them; its residues are drawn at random, each element's favourites
(Chou and Fasman, 1978) four times as often as others. Labels are exact functions of
coordinates and residue types, and many of them are held back, as in Protein-MT:

- ``interface``, of complexes: log(1 + pairs of residues of two chains whose beta atoms are within 8 angstrom).
- ``burial``, of graphs with a ligand: log(1 + protein atoms within 6 angstrom of a ligand's atom).
- ``fold``, of chains: which of six hold. Two or more helices; two or more strands; a helix first; a helix last; ends
  within 25 angstrom; an alpha carbon of the first third within 12 angstrom of one of the last.
- ``site``, of chains: which of four pairs of residue kinds occur within 9 angstrom, five or more residues apart.
- ``hand``, of chains: whether the protein is as in nature or its mirror image, which half of them are if that is asked
  for. No network that sees nothing but distances can tell.
"""

import numpy as np

from experiments.common.proteins.backbones import backbone, torsions
from jaxalign import protein
from jaxalign.protein.vocabulary import AMINO_ACIDS, FIRST_LIGAND_TYPE, element_class

TASKS = {
    task.name: task
    for task in (
        protein.Task("interface", "graph"),
        protein.Task("burial", "graph"),
        protein.Task("fold", "chain", "classes", 6),
        protein.Task("site", "chain", "classes", 4),
        protein.Task("hand", "chain", "classes", 2),
    )
}
LABELLED = {"fold": 0.5, "site": 0.5, "hand": 1.0}  # the share of chains whose labels are known
COMPLEXES, LIGANDS = 0.6, 0.6  # the share of graphs
_ELEMENTS = np.array([element_class(symbol) for symbol in ("N", "C", "C", "O", "C")], np.int32)
_KINDS = (("LYS", "ARG", "HIS"), ("ASP", "GLU"), ("PHE", "TYR", "TRP"), ("SER", "THR", "CYS"))
_PAIRS = ((0, 1), (0, 2), (1, 3), (2, 3))
_FAVOURITES = {"helix": "GLU ALA LEU MET GLN LYS", "strand": "VAL ILE TYR PHE TRP THR", "coil": "GLY PRO ASN ASP SER"}
PROPENSITIES = {
    kind: (weights := np.where(np.isin(AMINO_ACIDS, names.split()), 4.0, 1.0)) / weights.sum()
    for kind, names in _FAVOURITES.items()
}
_CLASH = 3.2  # angstrom, between atoms of two chains, or of chain and ligand


def make_graphs(
    count: int, seed: int, *, mirrored: bool = False, alpha_carbons: bool = False
) -> list[protein.LabelledGraph]:
    """So many graphs; the same for the same seed, whichever labels or atoms are looked at."""
    rng = np.random.default_rng(seed)
    return [make_graph(rng, mirrored=mirrored, alpha_carbons=alpha_carbons) for _ in range(count)]


def make_graph(rng: np.random.Generator, *, mirrored: bool = False, alpha_carbons: bool = False):
    """One protein with its labels."""
    chains = [make_chain(rng)]
    if rng.random() < COMPLEXES:
        places, types, kinds = make_chain(rng)
        chains.append((dock(places, chains[0][0], rng), types, kinds))
    ligand = make_ligand(chains, rng) if rng.random() < LIGANDS else None
    left = mirrored and rng.random() < 0.5
    structure = as_structure(chains, ligand, rng, mirror=left)
    known = {name: rng.random(len(chains)) < share for name, share in LABELLED.items()}
    targets, masks = labels(chains, ligand, left=left), {}
    for name in TASKS:
        there = {"interface": [len(chains) > 1], "burial": [ligand is not None]}.get(name, known.get(name))
        masks[name] = np.array(there, bool)
    graph = protein.make_graph(protein.alpha_carbons(structure) if alpha_carbons else structure)
    return protein.LabelledGraph(graph, targets, masks)


def make_chain(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Places ``[residues, 5, 3]``, residue types, and which of helix and strand its three elements are."""
    kinds = rng.choice(["helix", "strand"], 3).tolist()
    of_residues = []
    for number, kind in enumerate(kinds):
        of_residues += (["coil"] * 3 if number else []) + [kind] * int(rng.integers(6, 10))
    types = np.array([rng.choice(20, p=PROPENSITIES[kind]) for kind in of_residues])
    return backbone(torsions(of_residues, rng)), types, kinds


def dock(places: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The places turned at random and moved in from a random side until they touch the others."""
    turned = (places - places.mean(axis=(0, 1))) @ random_rotation(rng)
    side = rng.normal(size=3)
    side /= np.linalg.norm(side)
    centre = others.mean(axis=(0, 1))
    for distance in np.arange(60.0, 0.0, -1.0):
        if closest(turned + centre + side * distance, others) < _CLASH:
            return turned + centre + side * (distance + 1)
    return turned + centre + side


def make_ligand(chains, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places ``[atoms, 3]`` of a few bonded atoms beside a random residue, and their element classes."""
    protein_atoms = np.concatenate([places.reshape(-1, 3) for places, _, _ in chains])
    shape = np.cumsum(rng.normal(0, 0.85, (int(rng.integers(5, 10)), 3)), axis=0)
    anchor, side = protein_atoms[rng.integers(len(protein_atoms))], rng.normal(size=3)
    side /= np.linalg.norm(side)
    for distance in np.arange(0.0, 60.0, 0.5):
        atoms = shape - shape.mean(axis=0) + anchor + side * distance
        if closest(atoms, protein_atoms) > _CLASH:
            break
    symbols = rng.choice(["C", "N", "O"], len(atoms), p=[0.7, 0.15, 0.15])
    return atoms, np.array([element_class(symbol) for symbol in symbols])


def as_structure(chains, ligand, rng: np.random.Generator, *, mirror: bool) -> protein.Structure:
    """Residues of all chains, then the ligand's atoms, somewhere in space."""
    sizes = [len(types) for _, types, _ in chains]
    atoms, classes = ligand if ligand is not None else (np.zeros((0, 3)), np.zeros(0, int))
    count = sum(sizes) + len(atoms)
    coordinates, elements = np.zeros((count, 14, 3)), np.zeros((count, 14), np.int32)
    mask, types = np.zeros((count, 14), bool), np.zeros(count, np.int32)
    residues = slice(0, sum(sizes))
    types[residues] = np.concatenate([types for _, types, _ in chains])
    coordinates[residues, :5] = np.concatenate([places for places, _, _ in chains])
    elements[residues, :5], mask[residues, :5] = _ELEMENTS, True
    glycine = np.flatnonzero((types == AMINO_ACIDS.index("GLY")) & (np.arange(count) < sum(sizes)))
    elements[glycine, 4], mask[glycine, 4] = 0, False
    coordinates[sum(sizes) :, 0], elements[sum(sizes) :, 0], mask[sum(sizes) :, 0] = atoms, classes, True
    types[sum(sizes) :] = FIRST_LIGAND_TYPE + classes
    turn = random_rotation(rng) * (-1 if mirror else 1)
    moved = np.where(mask[..., None], coordinates @ turn + rng.normal(0, 20, 3), 0)
    return protein.Structure(
        coordinates=moved.astype(np.float32),
        elements=elements,
        channel_mask=mask,
        types=types,
        chains=np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(len(atoms), -1)]).astype(np.int32),
        alphas=np.concatenate([np.ones(sum(sizes)), np.full(len(atoms), -1)]).astype(np.int32),
        chain_names=tuple("AB"[: len(sizes)]),
        names=tuple(map(str, range(count))),
        report=protein.StructureReport(),
    )


def labels(chains, ligand, *, left: bool) -> dict[str, np.ndarray]:
    """What is true of a protein, whether it is told or not."""
    betas = [places[:, 4] for places, _, _ in chains]
    pairs = (distances(betas[0], betas[1]) < 8).sum() if len(chains) > 1 else 0
    atoms = np.concatenate([places.reshape(-1, 3) for places, _, _ in chains])
    buried = (distances(atoms, ligand[0]) < 6).any(axis=1).sum() if ligand is not None else 0
    return {
        "interface": np.log1p([pairs]).astype(np.float32),
        "burial": np.log1p([buried]).astype(np.float32),
        "fold": np.array([fold(places[:, 1], kinds) for places, _, kinds in chains], np.float32),
        "site": np.array([site(places[:, 4], types) for places, types, _ in chains], np.float32),
        "hand": np.array([[not left, left]] * len(chains), np.float32),
    }


def fold(alphas: np.ndarray, kinds: list[str]) -> list[bool]:
    """The six properties of a chain's fold."""
    third = len(alphas) // 3
    ends = np.linalg.norm(alphas[0] - alphas[-1]) < 25
    touch = distances(alphas[:third], alphas[-third:]).min() < 12
    helices = kinds.count("helix")
    return [helices >= 2, helices <= 1, kinds[0] == "helix", kinds[-1] == "helix", ends, touch]


def site(betas: np.ndarray, types: np.ndarray) -> list[bool]:
    """Which pairs of kinds of residues are close in space and not in sequence."""
    apart = np.abs(np.arange(len(types))[:, None] - np.arange(len(types))[None]) >= 5
    near = apart & (distances(betas, betas) < 9)
    of_kind = [np.isin(types, [AMINO_ACIDS.index(name) for name in kind]) for kind in _KINDS]
    return [bool((near & of_kind[a][:, None] & of_kind[b][None]).any()) for a, b in _PAIRS]


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Uniform."""
    matrix, triangle = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix *= np.sign(np.diag(triangle))
    return matrix * np.sign(np.linalg.det(matrix))


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Between all points of two sets, ``[M, 3]`` and ``[N, 3]``."""
    return np.linalg.norm(first[:, None] - second[None], axis=-1)


def closest(first: np.ndarray, second: np.ndarray) -> float:
    """The least distance between atoms of two molecules."""
    return distances(first.reshape(-1, 3), second.reshape(-1, 3)).min()
