"""Made proteins: geometry as in textbooks, labels as their definitions say, the same proteins for the same seed."""

import itertools

import numpy as np
import pytest

from experiments.hemenet import backbones, labels, side_chains, world
from jaxalign.protein.vocabulary import AMINO_ACIDS
from tests.experiments.protein_oracles import rows


@pytest.fixture(scope="module")
def proteins():
    """Proteins to learn from, and held out."""
    return world.make_graphs(120, 0), world.make_graphs(120, 1, all_labels=True)


def ideal(kind, residues=20):
    """One chain of a single kind without noise, ``[residues, 5, 3]``."""
    return backbones.backbone(np.tile(np.array(backbones.TORSIONS[kind]), (1, residues, 1)))[0]


def torsion(a, b, c, d):
    """Degrees, by the convention of the IUPAC."""
    first, second, third = b - a, c - b, d - c
    one, two = np.cross(first, second), np.cross(second, third)
    return np.degrees(np.arctan2(np.cross(one, two) @ second / np.linalg.norm(second), one @ two))


def apart(first, second):
    return np.linalg.norm(first - second, axis=-1)


def test_helix_and_strand():
    """Alpha helix: 1.5 angstrom rise a residue, hydrogen bonds from O of i to N of i + 4. Strand: 3.3 a residue."""
    helix, strand = ideal("helix"), ideal("strand")
    np.testing.assert_allclose(apart(helix[4:, 0], helix[:-4, 3]), 3.0, atol=0.25)
    rise = apart(helix[18, 1], helix[0, 1]) / 18  # five turns of 3.6 residues
    assert 1.4 < rise < 1.7
    assert 3.2 < apart(strand[18, 1], strand[0, 1]) / 18 < 3.5
    np.testing.assert_allclose(apart(helix[1:, 1], helix[:-1, 1]), 3.8, atol=0.05)


def test_torsions_bonds_and_hand():
    places = ideal("helix")
    n, ca, c, o, cb = places[5]
    assert torsion(places[4, 2], n, ca, c) == pytest.approx(-57)
    assert torsion(n, ca, c, places[6, 0]) == pytest.approx(-47)
    assert abs(torsion(ca, c, places[6, 0], places[6, 1])) == pytest.approx(180)
    assert apart(c, o) == pytest.approx(1.231) and apart(ca, cb) == pytest.approx(1.530)
    # Seen from hydrogen, CO, R and N are clockwise in natural amino acids.
    assert np.cross(n - ca, c - ca) @ (cb - ca) > 0


def test_side_chains():
    """Bonds are of carbon, and turn to one of three rotamers; glycine and alanine have nothing to turn."""
    places = side_chains.add_side_chains(ideal("strand", 200), np.random.default_rng(0))
    path = [places[:, channel] for channel in (1, 4, 5, 6)]
    for first, second in itertools.pairwise(path[1:]):
        np.testing.assert_allclose(apart(first, second), 1.53)
    chi = np.array([torsion(*residue[[0, 1, 4, 5]]) for residue in places])
    off = np.abs((chi[:, None] - [-60, 60, 180] + 180) % 360 - 180)
    assert off.min(axis=1).max() < 50 and set(off.argmin(axis=1)) == {0, 1, 2}
    counts = dict(zip(AMINO_ACIDS, (side_chains.ELEMENTS > 0).sum(axis=1).tolist(), strict=True))
    assert [counts[name] for name in ("GLY", "ALA", "SER", "ARG")] == [4, 5, 6, 10]


def test_seeds_and_labels():
    graphs, again = world.make_graphs(40, 3), world.make_graphs(40, 3)
    for ours, theirs in zip(graphs, again, strict=True):
        np.testing.assert_array_equal(ours.graph.coordinates, theirs.graph.coordinates)
    assert {each.graph.num_chains for each in graphs} == {1, 2}
    for each in graphs:
        assert len(each.targets["fold"]) == len(each.masks["contact"]) == each.graph.num_chains
        assert each.masks["pocket"].tolist() == [(each.graph.chains < 0).any()]
        assert not each.targets["hand"][:, 1].any()  # nothing is mirrored unless asked for


def test_share_of_labels_that_are_known(proteins):
    """Within four standard deviations of what is asked for; of proteins that are held out, everything is known."""
    learnt, held_out = proteins
    for name, share in labels.LABELLED.items():
        masks = rows(learnt, "masks", name)
        assert abs(masks.mean() - share) <= 4 * np.sqrt(share * (1 - share) / len(masks))
        assert rows(held_out, "masks", name).all()
    assert labels.LABELLED["motif"] == 1 and 0.05 < labels.LABELLED["family"] < 0.1


def test_folds_by_hand():
    """A chain along x, 10 angstrom a step, whose last alpha carbon comes back to the first."""
    alphas = np.zeros((6, 3))
    alphas[:, 0] = np.arange(6) * 10.0
    assert labels.fold(alphas, ["helix", "strand", "helix"]) == [True, False, True, True, False, False]
    alphas[-1] = [5.0, 0, 0]
    assert labels.fold(alphas, ["strand", "strand", "helix"]) == [False, True, False, True, True, True]


def types_of(names):
    return np.array([AMINO_ACIDS.index(name) for name in names.split()])


def test_motifs_and_families_by_hand():
    found = labels.motifs(types_of("LYS ASP GLY PHE SER GLY PHE GLY HIS TYR"))
    assert found == [True, False, True, False, True, False]  # basic, acidic; aromatic, small; basic, aromatic
    assert labels.motifs(types_of("ASP LYS")) == [False, True, False, False, False, False]
    # First without second; third without fourth; second or fifth; fourth and sixth.
    assert labels.families(np.array([found]))[0].tolist() == [True, True, True, False]
    assert labels.families(np.array([[True, True, True, True, False, True]]))[0].tolist() == [False, False, True, True]


def test_who_is_nearest_by_hand():
    """Ten lysines in a row, one angstrom apart, and an aspartate whose tip alone is beside the first of them."""
    places = np.zeros((11, side_chains.CHANNELS, 3))
    places[:10, :, 0] = np.arange(10)[:, None]
    places[10] = [0, 0, 50.0]
    places[10, 6] = [0.1, 0, 0.5]  # the last atom of aspartate but one
    chain = labels.Chain(places, types_of("LYS " * 10 + "ASP"), [])
    near = labels.nearest([chain], np.array([[9.0, 0, 1]]))
    assert np.flatnonzero(near[0]).tolist() == [5, 6, 10]  # of 1 to 6 and 10; 1 to 4 are too near in sequence
    assert np.flatnonzero(near[10]).tolist() == [0, 1, 2, 3, 4, 5]  # of 0 to 6; the sixth is four apart
    assert np.flatnonzero(near[11]).tolist() == [3, 4, 5, 6, 7, 8, 9]  # the ion has no number
    assert labels.contacts([chain], near)[0].tolist() == [True, False, False, True]
    assert labels.pocket([chain], near) == pytest.approx(-3.9)
    assert labels.pocket([chain], near[:11, :11]) == 0
    places[10, 6], places[10, 8] = [0, 0, 50.0], [0.1, 0, 0.5]  # an atom that aspartate does not have
    far = labels.nearest([chain], np.zeros((0, 3)))
    assert np.flatnonzero(far[0]).tolist() == [5, 6, 7] and labels.contacts([chain], far)[0].tolist()[0]


def test_chains_touch_and_do_not_overlap():
    for each in world.make_graphs(20, 0):
        graph = each.graph
        if graph.num_chains == 2:
            betas = graph.coordinates[:, 4]
            there = graph.channel_mask[:, 4]
            first, second = (betas[there & (graph.chains == chain)] for chain in (0, 1))
            closest = apart(first[:, None], second[None]).min()
            assert 5.0 < closest < 9


def test_mirror_images():
    graphs = world.make_graphs(20, 0, mirrored=True)
    for each in graphs:
        n, ca, c, _, cb = (each.graph.coordinates[:, atom] for atom in range(5))
        there = each.graph.channel_mask[:, 4]
        hand = np.einsum("nv,nv->n", np.cross(n - ca, c - ca), cb - ca)[there]
        assert (np.sign(hand) == (-1 if each.targets["hand"][0, 1] else 1)).all()
    assert 0 < sum(each.targets["hand"][0, 1] for each in graphs) < 20


def test_alpha_carbons_of_the_same_proteins():
    full, alone = world.make_graphs(3, 1)[0], world.make_graphs(3, 1, alpha_carbons=True)[0]
    residues = full.graph.chains >= 0
    np.testing.assert_array_equal(full.graph.coordinates[residues, 1], alone.graph.coordinates[residues, 0])
    assert alone.graph.channel_mask.sum() == len(alone.graph.types)
    for name in labels.TASKS:
        np.testing.assert_array_equal(full.targets[name], alone.targets[name])
