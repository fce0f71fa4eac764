"""What a protein network is: its encoder, its tasks, and the settings that ablations change."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing to predict of each graph or of each chain.

    A number is learnt by its squared error; several classes, of which any may apply, by binary cross-entropy.
    """

    name: str
    level: Literal["graph", "chain"]
    kind: Literal["number", "classes"] = "number"
    size: int = 1  # of the output

    def __post_init__(self):
        if self.kind == "number" and self.size != 1:
            raise ValueError(f"a number has size 1, but task {self.name!r} has {self.size}; did you mean classes?")


PROTEIN_MT_TASKS = (
    Task("lba", "graph"),
    Task("ppa", "graph"),
    Task("ec", "chain", "classes", 538),
    Task("go_mf", "chain", "classes", 489),
    Task("go_bp", "chain", "classes", 1943),
    Task("go_cc", "chain", "classes", 320),
)
"""Affinities of ligands and of proteins, -log10 of molar; enzyme classes; the three branches of the Gene Ontology."""


@dataclasses.dataclass(frozen=True)
class HemenetConfig:
    """The published encoder: messages over six relations, coordinates updated on the way, invariant features out."""

    num_layers: int = 6
    width: int = 256
    edge_width: int = 128  # of the embeddings of elements and relations, and of the relation features
    num_channels: int = 14  # atoms of a residue; 1 for graphs of alpha-carbons
    num_relations: int = 6  # 7 with the radius relation of make_graph
    heterogeneous: bool = True  # False: all relations share one aggregate and one embedding
    embedding_size: int = 0  # of given embeddings of residues, for instance 1280 of ESM-2; 0: none
    dropout: float = 0.1  # of messages
    reference_eps: bool = False  # the authors' means and scales, which break translation equivariance and batching


@dataclasses.dataclass(frozen=True)
class TensorFieldConfig:
    """The higher-order encoder, which sees distances as they are, and chirality."""

    num_layers: int = 4
    irreps: str = "64x0e + 16x0o + 16x1o + 16x1e + 8x2e"  # of a node: multiplicity, order and parity
    num_relations: int = 6
    num_basis: int = 16  # functions of distance, up to ``reach``
    reach: float = 20.0  # angstrom
    radial_width: int = 64  # of the network that weighs messages
    embedding_size: int = 0  # of given embeddings of residues; 0: none
    dropout: float = 0.1  # of the weights of messages


@dataclasses.dataclass(frozen=True)
class ProteinConfig:
    """An encoder with a readout and a head for each task."""

    encoder: HemenetConfig | TensorFieldConfig = HemenetConfig()
    tasks: tuple[Task, ...] = PROTEIN_MT_TASKS
    num_heads: int = 8  # of the attention of tasks over nodes
    task_aware: bool = True  # False: every task reads the mean of the nodes

    def __post_init__(self):
        if not self.tasks:
            raise ValueError("expected at least one task")
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"two tasks have one name: {names}")

    def of_level(self, level: str) -> tuple[Task, ...]:
        """The tasks at graph or at chain level, in order."""
        return tuple(task for task in self.tasks if task.level == level)
