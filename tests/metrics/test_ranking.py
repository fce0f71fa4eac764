import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rax
import scipy.stats
import sklearn.metrics

from jaxalign import data, metrics
from tests.metrics.compiled import compiled

ndcg_metric = compiled(metrics.ndcg_metric)
mrr_metric = compiled(metrics.mrr_metric)
precision_metric = compiled(metrics.precision_metric)
kendall_tau_metric = compiled(metrics.kendall_tau_metric)
spearman_rho_metric = compiled(metrics.spearman_rho_metric)
pairwise_accuracy_metric = compiled(metrics.pairwise_accuracy_metric)


def random_lists(seed, batch=6, size=9, *, levels=None):
    """Scores, labels and a mask with at least two real items; ``levels`` rounds to that many values, to make ties."""
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(2, batch, size))
    labels = 1 / (1 + np.exp(-labels))
    if levels:
        scores, labels = np.round(scores * levels / 4), np.round(labels * levels) / levels
    where = np.arange(size) < rng.integers(2, size + 1, size=(batch, 1))
    return jnp.array(scores, jnp.float32), jnp.array(labels, jnp.float32), jnp.array(where)


def test_ndcg_by_hand():
    # Gains 2^label - 1: 1, 0, 3. Ranks by score: 2, 3, 1.
    # DCG = 3/log2(2) + 1/log2(3) + 0 and the ideal order is the same: NDCG 1.
    assert ndcg_metric(jnp.array([2.0, 1.0, 3.0]), jnp.array([1.0, 0.0, 2.0])).value == 1.0
    # Ranks 1, 3, 2: DCG = 1 + 3/log2(3).
    worse = ndcg_metric(jnp.array([3.0, 1.0, 2.0]), jnp.array([1.0, 0.0, 2.0]))
    np.testing.assert_allclose(worse.value, (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)), rtol=1e-6)
    # Only the first place counts: 1 of 3.
    first = ndcg_metric(jnp.array([3.0, 1.0, 2.0]), jnp.array([1.0, 0.0, 2.0]), topn=1)
    np.testing.assert_allclose(first.value, 1 / 3, rtol=1e-6)


def test_ndcg_of_tied_scores_is_the_average_over_orders():
    # Two items share ranks 1 and 2, so each has the discount (1 + 1/log2(3)) / 2; only the first has a gain, 1.
    value = ndcg_metric(jnp.zeros(2), jnp.array([1.0, 0.0])).value
    np.testing.assert_allclose(value, (1 + 1 / math.log2(3)) / 2, rtol=1e-6)


def test_ndcg_does_not_count_a_list_without_gain():
    total = ndcg_metric(jnp.array([[1.0, 2.0], [1.0, 2.0]]), jnp.array([[0.0, 0.0], [0.0, 1.0]]))
    assert total == (1.0, 1.0)


@pytest.mark.parametrize("topn", [None, 3])
def test_ndcg_equals_rax_without_ties(topn):
    scores, labels, where = random_lists(0)
    ours = ndcg_metric(scores, labels, where=where, topn=topn).value
    with jax.numpy_rank_promotion("allow"):
        expected = rax.ndcg_metric(scores, labels, where=where, topn=topn)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize("topn", [None, 4])
def test_ndcg_equals_scikit_learn_with_ties(topn):
    scores, labels, _ = random_lists(1, levels=4)
    assert len(np.unique(scores[0])) < scores.shape[1]
    ours = ndcg_metric(scores, labels, topn=topn, gain_fn=lambda label: label).value
    np.testing.assert_allclose(ours, sklearn.metrics.ndcg_score(labels, scores, k=topn), rtol=1e-5)


def test_mrr_by_hand():
    # The best label has the second highest score: 1/2. The other list is right: 1. Their mean is 3/4.
    scores, labels = jnp.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), jnp.array([[0.1, 0.9, 0.2], [0.9, 0.1, 0.2]])
    assert mrr_metric(scores, labels).value == 0.75
    # Among the first place only: 0 and 1.
    assert mrr_metric(scores, labels, topn=1).value == 0.5
    # Labels of 0.15 and more are relevant: ranks 2 and 1 again; of 0.95 and more, none.
    assert mrr_metric(scores, labels, threshold=0.15).value == 0.75
    assert mrr_metric(scores, labels, threshold=0.95) == (0.0, 2.0)


def test_mrr_equals_rax_without_ties():
    scores, labels, where = random_lists(2)
    relevant = jnp.round(labels)
    for topn in None, 2:
        ours = mrr_metric(scores, relevant, where=where, threshold=1.0, topn=topn).value
        with jax.numpy_rank_promotion("allow"):
            expected = rax.mrr_metric(scores, relevant, where=where, topn=topn)
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("topn", [None, 3])
def test_mrr_of_tied_scores_is_the_average_over_orders(topn):
    scores, labels = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.0]), np.array([0, 1, 0, 0, 1, 1])

    def reciprocal_rank(order):
        rank = 1 + min(order.index(item) for item in np.flatnonzero(labels))
        return 1 / rank if topn is None or rank <= topn else 0.0

    orders = [o for o in itertools.permutations(range(6)) if all(np.diff(scores[list(o)]) <= 0)]
    assert len(orders) == math.factorial(4)
    expected = np.mean([reciprocal_rank(order) for order in orders])
    ours = mrr_metric(jnp.array(scores), jnp.array(labels, jnp.float32), topn=topn).value
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_precision_by_hand():
    # Two of the first three are relevant, and one of the first two; the second list has nothing to find.
    scores, labels = jnp.tile(jnp.array([[4.0, 3.0, 2.0, 1.0]]), (2, 1)), jnp.array([[1.0, 0, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(precision_metric(scores, labels, topn=3), (2 / 3, 1), rtol=1e-6)
    assert precision_metric(scores, labels, topn=2) == (0.5, 1.0)
    # A list that is shorter than the depth is taken as it is.
    assert precision_metric(scores, labels, topn=9) == (0.75, 1.0)
    # Three items share the two places, and two of them are relevant: 2/3 of the places on average.
    tied = precision_metric(jnp.zeros(3), jnp.array([1.0, 1.0, 0.0]), topn=2)
    np.testing.assert_allclose(tied.value, 2 / 3, rtol=1e-6)
    with pytest.raises(ValueError, match="topn: expected 1 item or more, got 0"):
        precision_metric(scores, labels, topn=0)


@pytest.mark.parametrize("topn", [1, 4])
def test_precision_equals_rax_without_ties(topn):
    scores, labels, where = random_lists(2)
    relevant = jnp.round(labels).at[:, 0].set(1.0)
    ours = precision_metric(scores, relevant, where=where, topn=topn).value
    with jax.numpy_rank_promotion("allow"):
        expected = rax.precision_metric(scores, relevant, where=where, topn=topn)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_kendall_tau_by_hand():
    # Pairs (1,2), (1,3), (2,3): labels order all of them, scores agree on two, are against one: (2 - 1) / 3.
    np.testing.assert_allclose(kendall_tau_metric(jnp.array([1.0, 3.0, 2.0]), jnp.arange(3.0)).value, 1 / 3)
    # Scores tie one of the three pairs and agree on two: 2 / sqrt(2 * 3).
    tied = kendall_tau_metric(jnp.array([1.0, 1.0, 2.0]), jnp.arange(3.0)).value
    np.testing.assert_allclose(tied, 2 / math.sqrt(6), rtol=1e-6)


def test_kendall_tau_of_equal_scores_is_zero_and_of_equal_labels_is_not_counted():
    assert kendall_tau_metric(jnp.zeros(3), jnp.arange(3.0)) == (0.0, 1.0)
    assert kendall_tau_metric(jnp.arange(3.0), jnp.zeros(3)) == (0.0, 0.0)


@pytest.mark.parametrize("levels", [None, 5])
def test_kendall_tau_equals_scipy(levels):
    scores, labels, where = random_lists(3, size=70, levels=levels)
    expected = [
        scipy.stats.kendalltau(np.array(s)[w], np.array(l)[w]).statistic
        for s, l, w in zip(scores, labels, np.array(where), strict=True)
    ]
    ours = jax.jit(jax.vmap(metrics.kendall_tau_metric))(scores, labels, where=where).value
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_spearman_rho_by_hand():
    # Ranks 1, 3, 2 against 1, 2, 3: 1 - 6 * (0 + 1 + 1) / (3 * 8).
    assert spearman_rho_metric(jnp.array([1.0, 9.0, 2.0]), jnp.arange(3.0)).value == 0.5
    # Two tied scores have rank 1.5: deviations -1/2, -1/2, 1 against -1, 0, 1, 1.5 / sqrt(1.5 * 2).
    tied = spearman_rho_metric(jnp.array([1.0, 1.0, 2.0]), jnp.arange(3.0)).value
    np.testing.assert_allclose(tied, 1.5 / math.sqrt(3), rtol=1e-6)
    assert spearman_rho_metric(jnp.zeros(3), jnp.arange(3.0)) == (0.0, 1.0)
    assert spearman_rho_metric(jnp.arange(3.0), jnp.zeros(3)) == (0.0, 0.0)


@pytest.mark.parametrize("levels", [None, 5])
def test_spearman_rho_equals_scipy(levels):
    scores, labels, where = random_lists(3, size=70, levels=levels)
    expected = [
        scipy.stats.spearmanr(np.array(s)[w], np.array(l)[w]).statistic
        for s, l, w in zip(scores, labels, np.array(where), strict=True)
    ]
    ours = jax.jit(jax.vmap(metrics.spearman_rho_metric))(scores, labels, where=where).value
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_pairwise_accuracy_by_hand():
    labels = jnp.array([0.9, 0.5, 0.45, 0.45])
    # Ordered pairs: (0,1) (0,2) (0,3) right, (1,2) tied, (1,3) wrong; the pair (2,3) has equal labels.
    total = pairwise_accuracy_metric(jnp.array([4.0, 2.0, 2.0, 3.0]), labels)
    assert total == (3.5, 5.0)
    # A gap of 0.1 leaves the three right ones.
    assert pairwise_accuracy_metric(jnp.array([4.0, 2.0, 2.0, 3.0]), labels, min_gap=0.1) == (3.0, 3.0)


def test_pairwise_accuracy_of_matched_lengths_by_hand():
    # 91 of 100 is within 10 % of the longer one, 89 of 100 is not, 90 of 100 just is; 89 and 91, 90 and 91, 89 and 90
    # are: of the six pairs, five count.
    lengths = jnp.array([100, 91, 89, 90])
    labels, scores = jnp.array([0.4, 0.3, 0.2, 0.1]), jnp.array([4.0, 3.0, 2.0, 1.0])
    assert pairwise_accuracy_metric(scores, labels, lengths=lengths) == (5.0, 5.0)
    assert pairwise_accuracy_metric(scores, labels, lengths=lengths, length_tolerance=0.0) == (0.0, 0.0)
    # Longer wins: right on the two pairs of the first item and on (91, 89) and (91, 90), wrong on (89, 90).
    assert pairwise_accuracy_metric(lengths, labels, lengths=lengths) == (4.0, 5.0)


def test_two_empty_responses_have_matched_lengths():
    assert pairwise_accuracy_metric(jnp.ones(2), jnp.array([0.1, 0.9]), lengths=jnp.zeros(2, int)) == (0.5, 1.0)


def test_longer_wins_on_real_lists(shared_data):
    """The data's own README: right on 83 % of the pairs that differ by 0.1 or more."""
    columns = data.ResponseColumns(id="prompt_id", label="preference")
    path = shared_data / "alpacaeval_lists" / "validation.parquet"
    records, _ = data.read_parquet(path, columns, group_by_id=True)
    lengths, labels = np.zeros((2, len(records), 57), np.float32)
    where = np.arange(57) < np.array([[len(record.labels)] for record in records])
    for row, record in enumerate(records):
        lengths[row, where[row]] = [len(response) for response in record.responses]
        labels[row, where[row]] = record.labels
    lengths, labels, where = jnp.array(lengths), jnp.array(labels), jnp.array(where)
    plain = pairwise_accuracy_metric(lengths, labels, where=where, min_gap=0.1).value
    matched = pairwise_accuracy_metric(lengths, labels, where=where, min_gap=0.1, lengths=lengths).value
    assert abs(plain - 0.83) < 0.005
    assert 0.5 < matched < 0.55


# Compiled once per shape, which is quicker than many small operations; one test compares with those.
METRICS = {
    "ndcg": metrics.ndcg_metric,
    "ndcg at 3": functools.partial(metrics.ndcg_metric, topn=3, discount_fn=lambda rank: rank),
    "mrr": metrics.mrr_metric,
    "mrr of good ones": functools.partial(metrics.mrr_metric, threshold=0.5),
    "precision at 3": functools.partial(metrics.precision_metric, topn=3, threshold=0.5),
    "kendall tau": metrics.kendall_tau_metric,
    "spearman rho": metrics.spearman_rho_metric,
    "pairwise accuracy": metrics.pairwise_accuracy_metric,
    "pairwise accuracy, gap": functools.partial(metrics.pairwise_accuracy_metric, min_gap=0.2),
    "best of 2": functools.partial(metrics.best_of_n_metric, n=2),
}


@pytest.mark.parametrize("metric", [jax.jit(metric) for metric in METRICS.values()], ids=METRICS)
class TestBattery:
    def test_jit_equals_eager(self, metric):
        scores, labels, where = random_lists(4, levels=4)
        np.testing.assert_allclose(
            metric(scores, labels, where=where), metric.__wrapped__(scores, labels, where=where), rtol=1e-6
        )

    def test_lists_add_up(self, metric):
        scores, labels, where = random_lists(5, levels=4)
        per_list = jax.jit(jax.vmap(metric))(scores, labels, where=where)
        assert per_list.numerator.shape == (6,)
        whole = metric(scores, labels, where=where)
        np.testing.assert_allclose([part.sum() for part in per_list], whole, rtol=1e-6)
        halves = metric(scores[:3], labels[:3], where=where[:3]) + metric(scores[3:], labels[3:], where=where[3:])
        np.testing.assert_allclose(halves, whole, rtol=1e-6)
        two_axes = metric(*(array.reshape(2, 3, -1) for array in (scores, labels)), where=where.reshape(2, 3, -1))
        np.testing.assert_allclose(two_axes, whole, rtol=1e-6)

    def test_masked_items_do_nothing(self, metric, allow_nans):
        scores, labels, where = random_lists(6, batch=1, levels=4)
        size = int(where.sum())
        alone = metric(scores[:, :size], labels[:, :size])
        for padding in jnp.nan, 1e30, -1e30:
            padded = metric(jnp.where(where, scores, padding), jnp.where(where, labels, padding), where=where)
            np.testing.assert_allclose(padded, alone, rtol=1e-6)

    def test_order_of_storage_does_nothing(self, metric):
        scores, labels, where = random_lists(7, levels=4)
        order = np.random.default_rng(8).permutation(scores.shape[1])
        shuffled = metric(scores[:, order], labels[:, order], where=where[:, order])
        np.testing.assert_allclose(shuffled, metric(scores, labels, where=where), rtol=1e-6)

    def test_only_the_order_of_scores_counts(self, metric):
        scores, labels, where = random_lists(9, levels=4)
        stretched = metric(1e4 * scores + 7.0, labels, where=where)
        np.testing.assert_allclose(stretched, metric(scores, labels, where=where), rtol=1e-6)

    def test_equal_infinities_tie(self, metric, allow_nans):
        scores, labels, where = random_lists(10, levels=4)
        lowest = scores.at[:, :3].set(scores.min() - 1)
        infinite = scores.at[:, :3].set(-jnp.inf)
        expected = metric(lowest, labels, where=where)
        np.testing.assert_allclose(metric(infinite, labels, where=where), expected, rtol=1e-6)

    def test_nothing_real(self, metric):
        scores, labels, _ = random_lists(11, levels=4)
        nothing = metric(scores, labels, where=jnp.zeros(scores.shape, bool))
        assert nothing == (0.0, 0.0)
        assert nothing.value == 0.0

    def test_bfloat16_scores(self, metric):
        scores, labels, where = random_lists(12, levels=4)
        coarse = scores.astype(jnp.bfloat16)
        np.testing.assert_allclose(
            metric(coarse, labels, where=where), metric(coarse.astype(jnp.float32), labels, where=where), rtol=1e-6
        )

    def test_nan_score_of_a_real_item_is_not_hidden(self, metric, allow_nans):
        scores, labels = jnp.array([[1.0, jnp.nan, 3.0]]), jnp.array([[1.0, 0.6, 0.0]])
        assert jnp.isnan(metric(scores, labels).value)
