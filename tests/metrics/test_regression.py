import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from jaxalign import metrics


def affinities(seed=0, shape=(30,), *, offset=6.0):
    """Predictions, targets and a mask; pK of about 6."""
    rng = np.random.default_rng(seed)
    targets = offset + 2 * rng.normal(size=shape)
    predictions = targets + rng.normal(size=shape) + 0.3
    return (
        jnp.array(predictions, jnp.float32),
        jnp.array(targets, jnp.float32),
        jnp.array(rng.uniform(size=shape) < 0.8),
    )


def test_by_hand():
    # Errors 0, 1, -3: squares 0, 1, 9, their mean 10/3; absolute 4/3.
    predictions, targets = jnp.array([1.0, 3.0, 0.0]), jnp.array([1.0, 2.0, 3.0])
    assert metrics.squared_error_metric(predictions, targets) == (10.0, 3.0)
    assert metrics.absolute_error_metric(predictions, targets) == (4.0, 3.0)
    np.testing.assert_allclose(metrics.rmse(predictions, targets), np.sqrt(10 / 3), rtol=1e-6)
    # Around the means 4/3 and 2: (-1/3, 5/3, -4/3) and (-1, 0, 1); products -1, squares 42/9 and 2.
    moments = metrics.pearson_moments(predictions, targets)
    np.testing.assert_allclose(moments, [3, 4 / 3, 2, 42 / 9, 2, -1], rtol=1e-6)
    np.testing.assert_allclose(moments.correlation, -1 / np.sqrt(42 / 9 * 2), rtol=1e-6)


def test_equals_libraries():
    predictions, targets, where = affinities(1)
    x, y = np.array(predictions)[where], np.array(targets)[where]
    for ours, expected in (
        (
            metrics.squared_error_metric(predictions, targets, where=where).value,
            sklearn.metrics.mean_squared_error(y, x),
        ),
        (metrics.absolute_error_metric(predictions, targets, where=where).value, np.abs(x - y).mean()),
        (metrics.rmse(predictions, targets, where=where), sklearn.metrics.root_mean_squared_error(y, x)),
        (metrics.pearson_moments(predictions, targets, where=where).correlation, scipy.stats.pearsonr(x, y).statistic),
        (metrics.spearman_rho_metric(predictions, targets, where=where).value, scipy.stats.spearmanr(x, y).statistic),
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_parts_add_up():
    predictions, targets, where = affinities(2, (4, 9))
    where = where.at[1].set(False)
    for metric in metrics.squared_error_metric, metrics.absolute_error_metric, metrics.pearson_moments:
        whole = metric(predictions, targets, where=where)
        parts = [metric(p, t, where=w) for p, t, w in zip(predictions, targets, where, strict=True)]
        np.testing.assert_allclose(functools.reduce(operator.add, parts), whole, rtol=1e-5)


def test_moments_keep_their_digits_far_from_zero():
    """A spread of 2 at 10,000: sums of squares in float32 would know it to 8 only."""
    predictions, targets, where = affinities(3, offset=1e4)
    moments = [
        metrics.pearson_moments(*(x[part] for x in (predictions, targets)), where=where[part])
        for part in np.split(np.arange(30), 3)
    ]
    x, y = (np.array(array, np.float64)[where] for array in (predictions, targets))
    expected = scipy.stats.pearsonr(x, y).statistic
    np.testing.assert_allclose(functools.reduce(operator.add, moments).correlation, expected, rtol=1e-3)


METRICS = {
    "squared error": lambda *x, where=None: metrics.squared_error_metric(*x, where=where).value,
    "absolute error": lambda *x, where=None: metrics.absolute_error_metric(*x, where=where).value,
    "rmse": metrics.rmse,
    "pearson": lambda *x, where=None: metrics.pearson_moments(*x, where=where).correlation,
}


@pytest.mark.parametrize("metric", [jax.jit(metric) for metric in METRICS.values()], ids=METRICS)
class TestBattery:
    def test_jit_equals_eager(self, metric):
        predictions, targets, where = affinities(4)
        eager = metric.__wrapped__(predictions, targets, where=where)
        np.testing.assert_allclose(metric(predictions, targets, where=where), eager, rtol=1e-6)

    def test_vmap_equals_loop(self, metric):
        predictions, targets, where = affinities(5, (4, 9))
        batched = jax.vmap(metric)(predictions, targets, where=where)
        expected = [metric(p, t, where=w) for p, t, w in zip(predictions, targets, where, strict=True)]
        np.testing.assert_allclose(batched, expected, rtol=1e-5)

    def test_masked_entries_do_nothing(self, metric, allow_nans):
        predictions, targets, where = affinities(6)
        alone = metric(predictions[where], targets[where])
        for fill in jnp.nan, jnp.inf, 1e30:
            padded = [jnp.where(where, array, fill) for array in (predictions, targets)]
            np.testing.assert_allclose(metric(*padded, where=where), alone, rtol=1e-5)

    def test_order_does_nothing(self, metric):
        predictions, targets, where = affinities(7)
        order = np.random.default_rng(8).permutation(30)
        shuffled = metric(predictions[order], targets[order], where=where[order])
        np.testing.assert_allclose(shuffled, metric(predictions, targets, where=where), rtol=1e-5)

    def test_nothing_real_is_zero(self, metric):
        predictions, targets, where = affinities(9)
        assert metric(predictions, targets, where=jnp.zeros_like(where)) == 0

    def test_nan_of_a_real_entry_is_not_hidden(self, metric, allow_nans):
        predictions, targets, _ = affinities(10)
        assert jnp.isnan(metric(predictions.at[0].set(jnp.nan), targets))

    def test_bfloat16(self, metric):
        predictions, targets, where = affinities(11)
        coarse = [array.astype(jnp.bfloat16) for array in (predictions, targets)]
        wide = [array.astype(jnp.float32) for array in coarse]
        np.testing.assert_allclose(metric(*coarse, where=where), metric(*wide, where=where), rtol=1e-6)

    def test_shapes_that_differ(self, metric):
        with pytest.raises(ValueError, match="one shape"):
            metric(jnp.zeros(3), jnp.zeros(2))


def test_constant_predictions_have_no_correlation():
    _, targets, _ = affinities(12)
    assert metrics.pearson_moments(jnp.full(30, 6.0), targets).correlation == 0


def test_gradient_of_nothing_is_zero():
    predictions, targets, where = affinities(13)
    for metric in METRICS.values():
        if metric is not metrics.rmse:  # the root of 0 has none
            gradient = jax.jit(jax.grad(metric))(predictions, targets, where=jnp.zeros_like(where))
            assert not gradient.any()
