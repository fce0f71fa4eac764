"""Graphs with labels, some of them missing, and batches of these.

Targets and masks are named by task. Of a task at graph level, a graph has one row; of a task at chain level, each of
its chains has one. A row that is not labelled is masked, which is not the same as negative.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from jaxalign.protein.annotations import IDENTITY_COLUMNS, TASKS
from jaxalign.protein.batches import BatchSize, GraphBatch, batch_graphs
from jaxalign.protein.config import Task
from jaxalign.protein.example import ProteinExample
from jaxalign.protein.graphs import ProteinGraph
from jaxalign.protein.labels import AFFINITIES, multi_hot

Rows = Mapping[str, np.ndarray]


class LabelledGraph(NamedTuple):
    """A graph with the rows of its labels: 1 at graph level, as many as chains at chain level.

    Attributes:
      graph: the graph.
      targets: by task, ``[rows]`` of numbers, ``[rows, size]`` of classes, 0 and 1.
      masks: by task, ``[rows]``, True where labelled.
      identity: by task, ``[5]``, True where all its chains are below a bin's identity to the training set.
    """

    graph: ProteinGraph
    targets: Rows
    masks: Rows
    identity: Rows = {}


class LabelledBatch(NamedTuple):
    """Graphs side by side; rows of labels in the order of graphs and chains, padding masked.

    Attributes:
      graphs: the graphs.
      targets: by task, ``[rows]`` of numbers, ``[rows, size]`` of classes, 0 and 1.
      masks: by task, ``[rows]``, True where labelled.
    """

    graphs: GraphBatch
    targets: Mapping[str, Float[Array, "rows ..."]]
    masks: Mapping[str, Bool[Array, "rows"]]


def label_example(example: ProteinExample, tasks: Sequence[Task]) -> LabelledGraph:
    """Returns a compiled entry of Protein-MT as a graph with its labels.

    Args:
      example: from :func:`~jaxalign.protein.read_protein_mt`.
      tasks: which labels to take; they have names and sizes of Protein-MT.

    Raises:
      ValueError: a task is none of Protein-MT's, or a label is not below its size.
    """
    targets, masks = {}, {}
    for task in tasks:
        if task.name in AFFINITIES:
            column = AFFINITIES.index(task.name)
            row = slice(column, column + 1)
            targets[task.name], masks[task.name] = example.labels.affinities[row], example.labels.affinity_mask[row]
        elif task.name in TASKS:
            targets[task.name] = multi_hot(example.labels.terms[task.name], task.size)
            masks[task.name] = example.labels.term_mask[:, TASKS.index(task.name)]
        else:
            raise ValueError(f"task {task.name!r} is none of Protein-MT: {', '.join((*AFFINITIES, *TASKS))}")
    # DeepFRI has one list of bins for enzymes, and one for all branches of the ontology.
    bins = {task.name: example.identity.get(task.name.partition("_")[0]) for task in tasks}
    identity = {name: below for name, below in bins.items() if below is not None}
    return LabelledGraph(ProteinGraph(**example.graph), targets, masks, identity)


def identity_rows(graphs: Sequence[LabelledGraph], task: Task) -> np.ndarray:
    """Returns the bins of sequence identity that the graph of each row of a task is in; none where that is not known.

    Args:
      graphs: with labels of the task.
      task: whose rows are asked for.

    Returns:
      ``[rows, 5]`` of bool, graphs in order.
    """
    none = np.zeros(len(IDENTITY_COLUMNS), bool)
    rows = [np.tile(each.identity.get(task.name, none), (len(each.masks[task.name]), 1)) for each in graphs]
    return np.concatenate(rows)


def batch_labelled(graphs: Sequence[LabelledGraph], sizes: Sequence[BatchSize], tasks: Sequence[Task]) -> LabelledBatch:
    """Returns graphs with their labels as a batch, of the smallest of ``sizes`` that holds them.

    Args:
      graphs: at least one.
      sizes: in ascending order.
      tasks: which labels the batch has.

    Raises:
      ValueError: no size holds them, no graph, some graphs have embeddings and some do not, or labels have not one row
        a graph or chain.
    """
    batch = batch_graphs([each.graph for each in graphs], sizes)
    targets, masks = {}, {}
    for task in tasks:
        counts = [1 if task.level == "graph" else each.graph.num_chains for each in graphs]
        rows = [len(each.masks[task.name]) for each in graphs]
        if rows != counts:
            raise ValueError(f"task {task.name!r} is at {task.level} level: expected rows {counts}, got {rows}")
        padded = len(batch.graph_mask if task.level == "graph" else batch.chain_mask)
        shape = (padded,) if task.kind == "number" else (padded, task.size)
        targets[task.name], masks[task.name] = np.zeros(shape, np.float32), np.zeros(padded, bool)
        targets[task.name][: sum(rows)] = np.concatenate([each.targets[task.name] for each in graphs])
        masks[task.name][: sum(rows)] = np.concatenate([each.masks[task.name] for each in graphs])
    return LabelledBatch(batch, targets, masks)
