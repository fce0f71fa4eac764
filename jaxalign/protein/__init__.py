"""Protein structures as graphs, and E(3)-equivariant networks on them: HeMeNet and Protein-MT (arXiv 2404.01693).

A file becomes a structure, a structure a graph, graphs a batch, a batch predictions::

    structure = protein.read_structure("1dix.cif.gz")
    graph = protein.make_graph(structure)
    batch = protein.batch_graphs([graph], protein.batch_sizes(protein.size_of([graph])))
    model = protein.ProteinNetwork(protein.ProteinConfig())
    outputs = model.apply(variables, batch)

The first two steps are for the host, on NumPy arrays; the last two for the device. Names load on first use: processes
that read structures start without Flax and e3nn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "affinities": ["Affinity", "AffinityIndex", "parse_affinity", "read_affinities"],
        "annotations": [
            "Annotations",
            "GO_BRANCHES",
            "TASKS",
            "entry_name",
            "read_chain_map",
            "read_ec",
            "read_go",
            "read_identity_bins",
            "read_split",
            "read_splits",
        ],
        "batches": ["BatchSize", "GraphBatch", "batch_graphs", "batch_sizes", "pack_graphs", "size_of"],
        "config": ["HemenetConfig", "PROTEIN_MT_TASKS", "ProteinConfig", "Task", "TensorFieldConfig"],
        "evaluation": [
            "Predictions",
            "all_metrics",
            "collect_predictions",
            "metrics_by_identity",
            "predict",
            "task_metrics",
        ],
        "example": ["ProteinExample"],
        "graph_cache": ["cached_graph"],
        "graphs": ["ProteinGraph", "make_graph"],
        "hemenet": ["Encoded", "Hemenet"],
        "labelled": ["LabelledBatch", "LabelledGraph", "batch_labelled", "identity_rows", "label_example"],
        "labels": ["AFFINITIES", "Labeller", "Labels", "Sources", "make_labeller", "multi_hot"],
        "network": ["ProteinNetwork"],
        "objective": ["make_protein_loss", "multi_task_loss", "population_statistics", "task_losses"],
        "protein_mt": ["ProteinMtSource", "SplitReport", "compile_protein_mt", "read_protein_mt"],
        "readout": ["MeanReadout", "TaskReadout"],
        "reference": ["from_reference", "readout_from_reference"],
        "relation_features": ["channel_distances", "element_sums", "relation_features"],
        "stream": ["batches_in_order", "labelled_batches"],
        "structures": ["Structure", "StructureReport", "alpha_carbons", "combine", "read_structure"],
        "tensor_field": ["TensorField"],
        "vocabulary": ["AMINO_ACIDS", "ELEMENT_CLASSES", "NUM_CHANNELS", "NUM_TYPES"],
    },
)
