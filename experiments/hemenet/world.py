"""Proteins made on the spot, with tasks that their geometry answers: one or two chains, perhaps a ligand.

A chain is three helices or strands with coils between them; its residues are drawn at random, each element's favourites
(Chou and Fasman, 1978) four times as often as others. Labels are exact functions of coordinates and residue types, and
many of them are held back, as in Protein-MT:

- ``interface``, of complexes: half of the pairs of residues of two chains whose beta atoms are within 8 angstrom.
- ``fold``, of chains: which of six hold. Two or more helices; two or more strands; a helix first; a helix last; ends
  within 25 angstrom; an alpha carbon of the first third within 12 angstrom of one of the last.
- ``site``, of chains: which of four pairs of residue kinds occur within 9 angstrom, five or more residues apart.
- ``hand``, of chains: whether the protein is as in nature or its mirror image, which half of them are if that is asked
  for. No network that sees nothing but distances can tell.
"""

from collections.abc import Sequence

import numpy as np

from experiments.common.fields import check_names
from experiments.hemenet.backbones import backbone, torsions
from experiments.hemenet.task import ProteinWorld
from jaxalign import protein
from jaxalign.protein.vocabulary import AMINO_ACIDS, FIRST_LIGAND_TYPE, element_class

Chain = tuple[np.ndarray, np.ndarray, list[str]]
"""Places ``[residues, 5, 3]`` in angstrom, residue types, and which of helix and strand the elements are."""
Ligand = tuple[np.ndarray, np.ndarray]
"""Places ``[atoms, 3]`` in angstrom, and element classes."""
TASKS = {
    task.name: task
    for task in (
        protein.Task("interface", "graph"),
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
_CLASH = 3.2  # angstrom that atoms of ligand and chain are apart at least
_TOUCH = 5.5  # angstrom between beta atoms at which two chains stop


def make_world(
    tasks: Sequence[str], num_graphs: tuple[int, int], seed: int, *, alpha_carbons: bool = False
) -> ProteinWorld:
    """Makes proteins with labels of these tasks.

    Args:
      num_graphs: how many to learn from, and how many are held out.
      alpha_carbons: makes graphs of these alone, of the same proteins.

    Raises:
      ValueError: naming tasks that there are not.
    """
    check_names("tasks", tasks, TASKS)
    train, test = (
        make_graphs(count, 2 * seed + part, mirrored="hand" in tasks, alpha_carbons=alpha_carbons)
        for part, count in enumerate(num_graphs)
    )
    return ProteinWorld(tuple(TASKS[name] for name in tasks), train, {"held-out": test}, {})


def make_graphs(
    count: int, seed: int, *, mirrored: bool = False, alpha_carbons: bool = False
) -> list[protein.LabelledGraph]:
    """Makes so many graphs; the same for the same seed, whichever labels or atoms are looked at."""
    rng = np.random.default_rng(seed)
    complexes = rng.random(count) < COMPLEXES
    chains = iter(make_chains(count + int(complexes.sum()), rng))
    return [
        make_graph([next(chains) for _ in range(1 + two)], rng, mirrored=mirrored, alpha_carbons=alpha_carbons)
        for two in complexes.tolist()
    ]


def make_graph(
    chains: Sequence[Chain], rng: np.random.Generator, *, mirrored: bool, alpha_carbons: bool
) -> protein.LabelledGraph:
    """Makes one protein of one or two chains, with its labels."""
    if len(chains) > 1:
        first, (places, types, kinds) = chains
        chains = [first, (dock(places, first[0], rng), types, kinds)]
    ligand = make_ligand(chains, rng) if rng.random() < LIGANDS else None
    left = mirrored and rng.random() < 0.5
    structure = as_structure(chains, ligand, rng, mirror=left)
    known = {name: rng.random(len(chains)) < share for name, share in LABELLED.items()}
    targets = labels(chains, left=left)
    masks = {"interface": np.array([len(chains) > 1]), **known}
    graph = protein.make_graph(protein.alpha_carbons(structure) if alpha_carbons else structure)
    return protein.LabelledGraph(graph, targets, masks)


def make_chains(count: int, rng: np.random.Generator) -> list[Chain]:
    """Makes so many chains of three elements each."""
    elements = rng.choice(["helix", "strand"], (count, 3)).tolist()
    of_residues = [chain_kinds(kinds, rng) for kinds in elements]
    longest = max(map(len, of_residues))
    padded = np.array([kinds + ["coil"] * (longest - len(kinds)) for kinds in of_residues])
    types = np.zeros(padded.shape, int)
    for kind, chances in PROPENSITIES.items():
        types[padded == kind] = rng.choice(20, (padded == kind).sum(), p=chances)
    places = backbone(torsions(padded, rng))  # what follows a chain's end does not move it
    lengths = map(len, of_residues)
    return [(places[n, :end], types[n, :end], elements[n]) for n, end in enumerate(lengths)]


def chain_kinds(elements: list[str], rng: np.random.Generator) -> list[str]:
    """Returns the kind of each residue: elements of 6 to 9, coils of 3 between them."""
    first, *others = ([kind] * int(rng.integers(6, 10)) for kind in elements)
    return sum((["coil"] * 3 + other for other in others), first)


def dock(places: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turns the places at random and moves them in from a random side until they touch the others."""
    turned = (places - places.mean(axis=(0, 1))) @ random_rotation(rng)
    side = rng.normal(size=3)
    side /= np.linalg.norm(side)
    centre = others.mean(axis=(0, 1))
    steps = side * np.arange(60.0, 0.0, -1.0)[:, None]
    betas = turned[None, :, 4] + centre + steps[:, None]  # [steps, residues, 3]
    touches = (distances(betas, others[:, 4]) < _TOUCH).any(axis=(1, 2))
    return turned + centre + steps[max(int(touches.argmax()) - 1, 0)]


def make_ligand(chains: Sequence[Chain], rng: np.random.Generator) -> Ligand:
    """Makes a few bonded atoms beside a random residue."""
    protein_atoms = np.concatenate([places.reshape(-1, 3) for places, _, _ in chains])
    shape = np.cumsum(rng.normal(0, 0.85, (int(rng.integers(5, 10)), 3)), axis=0)
    anchor, side = protein_atoms[rng.integers(len(protein_atoms))], rng.normal(size=3)
    side /= np.linalg.norm(side)
    steps = side * np.arange(0.0, 60.0)[:, None]
    places = shape - shape.mean(axis=0) + anchor + steps[:, None]  # [steps, atoms, 3]
    free = distances(places, protein_atoms).min(axis=(1, 2)) > _CLASH
    atoms = places[int(free.argmax())]
    symbols = rng.choice(["C", "N", "O"], len(atoms), p=[0.7, 0.15, 0.15])
    return atoms, np.array([element_class(symbol) for symbol in symbols])


def as_structure(
    chains: Sequence[Chain], ligand: Ligand | None, rng: np.random.Generator, *, mirror: bool
) -> protein.Structure:
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


def labels(chains: Sequence[Chain], *, left: bool) -> dict[str, np.ndarray]:
    """Computes what is true of a protein, whether it is told or not."""
    betas = [places[:, 4] for places, _, _ in chains]
    pairs = (distances(betas[0], betas[1]) < 8).sum() if len(chains) > 1 else 0
    return {
        "interface": np.array([pairs / 2], np.float32),
        "fold": np.array([fold(places[:, 1], kinds) for places, _, kinds in chains], np.float32),
        "site": np.array([site(places[:, 4], types) for places, types, _ in chains], np.float32),
        "hand": np.array([[not left, left]] * len(chains), np.float32),
    }


def fold(alphas: np.ndarray, kinds: list[str]) -> list[bool]:
    """Returns the six properties of a chain's fold."""
    third = len(alphas) // 3
    ends = np.linalg.norm(alphas[0] - alphas[-1]) < 25
    touch = distances(alphas[:third], alphas[-third:]).min() < 12
    helices = kinds.count("helix")
    return [helices >= 2, helices <= 1, kinds[0] == "helix", kinds[-1] == "helix", ends, touch]


def site(betas: np.ndarray, types: np.ndarray) -> list[bool]:
    """Tells which pairs of kinds of residues are close in space and not in sequence."""
    apart = np.abs(np.arange(len(types))[:, None] - np.arange(len(types))[None]) >= 5
    near = apart & (distances(betas, betas) < 9)
    of_kind = [np.isin(types, [AMINO_ACIDS.index(name) for name in kind]) for kind in _KINDS]
    return [bool((near & of_kind[a][:, None] & of_kind[b][None]).any()) for a, b in _PAIRS]


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draws a rotation uniformly."""
    matrix, triangle = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix *= np.sign(np.diag(triangle))
    return matrix * np.sign(np.linalg.det(matrix))


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Computes distances ``[..., M, N]`` between all points of two sets, ``[..., M, 3]`` and ``[N, 3]``."""
    return np.linalg.norm(first[..., :, None, :] - second, axis=-1)
