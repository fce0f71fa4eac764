import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics

from jaxalign import metrics


def random_predictions(seed, size=400):
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(0.7, 0.9, size=size)
    outcomes = rng.random(size) < probabilities**1.5
    return jnp.array(probabilities, jnp.float32), jnp.array(outcomes, jnp.float32)


def test_table_by_hand():
    # Bins [0, 1/4), [1/4, 1/2), [1/2, 3/4), [3/4, 1]: an edge belongs to the bin above it, 1 to the last.
    probabilities = jnp.array([0.0, 0.125, 0.25, 0.75, 0.875, 1.0])
    outcomes = jnp.array([0.0, 0.5, 1.0, 1.0, 0.0, 1.0])
    table = metrics.reliability_table(probabilities, outcomes, num_bins=4)
    assert table.count.tolist() == [2, 1, 0, 3]
    assert table.probability_sum.tolist() == [0.125, 0.25, 0, 2.625]
    assert table.outcome_sum.tolist() == [0.5, 1, 0, 2]
    assert table.mean_probability.tolist() == [0.0625, 0.25, 0, 0.875]
    np.testing.assert_allclose(table.mean_outcome, [0.25, 1, 0, 2 / 3])
    # Gaps 0.375 + 0.75 + 0 + 0.625 over 6 predictions.
    np.testing.assert_allclose(metrics.expected_calibration_error(table), 1.75 / 6)
    # Squares 0 + 9/64 + 36/64 + 4/64 + 49/64 + 0.
    assert metrics.brier_score_metric(probabilities, outcomes) == (98 / 64, 6.0)


@pytest.mark.parametrize("num_bins", [10, 29, 100])
def test_edges_belong_to_the_bin_above(num_bins):
    # floor(0.29 * 100) is 28 in float64: a bin computed by multiplication is off by one.
    edges = jnp.linspace(0, 1, num_bins + 1)[:-1]
    assert metrics.reliability_table(edges, edges, num_bins=num_bins).count.tolist() == [1] * num_bins


def test_table_equals_scikit_learn():
    probabilities, outcomes = random_predictions(0)
    table = metrics.reliability_table(probabilities, outcomes, num_bins=7)
    true, predicted = sklearn.calibration.calibration_curve(np.array(outcomes), np.array(probabilities), n_bins=7)
    assert table.count.min() > 0  # scikit-learn leaves empty bins out
    np.testing.assert_allclose(table.mean_outcome, true, rtol=1e-5)
    np.testing.assert_allclose(table.mean_probability, predicted, rtol=1e-5)
    expected = (np.array(table.count) * np.abs(true - predicted)).sum() / 400
    np.testing.assert_allclose(metrics.expected_calibration_error(table), expected, rtol=1e-5)


def test_brier_score_equals_scikit_learn():
    probabilities, outcomes = random_predictions(1)
    expected = sklearn.metrics.brier_score_loss(np.array(outcomes), np.array(probabilities))
    np.testing.assert_allclose(metrics.brier_score_metric(probabilities, outcomes).value, expected, rtol=1e-5)


def test_tables_add_up_and_errors_do_not():
    probabilities, outcomes = jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])
    halves = [metrics.reliability_table(probabilities[i : i + 1], outcomes[i : i + 1]) for i in range(2)]
    whole = metrics.reliability_table(probabilities, outcomes)
    for ours, expected in zip(halves[0] + halves[1], whole, strict=True):
        np.testing.assert_array_equal(ours, expected)
    # One right and one wrong at one half is calibrated; each by itself is off by one half.
    assert metrics.expected_calibration_error(whole) == 0
    assert [metrics.expected_calibration_error(half) for half in halves] == [0.5, 0.5]


def test_vmap_gives_tables_that_add_up():
    probabilities, outcomes = (array.reshape(8, 50) for array in random_predictions(2))
    parts = jax.jit(jax.vmap(metrics.reliability_table))(probabilities, outcomes)
    for part, expected in zip(parts, metrics.reliability_table(probabilities, outcomes), strict=True):
        np.testing.assert_allclose(part.sum(axis=0), expected, rtol=1e-5)


def test_error_of_a_calibrated_judge_shrinks_and_of_a_sure_one_does_not():
    uniform, noise = jax.random.uniform(jax.random.key(0), (2, 20_000))
    outcomes = (noise < uniform).astype(jnp.float32)
    assert metrics.expected_calibration_error(metrics.reliability_table(uniform, outcomes)) < 0.02
    # Always sure and right 3 of 4 times: |1 - 3/4| and |0 - 1/4|.
    sure = jnp.round(uniform)
    np.testing.assert_allclose(
        metrics.expected_calibration_error(metrics.reliability_table(sure, outcomes)), 0.25, atol=0.02
    )


def test_masked_entries_do_nothing(allow_nans):
    probabilities, outcomes = jnp.array([0.3, jnp.nan, 2.0]), jnp.array([1.0, 1.0, jnp.nan])
    where = jnp.array([True, False, False])
    table = metrics.reliability_table(probabilities, outcomes, num_bins=2, where=where)
    assert table.count.tolist() == [1, 0] and table.outcome_sum.tolist() == [1, 0]
    np.testing.assert_allclose(metrics.brier_score_metric(probabilities, outcomes, where=where), (0.49, 1), rtol=1e-6)


def test_nothing_real():
    nothing = metrics.reliability_table(jnp.ones(3), jnp.ones(3), where=jnp.zeros(3, bool))
    assert metrics.expected_calibration_error(nothing) == 0
    assert nothing.mean_outcome.tolist() == [0] * 10


def test_nan_of_a_real_entry_is_not_hidden(allow_nans):
    table = metrics.reliability_table(jnp.array([0.3, jnp.nan]), jnp.ones(2))
    assert jnp.isnan(metrics.expected_calibration_error(table))


def test_bfloat16_counts_beyond_256():
    table = metrics.reliability_table(jnp.ones(1000, jnp.bfloat16), jnp.ones(1000, jnp.bfloat16), num_bins=1)
    assert [part.tolist() for part in table] == [[1000.0]] * 3


def test_no_bins():
    with pytest.raises(ValueError, match="one bin or more, got num_bins=0"):
        metrics.reliability_table(jnp.ones(1), jnp.ones(1), num_bins=0)
