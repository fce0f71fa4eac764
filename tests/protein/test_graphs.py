"""Graphs: exactly the edges of the reference on 1DIX, neighbours by brute force, and files that keep them."""

import functools

import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein import Structure, StructureReport, graph_cache


def structure(positions, chains=None, mask=None) -> Structure:
    """Nodes at positions ``[N, 3]``, or ``[N, 14, 3]`` with a mask; chain -1 makes ligand atoms."""
    positions = np.asarray(positions, np.float32)
    nodes = len(positions)
    if positions.ndim == 2:
        mask = np.broadcast_to(np.arange(14) == 0, (nodes, 14))
        positions = np.where(mask[..., None], positions[:, None], np.float32(0))
    chains = np.zeros(nodes, np.int32) if chains is None else np.asarray(chains, np.int32)
    return Structure(
        coordinates=positions,
        elements=2 * mask.astype(np.int32),
        channel_mask=mask,
        types=np.where(chains < 0, 23, 0).astype(np.int32),
        chains=chains,
        alphas=np.where(chains < 0, -1, 0).astype(np.int32),
        chain_names=tuple("ABCDEFG"[: chains.max() + 1]),
        names=tuple(map(str, range(nodes))),
        report=StructureReport(),
    )


def line(nodes: int, **options) -> Structure:
    return structure([[n, 0, 0] for n in range(nodes)], **options)


def edges(graph, *relations: int) -> set[tuple[int, int, int]]:
    """Sender, receiver and relation of each edge."""
    found = list(zip(graph.senders.tolist(), graph.receivers.tolist(), graph.relations.tolist(), strict=True))
    assert len(set(found)) == len(found)
    return {edge for edge in found if not relations or edge[2] in relations}


def brute_force(given: Structure) -> np.ndarray:
    """The smallest distance over pairs of atoms, ``[N, N]``, infinite of a node to itself."""
    difference = given.coordinates[:, None, :, None].astype(np.float64) - given.coordinates[None, :, None]
    distances = np.sqrt((difference**2).sum(-1))
    both = given.channel_mask[:, None, :, None] & given.channel_mask[None, :, None]
    nearest = np.where(both, distances, np.inf).min((-1, -2))
    np.fill_diagonal(nearest, np.inf)
    return nearest


def near(given: Structure, i: int, j: int) -> bool:
    return abs(i - j) < 4.5 and given.chains[i] >= 0 and given.chains[j] >= 0


def random_structure(seed: int, nodes: int, spread: float = 15.0) -> Structure:
    """Residues of 1 to 14 atoms in three chains, and ligand atoms; what is masked lies where it would be nearest."""
    rng = np.random.default_rng(seed)
    chains = np.sort(rng.integers(0, 4, nodes))
    chains[chains == 3] = -1
    mask = np.arange(14) < np.where(chains < 0, 1, rng.integers(1, 15, nodes))[:, None]
    positions = rng.uniform(-spread, spread, (nodes, 1, 3)) + rng.normal(0, 1, (nodes, 14, 3))
    return structure(np.where(mask[..., None], positions, 0), chains, mask)


@pytest.mark.parametrize("suffix", ["pdb", "cif", "bcif"])
def test_equals_the_reference(shared_data, folder, suffix):
    graph = protein.make_graph(protein.read_structure(folder / f"1dix.{suffix}"))
    reference = np.load(shared_data / "hemenet_reference" / "1dix.npz")["input/edges"]
    assert len(graph.senders) == len(reference) and edges(graph) == set(map(tuple, reference.tolist()))


def test_by_hand():
    """Six residues and a ligand atom on a line, one neighbour each."""
    graph = protein.make_graph(
        structure([[0, 0, 0], [5, 0, 0], [10, 0, 0], [15, 0, 0], [20, 0, 0], [-1, 0, 0], [21, 0, 0]], [0] * 6 + [-1]),
        num_neighbors=1,
    )
    # 0 and 5 are nearest to each other and 5 apart in number; 4 and 6 have a ligand atom among them. 1, 2 and 3 have
    # neighbours that are near in sequence.
    assert edges(graph, 0) == {(0, 5, 0), (5, 0, 0), (4, 6, 0), (6, 4, 0)}
    assert edges(graph, 1) == {(n, n - 2, 1) for n in range(2, 6)}
    assert edges(graph, 2) == {(n, n - 1, 2) for n in range(1, 6)}
    assert edges(graph, 3) == {(n, n, 3) for n in range(7)}
    assert edges(graph, 4) == {(n, n + 1, 4) for n in range(5)}
    assert edges(graph, 5) == {(n, n + 2, 5) for n in range(4)}
    assert graph.num_chains == 1 and graph.embeddings is None
    assert {graph.senders.dtype, graph.receivers.dtype, graph.relations.dtype} == {np.dtype(np.int32)}


@functools.cache
def order_by_brute_force(*arguments):
    return np.argsort(brute_force(random_structure(*arguments)), axis=1)


@pytest.mark.parametrize("seed, nodes, spread", [(0, 60, 15.0), (1, 25, 1.0), (2, 40, 1000.0), (3, 150, 20.0)])
@pytest.mark.parametrize("num_neighbors", [1, 7, 30])
def test_neighbours_equal_brute_force(seed, nodes, spread, num_neighbors):
    given = random_structure(seed, nodes, spread)
    nearest = order_by_brute_force(seed, nodes, spread)[:, : min(num_neighbors, nodes - 1)]
    expected = {(i, int(j), 0) for i in range(nodes) for j in nearest[i] if not near(given, i, j)}
    assert edges(protein.make_graph(given, num_neighbors=num_neighbors), 0) == expected


@pytest.mark.parametrize("radius", [0.5, 4.5, 20.0])
def test_the_radius_relation_equals_brute_force(radius):
    given = random_structure(4, 80)
    expected = {
        (int(i), int(j), 6) for i, j in np.argwhere(brute_force(given) <= radius) if not near(given, int(i), int(j))
    }
    with_radius = protein.make_graph(given, radius=radius)
    assert edges(with_radius, 6) == expected and (expected or radius < 1)
    assert edges(with_radius) - expected == edges(protein.make_graph(given))
    assert edges(protein.make_graph(given, num_neighbors=0, radius=radius), 0) == set()


def test_edges_are_ordered_by_receiver_relation_sender():
    given = random_structure(5, 70)
    graph = protein.make_graph(given, radius=6.0)
    order = list(zip(graph.receivers.tolist(), graph.relations.tolist(), graph.senders.tolist(), strict=True))
    assert order == sorted(order)


def test_chains_do_not_touch_in_sequence():
    graph = protein.make_graph(line(5, chains=[0, 0, 0, 1, 1]), num_neighbors=0)
    pairs = {(0, 1), (1, 2), (3, 4), (0, 2)}
    both = pairs | {(j, i) for i, j in pairs} | {(n, n) for n in range(5)}
    assert edges(graph) == {(i, j, 3 + j - i) for i, j in both} and graph.num_chains == 2


def test_numbers_run_on_from_chain_to_chain():
    """The reference does so too, whose graphs know no more than the number of a node."""
    graph = protein.make_graph(line(7, chains=[0, 0, 0, 1, 1, 1, 1]))
    assert edges(graph, 0) == {(0, 5, 0), (5, 0, 0), (0, 6, 0), (6, 0, 0), (1, 6, 0), (6, 1, 0)}


def test_ligand_atoms_are_near_nobody_in_sequence():
    graph = protein.make_graph(line(4, chains=[0, 0, -1, -1]), num_neighbors=2)
    assert edges(graph, 0) == {(0, 2, 0), (1, 2, 0), (2, 1, 0), (2, 3, 0), (3, 2, 0), (3, 1, 0)}
    assert edges(graph, 3) == {(n, n, 3) for n in range(4)}
    assert edges(graph, 1, 2, 4, 5) == {(1, 0, 2), (0, 1, 4)}


def test_fewer_nodes_than_neighbours():
    assert edges(protein.make_graph(line(1))) == {(0, 0, 3)}
    graph = protein.make_graph(line(3, chains=[-1, -1, -1]))
    assert edges(graph, 0) == {(i, j, 0) for i in range(3) for j in range(3) if i != j} and graph.num_chains == 0


def test_among_equally_near_nodes_the_earlier_is_nearer():
    # Everything lies at one point; whoever has fewer than three others before it takes later ones.
    graph = protein.make_graph(structure(np.zeros((6, 3)), [-1] * 6), num_neighbors=3)
    expected = {(i, j, 0) for i in range(6) for j in [n for n in range(6) if n != i][:3]}
    assert edges(graph, 0) == expected


def test_a_node_far_away_has_neighbours():
    positions = np.concatenate([np.random.default_rng(6).uniform(0, 10, (20, 3)), [[5000, 0, 0]]])
    graph = protein.make_graph(structure(positions, [-1] * 21), num_neighbors=2)
    farthest = np.argsort(-positions[:20, 0])  # almost: the other coordinates change less than these differ
    assert edges(graph, 0) >= {(20, int(n), 0) for n in farthest[:2]}


def test_alpha_carbons_are_a_smaller_problem_of_the_same_kind(folder):
    given = protein.alpha_carbons(protein.read_structure(folder / "3o5r.pdb"))
    nearest = np.argsort(brute_force(given), axis=1)[:, :7]
    expected = {(i, int(j), 0) for i in range(len(nearest)) for j in nearest[i] if not near(given, i, j)}
    assert edges(protein.make_graph(given), 0) == expected


def test_the_drug_in_its_pocket_has_edges_to_the_protein(folder):
    given = protein.read_structure(folder / "3o5r.pdb")
    graph = protein.make_graph(given)
    ligand = given.chains < 0
    mixed = ligand[graph.senders] != ligand[graph.receivers]
    assert mixed.sum() > 20 and (graph.relations[mixed] == 0).all()


def test_embeddings_belong_to_residues():
    given = line(3, chains=[0, 0, -1])
    graph = protein.make_graph(given, embeddings=np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert graph.embeddings.tolist() == [[1, 2], [3, 4], [0, 0]] and graph.embeddings.dtype == np.float32
    with pytest.raises(ValueError, match=r"expected embeddings \[2, D\], a row per residue, got \(3, 2\)"):
        protein.make_graph(given, embeddings=np.zeros((3, 2)))


@pytest.mark.parametrize("options", [{"num_neighbors": -1}, {"radius": 0.0}, {"radius": float("nan")}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="expected num_neighbors >= 0 and radius > 0 or None, got"):
        protein.make_graph(line(3), **options)


# Files that keep graphs


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def all_same(found, expected) -> bool:
    return all(same(a, b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True))


@pytest.fixture
def cached(folder, tmp_path, monkeypatch):
    """The cached graph of a real file with alternatives and a ligand; ``cached.made`` counts how many were made."""

    def cached_graph(name="3o5r.pdb", **options):
        ligand = options.pop("ligand", None)
        return protein.cached_graph(
            folder / name, tmp_path / "graphs", ligand=None if ligand is None else folder / ligand, **options
        )

    def make_graph(*args, **options):
        cached_graph.made += 1
        return protein.make_graph(*args, **options)

    cached_graph.made = 0
    monkeypatch.setattr(graph_cache, "make_graph", make_graph)
    return cached_graph


def test_a_graph_is_made_once(cached, folder):
    first, again = cached(), cached()
    read = protein.read_structure(folder / "3o5r.pdb")
    assert cached.made == 1
    assert all_same(first, (read, protein.make_graph(read))) and all_same(again, first)
    assert again[0].report.alternatives > 0 and isinstance(again[0].names, tuple)


def test_every_option_has_a_file_of_its_own(cached):
    options = [
        {},
        {"num_neighbors": 3},
        {"radius": 4.5},
        {"ligands": False},
        {"chains": ("A",)},
        {"ligand": "1j01_ligand.sdf"},
        {"ligand": "2yme_ligand.sdf"},
        {"name": "1ay7.bcif"},
        {"name": "1ay7.bcif", "chains": ("A", "B")},
    ]
    made = [cached(**option) for option in options]
    assert cached.made == len(options)
    found = [cached(**option) for option in options]
    assert cached.made == len(options) and all(all_same(a, b) for a, b in zip(found, made, strict=True))
    cached("1ay7.bcif", chains=["B", "A", "B"])  # the same set of chains
    assert cached.made == len(options)
    assert len(made[5][0].names) == len(made[0][0].names) + 18


def test_the_content_counts_not_the_name(cached, folder, tmp_path):
    expected = cached()
    for path in tmp_path / "3o5r.pdb", tmp_path / "b" / "3o5r.pdb":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((folder / "3o5r.pdb").read_bytes())
        assert all_same(protein.cached_graph(path, tmp_path / "graphs"), expected)
    assert cached.made == 1
    path.write_bytes((folder / "1aki.pdb").read_bytes())
    assert len(protein.cached_graph(path, tmp_path / "graphs")[0].names) == 129


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text", "other fields"])
def test_a_damaged_file_is_made_anew(cached, tmp_path, damage):
    expected = cached("1l2y.pdb")
    (path,) = (tmp_path / "graphs").iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 3
    content = {
        "cut": whole[:-100],
        "changed": whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 50]) + whole[middle + 50 :],
        "empty": b"",
        "text": b"not a zip file",
    }
    if damage == "other fields":
        np.savez(path, coordinates=np.zeros(3))
    else:
        path.write_bytes(content[damage])
    assert all_same(cached("1l2y.pdb"), expected) and cached.made == 2
    assert path.read_bytes()[:2] == b"PK" and all_same(cached("1l2y.pdb"), expected) and cached.made == 2
    assert list((tmp_path / "graphs").iterdir()) == [path]


def test_a_file_that_cannot_be_read_is_not_kept(tmp_path):
    (tmp_path / "x.pdb").write_text("REMARK\n")
    with pytest.raises(ValueError, match="x.pdb: expected atoms, got none") as error:
        protein.cached_graph(tmp_path / "x.pdb", tmp_path / "graphs")
    assert error.value.__context__ is None and not (tmp_path / "graphs").exists()
