import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxalign import metrics
from jaxalign.numerics import Ratio

KEY = jax.random.key(0)


def over_ones(values):
    return Ratio(jnp.asarray(values, jnp.float32), jnp.ones(len(values)))


def test_win_rate_counts_a_tie_one_half(allow_nans):
    # Win, loss, tie, and two that are masked: (1 + 0 + 0.5) / 3.
    ours, theirs = jnp.array([2.0, 1.0, 1.0, 5.0, jnp.nan]), jnp.array([1.0, 2.0, 1.0, 1.0, 1.0])
    total = metrics.win_rate_metric(ours, theirs, where=jnp.array([True, True, True, False, False]))
    assert total == (1.5, 3.0)
    assert metrics.win_rate_metric(jnp.array([-jnp.inf]), jnp.array([-jnp.inf])) == (0.5, 1.0)


def test_win_rate_of_a_batch_is_the_sum_of_its_parts():
    ours, theirs = jax.random.normal(KEY, (2, 5, 4))
    per_prompt = jax.jit(jax.vmap(metrics.win_rate_metric))(ours, theirs)
    assert per_prompt.denominator.tolist() == [4.0] * 5
    assert [part.sum() for part in per_prompt] == list(metrics.win_rate_metric(ours, theirs))


def test_verdict_by_hand():
    decodes = jnp.array(
        [
            [1, 1, 1, 1, 1, 1, 1, 1],  # mean 1: win
            [1, 1, 1, 1, 1, 1, 1, 0],  # mean 0.875, 0.375 beyond one half: win
            [1, 1, 1, 1, 1, 1, 0.5, 0],  # mean 0.8125, 0.3125 beyond: undecided
            [0, 0, 0, 0, 0, 0, 0, 1],  # mean 0.125: loss
            [1, 0, 1, 0, 1, 0, 1, 0],  # a judge that follows the order only: undecided
        ]
    )
    assert metrics.side_by_side_verdict(decodes).tolist() == [1.0, 1.0, 0.5, 0.0, 0.5]
    assert metrics.side_by_side_verdict(decodes, margin=0.3).tolist() == [1.0, 1.0, 1.0, 0.0, 0.5]


def test_verdict_ignores_unreadable_judgements(allow_nans):
    decodes = jnp.array([[1.0, 1.0, jnp.nan, jnp.nan], [jnp.nan] * 4])
    where = jnp.array([[True, True, False, False], [False] * 4])
    assert metrics.side_by_side_verdict(decodes, where=where).tolist() == [1.0, 0.5]


def test_bootstrap_of_two_prompts_by_hand():
    # Resamples of (0, 1) have means 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4: the quantiles at 2.5 % and 97.5 % are
    # the ends, those at 30 % and 70 % the middle.
    assert metrics.bootstrap_interval(KEY, over_ones([0, 1])) == (0.0, 1.0)
    assert metrics.bootstrap_interval(KEY, over_ones([0, 1]), level=0.4) == (0.5, 0.5)


def test_bootstrap_resamples_prompts_and_not_pairs():
    # Ten prompts with a hundred equal pairs each, half of the prompts right: resampled by pairs the interval would be
    # 0.5 +- 1.96 * sqrt(0.25 / 1000) = +- 0.03, by prompts it is about +- 1.96 * sqrt(0.25 / 10) = +- 0.31.
    per_prompt = Ratio(jnp.array([100.0, 0.0] * 5), jnp.full(10, 100.0))
    interval = metrics.bootstrap_interval(KEY, per_prompt)
    np.testing.assert_allclose(interval, [0.2, 0.8], atol=1e-6)


def test_bootstrap_of_ratios_with_unequal_denominators_equals_scipy():
    rng = np.random.default_rng(1)
    denominator = rng.integers(1, 20, size=50).astype(np.float32)
    numerator = rng.binomial(denominator.astype(int), 0.7).astype(np.float32)
    expected = scipy.stats.bootstrap(
        (numerator, denominator),
        lambda n, d, axis: n.sum(axis) / d.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=2,
    ).confidence_interval
    interval = metrics.bootstrap_interval(KEY, Ratio(jnp.array(numerator), jnp.array(denominator)))
    np.testing.assert_allclose(interval, expected, atol=4e-3)
    assert interval.high - interval.low > 0.05


def test_bootstrap_covers_as_often_as_it_says():
    # 95 % of the intervals should hold 0.6; 200 of them leave a standard error of 1.5 %, percentile intervals of 100
    # values cover a little less than they claim.
    outcomes = jax.random.bernoulli(jax.random.key(3), 0.6, (200, 100)).astype(jnp.float32)

    def interval(key, values):
        return metrics.bootstrap_interval(key, Ratio(values, jnp.ones(100)), num_resamples=500)

    low, high = jax.jit(jax.vmap(interval))(jax.random.split(KEY, 200), outcomes)
    covered = np.mean((low <= 0.6) & (0.6 <= high))
    assert 0.9 <= covered <= 0.99


def test_bootstrap_depends_on_the_key_alone():
    values = over_ones(jax.random.normal(KEY, (50,)))
    again = [metrics.bootstrap_interval(jax.random.key(seed), values) for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_bootstrap_of_a_paired_difference_is_narrower_than_its_parts():
    base = jax.random.normal(KEY, (50,))
    better = base + 0.1
    difference = metrics.bootstrap_interval(KEY, over_ones(better - base))
    np.testing.assert_allclose(difference, [0.1, 0.1], atol=1e-5)


@pytest.mark.parametrize("shapes", [((0,), (0,)), ((3,), (4,)), ((), ()), ((2, 2), (2, 3))])
def test_bootstrap_wants_one_entry_per_prompt(shapes):
    with pytest.raises(ValueError, match=r"\[N\] or .* with N >= 1, got shapes"):
        metrics.bootstrap_interval(KEY, Ratio(*map(jnp.ones, shapes)))


def test_several_metrics_share_their_resamples():
    rng = np.random.default_rng(5)
    numerators, denominators = jnp.asarray(rng.random((2, 30, 3, 2)), jnp.float32)
    together = metrics.bootstrap_interval(KEY, Ratio(numerators, 1 + denominators), num_resamples=300)
    assert together.low.shape == together.high.shape == (3, 2)
    for place in np.ndindex(3, 2):
        alone = Ratio(numerators[:, *place], 1 + denominators[:, *place])
        interval = metrics.bootstrap_interval(KEY, alone, num_resamples=300)
        np.testing.assert_allclose((together.low[place], together.high[place]), interval, rtol=1e-6)
