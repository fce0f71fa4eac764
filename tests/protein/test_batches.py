"""Batches: what goes in comes out at its place, sizes are few, and what does not fit is said."""

import numpy as np
import pytest

from jaxalign import protein
from tests.protein import tiny

GRAPHS = [tiny.graph(0), tiny.graph(1, residues=(5,), ligand=0)]


def test_nodes_edges_and_chains_keep_their_graph():
    batch = tiny.batch(*GRAPHS, spare=2)
    first, second = (len(graph.types) for graph in GRAPHS)
    assert batch.node_mask.sum() == first + second and not batch.node_mask[-2:].any()
    assert batch.graph_ids[batch.node_mask].tolist() == [0] * first + [1] * second
    assert batch.chain_ids[:first].tolist() == [0] * 7 + [1] * 4 + [-1] * 3
    assert batch.chain_ids[first:].tolist() == [2] * 5 + [-1] * 2
    assert (
        batch.chain_mask.tolist() == [True] * 3 + [False] * 2 and batch.graph_mask.tolist() == [True] * 2 + [False] * 2
    )
    edges = len(GRAPHS[0].senders)
    np.testing.assert_array_equal(batch.senders[:edges], GRAPHS[0].senders)
    np.testing.assert_array_equal(batch.receivers[edges:-2], GRAPHS[1].receivers + first)
    assert batch.edge_mask.sum() == len(batch.edge_mask) - 2
    np.testing.assert_array_equal(batch.coordinates[first : first + second], GRAPHS[1].coordinates)
    assert {array.dtype for array in (batch.senders, batch.graph_ids, batch.chain_ids)} == {np.dtype(np.int32)}


def test_packing_fills_up_to_the_cap_and_keeps_order():
    graphs = [tiny.graph(seed, residues=(6,), ligand=0) for seed in range(7)]
    largest = protein.BatchSize(edges=10_000, nodes=1000, graphs=3, chains=100)
    packs = list(protein.pack_graphs(graphs, largest))
    assert [len(pack) for pack in packs] == [3, 3, 1]
    assert [graph for pack in packs for graph in pack] == graphs
    edges = len(graphs[0].senders) + len(graphs[1].senders)
    by_edges = protein.BatchSize(edges=edges, nodes=1000, graphs=9, chains=100)
    assert [len(pack) for pack in protein.pack_graphs(graphs[:2], by_edges)] == [2]
    assert all(protein.size_of(pack).edges <= edges for pack in protein.pack_graphs(graphs, by_edges))


def test_the_smallest_size_that_holds():
    sizes = protein.batch_sizes(protein.BatchSize(edges=800, nodes=200, graphs=8, chains=16), count=4)
    assert [size.edges for size in sizes] == [100, 200, 400, 800]
    assert [size.graphs for size in sizes] == [1, 2, 4, 8]
    batch = protein.batch_graphs([tiny.graph(residues=(3,), ligand=0)], sizes)
    assert len(batch.edge_mask) == 100
    # Three graphs fit by their edges, but there is room for three only where there is room for four.
    three = protein.batch_graphs([tiny.graph(residues=(2,), ligand=0)] * 3, sizes)
    assert len(three.graph_mask) == 4


def test_what_does_not_fit_is_said():
    small = protein.BatchSize(edges=10, nodes=5, graphs=1, chains=1)
    with pytest.raises(ValueError, match=r"a graph of BatchSize\(edges=.* does not fit in BatchSize\(edges=10"):
        list(protein.pack_graphs(GRAPHS, small))
    with pytest.raises(ValueError, match="do not fit in .*pack_graphs"):
        protein.batch_graphs(GRAPHS, [small])
    with pytest.raises(ValueError, match="at least one graph"):
        protein.batch_graphs([], [small])
    with pytest.raises(ValueError, match="some graphs have embeddings and some do not"):
        tiny.batch(GRAPHS[0], tiny.graph(embedding_size=4))
