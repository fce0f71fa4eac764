"""Graphs side by side in arrays of few sizes, so that a compiled step serves all of them.

A batch holds graphs up to a number of edges, which is what a step costs, and is padded to the smallest of a few sizes
that has room for it. Padding is masked everywhere: a graph's outputs depend on nothing beside it.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxalign.protein.graphs import ProteinGraph


class GraphBatch(NamedTuple):
    """Graphs, their nodes and edges joined; shapes with N nodes, E edges, C channels, G graphs, padding included.

    Attributes:
      coordinates: of atoms, in angstrom, 0 where there is none.
      elements: element classes of atoms, 0 where there is none.
      channel_mask: True where there is an atom.
      types: of nodes: amino acids and elements of ligand atoms.
      embeddings: of residues; None for none.
      node_mask: False for padding.
      graph_ids: the graph of each node.
      chain_ids: the chain of each node, -1 where it is in none: atoms of ligands, padding.
      senders: the node that each edge comes from.
      receivers: the node that each edge goes to.
      relations: what each edge is, see :func:`~jaxalign.protein.make_graph`.
      edge_mask: False for padding.
      chain_mask: False for padding.
      graph_mask: False for padding.
    """

    coordinates: Float[Array, "n c 3"]
    elements: Int[Array, "n c"]
    channel_mask: Bool[Array, "n c"]
    types: Int[Array, "n"]
    embeddings: Float[Array, "n d"] | None
    node_mask: Bool[Array, "n"]
    graph_ids: Int[Array, "n"]
    chain_ids: Int[Array, "n"]
    senders: Int[Array, "e"]
    receivers: Int[Array, "e"]
    relations: Int[Array, "e"]
    edge_mask: Bool[Array, "e"]
    chain_mask: Bool[Array, "chains"]
    graph_mask: Bool[Array, "g"]


@dataclasses.dataclass(frozen=True, order=True)
class BatchSize:
    """How much a batch has room for. One size is as large as another, or less, in all four.

    Attributes:
      edges: of all graphs together.
      nodes: of all graphs together.
      graphs: how many.
      chains: of all graphs together.
    """

    edges: int
    nodes: int
    graphs: int
    chains: int

    def holds(self, other: "BatchSize") -> bool:
        """Whether ``other`` fits in."""
        return all(ours >= theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True))


def batch_sizes(largest: BatchSize, *, count: int = 4) -> list[BatchSize]:
    """Returns sizes from small to large, each half of the next.

    Args:
      largest: the last one.
      count: how many, at least 1.

    >>> batch_sizes(BatchSize(edges=4000, nodes=800, graphs=8, chains=16), count=2)[0]
    BatchSize(edges=2000, nodes=400, graphs=4, chains=8)
    """
    halves = [[max(-(-number // 2**step), 1) for number in astuple(largest)] for step in range(count)]
    return [BatchSize(*numbers) for numbers in reversed(halves)]


def size_of(graphs: Sequence[ProteinGraph]) -> BatchSize:
    """Returns what graphs take up together.

    Args:
      graphs: any number.
    """
    return BatchSize(
        edges=sum(len(graph.senders) for graph in graphs),
        nodes=sum(len(graph.types) for graph in graphs),
        graphs=len(graphs),
        chains=sum(graph.num_chains for graph in graphs),
    )


def pack_graphs(graphs: Iterable[ProteinGraph], largest: BatchSize) -> Iterator[list[ProteinGraph]]:
    """Returns an iterator of groups of graphs, in order, each as many as ``largest`` has room for.

    Args:
      graphs: any number.
      largest: what graphs of one batch take up at most.

    Raises:
      ValueError: one graph alone is larger.
    """
    packed: list[ProteinGraph] = []
    for graph in graphs:
        if not largest.holds(size_of([graph])):
            raise ValueError(
                f"a graph of {size_of([graph])} does not fit in {largest}; raise it, or leave the graph out"
            )
        if packed and not largest.holds(size_of([*packed, graph])):
            yield packed
            packed = []
        packed.append(graph)
    if packed:
        yield packed


def batch_graphs(graphs: Sequence[ProteinGraph], sizes: Sequence[BatchSize]) -> GraphBatch:
    """Returns graphs as a batch, of the smallest of ``sizes`` that holds them.

    Chains and graphs of the batch are numbered in the order of ``graphs``.

    Args:
      graphs: at least one; all or none have embeddings.
      sizes: in ascending order.

    Raises:
      ValueError: no size holds them, no graph, or some graphs have embeddings and some do not.
    """
    if not graphs:
        raise ValueError("expected at least one graph")
    if len({graph.embeddings is None for graph in graphs}) > 1:
        raise ValueError("some graphs have embeddings and some do not; give all or none")
    needed = size_of(graphs)
    size = next((size for size in sizes if size.holds(needed)), None)
    if size is None:
        raise ValueError(f"graphs of together {needed} do not fit in {sizes[-1]}; give fewer at once (pack_graphs)")
    counts = [len(graph.types) for graph in graphs]
    first_nodes, first_chains = _starts(counts), _starts([graph.num_chains for graph in graphs])
    numbers = range(len(graphs))
    node = lambda name: _join([getattr(graph, name) for graph in graphs], size.nodes, 0)  # noqa: E731
    ends = lambda name: _join([getattr(graphs[n], name) + first_nodes[n] for n in numbers], size.edges, 0)  # noqa: E731
    chains = [np.where(graphs[n].chains >= 0, graphs[n].chains + first_chains[n], -1) for n in numbers]
    return GraphBatch(
        coordinates=node("coordinates"),
        elements=node("elements"),
        channel_mask=node("channel_mask"),
        types=node("types"),
        embeddings=None if graphs[0].embeddings is None else node("embeddings"),
        node_mask=_first(needed.nodes, size.nodes),
        graph_ids=_join([np.repeat(np.arange(len(graphs), dtype=np.int32), counts)], size.nodes, 0),
        chain_ids=_join(chains, size.nodes, -1).astype(np.int32),
        senders=ends("senders").astype(np.int32),
        receivers=ends("receivers").astype(np.int32),
        relations=_join([graph.relations for graph in graphs], size.edges, 0),
        edge_mask=_first(needed.edges, size.edges),
        chain_mask=_first(needed.chains, size.chains),
        graph_mask=_first(needed.graphs, size.graphs),
    )


def astuple(size: BatchSize) -> tuple[int, int, int, int]:
    """Edges, nodes, graphs, chains."""
    return size.edges, size.nodes, size.graphs, size.chains


def _join(arrays: Sequence[np.ndarray], length: int, fill) -> np.ndarray:
    joined = np.concatenate(arrays)
    padding = np.full((length - len(joined), *joined.shape[1:]), fill, joined.dtype)
    return np.concatenate([joined, padding])


def _first(count: int, length: int) -> np.ndarray:
    return np.arange(length) < count


def _starts(counts: Sequence[int]) -> np.ndarray:
    """Where each begins."""
    return np.cumsum([0, *counts])[:-1]
