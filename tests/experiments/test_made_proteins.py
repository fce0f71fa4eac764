"""Made proteins: geometry as in textbooks, labels as their definitions say, the same proteins for the same seed."""

import numpy as np
import pytest

from experiments.hemenet import backbones, world


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


def test_seeds_and_labels():
    graphs, again = world.make_graphs(40, 3), world.make_graphs(40, 3)
    for ours, theirs in zip(graphs, again, strict=True):
        np.testing.assert_array_equal(ours.graph.coordinates, theirs.graph.coordinates)
    assert {each.graph.num_chains for each in graphs} == {1, 2}
    for each in graphs:
        assert each.masks["interface"].tolist() == [each.graph.num_chains == 2]
        assert len(each.targets["fold"]) == len(each.masks["site"]) == each.graph.num_chains
        assert not each.targets["hand"][:, 1].any()  # nothing is mirrored unless asked for
    share = np.mean(np.concatenate([each.masks["fold"] for each in graphs]))
    assert 0.3 < share < 0.7


def test_labels_by_hand():
    """A chain along x, 10 angstrom a step, whose last alpha carbon comes back to the first."""
    alphas = np.zeros((6, 3))
    alphas[:, 0] = np.arange(6) * 10.0
    assert world.fold(alphas, ["helix", "strand", "helix"]) == [True, False, True, True, False, False]
    alphas[-1] = [5.0, 0, 0]
    assert world.fold(alphas, ["strand", "strand", "helix"]) == [False, True, False, True, True, True]
    names = ["LYS", "GLY", "GLY", "GLY", "GLY", "ASP"]
    types = np.array([world.AMINO_ACIDS.index(name) for name in names])
    betas = np.array([[0.0, 0, 0], [9, 9, 9], [18, 9, 9], [27, 9, 9], [9, 18, 9], [8.0, 0, 0]])
    assert world.site(betas, types) == [True, False, False, False]
    assert world.site(betas[:5], types[:5]) == [False] * 4  # lysine has nobody left


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
    np.testing.assert_array_equal(full.targets["fold"], alone.targets["fold"])
