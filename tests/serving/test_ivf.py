"""Clusters: recall, growth, stale centres, and how many programs are compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import blocks, exact, inputs, ivf
from tests.serving.nearest import WIDTH, assert_nearest, clustered, recall, vectors


@pytest.fixture(scope="module")
def many():
    """3,000 vectors around 60 directions, in clusters that 8 of 128 (K nearest to sqrt(8 * 3000) = 155) are scanned."""
    rows = clustered(3000, 60, 16, 0.4)
    index = serving.ivf_index(16, probes=8, recent=256)
    return index, index.insert(index.init(), np.arange(3000), rows), rows


def test_few_probes_find_nearly_all(many):
    index, state, rows = many
    queries = rows[::100] + 0.1 * vectors(30, seed=3, width=16)
    assert len(state.blocks.centres) == 128
    assert recall(index.search(state, queries, 10), queries, rows, 10) >= 0.95


def test_one_probe_finds_less_than_eight(many):
    """The fault that the paper's one probe has."""
    _, state, rows = many
    queries = rows[::100] + 0.1 * vectors(30, seed=3, width=16)
    one = recall(serving.ivf_index(16, probes=1).search(state, queries, 10), queries, rows, 10)
    assert one < 0.9


def test_all_probes_are_exact(many):
    _, state, rows = many
    queries = vectors(5, seed=4, width=16)
    hits = serving.ivf_index(16, probes=128).search(state, queries, 10)
    assert_nearest(hits, queries, dict(enumerate(rows)), 10)


def test_each_row_lies_in_its_nearest_cluster_once(many):
    _, state, rows = many
    ids, owners = np.asarray(state.blocks.ids), np.asarray(state.blocks.owners)
    assert sorted(ids[ids >= 0].tolist()) == list(range(3000))
    placed = np.broadcast_to(owners[:, None], ids.shape)[ids >= 0]
    units = rows[ids[ids >= 0]] / np.linalg.norm(rows[ids[ids >= 0]], axis=1, keepdims=True)
    np.testing.assert_array_equal(placed, np.argmax(units @ np.asarray(state.blocks.centres).T, axis=1))
    # A block less than full is its cluster's last, so that little room is lost.
    filled = (ids >= 0).sum(axis=1)
    np.testing.assert_array_equal(filled[np.append(owners[1:] == owners[:-1], False) & (owners >= 0)], blocks.ROWS)


def test_stale_clusters_are_made_anew(many):
    """1,100 vectors of a new topic fall into few clusters, and a query cannot scan the largest of them any more."""
    index, state, rows = many
    new = np.float32(np.eye(16)[0] * 20) + vectors(1100, seed=5, width=16)
    every, queries = np.concatenate([rows, new]), new[::50]
    grown = index.insert(state, np.arange(3000, 4100), new)
    assert int(grown.blocks.trained) == 4100 and int(state.blocks.trained) == 3000
    # Where the vectors are said to be little more than before, the centres stay, and neighbours are missed.
    recently = state._replace(blocks=state.blocks._replace(trained=jnp.asarray(4000)))
    stale = index.insert(recently, np.arange(3000, 4100), new)
    found, missing = (recall(index.search(each, queries, 10), queries, every, 10) for each in (grown, stale))
    assert found >= 0.8 and missing < 0.6


def test_centres_stay_for_vectors_like_the_old_ones(many):
    index, state, rows = many
    alike = rows[:1100] + 0.01 * vectors(1100, seed=6, width=16)
    assert int(index.insert(state, np.arange(3000, 4100), alike).blocks.trained) == 3000


def test_equal_vectors_do_not_make_clusters_again_and_again():
    index = serving.ivf_index(WIDTH, clusters=4, probes=1, recent=64)
    state = index.insert(index.init(), np.arange(400), np.ones((400, WIDTH)))
    state = index.insert(state, np.arange(400, 465), np.ones((65, WIDTH)))
    assert int(state.blocks.trained) == 400
    assert np.isclose(index.search(state, np.ones((1, WIDTH)), 10).similarities, 1).all()


def test_blocks_hold_no_more_than_what_lives():
    """Replaced and deleted rows are not carried on: as many inserts as one likes fit into the same blocks."""
    index, state = serving.ivf_index(WIDTH, clusters=4, probes=4, recent=4), None
    state = index.init()
    for turn in range(6):
        state = index.insert(state, np.arange(40), vectors(40, seed=turn))
        state = index.delete(state, np.arange(0, 40, 2))
    assert len(state.blocks.owners) == 4
    assert_nearest(
        index.search(state, vectors(2), 3),
        vectors(2),
        dict(zip(range(1, 40, 2), vectors(40, seed=5)[1::2], strict=True)),
        3,
    )


def test_programs_are_compiled_once_for_each_capacity():
    """120 single inserts: 8 capacities from 1 to 128, and one program of each kind for each of them at most."""
    index = serving.exact_index(3, capacity=1)
    searched, written = exact.search_exactly._cache_size(), exact._write._cache_size()
    state = index.init()
    for number in range(12):
        state = index.insert(state, [number], vectors(1, seed=number, width=3))
        for queries in (1, 3, 4):  # buckets 1 and 4
            index.search(state, vectors(queries, width=3), 2)
    assert exact.search_exactly._cache_size() - searched == 5 * 2  # capacities 1, 2, 4, 8, 16
    assert exact._write._cache_size() - written == 5


def test_searches_in_clusters_share_a_program():
    index = serving.ivf_index(3, clusters=4, probes=2, recent=8)
    state = index.insert(index.init(), np.arange(20), vectors(20, width=3))
    before = ivf.search_blocks._cache_size()
    for number in range(20, 40):
        state = index.insert(state, [number], vectors(1, seed=number, width=3))
        index.search(state, vectors(1, width=3), 2)
    assert len(state.blocks.owners) == 4 and ivf.search_blocks._cache_size() - before == 1


def test_a_jitted_search_reads_a_state():
    """States are pytrees: they pass through jit, and are saved leaf by leaf."""
    index = serving.ivf_index(WIDTH, clusters=4, probes=4, recent=4)
    state = index.insert(index.init(), np.arange(9), vectors(9))
    leaves, structure = jax.tree.flatten(state)
    restored = jax.tree.unflatten(structure, [np.array(leaf) for leaf in leaves])
    for ours, theirs in zip(index.search(state, vectors(2), 3), index.search(restored, vectors(2), 3), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("number", "power", "quarter"), [(0, 1, 4), (1, 1, 4), (5, 8, 5), (9, 16, 10), (17, 32, 20), (33, 64, 40)]
)
def test_buckets(number, power, quarter):
    assert (inputs.power_of_two(number), inputs.quarter_step(number)) == (power, quarter)


def test_kmeans_finds_separate_groups():
    """Three directions of 20 vectors each: the centres are their mean directions, whatever the rows of padding say."""
    rows = np.concatenate([np.float32(np.eye(3)[group]) + 0.1 * vectors(20, group, 3) for group in range(3)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    padded = jnp.asarray(np.concatenate([rows, np.full((4, 3), 9, np.float32)]))
    centres = serving.spherical_kmeans(jax.random.key(0), padded, where=jnp.arange(64) < 60, num_clusters=3)
    sums = rows.reshape(3, 20, 3).sum(axis=1)
    expected = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    order = np.argmax(np.asarray(centres), axis=1).argsort()
    np.testing.assert_allclose(np.asarray(centres)[order], expected, atol=1e-5)


def test_kmeans_fills_empty_centres():
    """Most rows are equal, so that most centres start at one point, and one keeps all rows: others must move on."""
    rows = np.zeros((32, 3), np.float32)
    rows[:, 0] = 1
    rows[30], rows[31] = (0, 1, 0), (0, 0, 1)
    centres = serving.spherical_kmeans(jax.random.key(1), jnp.asarray(rows), where=jnp.ones(32, bool), num_clusters=3)
    np.testing.assert_allclose(np.sort(np.asarray(rows @ np.asarray(centres).T).max(axis=1)), 1, atol=1e-6)


def test_kmeans_refuses_more_centres_than_rows():
    with pytest.raises(ValueError, match=r"num_clusters: expected 1 to 2 \(the rows\), got 3"):
        serving.spherical_kmeans(jax.random.key(0), jnp.eye(2), where=jnp.ones(2, bool), num_clusters=3)
