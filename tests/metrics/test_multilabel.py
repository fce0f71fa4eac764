import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rax
import sklearn.metrics

from jaxalign import metrics
from tests.metrics.compiled import compiled

label_counts = jax.jit(metrics.label_counts)
ranking = compiled(metrics.label_ranking_metrics)
rax_mrr_metric, rax_precision_metric = compiled(rax.mrr_metric), compiled(rax.precision_metric)


def items(seed, shape=(24, 7), *, levels=None):
    """Scores in [0, 1], labels that go with them, and which items are real; some of those have no label."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(size=shape)
    labels = (rng.uniform(size=shape) < 0.4 * scores**2).astype(np.float32)
    assert (labels.sum(axis=1) == 0).any()
    if levels:
        scores = np.round(scores * levels) / levels
    return scores.astype(np.float32), labels, rng.uniform(size=shape[0]) < 0.8


# F1.


def test_f1_by_hand():
    # Label 0: one hit, one miss: 2/3. Label 1: one hit, one wrong: 2/3. Label 2: none, one wrong: 0. Label 3: nowhere.
    predictions = np.array([[1, 1, 0, 0], [0, 1, 1, 0]])
    counts = label_counts(predictions, np.array([[1, 0, 0, 0], [1, 1, 0, 0]]))
    np.testing.assert_allclose(counts.f1, [2 / 3, 2 / 3, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(counts.micro_f1, 2 * 2 / (4 + 3), rtol=1e-6)
    np.testing.assert_allclose(counts.macro_f1, 4 / 9, rtol=1e-6)
    assert counts.num_counted == 3


@pytest.mark.parametrize("seed", range(3))
def test_f1_equals_scikit_learn(seed):
    scores, labels, where = items(seed)
    scores[:, 2] = labels[:, 2] = 0
    predictions = scores >= 0.6
    counts = label_counts(predictions, labels, where=where)
    real = np.array(where)
    f1 = functools.partial(sklearn.metrics.f1_score, np.array(labels)[real], np.array(predictions)[real])
    np.testing.assert_allclose(counts.micro_f1, f1(average="micro"), rtol=1e-6)
    np.testing.assert_allclose(counts.macro_f1, f1(average="macro", zero_division=np.nan), rtol=1e-6)
    np.testing.assert_allclose(counts.f1, f1(average=None, zero_division=0), rtol=1e-6)
    # The default of scikit-learn counts the label that occurs nowhere.
    with warnings.catch_warnings(action="ignore"):
        np.testing.assert_allclose(counts.macro_f1 * 6 / 7, f1(average="macro"), rtol=1e-6)


def test_micro_f1_of_one_label_each_is_the_accuracy():
    rng = np.random.default_rng(3)
    predicted, actual = rng.integers(0, 5, (2, 50))
    counts = label_counts(np.eye(5)[predicted] > 0, np.eye(5)[actual] > 0)
    np.testing.assert_allclose(counts.micro_f1, np.mean(predicted == actual), rtol=1e-6)
    np.testing.assert_allclose(counts.macro_f1, sklearn.metrics.f1_score(actual, predicted, average="macro"), rtol=1e-6)
    # And is not the macro-F1: the authors' code kept one under the name of the other.
    assert counts.micro_f1 != counts.macro_f1


def test_counts_of_batches_add_up():
    scores, labels, where = items(4)
    predictions = scores >= 0.5
    whole = label_counts(predictions, labels, where=where)
    halves = [label_counts(predictions[part], labels[part], where=where[part]) for part in (slice(12), slice(12, 24))]
    np.testing.assert_array_equal(halves[0] + halves[1], whole)


def test_nothing_counted_has_an_f1_of_zero():
    nothing = np.zeros((3, 2), np.float32)
    for counts in label_counts(nothing, nothing), label_counts(nothing[:0], nothing[:0]):
        assert counts.micro_f1 == counts.macro_f1 == counts.num_counted == 0


# Rankings of labels.


def test_ranking_by_hand():
    # First item: its labels have ranks 2 and 3. Second: rank 1. Third: no label.
    scores = np.float32([[0.9, 0.8, 0.7, 0.1], [0.4, 0.1, 0.2, 0.3], [0.9, 0.8, 0.7, 0.1]])
    labels = np.array([[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    report = metrics.label_ranking_metrics(jnp.asarray(scores), jnp.asarray(labels), topn=(1, 3))
    assert list(report) == ["precision@1", "ndcg@1", "precision@3", "ndcg@3", "mrr", "labelled"]
    assert report["precision@1"] == (1.0, 2.0)
    np.testing.assert_allclose(report["precision@3"], (2 / 3 + 1 / 3, 2), rtol=1e-6)
    assert report["ndcg@1"] == (1.0, 2.0)
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    np.testing.assert_allclose(report["ndcg@3"], ((second + third) / (1 + second) + 1, 2), rtol=1e-6)
    assert report["mrr"] == (1.5, 2.0)
    assert report["labelled"] == (2.0, 3.0)


def test_items_without_labels_are_left_out_and_counted():
    """The authors' code gives them an MRR of 1."""
    scores, labels, _ = items(5)
    report = ranking(scores, labels)
    longer = ranking(np.concatenate([scores, scores[:6]]), np.concatenate([labels, np.zeros((6, 7), np.float32)]))
    for name in report:
        if name != "labelled":
            np.testing.assert_allclose(longer[name], report[name], rtol=1e-6)
    assert longer["labelled"] == (report["labelled"].numerator, 30)
    none = ranking(scores, np.zeros_like(labels))
    assert none.pop("labelled") == (0.0, 24.0)
    assert all(part == (0.0, 0.0) and part.value == 0 for part in none.values())


@pytest.mark.parametrize("seed", range(3))
def test_ranking_equals_rax_and_scikit_learn(seed):
    scores, labels, where = items(seed)
    report = ranking(scores, labels, where=where)
    kept = np.array(where) & np.array(labels).any(axis=1)
    scores, labels = scores[kept], labels[kept]
    with jax.numpy_rank_promotion("allow"):
        np.testing.assert_allclose(report["mrr"].value, rax_mrr_metric(scores, labels), rtol=1e-6)
        for depth in 1, 3, 5:
            theirs = rax_precision_metric(scores, labels, topn=depth)
            np.testing.assert_allclose(report[f"precision@{depth}"].value, theirs, rtol=1e-6)
    for depth in 1, 3, 5:
        theirs = sklearn.metrics.ndcg_score(labels, scores, k=depth)
        np.testing.assert_allclose(report[f"ndcg@{depth}"].value, theirs, rtol=1e-5)


def test_more_items_than_are_taken_at_once():
    scores, labels, where = items(6, (600, 5), levels=4)
    parts = [ranking(scores[i : i + 200], labels[i : i + 200], where=where[i : i + 200]) for i in (0, 200, 400)]
    whole = ranking(scores, labels, where=where)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[0][name] + parts[1][name] + parts[2][name], value, rtol=1e-5)


# Both.


def f1_parts(scores, labels, where=None):
    return label_counts(scores, labels, where=where)


def ranking_parts(scores, labels, where=None):
    return jax.tree.leaves(ranking(scores, labels, where=where))


@pytest.mark.parametrize("metric", [f1_parts, ranking_parts])
class TestBattery:
    def test_masked_items_do_nothing(self, metric, allow_nans):
        scores, labels, where = items(7, levels=4)
        alone = metric(scores[where], labels[where])
        for fill in np.nan, np.inf, -np.inf, 1.0:
            padded = [np.where(where[:, None], array, fill) for array in (scores, labels)]
            np.testing.assert_allclose(metric(*padded, where=where), alone, rtol=1e-6)

    def test_order_of_items_does_nothing(self, metric):
        scores, labels, where = items(8, levels=4)
        order = np.random.default_rng(9).permutation(24)
        shuffled = metric(scores[order], labels[order], where=where[order])
        np.testing.assert_allclose(shuffled, metric(scores, labels, where=where), rtol=1e-6)

    def test_labels_may_be_of_any_kind(self, metric):
        scores, labels, where = items(10)
        expected = metric(scores, labels, where=where)
        for kind in bool, jnp.int32, jnp.bfloat16:
            np.testing.assert_array_equal(metric(scores, labels.astype(kind), where=where), expected)

    def test_shapes_that_differ(self, metric):
        with pytest.raises(ValueError, match=r"got \(2, 3\), \(2, 3\) and \(3,\)"):
            metric(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32), where=np.ones(3, bool))


def test_nan_score_of_an_item_with_labels_is_not_hidden(allow_nans):
    scores, labels, _ = items(11)
    row = np.flatnonzero(np.array(labels).any(axis=1))[0]
    scores[row, 0] = np.nan
    report = ranking(scores, labels)
    assert all(np.isnan(part.value) for name, part in report.items() if name != "labelled")


def test_depths_below_one():
    with pytest.raises(ValueError, match=r"topn: expected depths of 1 or more, got \(1, 0\)"):
        metrics.label_ranking_metrics(jnp.zeros((2, 3)), jnp.zeros((2, 3)), topn=(1, 0))
