"""What a protein network is: its encoder, its tasks, and the settings that ablations change."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing to predict of each graph or of each chain.

    A number is learnt by its squared error; several classes, of which any may apply, by binary cross-entropy.

    Attributes:
      name: of the output and of its labels.
      level: what it is predicted of.
      kind: what it is.
      size: of the output: 1, or the number of classes.

    Raises:
      ValueError: a number with another size than 1.
    """

    name: str
    level: Literal["graph", "chain"]
    kind: Literal["number", "classes"] = "number"
    size: int = 1

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
    """The published encoder: messages over six relations, coordinates updated on the way, invariant features out.

    Attributes:
      num_layers: rounds of messages.
      width: of the features of a node in a layer, and of messages.
      edge_width: of the embeddings of elements and relations, and of the relation features.
      num_channels: atoms of a residue; 1 for graphs of alpha carbons.
      num_relations: 6, or 7 with the radius relation of :func:`~jaxalign.protein.make_graph`.
      heterogeneous: False lets all relations share one aggregate and one embedding.
      embedding_size: of given embeddings of residues, for instance 1280 of ESM-2; 0 for none.
      dropout: of messages.
      reference_eps: use the authors' means and scales, which break translation equivariance and batching.
    """

    num_layers: int = 6
    width: int = 256
    edge_width: int = 128
    num_channels: int = 14
    num_relations: int = 6
    heterogeneous: bool = True
    embedding_size: int = 0
    dropout: float = 0.1
    reference_eps: bool = False


@dataclasses.dataclass(frozen=True)
class TensorFieldConfig:
    """The higher-order encoder, which sees distances as they are, and chirality.

    Attributes:
      num_layers: rounds of messages.
      irreps: of a node: multiplicity, order and parity.
      num_relations: 6, or 7 with the radius relation of :func:`~jaxalign.protein.make_graph`.
      num_basis: functions of distance, up to ``reach``.
      reach: in angstrom.
      radial_width: of the network that weighs messages.
      embedding_size: of given embeddings of residues, for instance 1280 of ESM-2; 0 for none.
      dropout: of the weights of messages.
    """

    num_layers: int = 4
    irreps: str = "64x0e + 16x0o + 16x1o + 16x1e + 8x2e"
    num_relations: int = 6
    num_basis: int = 16
    reach: float = 20.0
    radial_width: int = 64
    embedding_size: int = 0
    dropout: float = 0.1


@dataclasses.dataclass(frozen=True)
class ProteinConfig:
    """An encoder with a readout and a head for each task.

    Attributes:
      encoder: what makes features of nodes.
      tasks: what is predicted, at least one, of different names.
      num_heads: of the attention of tasks over nodes.
      task_aware: False lets every task read the mean of the nodes.

    Raises:
      ValueError: no task, or two of one name.
    """

    encoder: HemenetConfig | TensorFieldConfig = HemenetConfig()
    tasks: tuple[Task, ...] = PROTEIN_MT_TASKS
    num_heads: int = 8
    task_aware: bool = True

    def __post_init__(self):
        if not self.tasks:
            raise ValueError("expected at least one task")
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"two tasks have one name: {names}")

    def of_level(self, level: str) -> tuple[Task, ...]:
        """Returns the tasks at graph or at chain level, in order."""
        return tuple(task for task in self.tasks if task.level == level)
