"""Proteins made on the spot: one or two chains with side chains, perhaps an ion, and labels, many of them held back.

A chain is three helices or strands with coils between them; its residues are drawn at random, each element's favourites
(Chou and Fasman, 1978) four times as often as others, and their side chains have random rotamers. What is asked of them
is in ``experiments/hemenet/labels.py``.
"""

from collections.abc import Sequence

import numpy as np

from experiments.common.fields import check_names
from experiments.hemenet.backbones import backbone, torsions
from experiments.hemenet.labels import LABELLED, TASKS, Chain, closest, labels
from experiments.hemenet.side_chains import CHANNELS, ELEMENTS, add_side_chains
from experiments.hemenet.task import ProteinWorld
from jaxalign import protein
from jaxalign.protein.vocabulary import AMINO_ACIDS, FIRST_LIGAND_TYPE, element_class

COMPLEXES, IONS = 0.6, 0.8  # the share of graphs
_FAVOURITES = {"helix": "GLU ALA LEU MET GLN LYS", "strand": "VAL ILE TYR PHE TRP THR", "coil": "GLY PRO ASN ASP SER"}
PROPENSITIES = {
    kind: (weights := np.where(np.isin(AMINO_ACIDS, names.split()), 4.0, 1.0)) / weights.sum()
    for kind, names in _FAVOURITES.items()
}
_BOND = 2.5  # angstrom from an ion to the atom beside it
_TRIES = 20  # of sides where it may be
_ION = element_class("ZN")
_TOUCH = 5.5  # angstrom between beta atoms at which two chains stop


def make_world(
    tasks: Sequence[str], num_graphs: tuple[int, int], seed: int, *, alpha_carbons: bool = False
) -> ProteinWorld:
    """Makes proteins with labels of these tasks: some of those to learn from, all of those held out.

    Args:
      num_graphs: how many to learn from, and how many are held out.
      alpha_carbons: makes graphs of these alone, of the same proteins.

    Raises:
      ValueError: naming tasks that there are not.
    """
    check_names("tasks", tasks, TASKS)
    train, test = (
        make_graphs(count, 2 * seed + part, all_labels=part == 1, mirrored="hand" in tasks, alpha_carbons=alpha_carbons)
        for part, count in enumerate(num_graphs)
    )
    return ProteinWorld(tuple(TASKS[name] for name in tasks), train, {"held-out": test}, {})


def make_graphs(
    count: int, seed: int, *, all_labels: bool = False, mirrored: bool = False, alpha_carbons: bool = False
) -> list[protein.LabelledGraph]:
    """Makes so many graphs; the same for the same seed, whichever labels or atoms are looked at."""
    rng = np.random.default_rng(seed)
    complexes = rng.random(count) < COMPLEXES
    chains = iter(make_chains(count + int(complexes.sum()), rng))
    return [
        make_graph(
            [next(chains) for _ in range(1 + two)],
            rng,
            all_labels=all_labels,
            mirrored=mirrored,
            alpha_carbons=alpha_carbons,
        )
        for two in complexes.tolist()
    ]


def make_graph(
    chains: Sequence[Chain], rng: np.random.Generator, *, all_labels: bool, mirrored: bool, alpha_carbons: bool
) -> protein.LabelledGraph:
    """Makes one protein of one or two chains, with its labels."""
    if len(chains) > 1:
        chains = [chains[0], dock(chains[1], chains[0], rng)]
    ion = place_ion(chains, rng) if rng.random() < IONS else np.zeros((0, 3))
    left = mirrored and rng.random() < 0.5
    structure = as_structure(chains, ion, rng, mirror=left)
    known = {name: (rng.random(len(chains)) < share) | all_labels for name, share in LABELLED.items()}
    targets = labels(chains, ion, left=left)
    graph = protein.make_graph(protein.alpha_carbons(structure) if alpha_carbons else structure)
    return protein.LabelledGraph(graph, targets, {"pocket": np.array([len(ion) > 0]), **known})


def make_chains(count: int, rng: np.random.Generator) -> list[Chain]:
    """Makes so many chains of three elements each."""
    elements = rng.choice(["helix", "strand"], (count, 3)).tolist()
    of_residues = [chain_kinds(kinds, rng) for kinds in elements]
    longest = max(map(len, of_residues))
    padded = np.array([kinds + ["coil"] * (longest - len(kinds)) for kinds in of_residues])
    types = np.zeros(padded.shape, int)
    for kind, chances in PROPENSITIES.items():
        types[padded == kind] = rng.choice(20, (padded == kind).sum(), p=chances)
    places = add_side_chains(backbone(torsions(padded, rng)), rng)  # what follows a chain's end does not move it
    lengths = map(len, of_residues)
    return [Chain(places[n, :end], types[n, :end], elements[n]) for n, end in enumerate(lengths)]


def chain_kinds(elements: list[str], rng: np.random.Generator) -> list[str]:
    """Returns the kind of each residue: elements of 6 to 9, coils of 3 between them."""
    first, *others = ([kind] * int(rng.integers(6, 10)) for kind in elements)
    return sum((["coil"] * 3 + other for other in others), first)


def dock(chain: Chain, other: Chain, rng: np.random.Generator) -> Chain:
    """Turns a chain at random and moves it in from a random side until it touches the other."""
    middle, centre = (each.places[:, :5].mean(axis=(0, 1)) for each in (chain, other))
    turned = (chain.places - middle) @ random_rotation(rng)
    side = rng.normal(size=3)
    side /= np.linalg.norm(side)
    steps = side * np.arange(60.0, 0.0, -1.0)[:, None]
    betas = turned[:, 4] + centre + steps[:, None]  # [steps, residues, 3]
    touches = (closest(betas, other.places[:, 4]) < _TOUCH).any(axis=1)
    touches[-1] = True  # bent chains may pass each other
    return chain._replace(places=turned + centre + steps[max(int(touches.argmax()) - 1, 0)])


def place_ion(chains: Sequence[Chain], rng: np.random.Generator) -> np.ndarray:
    """Places an ion ``[1, 3]`` in angstrom beside the last atom of a random residue, where there is most room."""
    types = np.concatenate([chain.types for chain in chains])
    places = np.concatenate([chain.places for chain in chains])
    there = ELEMENTS[types] > 0
    holder = int(rng.integers(len(types)))
    sides = rng.normal(size=(_TRIES, 3))
    sides *= _BOND / np.linalg.norm(sides, axis=1, keepdims=True)
    tries = places[holder, there[holder].sum() - 1] + sides
    return tries[[int(closest(tries, places[there]).argmax())]]


def as_structure(
    chains: Sequence[Chain], ion: np.ndarray, rng: np.random.Generator, *, mirror: bool
) -> protein.Structure:
    """Residues of all chains, then the ion, somewhere in space."""
    sizes = [len(chain.types) for chain in chains]
    residues, count = sum(sizes), sum(sizes) + len(ion)
    types = np.full(count, FIRST_LIGAND_TYPE + _ION, np.int32)
    types[:residues] = np.concatenate([chain.types for chain in chains])
    coordinates, elements = np.zeros((count, 14, 3)), np.zeros((count, 14), np.int32)
    coordinates[:residues, :CHANNELS] = np.concatenate([chain.places for chain in chains])
    elements[:residues, :CHANNELS] = ELEMENTS[types[:residues]]
    coordinates[residues:, 0], elements[residues:, 0] = ion, _ION
    mask = elements > 0
    turn = random_rotation(rng) * (-1 if mirror else 1)
    moved = np.where(mask[..., None], coordinates @ turn + rng.normal(0, 20, 3), 0)
    return protein.Structure(
        coordinates=moved.astype(np.float32),
        elements=elements,
        channel_mask=mask,
        types=types,
        chains=np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(len(ion), -1)]).astype(np.int32),
        alphas=np.concatenate([np.ones(residues), np.full(len(ion), -1)]).astype(np.int32),
        chain_names=tuple("AB"[: len(sizes)]),
        names=tuple(map(str, range(count))),
        report=protein.StructureReport(),
    )


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draws a rotation uniformly."""
    matrix, triangle = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix *= np.sign(np.diag(triangle))
    return matrix * np.sign(np.linalg.det(matrix))
