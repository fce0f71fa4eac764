"""Simple predictors of the made proteins' tasks from what HeMeNet sees: node types, edges, and shapes without a scale.

They share no code with the labels, and see a graph only through :func:`visible`.
"""

from typing import NamedTuple

import numpy as np

from jaxalign.protein.names import AMINO_ACIDS

KINDS = [
    [AMINO_ACIDS.index(name) for name in names.split()]
    for names in ("LYS ARG HIS", "ASP GLU", "PHE TYR TRP", "SER THR CYS")
]
NEAREST, NEXT, NEXT_BUT_ONE = 0, 4, 5  # relations
ALPHA, OXYGEN, BACKBONE = 1, 3, 4  # channels
SIZES = np.array([dict(GLY=0, ALA=0, SER=1, THR=1, CYS=1, VAL=1, PRO=1).get(name, 3) for name in AMINO_ACIDS])


class Edges(NamedTuple):
    """What messages see: both nodes' types, the relation, and the distances of their atoms in parts of their mean.

    Whose chain a message arrives in is for the readout alone to know; the sender's is not there.
    """

    senders: np.ndarray
    receivers: np.ndarray
    relations: np.ndarray
    shapes: np.ndarray
    chains: np.ndarray
    numbers: np.ndarray  # of the receiving node


def visible(graph):
    ends = graph.senders, graph.receivers
    first, second = (graph.coordinates[end].astype(float) for end in ends)
    there = graph.channel_mask[ends[0]][:, :, None] & graph.channel_mask[ends[1]][:, None]
    apart = np.where(there, np.linalg.norm(first[:, :, None] - second[:, None], axis=-1), 0)
    mean = apart.sum(axis=(1, 2)) / there.sum(axis=(1, 2))
    shapes = np.where(there, apart / np.maximum(mean, 1e-9)[:, None, None], np.inf)
    types = graph.types
    return Edges(types[ends[0]], types[ends[1]], graph.relations, shapes, graph.chains[ends[1]], graph.receivers)


def rows(graphs, field, task):
    """All rows of a task: ``targets`` or ``masks``."""
    return np.concatenate([getattr(each, field)[task] for each in graphs])


def by_chain(graphs, predict):
    """Rows of ``predict(edges that arrive in the chain)`` for all chains."""
    found = []
    for each in graphs:
        edges = visible(each.graph)
        found += [predict(Edges(*(part[edges.chains == c] for part in edges))) for c in range(each.graph.num_chains)]
    return np.array(found, float)


def motifs(edges):
    """Whether the next residue's edge joins these kinds, in this order."""
    following = edges.relations == NEXT
    first, second = edges.senders[following], edges.receivers[following]
    pairs = [(0, 1), (1, 0), (2, 3), (3, 2), (0, 2), (2, 0)]
    return [(np.isin(first, KINDS[a]) & np.isin(second, KINDS[b])).any() for a, b in pairs]


def contacts(edges):
    """How many side chains come closer than a part of the mean distance of both residues' backbones.

    That is about 3.7 angstrom to the next residue and 6.5 to the next but one, and a contact is 4.
    """
    shares = []
    for relation, part in ((NEXT, 1.1), (NEXT_BUT_ONE, 0.6)):
        along = edges.shapes[edges.relations == relation]
        closest = along[:, BACKBONE + 1 :, BACKBONE + 1 :].min(axis=(1, 2))
        shares.append((closest < part * along[:, :BACKBONE, :BACKBONE].mean(axis=(1, 2))).mean())
    return shares


def sizes(edges):
    """How large side chains are, and those of neighbours: all that alpha-carbons tell of contacts."""
    ours, theirs = (SIZES[types[edges.relations == NEXT]] for types in (edges.senders, edges.receivers))
    return [ours.mean(), (ours * theirs).mean(), np.minimum(ours, theirs).mean()]


def folds(edges):
    """Whether oxygens of neighbours point one way, as in helices: in which share of all, first and last residues."""
    following = np.flatnonzero(edges.relations == NEXT)
    following = following[np.argsort(edges.numbers[following])]
    shapes = edges.shapes[following]
    helical = shapes[:, OXYGEN, OXYGEN] < 1.07 * shapes[:, ALPHA, ALPHA]
    return [helical.mean(), helical[:5].mean(), helical[-5:].mean(), len(helical)]


def pockets(graph):
    """The mean hydropathy of the residues at the edges of ligand atoms."""
    hydropathy = dict(
        zip(
            "ARG LYS ASN ASP GLN GLU HIS PRO TYR TRP SER THR GLY ALA MET CYS PHE LEU VAL ILE".split(),
            (
                -4.5,
                -3.9,
                -3.5,
                -3.5,
                -3.5,
                -3.5,
                -3.2,
                -1.6,
                -1.3,
                -0.9,
                -0.8,
                -0.7,
                -0.4,
                1.8,
                1.9,
                2.5,
                2.8,
                3.8,
                4.2,
                4.5,
            ),
            strict=True,
        )
    )
    of_type = np.array([hydropathy[name] for name in AMINO_ACIDS])
    edges = visible(graph)
    residues = [
        of_type[ours[(edges.relations == NEAREST) & (ours < 20) & (theirs > 20)]]
        for ours, theirs in ((edges.senders, edges.receivers), (edges.receivers, edges.senders))
    ]
    return np.concatenate(residues).mean() if any(map(len, residues)) else 0.0


def precision(scores, targets):
    """The average precision of each class, ties broken against the scores."""
    found = []
    for score, target in zip(scores.T, targets.T, strict=True):
        ranked = target[np.lexsort((target, -score))]
        found.append((np.cumsum(ranked) / np.arange(1, len(ranked) + 1))[ranked > 0].mean())
    return np.array(found)


def fit(features, targets):
    """Least squares on features and their products two by two."""
    products = lambda x: np.stack([x[:, a] * x[:, b] for a in range(x.shape[1]) for b in range(a + 1)], axis=1)  # noqa: E731
    spread = lambda x: np.concatenate([np.ones((len(x), 1)), x, products(x)], axis=1)  # noqa: E731
    weights = np.linalg.lstsq(spread(features), targets, rcond=None)[0]
    return lambda x: spread(x) @ weights
