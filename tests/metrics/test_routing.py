import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import metrics

# Four items: the strong model gains on the first two, ties on the third and loses on the fourth.
WEAK, STRONG = jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([1.0, 1.0, 1.0, 0.5])
BEST, WORST = jnp.array([4.0, 3.0, 2.0, 1.0]), jnp.array([1.0, 2.0, 3.0, 4.0])


def test_the_curve_by_hand():
    curve = metrics.routing_curve(WEAK, STRONG, BEST)
    np.testing.assert_allclose(curve.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.quality, [2 / 4, 3 / 4, 4 / 4, 4 / 4, 3.5 / 4])
    worst = metrics.routing_curve(WEAK, STRONG, WORST)
    np.testing.assert_allclose(worst.quality, [2 / 4, 1.5 / 4, 1.5 / 4, 2.5 / 4, 3.5 / 4])


def test_gap_recovered_by_hand():
    recovered = metrics.performance_gap_recovered(jnp.array([0.5, 0.75, 1.0]), 0.5, 0.875)
    np.testing.assert_allclose(recovered, [0, 2 / 3, 4 / 3], rtol=1e-6)
    with jax.debug_nans(False):
        assert np.isnan(metrics.performance_gap_recovered(0.7, 0.5, 0.5))


def test_the_area_by_hand():
    # The gap recovered is 0, 2/3, 4/3, 4/3, 1, and the trapezoids over quarters are 1/3, 1, 4/3 and 7/6 of a quarter.
    best = metrics.average_performance_gap_recovered(WEAK, STRONG, BEST)
    np.testing.assert_allclose(best, (1 / 3 + 1 + 4 / 3 + 7 / 6) / 4, rtol=1e-6)
    # The opposite order is its mirror image about the straight line of random routing.
    worst = metrics.average_performance_gap_recovered(WEAK, STRONG, WORST)
    np.testing.assert_allclose(best + worst, 1, rtol=1e-6)


def test_thresholds_by_hand():
    # Two thirds at a quarter of the calls: half of the gap at 3/4 of that, and .8 at a fifth of the next quarter.
    np.testing.assert_allclose(metrics.call_performance_threshold(WEAK, STRONG, BEST, 0.5), 0.75 * 0.25, rtol=1e-6)
    np.testing.assert_allclose(metrics.call_performance_threshold(WEAK, STRONG, BEST, 0.8), 0.25 * 1.2, rtol=1e-6)
    equal = [metrics.call_performance_threshold(WEAK, STRONG, jnp.zeros(4), share) for share in (0.5, 0.8, 1.0)]
    np.testing.assert_allclose(equal, [0.5, 0.8, 1.0], rtol=1e-6)
    with pytest.raises(ValueError, match="share_of_gap: expected a number above 0 and up to 1, got 1.5"):
        metrics.call_performance_threshold(WEAK, STRONG, BEST, 1.5)


def test_equal_scores_are_random_routing():
    curve = metrics.routing_curve(WEAK, STRONG, jnp.full(4, 7.0))
    np.testing.assert_allclose(curve.quality, np.linspace(0.5, 0.875, 5), rtol=1e-6)
    area = metrics.average_performance_gap_recovered(WEAK, STRONG, jnp.full(4, 7.0))
    np.testing.assert_allclose(area, 0.5, rtol=1e-6)


def test_ties_are_the_mean_over_orders():
    # The first and the last of the items tie in the middle: the mean of the two orders of theirs.
    tied, first, last = jnp.array([2.0, 3, 1, 2]), jnp.array([2.1, 3, 1, 2]), jnp.array([2.0, 3, 1, 2.1])
    areas = [metrics.average_performance_gap_recovered(WEAK, STRONG, scores) for scores in (tied, first, last)]
    np.testing.assert_allclose(areas[0], (areas[1] + areas[2]) / 2, rtol=1e-6)


def test_random_orders_average_a_half():
    rng = np.random.default_rng(0)
    orders = jnp.array([rng.permutation(50) for _ in range(400)], jnp.float32)
    weak, strong = jnp.array(rng.random(50) < 0.4, jnp.float32), jnp.array(rng.random(50) < 0.9, jnp.float32)
    areas = jax.jit(jax.vmap(metrics.average_performance_gap_recovered, (None, None, 0)))(weak, strong, orders)
    error = np.std(areas) / np.sqrt(len(areas))
    assert abs(np.mean(areas) - 0.5) < 4 * error
    # No order beats the oracle's.
    oracle = metrics.average_performance_gap_recovered(weak, strong, strong - weak)
    assert np.max(areas) < oracle


def test_weights_are_copies():
    times = jnp.array([2, 0, 1, 3])
    copied = [jnp.repeat(each, times, total_repeat_length=6) for each in (WEAK, STRONG, BEST)]
    for statistic in (
        metrics.average_performance_gap_recovered,
        lambda *parts, **weights: metrics.call_performance_threshold(*parts, 0.4, **weights),
    ):
        weighted = statistic(WEAK, 2 * STRONG, BEST, weights=times)
        np.testing.assert_allclose(weighted, statistic(copied[0], 2 * copied[1], copied[2]), rtol=1e-6)


def test_curve_does_not_depend_on_the_order_of_the_items():
    order = jnp.array([2, 0, 3, 1])
    scores = jnp.array([1.0, 2, 2, 0])
    expected = metrics.routing_curve(WEAK, STRONG, scores)
    found = jax.jit(metrics.routing_curve)(WEAK[order], STRONG[order], scores[order])
    np.testing.assert_allclose(found.quality, expected.quality, rtol=1e-6)


def test_an_interval_of_a_mean_is_the_bootstrap_s():
    values = jnp.array(np.random.default_rng(1).normal(size=200), jnp.float32)
    found = metrics.bootstrap_statistic(
        jax.random.key(0), lambda times, values: jnp.dot(times, values) / 200, 200, values
    )
    # Known analytically: the mean and 1.96 standard errors either way.
    half = 1.96 * np.std(values) / np.sqrt(200)
    np.testing.assert_allclose(found, (np.mean(values) - half, np.mean(values) + half), atol=0.1 * half)


def test_a_router_s_difference_to_itself_is_exactly_nothing():
    def difference(times):
        one, two = (
            metrics.average_performance_gap_recovered(WEAK, 3 * STRONG, scores, weights=times)
            for scores in (BEST, 10 * BEST)
        )
        return jnp.stack([one - two, one])

    found = metrics.bootstrap_statistic(jax.random.key(0), difference, 4, num_resamples=40)
    assert found.low[0] == found.high[0] == 0 and found.low[1] < found.high[1]


def test_nothing_to_resample():
    with pytest.raises(ValueError, match="number: expected at least 1 item to resample, got 0"):
        metrics.bootstrap_statistic(jax.random.key(0), jnp.sum, 0)
