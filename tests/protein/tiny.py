"""Small graphs with a bit of everything, a small network, and ways to move them."""

import functools

import jax
import numpy as np

from jaxalign import protein
from jaxalign.protein.graphs import ProteinGraph

TASKS = (
    protein.Task("affinity", "graph"),
    protein.Task("family", "chain", "classes", 3),
    protein.Task("site", "chain", "classes", 2),
)


def graph(seed=0, residues=(7, 4), ligand=3, embedding_size=0) -> ProteinGraph:
    """Chains of so many residues at random places, of 4 to 14 atoms each, and a ligand."""
    rng = np.random.default_rng(seed)
    count = sum(residues)
    nodes = count + ligand
    atoms = np.concatenate([rng.integers(4, 15, count), np.ones(ligand, int)])
    mask = np.arange(14)[None] < atoms[:, None]
    places = np.cumsum(rng.normal(size=(nodes, 1, 3)), axis=0) * 3 + rng.normal(size=(nodes, 14, 3)) * 1.5
    structure = protein.Structure(
        coordinates=np.where(mask[..., None], places, 0).astype(np.float32),
        elements=np.where(mask, rng.integers(2, 6, (nodes, 14)), 0).astype(np.int32),
        channel_mask=mask,
        types=np.concatenate([rng.integers(0, 20, count), rng.integers(23, 26, ligand)]).astype(np.int32),
        chains=np.concatenate([np.repeat(np.arange(len(residues)), residues), np.full(ligand, -1)]).astype(np.int32),
        alphas=np.concatenate([np.ones(count), np.full(ligand, -1)]).astype(np.int32),
        chain_names=tuple("ABCDEF"[: len(residues)]),
        names=tuple(map(str, range(nodes))),
        report=protein.StructureReport(),
    )
    embeddings = rng.normal(size=(count, embedding_size)).astype(np.float32) if embedding_size else None
    return protein.make_graph(structure, num_neighbors=3, embeddings=embeddings)


def batch(*graphs, spare=0, like=None):
    return protein.batch_graphs(graphs, [room(graphs, spare, like)])


def room(graphs, spare=0, like=None):
    """Returns room for ``graphs`` and ``spare`` more edges, nodes, graphs and chains; or what the batch ``like`` has.

    What is compiled for one batch serves another one as large.
    """
    if like is not None:
        return protein.BatchSize(*map(len, (like.edge_mask, like.node_mask, like.graph_mask, like.chain_mask)))
    return protein.BatchSize(*(n + spare for n in vars(protein.size_of(graphs)).values()))


def network(tasks=TASKS, num_heads=2, task_aware=True, **encoder):
    """Two layers of width 16."""
    small = dict(num_layers=2, width=16, edge_width=8) | encoder
    return protein.ProteinNetwork(protein.ProteinConfig(protein.HemenetConfig(**small), tasks, num_heads, task_aware))


def wide(arrays):
    """Returns the tree in float64, where rounding hides nothing."""
    return jax.tree.map(lambda x: x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x, arrays)


@functools.cache
def shapes(model):
    """Returns the shapes of a model's variables, which no graph changes."""
    example = batch(graph(embedding_size=model.config.encoder.embedding_size))
    return jax.eval_shape(model.init, jax.random.key(0), example)


def variables(model, seed=0):
    """Random ones, none of them 0 or 1 as in a new network; coordinates move by as much as features change."""
    rng = np.random.default_rng(seed)

    def values(path, leaf):
        name, shape = jax.tree_util.keystr(path), leaf.shape
        if "batch_stats" in name:
            made = rng.random(shape) * 0.3 + ("var" in name)
        elif "bias" in name:
            made = rng.normal(size=shape) * 0.1
        elif "scale" in name or "relation_weights" in name:
            made = rng.normal(size=shape) * 0.1 + 1
        elif "kernel" in name and "relation_kernel" not in name:
            made = rng.normal(size=shape) / np.sqrt(shape[0]) * (3 if "coordinates_1" in name else 1)
        else:
            made = rng.normal(size=shape)
        return made.astype(np.float32)

    return jax.tree_util.tree_map_with_path(values, shapes(model))


@functools.partial(jax.jit, static_argnums=0)
def _outputs(model, variables, batch, key):
    def its_encoder(module, method):
        return module.name == "encoder" and method == "__call__"

    options = dict(rngs={"dropout": key}, capture_intermediates=its_encoder, mutable=["intermediates"])
    predictions, seen = model.apply(variables, batch, **options)
    return dict(predictions), seen["intermediates"]["encoder"]["__call__"][0]


def outputs(model, variables, batch, seed=0):
    """Predictions, features and coordinates; no seed of dropout should matter."""
    predictions, encoded = _outputs(model, variables, batch, jax.random.key(seed))
    return predictions | {"features": encoded.features, "coordinates": encoded.coordinates}


@functools.partial(jax.jit, static_argnums=0)
def train(model, variables, batch, key):
    """Predictions, and the statistics of this batch."""
    options = dict(train=True, mutable=["batch_stats"], rngs={"dropout": key})
    values, updates = model.apply(variables, batch, **options)
    return dict(values), updates["batch_stats"]


def rotation(seed=0, *, reflect=False) -> np.ndarray:
    """A random orthogonal matrix, with determinant -1 if it reflects."""
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return (matrix * np.sign(np.linalg.det(matrix)) * (-1 if reflect else 1)).astype(np.float32)


def moved(example, matrix=None, shift=0.0):
    """All atoms that are there rotated, then shifted by so many angstrom along each axis."""
    matrix = np.eye(3, dtype=np.float32) if matrix is None else matrix
    there = example.channel_mask[..., None]
    return example._replace(coordinates=np.where(there, example.coordinates @ matrix.T + np.float32(shift), 0))
