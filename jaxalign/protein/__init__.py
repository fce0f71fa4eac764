"""Protein structures as graphs, and E(3)-equivariant networks on them: HeMeNet and Protein-MT (arXiv 2404.01693).

A file becomes a structure, a structure a graph, graphs a batch, a batch predictions::

    structure = protein.read_structure("1dix.cif.gz")
    graph = protein.make_graph(structure)
    batch = protein.batch_graphs([graph], protein.batch_sizes(protein.size_of([graph])))
    model = protein.ProteinNetwork(protein.ProteinConfig())
    outputs = model.apply(variables, batch)

The first two steps are for the host, on NumPy arrays; the last two for the device.
"""

from jaxalign.protein.batches import BatchSize, GraphBatch, batch_graphs, batch_sizes, pack_graphs, size_of
from jaxalign.protein.config import PROTEIN_MT_TASKS, HemenetConfig, ProteinConfig, Task
from jaxalign.protein.graph_cache import cached_graph
from jaxalign.protein.graphs import ProteinGraph, make_graph
from jaxalign.protein.hemenet import Encoded, Hemenet
from jaxalign.protein.network import ProteinNetwork
from jaxalign.protein.readout import MeanReadout, TaskReadout
from jaxalign.protein.reference import from_reference, readout_from_reference
from jaxalign.protein.relation_features import channel_distances, element_sums, relation_features
from jaxalign.protein.structures import Structure, StructureReport, alpha_carbons, combine, read_structure
from jaxalign.protein.vocabulary import AMINO_ACIDS, ELEMENT_CLASSES, NUM_CHANNELS, NUM_TYPES

__all__ = [
    "AMINO_ACIDS",
    "ELEMENT_CLASSES",
    "NUM_CHANNELS",
    "NUM_TYPES",
    "PROTEIN_MT_TASKS",
    "BatchSize",
    "Encoded",
    "GraphBatch",
    "Hemenet",
    "HemenetConfig",
    "MeanReadout",
    "ProteinConfig",
    "ProteinGraph",
    "ProteinNetwork",
    "Structure",
    "StructureReport",
    "Task",
    "TaskReadout",
    "alpha_carbons",
    "batch_graphs",
    "batch_sizes",
    "cached_graph",
    "channel_distances",
    "combine",
    "element_sums",
    "from_reference",
    "make_graph",
    "pack_graphs",
    "read_structure",
    "readout_from_reference",
    "relation_features",
    "size_of",
]
