import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics.pairwise

from jaxalign import metrics
from jaxalign.metrics import similarity


def rows(seed, size=60, width=8, *, classes=4):
    rng = np.random.default_rng(seed)
    # Around a common direction, as sentence embeddings are, with lengths that differ by orders of magnitude.
    embeddings = (rng.normal(size=(size, width)) + 0.5) * 10.0 ** rng.uniform(-3, 3, size=(size, 1))
    return embeddings.astype(np.float32), rng.integers(0, classes, size)


def brute_force(embeddings, labels):
    """All pairs of different rows, of one class (averaged over classes), and of different classes."""
    cosines = sklearn.metrics.pairwise.cosine_similarity(embeddings.astype(np.float64))
    different = ~np.eye(len(labels), dtype=bool)
    same = labels[:, None] == labels
    classes = [different & same & (labels == name)[:, None] for name in np.unique(labels)]
    intra = np.mean([cosines[pairs].mean() for pairs in classes if pairs.any()])
    return cosines[different].mean(), intra, cosines[~same].mean()


def three(embeddings, labels):
    return (
        metrics.average_pairwise_similarity(embeddings),
        metrics.intra_class_similarity(embeddings, labels),
        metrics.inter_class_similarity(embeddings, labels),
    )


def values(ratios):
    return [float(ratio.value) for ratio in ratios]


def test_by_hand():
    # Unit vectors x, y (class 0), x, -x (class 1). Pairs: xy 0, xx 1, x-x -1, yx 0, y-x 0, x-x -1; ordered twice.
    embeddings = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [-5.0, 0.0]])
    everything, intra, inter = three(embeddings, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(everything, (-2, 12), rtol=1e-6)
    np.testing.assert_allclose(intra, (0 - 1, 2), atol=1e-6)
    # x with x and -x: 1 - 1; y with both: 0.
    np.testing.assert_allclose(inter, (0, 8), atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_equal_brute_force(seed):
    embeddings, labels = rows(seed)
    np.testing.assert_allclose(values(three(embeddings, labels)), brute_force(embeddings, labels), atol=1e-6)


def test_equal_brute_force_beyond_one_block(monkeypatch):
    monkeypatch.setattr(similarity, "_ROWS_AT_ONCE", 50)
    embeddings, labels = rows(5, 120, classes=40)
    np.testing.assert_allclose(values(three(embeddings, labels)), brute_force(embeddings, labels), atol=1e-6)


def test_copies_are_as_similar_as_can_be():
    """In float32 the sum over 10,000 rows would be off by more than the self-pairs."""
    embeddings = np.tile(np.float32([[0.1, 0.7, -0.3]]), (10_000, 1))
    np.testing.assert_allclose(values(three(embeddings, np.arange(10_000) % 2)), 1, atol=1e-7)


def test_self_pairs_do_not_count():
    """Orthogonal rows: with self-pairs the mean would be 1/2 here."""
    assert values(three(np.eye(2), np.array([0, 0]))) == [0, 0, 0]


def test_classes_count_alike():
    """Ninety copies in one class, two orthogonal rows in the other: over pairs it would be nearly 1."""
    embeddings = np.concatenate([np.tile([[1.0, 0.0]], (90, 1)), np.eye(2)])
    assert metrics.intra_class_similarity(embeddings, np.repeat([0, 1], [90, 2])) == (1.0, 2.0)


def test_one_row_or_none_has_no_pair():
    for size in 0, 1:
        for ratio in three(np.ones((size, 3)), np.zeros(size, int)):
            assert ratio == (0.0, 0.0) and ratio.value == 0


def test_a_class_with_one_row_is_left_out():
    embeddings = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    everything, intra, inter = three(embeddings, np.array([0, 0, 1]))
    np.testing.assert_allclose(everything, (2, 6), rtol=1e-6)
    assert intra == (1.0, 1.0)
    np.testing.assert_allclose(inter, (0, 4), atol=1e-6)


def test_rows_of_zeros_are_left_out():
    embeddings, labels = rows(6)
    padded = np.concatenate([np.zeros((3, 8), np.float32), embeddings, np.zeros((1, 8), np.float32)])
    expected = three(embeddings, labels)
    for ours, theirs in zip(three(padded, np.array([0, 1, 9, *labels, 2])), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert all(ratio == (0.0, 0.0) for ratio in three(np.zeros((4, 2)), np.array([0, 0, 1, 1])))


def test_names_order_and_scale_do_nothing():
    embeddings, labels = rows(7)
    expected = values(three(embeddings, labels))
    order = np.random.default_rng(8).permutation(len(labels))
    names = [f"class {label}" for label in labels[order]]
    np.testing.assert_allclose(values(three(3 * embeddings[order], names)), expected, atol=1e-7)
    np.testing.assert_allclose(values(three(jnp.array(embeddings), jnp.array(labels))), expected, atol=1e-7)


def test_half_precision():
    embeddings, labels = rows(9)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    coarse = jnp.array(embeddings, jnp.bfloat16)
    expected = brute_force(np.array(coarse, np.float32), labels)
    np.testing.assert_allclose(values(three(coarse, labels)), expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_embeddings_that_are_not_finite(wrong):
    embeddings = np.ones((5000, 2))
    embeddings[4321, 1] = wrong
    with pytest.raises(ValueError, match="expected finite embeddings, got row 4321"):
        metrics.average_pairwise_similarity(embeddings)


def test_one_label_for_each_row():
    for metric in metrics.intra_class_similarity, metrics.inter_class_similarity:
        with pytest.raises(ValueError, match=r"one label per row of embeddings \(3, 2\), got labels \(2,\)"):
            metric(np.ones((3, 2)), np.zeros(2, int))
