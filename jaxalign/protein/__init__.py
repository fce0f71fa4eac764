"""Protein structures as graphs, and E(3)-equivariant networks on them: HeMeNet and Protein-MT (arXiv 2404.01693).

A file becomes a structure, a structure a graph, graphs a batch, a batch predictions::

    structure = protein.read_structure("1dix.cif.gz")
    graph = protein.make_graph(structure)
    batch = protein.batch_graphs([graph], protein.batch_sizes(protein.size_of([graph])))
    model = protein.ProteinNetwork(protein.ProteinConfig())
    outputs = model.apply(variables, batch)

The first two steps are for the host, on NumPy arrays; the last two for the device.
"""

from jaxalign.protein.affinities import Affinity, AffinityIndex, parse_affinity, read_affinities
from jaxalign.protein.annotations import (
    GO_BRANCHES,
    TASKS,
    Annotations,
    entry_name,
    read_chain_map,
    read_ec,
    read_go,
    read_identity_bins,
    read_split,
    read_splits,
)
from jaxalign.protein.batches import BatchSize, GraphBatch, batch_graphs, batch_sizes, pack_graphs, size_of
from jaxalign.protein.config import PROTEIN_MT_TASKS, HemenetConfig, ProteinConfig, Task, TensorFieldConfig
from jaxalign.protein.evaluation import (
    Predictions,
    all_metrics,
    collect_predictions,
    metrics_by_identity,
    predict,
    task_metrics,
)
from jaxalign.protein.example import ProteinExample
from jaxalign.protein.graph_cache import cached_graph
from jaxalign.protein.graphs import ProteinGraph, make_graph
from jaxalign.protein.hemenet import Encoded, Hemenet
from jaxalign.protein.labelled import LabelledBatch, LabelledGraph, batch_labelled, identity_rows, label_example
from jaxalign.protein.labels import AFFINITIES, Labeller, Labels, Sources, make_labeller, multi_hot
from jaxalign.protein.network import ProteinNetwork
from jaxalign.protein.objective import make_protein_loss, multi_task_loss, population_statistics, task_losses
from jaxalign.protein.protein_mt import ProteinMtSource, SplitReport, compile_protein_mt, read_protein_mt
from jaxalign.protein.readout import MeanReadout, TaskReadout
from jaxalign.protein.reference import from_reference, readout_from_reference
from jaxalign.protein.relation_features import channel_distances, element_sums, relation_features
from jaxalign.protein.stream import batches_in_order, labelled_batches
from jaxalign.protein.structures import Structure, StructureReport, alpha_carbons, combine, read_structure
from jaxalign.protein.tensor_field import TensorField
from jaxalign.protein.vocabulary import AMINO_ACIDS, ELEMENT_CLASSES, NUM_CHANNELS, NUM_TYPES

__all__ = [
    "AFFINITIES",
    "AMINO_ACIDS",
    "ELEMENT_CLASSES",
    "GO_BRANCHES",
    "NUM_CHANNELS",
    "NUM_TYPES",
    "PROTEIN_MT_TASKS",
    "TASKS",
    "Affinity",
    "AffinityIndex",
    "Annotations",
    "BatchSize",
    "Encoded",
    "GraphBatch",
    "Hemenet",
    "HemenetConfig",
    "LabelledBatch",
    "LabelledGraph",
    "Labeller",
    "Labels",
    "MeanReadout",
    "Predictions",
    "ProteinConfig",
    "ProteinExample",
    "ProteinGraph",
    "ProteinMtSource",
    "ProteinNetwork",
    "Sources",
    "SplitReport",
    "Structure",
    "StructureReport",
    "Task",
    "TaskReadout",
    "TensorField",
    "TensorFieldConfig",
    "all_metrics",
    "alpha_carbons",
    "batch_graphs",
    "batch_labelled",
    "batches_in_order",
    "batch_sizes",
    "cached_graph",
    "channel_distances",
    "collect_predictions",
    "combine",
    "compile_protein_mt",
    "element_sums",
    "entry_name",
    "from_reference",
    "identity_rows",
    "label_example",
    "labelled_batches",
    "make_graph",
    "metrics_by_identity",
    "make_labeller",
    "make_protein_loss",
    "multi_hot",
    "multi_task_loss",
    "pack_graphs",
    "parse_affinity",
    "population_statistics",
    "predict",
    "read_affinities",
    "read_chain_map",
    "read_ec",
    "read_go",
    "read_identity_bins",
    "read_protein_mt",
    "read_split",
    "read_splits",
    "read_structure",
    "readout_from_reference",
    "relation_features",
    "size_of",
    "task_losses",
    "task_metrics",
]
