import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxalign import metrics
from tests.metrics.compiled import compiled


def proteins(seed=0, shape=(40, 12), *, levels=None):
    """Scores in [0, 1], labels that go with them, and which proteins were annotated; some of those have no term."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(size=shape)
    labels = (rng.uniform(size=shape) < 0.3 * scores**2).astype(np.float32)
    if levels:
        scores = np.round(scores * levels) / levels
    return scores.astype(np.float32), labels, rng.uniform(size=shape[0]) < 0.8


fmax_table = compiled(metrics.fmax_table)
average_precision = compiled(metrics.average_precision)
macro_average_precision = compiled(metrics.macro_average_precision)


def fmax_by_loops(scores, labels, where, thresholds=None):
    """The definition, protein by protein."""
    rows = [(s, l > 0) for s, l, w in zip(*map(np.array, (scores, labels, where)), strict=True) if w and l.any()]
    best = 0.0
    for threshold in np.unique([s for s, _ in rows]) if thresholds is None else np.float32(thresholds):
        precisions, recalls = [], []
        for row, label in rows:
            predicted = row >= threshold
            hits = (predicted & label).sum()
            recalls.append(hits / label.sum())
            if predicted.any():
                precisions.append(hits / predicted.sum())
        if precisions and sum(recalls):
            precision, recall = np.mean(precisions), np.mean(recalls)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def test_fmax_by_hand():
    # t = 0.8: the first protein's term is found; precision 1 over one protein, recall (1 + 0) / 2, F = 2/3.
    # t = 0.6: so is a wrong term of the second: precision (1 + 0) / 2, recall 1/2, F = 1/2.
    # t = 0.4: and a right one: precision (1 + 1/2) / 2, recall (1 + 1/2) / 2, F = 3/4.
    # t = 0.2: one more wrong one: precision (1/2 + 1/2) / 2, recall 3/4, F = 0.6. t = 0.1: (1/2 + 2/3) / 2, 1: 14/19.
    # t = 0: all, precision (1/3 + 2/3) / 2 = 1/2, recall 1, F = 2/3.
    scores = np.float32([[0.8, 0.2, 0.0], [0.1, 0.6, 0.4]])
    labels = np.array([[1, 0, 0], [1, 0, 1]])
    assert metrics.exact_fmax(scores, labels) == pytest.approx(3 / 4, abs=1e-12)
    table = fmax_table(scores, labels, thresholds=(0.0, 0.15, 0.5, 0.7, 0.9))
    np.testing.assert_allclose(table.precision, [1 / 2, 1 / 2, 1 / 2, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(table.recall, [1, 3 / 4, 1 / 2, 1 / 2, 0], rtol=1e-6)
    assert table.predicted.tolist() == [2, 2, 2, 1, 0]
    np.testing.assert_allclose(table.fmax, 2 / 3, rtol=1e-6)


def test_fmax_leaves_out_proteins_without_a_term():
    # The second protein was annotated with none of these terms: it has no recall, and its prediction is no mistake.
    scores, labels = np.float32([[0.9, 0.1], [0.9, 0.9]]), np.array([[1, 0], [0, 0]])
    assert metrics.exact_fmax(scores, labels) == 1.0
    assert fmax_table(scores, labels).fmax == 1.0


def test_tied_scores_enter_together():
    # One threshold only: precision 1/2, recall 1. An order among the ties would give 1 for one order of storage.
    scores, labels = np.zeros((1, 2), np.float32), np.array([[1, 0]])
    assert metrics.exact_fmax(scores, labels) == pytest.approx(2 / 3)
    assert average_precision(scores, labels) == 0.5


@pytest.mark.parametrize("levels", [None, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_fmax_equals_loops(seed, levels):
    scores, labels, where = proteins(seed, levels=levels)
    exact = metrics.exact_fmax(scores, labels, where=where)
    assert exact == pytest.approx(fmax_by_loops(scores, labels, where), abs=1e-9)
    table = fmax_table(scores, labels, where=where)
    expected = fmax_by_loops(scores, labels, where, metrics.TWENTY_THRESHOLDS)
    np.testing.assert_allclose(table.fmax, expected, rtol=1e-5)
    assert table.fmax <= exact + 1e-6
    finest = fmax_table(scores, labels, thresholds=np.unique(scores), where=where)
    np.testing.assert_allclose(finest.fmax, exact, rtol=1e-5)


def test_a_threshold_is_rounded_as_the_scores_are():
    """0.35 is a float32 below the float64 0.35; a score of 0.35 is predicted at the threshold 0.35."""
    table = fmax_table(np.full((1, 1), 0.35, np.float32), np.ones((1, 1), np.float32))
    assert table.predicted.tolist() == [1] * 8 + [0] * 12


@pytest.mark.parametrize("levels", [None, 4])
def test_average_precision_equals_scikit_learn(levels):
    scores, labels, where = proteins(4, levels=levels)
    labels[:, 5] = 0
    real = np.array(where)
    expected = sklearn.metrics.average_precision_score(np.array(labels)[real], np.array(scores)[real], average="micro")
    np.testing.assert_allclose(average_precision(scores, labels, where=where), expected, rtol=1e-5)
    with warnings.catch_warnings(action="ignore"):  # of the term that no protein has
        columns = sklearn.metrics.average_precision_score(np.array(labels)[real], np.array(scores)[real], average=None)
    present = np.array(labels)[real].any(axis=0)
    assert 0 < present.sum() < 12
    macro = macro_average_precision(scores, labels, where=where)
    np.testing.assert_allclose(macro, columns[present].mean(), rtol=1e-5)


def test_tables_of_batches_add_up():
    scores, labels, where = proteins(5)
    whole = fmax_table(scores, labels, where=where)
    halves = [fmax_table(scores[part], labels[part], where=where[part]) for part in np.split(np.arange(40), 2)]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), halves[0] + halves[1], whole)


def exact(scores, labels, where=None):
    return jnp.float32(metrics.exact_fmax(scores, labels, where=where))


METRICS = {
    "exact fmax": exact,
    "fmax": jax.jit(lambda *x, where=None: metrics.fmax_table(*x, where=where).fmax),
    "average precision": jax.jit(metrics.average_precision),
    "macro average precision": jax.jit(metrics.macro_average_precision),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
class TestBattery:
    def test_jit_equals_eager(self, metric):
        scores, labels, where = proteins(6, levels=8)
        eager = getattr(metric, "__wrapped__", metric)(*map(jnp.asarray, (scores, labels)), where=jnp.asarray(where))
        np.testing.assert_allclose(metric(scores, labels, where=where), eager, rtol=1e-6)

    def test_masked_proteins_do_nothing(self, metric, allow_nans):
        scores, labels, where = proteins(7, levels=8)
        alone = metric(scores[where], labels[where])
        for fill in np.nan, np.inf, -np.inf, 0.0:
            padded = [np.where(where[:, None], array, fill) for array in (scores, labels)]
            np.testing.assert_allclose(metric(*padded, where=where), alone, rtol=1e-6)

    def test_order_of_storage_does_nothing(self, metric):
        scores, labels, where = proteins(8, levels=8)
        rng = np.random.default_rng(9)
        rows, columns = rng.permutation(40), rng.permutation(12)
        shuffled = metric(scores[rows][:, columns], labels[rows][:, columns], where=where[rows])
        np.testing.assert_allclose(shuffled, metric(scores, labels, where=where), rtol=1e-6)

    def test_nothing_real_is_zero(self, metric):
        scores, labels, where = proteins(10)
        assert metric(scores, labels, where=np.zeros_like(where)) == 0
        assert metric(scores, np.zeros_like(labels), where=where) == 0

    def test_perfect_is_one(self, metric):
        _, labels, where = proteins(11)
        np.testing.assert_allclose(metric(0.4 + 0.5 * labels, labels, where=where), 1, rtol=1e-6)

    def test_labels_may_be_of_any_kind(self, metric):
        scores, labels, where = proteins(12)
        expected = metric(scores, labels, where=where)
        for kind in bool, jnp.int32, jnp.bfloat16:
            assert metric(scores, labels.astype(kind), where=where) == expected

    def test_bfloat16_scores(self, metric):
        scores, labels, where = proteins(13)
        coarse = scores.astype(jnp.bfloat16)
        expected = metric(coarse.astype(np.float32), labels, where=where)
        np.testing.assert_allclose(metric(coarse, labels, where=where), expected, rtol=1e-6)

    def test_nan_score_of_a_real_protein_is_not_hidden(self, metric, allow_nans):
        scores, labels, _ = proteins(14)
        scores[*np.argwhere(labels > 0)[0]] = np.nan
        assert np.isnan(metric(scores, labels))

    def test_shapes_that_differ(self, metric):
        with pytest.raises(ValueError, match=r"got \(2, 3\), \(2, 3\) and \(3,\)"):
            metric(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32), where=np.ones(3, bool))


def test_exact_fmax_of_a_whole_test_set():
    """3,416 proteins and 1,943 terms, as the biological processes of the test set: measured 2 to 4 s."""
    rng = np.random.default_rng(15)
    scores = rng.uniform(size=(3416, 1943)).astype(np.float32)
    labels = rng.uniform(size=scores.shape) < 0.02
    assert 0 < metrics.exact_fmax(scores, labels) < 0.1
