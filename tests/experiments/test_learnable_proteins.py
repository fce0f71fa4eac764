"""Every task of the made proteins can be told from what HeMeNet sees, and side atoms matter where they should."""

import numpy as np
import pytest

from experiments.hemenet import labels, side_chains, world
from jaxalign import protein
from tests.experiments import protein_oracles as oracles
from tests.experiments.protein_oracles import by_chain, rows


@pytest.fixture(scope="module")
def proteins():
    """Proteins to learn from, and held out."""
    return world.make_graphs(120, 0), world.make_graphs(120, 1, all_labels=True)


def test_oracles_see_no_scale(proteins):
    graph = proteins[0][0].graph
    once, doubled = (oracles.visible(graph._replace(coordinates=k * graph.coordinates)) for k in (1, 2))
    for ours, theirs in zip(once, doubled, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_motifs_are_edges(proteins):
    np.testing.assert_array_equal(by_chain(proteins[1], oracles.motifs), rows(proteins[1], "targets", "motif"))


def test_families_are_functions_of_motifs_that_few_chains_teach(proteins):
    """What shares motifs shares families; and a fit on what the oracle sees of motifs is exact on new proteins."""
    learnt, held_out = proteins
    families = {}
    for motif, family in zip(*(rows(learnt, "targets", name) for name in ("motif", "family")), strict=True):
        assert families.setdefault(tuple(motif), tuple(family)) == tuple(family)
    assert len(families) > 20 and len(set(families.values())) > 8
    predict = oracles.fit(by_chain(learnt, oracles.motifs), rows(learnt, "targets", "family"))
    expected = rows(held_out, "targets", "family")
    np.testing.assert_allclose(predict(by_chain(held_out, oracles.motifs)), expected, atol=1e-6)
    assert (0.1 < expected.mean(axis=0)).all() and (expected.mean(axis=0) < 0.7).all()


def test_folds_are_shapes(proteins):
    learnt, held_out = proteins
    predict = oracles.fit(by_chain(learnt, oracles.folds), rows(learnt, "targets", "fold"))
    expected = rows(held_out, "targets", "fold")
    found = oracles.precision(predict(by_chain(held_out, oracles.folds)), expected)
    assert (found[:4] > 0.95).all()  # helices and strands
    assert (found[4:] > 2 * expected[:, 4:].mean(axis=0)).all()  # lengths, of which straight chains tell something


def test_pockets_are_neighbours_of_ions(proteins):
    known = [each for each in proteins[1] if each.masks["pocket"][0]]
    found = [oracles.pockets(each.graph) for each in known]
    np.testing.assert_allclose(found, rows(known, "targets", "pocket"), atol=1e-5)


def test_contacts_are_edges_that_alpha_carbons_do_not_have(proteins):
    held_out, alone = proteins[1], world.make_graphs(120, 1, all_labels=True, alpha_carbons=True)
    expected = rows(held_out, "targets", "contact")
    np.testing.assert_array_equal(by_chain(held_out, oracles.contacts) > 0, expected > 0)
    assert oracles.precision(by_chain(alone, oracles.contacts), expected).mean() < 0.85
    # What is asked of the sequence, they tell as well.
    np.testing.assert_array_equal(by_chain(alone, oracles.motifs), by_chain(held_out, oracles.motifs))


@pytest.fixture(scope="module")
def complexes():
    """Pairs of chains that touch."""
    rng = np.random.default_rng(0)
    chains = world.make_chains(160, rng)
    return [[first, world.dock(second, first, rng)] for first, second in zip(chains[::2], chains[1::2], strict=True)]


def answers(proteins):
    found = [labels.labels(chains, np.zeros((0, 3)), left=False) for chains in proteins]
    return {name: np.concatenate([each[name] for each in found]) for name in labels.TASKS}


def test_other_rotamers_change_contacts_and_nothing_else(complexes):
    rng = np.random.default_rng(1)
    turn = lambda chain: chain._replace(places=side_chains.add_side_chains(chain.places[:, :5], rng))  # noqa: E731
    before, after = answers(complexes), answers([[turn(chain) for chain in chains] for chains in complexes])
    changed = {name: (before[name] != after[name]).mean() for name in labels.TASKS}
    assert {name for name, share in changed.items() if share} == {"contact"}
    assert 0.05 < changed["contact"] < 0.2


def without_side_atoms(structure):
    there = structure.channel_mask & (np.arange(14) < side_chains.BACKBONE)
    bare = {"coordinates": np.where(there[..., None], structure.coordinates, 0), "channel_mask": there}
    return structure._replace(elements=np.where(there, structure.elements, 0), **bare)


def test_backbones_do_not_tell_of_contacts(complexes):
    """All five backbone atoms tell no more than alpha-carbons, so that it is side atoms which these lack."""
    rng, none = np.random.default_rng(0), np.zeros((0, 3))
    structures = [world.as_structure(chains, none, rng, mirror=False) for chains in complexes]
    expected = answers(complexes)["contact"]
    found = {}
    for take in (without_side_atoms, protein.alpha_carbons):
        graphs = [protein.LabelledGraph(protein.make_graph(take(each)), {}, {}) for each in structures]
        found[take] = oracles.precision(by_chain(graphs, oracles.contacts), expected).mean()
    assert max(found.values()) < 0.85 and abs(found[without_side_atoms] - found[protein.alpha_carbons]) < 0.1
