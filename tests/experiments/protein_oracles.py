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
    """How many edges of neighbourhood join residues of each pair of kinds."""
    counts = []
    for a, b in [(0, 0), (1, 1), (3, 3), (0, 1)]:
        ways = [
            np.isin(first, KINDS[a]) & np.isin(second, KINDS[b])
            for first, second in ((edges.senders, edges.receivers), (edges.receivers, edges.senders))
        ]
        counts.append(((ways[0] | ways[1]) & (edges.relations == NEAREST)).sum())
    return counts


def folds(edges):
    """Whether oxygens of neighbours point one way, as in helices: in which share of all, first and last residues."""
    following = np.flatnonzero(edges.relations == NEXT)
    following = following[np.argsort(edges.numbers[following])]
    shapes = edges.shapes[following]
    helical = shapes[:, OXYGEN, OXYGEN] < 1.07 * shapes[:, ALPHA, ALPHA]
    return [helical.mean(), helical[:5].mean(), helical[-5:].mean(), len(helical)]


def pockets(graph):
    """The mean hydropathy of the residues to which edges from an ion go."""
    names = "ARG LYS ASN ASP GLN GLU HIS PRO TYR TRP SER THR GLY ALA MET CYS PHE LEU VAL ILE".split()
    values = [-4.5, -3.9, *[-3.5] * 4, -3.2, -1.6, -1.3, -0.9, -0.8, -0.7, -0.4, 1.8, 1.9, 2.5, 2.8, 3.8, 4.2, 4.5]
    hydropathy = dict(zip(names, values, strict=True))
    edges = visible(graph)
    around = edges.receivers[(edges.relations == NEAREST) & (edges.senders > 20)]
    return np.mean([hydropathy[AMINO_ACIDS[type]] for type in around])


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
