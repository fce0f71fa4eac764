"""Metrics of sets of classes: values by hand, ties included, and the definitions of TELEClass on its own labels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
import sklearn.metrics

from jaxalign import metrics

F1 = jax.jit(metrics.example_f1_metric)
HIERARCHICAL = jax.jit(metrics.hierarchical_metrics)
ATTAINABLE = jax.jit(metrics.attainable_precision_metric, static_argnames="topn")
LABEL_MRR = jax.jit(metrics.label_mrr_metric)
FILTERED_MRR = jax.jit(metrics.filtered_mrr_metric)
# 0 over 1 and 2, and 3 below both of them; 4 by itself.
ANCESTORS = jnp.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 1]], bool)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


# Sets.


def test_example_f1_by_hand():
    predictions = jnp.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    labels = jnp.array([[1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    # 2 * 2 / (2 + 3), 1, 0, 0 for an item that is given nothing; nothing of nothing has no F1.
    close(F1(predictions, labels), (4 / 5 + 1, 4))
    per_item = jax.vmap(F1)(predictions, labels)
    close(per_item, ([4 / 5, 1, 0, 0, 0], [1, 1, 1, 1, 0]))


def test_example_f1_of_some_classes_by_hand():
    predictions, labels = jnp.array([[1, 1, 0, 0], [1, 0, 0, 0]]), jnp.array([[1, 0, 1, 0], [1, 0, 0, 0]])
    rare = jnp.array([False, True, True, False])
    # Of the first item's classes 1 was wrong and 2 was missed; the second item has none of them.
    assert F1(predictions, labels, classes=rare) == (0.0, 1.0)
    level = jnp.array([True, False, True, False])
    close(F1(predictions, labels, classes=level), (2 / 3 + 1, 2))


def test_hierarchical_by_hand():
    predictions = jnp.array([[0, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 1, 0, 0, 0]])
    labels = jnp.array([[0, 1, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]])
    # Closed: {0 1 2 3} for {0 1}, two hits; {0 1 4} for {0 1 4}, three; {0 1} for {0 2}, one.
    scores = HIERARCHICAL(predictions, labels, ANCESTORS)
    close(scores["precision"], (2 + 3 + 1, 4 + 3 + 2))
    close(scores["recall"], (2 + 3 + 1, 2 + 3 + 2))
    close(scores["f1"], (12, 16))
    lower = HIERARCHICAL(predictions, labels, ANCESTORS, classes=jnp.array([0, 1, 1, 1, 1], bool))
    close(lower["precision"], (1 + 2 + 0, 3 + 2 + 1))
    close(lower["recall"], (1 + 2 + 0, 1 + 2 + 1))


def test_hierarchical_equals_scikit_learn_on_closed_sets():
    rng = np.random.default_rng(0)
    predictions, labels = rng.uniform(size=(2, 30, 5)) < 0.3
    scores = HIERARCHICAL(predictions, labels, ANCESTORS)
    closed = [np.array([np.array(ANCESTORS)[row].any(axis=0) for row in sets]) for sets in (labels, predictions)]
    expected = sklearn.metrics.precision_recall_fscore_support(*closed, average="micro")
    close([scores[name].value for name in ("precision", "recall", "f1")], expected[:3])


def test_hierarchical_without_a_hierarchy_is_the_micro_f1():
    rng = np.random.default_rng(1)
    predictions, labels = rng.uniform(size=(2, 30, 5)) < 0.3
    flat = HIERARCHICAL(predictions, labels, jnp.eye(5, dtype=bool))
    close(flat["f1"].value, metrics.label_counts(jnp.array(predictions), jnp.array(labels)).micro_f1)


# Rankings.

SCORES = jnp.array([0.9, 0.8, 0.7, 0.6])
TIED = jnp.array([0.9, 0.5, 0.5, 0.5])


def test_precision_by_hand():
    two, three, four = jnp.array([0, 1, 0, 1]), jnp.array([1, 1, 0, 1]), jnp.array([1, 1, 1, 1])
    value = functools.partial(ATTAINABLE, topn=3)
    close(value(SCORES, two), (1 / 2, 1))
    close(value(SCORES, three), (2 / 3, 1))
    close(value(SCORES, four), (1, 1))
    assert value(SCORES, jnp.zeros(4)) == (0.0, 0.0)
    # The other definition divides by 3 in any case.
    close(metrics.precision_metric(SCORES, two.astype(float), topn=3), (1 / 3, 1))
    # Two of three tied ones are taken: each is with probability 2 / 3.
    close(value(TIED, two), ((2 / 3 + 2 / 3) / 2, 1))
    # The first of all equal ones is a label with probability 1 / 2.
    close(ATTAINABLE(jnp.zeros(4), two, topn=1), (1 / 2, 1))
    # More than there are classes.
    close(ATTAINABLE(SCORES, three, topn=9), (1, 1))


def test_label_mrr_by_hand():
    close(LABEL_MRR(SCORES, jnp.array([1, 1, 1, 0])), ((1 + 1 / 2 + 1 / 3) / 3, 1))
    close(LABEL_MRR(SCORES, jnp.array([0, 1, 0, 1])), ((1 / 2 + 1 / 4) / 2, 1))
    # Ranks 2, 3 and 4 are shared.
    shared = (1 / 2 + 1 / 3 + 1 / 4) / 3
    close(LABEL_MRR(TIED, jnp.array([1, 0, 1, 0])), ((1 + shared) / 2, 1))


def test_filtered_mrr_by_hand():
    close(FILTERED_MRR(SCORES, jnp.array([1, 1, 1, 0])), (3, 3))
    # One wrong class before the first label, two before the second one.
    close(FILTERED_MRR(SCORES, jnp.array([0, 1, 0, 1])), (1 / 2 + 1 / 3, 2))
    # Tied with two wrong ones, which count as higher.
    close(FILTERED_MRR(TIED, jnp.array([1, 0, 1, 0])), (1 + 1 / 3, 2))
    close(FILTERED_MRR(jnp.zeros(4), jnp.array([1, 1, 0, 0])), (1 / 3 + 1 / 3, 2))
    # Labels that a mask has put at the end are tied with the class that is there too.
    end = jnp.array([0.9, -jnp.inf, -jnp.inf, -jnp.inf])
    close(FILTERED_MRR(end, jnp.array([0, 1, 1, 0])), (1 / 3 + 1 / 3, 2))


def test_items_are_pooled_in_one_definition_and_averaged_in_the_other():
    scores, labels = jnp.stack([SCORES, SCORES]), jnp.array([[1, 1, 1, 0], [0, 0, 0, 1]])
    close(FILTERED_MRR(scores, labels), (3 + 1 / 4, 4))
    close(LABEL_MRR(scores, labels), ((1 + 1 / 2 + 1 / 3) / 3 + 1 / 4, 2))


# The authors' labels, with the definitions written out item by item.


def published_items(shared_data, name, count, seed):
    """Stored label sets, and scores that know something of them and are rounded, so that there are ties."""
    rows = pq.read_table(shared_data / "teleclass" / f"{name}_test_labels.parquet")["labels"].to_pylist()[:count]
    labels = np.zeros((len(rows), {"amazon531": 531, "dbpedia298": 298}[name]), bool)
    for labels_of_item, row in zip(labels, rows, strict=True):
        labels_of_item[row] = True
    rng = np.random.default_rng(seed)
    return np.float32(np.round(rng.normal(size=labels.shape) + 3 * labels, 1)), labels


@pytest.mark.parametrize("name", ["amazon531", "dbpedia298"])
def test_definitions_on_the_stored_labels(shared_data, name):
    scores, labels = published_items(shared_data, name, 80, 2)
    predictions = np.zeros_like(labels)
    np.put_along_axis(predictions, np.argsort(-scores, axis=1)[:, :3], True, axis=1)
    f1, plain, attainable, averaged, pooled = [], [], [], [], []
    for score, prediction, label in zip(scores, predictions, labels, strict=True):
        true, given = set(np.flatnonzero(label)), set(np.flatnonzero(prediction))
        f1.append(2 * len(true & given) / (len(true) + len(given)))
        first, last = 1 + (score > score[:, None]).sum(axis=1), (score >= score[:, None]).sum(axis=1)
        taken = np.clip((3 - first + 1) / (last - first + 1), 0, 1)
        plain.append(sum(taken[list(true)]) / 3)
        attainable.append(sum(taken[list(true)]) / min(3, len(true)))
        averaged.append(np.mean([np.mean(1 / np.arange(first[each], last[each] + 1)) for each in true]))
        pooled += [1 / (1 + np.sum(score[~label] >= score[each])) for each in true]
    close(F1(predictions, labels).value, np.mean(f1))
    close(ATTAINABLE(scores, labels, topn=3).value, np.mean(attainable))
    close(LABEL_MRR(scores, labels).value, np.mean(averaged))
    close(FILTERED_MRR(scores, labels), (np.sum(pooled), len(pooled)))
    ranking = jax.jit(functools.partial(metrics.label_ranking_metrics, topn=(3,)))(scores, labels)
    close(ranking["precision@3"].value, np.mean(plain))


@pytest.mark.parametrize("name, published", [("amazon531", 0.6865), ("dbpedia298", 0.8864)])
def test_published_mrr_is_out_of_reach_of_the_definition_in_the_paper(shared_data, name, published):
    _, labels = published_items(shared_data, name, 300, 3)
    perfect = labels.astype(np.float32)
    assert FILTERED_MRR(perfect, labels).value == 1
    most = LABEL_MRR(perfect + np.linspace(0, 0.5, labels.shape[1], dtype=np.float32), labels).value
    assert most < 0.65 < published


# All of them.


@jax.jit
def hierarchical(predictions, labels, where=None):
    ancestors = jnp.eye(labels.shape[-1], k=-1, dtype=bool)
    return jax.tree.leaves(metrics.hierarchical_metrics(predictions, labels, ancestors, where=where))


BATTERY = [F1, hierarchical, functools.partial(ATTAINABLE, topn=3), LABEL_MRR, FILTERED_MRR]
NAMES = ["example_f1", "hierarchical", "attainable_precision", "label_mrr", "filtered_mrr"]


def items(seed, shape=(12, 7)):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.uniform(-1, 1, size=shape) * 4) / 4
    labels = rng.uniform(size=shape) < 0.3
    return jnp.array(scores, jnp.float32), jnp.array(labels, jnp.float32), jnp.array(rng.uniform(size=shape[0]) < 0.8)


@pytest.mark.parametrize("metric", BATTERY, ids=NAMES)
class TestBattery:
    def test_jit_equals_eager(self, metric):
        scores, labels, where = items(4)
        eager = getattr(metric, "func", metric).__wrapped__
        close(
            metric(scores, labels, where=where), eager(scores, labels, where=where, **getattr(metric, "keywords", {}))
        )

    def test_masked_items_do_nothing(self, metric, allow_nans):
        scores, labels, where = items(5)
        alone = metric(scores[where], labels[where])
        for fill in jnp.nan, jnp.inf, -jnp.inf, 1.0:
            padded = [jnp.where(where[:, None], array, fill) for array in (scores, labels)]
            close(metric(*padded, where=where), alone)

    def test_all_masked_or_none_there(self, metric):
        scores, labels, where = items(6)
        assert not np.any(np.array(metric(scores, labels, where=jnp.zeros_like(where))))
        assert not np.any(np.array(metric(scores[:0], labels[:0])))

    def test_items_one_by_one_and_batches_add_up(self, metric):
        scores, labels, where = items(7)
        whole = np.array(metric(scores, labels, where=where))
        each = jax.vmap(lambda *item: metric(*item[:2], where=item[2]))(scores, labels, where)
        close(np.sum(np.array(each), axis=-1), whole)
        folded = metric(scores.reshape(3, 4, 7), labels.reshape(3, 4, 7), where=where.reshape(3, 4))
        close(folded, whole)

    def test_order_of_items_does_nothing(self, metric):
        scores, labels, where = items(8)
        order = np.random.default_rng(9).permutation(12)
        close(metric(scores[order], labels[order], where=where[order]), metric(scores, labels, where=where))

    def test_kinds_of_arrays(self, metric):
        scores, labels, where = items(10)
        expected = metric(scores, labels, where=where)
        for kind in bool, jnp.int32, jnp.bfloat16:
            close(metric(scores, labels.astype(kind), where=where), expected)
        close(metric(scores.astype(jnp.bfloat16), labels, where=where), expected)

    def test_shapes_that_differ(self, metric):
        with pytest.raises(ValueError, match=r"got \(2, 3\), \(2, 3\) and \(3,\)"):
            metric(jnp.zeros((2, 3)), jnp.zeros((2, 3)), where=jnp.ones(3, bool))


@pytest.mark.parametrize("metric", [functools.partial(ATTAINABLE, topn=3), LABEL_MRR, FILTERED_MRR], ids=NAMES[2:])
class TestRankings:
    def test_order_of_classes_does_nothing(self, metric):
        scores, labels, where = items(11)
        order = np.random.default_rng(12).permutation(7)
        close(metric(scores[:, order], labels[:, order], where=where), metric(scores, labels, where=where))

    def test_nan_score_is_not_hidden(self, metric, allow_nans):
        scores, labels, _ = items(13)
        row = np.flatnonzero(np.array(labels).any(axis=1))[0]
        assert jnp.isnan(metric(scores.at[row, 0].set(jnp.nan), labels).value)


def test_masks_and_depths_of_another_size():
    sets = jnp.zeros((2, 3))
    with pytest.raises(ValueError, match=r"classes: expected a mask \(3,\) as labels have, got \(4,\)"):
        metrics.example_f1_metric(sets, sets, classes=jnp.ones(4, bool))
    with pytest.raises(ValueError, match=r"ancestors: expected \(3, 3\) as labels have classes, got \(5, 5\)"):
        metrics.hierarchical_metrics(sets, sets, ANCESTORS)
    with pytest.raises(ValueError, match="topn: expected 1 class or more, got 0"):
        metrics.attainable_precision_metric(sets, sets, topn=0)
