import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxalign import metrics


def outputs(seed=0, shape=(40, 6)):
    """Log-probabilities per token, qualities that go with them up to noise, and which outputs are real."""
    keys = jax.random.split(jax.random.key(seed), 3)
    average_logps = -jax.random.gamma(keys[0], 2.0, shape)
    qualities = jax.nn.sigmoid(average_logps + 2 + jax.random.normal(keys[1], shape))
    return average_logps, qualities, jax.random.uniform(keys[2], shape) < 0.8


def test_table_by_hand():
    # Below -2 nats: -3; at -2 and up to -1: -2, -1.5; from -1: -1, 0.
    average_logps, qualities = jnp.array([-1.5, -3.0, -1.0, -2.0, 0.0]), jnp.array([0.5, 7.0, 1.0, 0.0, 4.0])
    table = metrics.likelihood_table(average_logps, qualities, edges=jnp.array([-2.0, -1.0]))
    assert table.count.tolist() == [1, 2, 2]
    assert table.outcome_sum.tolist() == [7, 0.5, 5]
    assert table.mean_outcome.tolist() == [7, 0.25, 2.5]
    expected = [np.exp(-3), np.exp(-2) + np.exp(-1.5), np.exp(-1) + 1]
    np.testing.assert_allclose(table.probability_sum, expected, rtol=1e-6)


def test_table_equals_scipy():
    average_logps, qualities, where = outputs()
    edges = metrics.likelihood_edges(average_logps, num_bins=8, where=where)
    table = metrics.likelihood_table(average_logps, qualities, edges=edges, where=where)
    keys, values = np.array(average_logps)[where], np.array(qualities)[where]
    bounds = np.concatenate([[keys.min()], edges, [keys.max()]])
    for ours, column in (table.mean_outcome, values), (table.mean_probability, np.exp(keys)):
        expected = scipy.stats.binned_statistic(keys, column, "mean", bounds).statistic
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert table.count.sum() == where.sum() and np.ptp(table.count) <= 2
    # Likelihood is a guide to quality here.
    assert table.mean_outcome[-1] > table.mean_outcome[0] + 0.3


def test_edges_by_hand():
    average_logps = jnp.array([-4.0, -1.0, -3.0, -2.0, 0.0, 9.0])
    edges = metrics.likelihood_edges(average_logps, num_bins=4, where=jnp.arange(6) < 5)
    np.testing.assert_allclose(edges, [-3, -2, -1], rtol=1e-6)
    assert metrics.likelihood_edges(average_logps, num_bins=1).shape == (0,)


def test_one_bin_holds_all():
    table = metrics.likelihood_table(jnp.array([-1.0, -2.0]), jnp.array([1.0, 0.5]), edges=jnp.zeros(0))
    assert (table.count.tolist(), table.outcome_sum.tolist()) == ([2], [1.5])


def test_tables_add_up_under_jit_and_vmap():
    average_logps, qualities, where = outputs()
    edges = metrics.likelihood_edges(average_logps, where=where)
    whole = metrics.likelihood_table(average_logps, qualities, edges=edges, where=where)
    table = lambda *x: metrics.likelihood_table(*x[:2], edges=edges, where=x[2])  # noqa: E731
    parts = jax.jit(jax.vmap(table))(average_logps, qualities, where)
    for part, expected in zip(parts, whole, strict=True):
        np.testing.assert_allclose(part.sum(axis=0), expected, rtol=1e-5)


def test_masked_outputs_do_nothing_and_real_nans_are_not_hidden(allow_nans):
    average_logps, qualities, where = outputs()
    edges = metrics.likelihood_edges(average_logps, where=where)
    table = metrics.likelihood_table(average_logps, qualities, edges=edges, where=where)
    for fill in jnp.nan, jnp.inf, -jnp.inf:
        padded = jnp.where(where, average_logps, fill)
        np.testing.assert_array_equal(metrics.likelihood_edges(padded, where=where), edges)
        other = metrics.likelihood_table(padded, jnp.where(where, qualities, fill), edges=edges, where=where)
        jax.tree.map(np.testing.assert_array_equal, other, table)
    nan = metrics.likelihood_table(average_logps.at[0, 0].set(jnp.nan), qualities, edges=edges)
    assert jnp.isnan(nan.mean_probability).any()


def test_bfloat16_counts_beyond_256():
    table = metrics.likelihood_table(jnp.zeros(1000, jnp.bfloat16), jnp.ones(1000, jnp.bfloat16), edges=jnp.zeros(0))
    assert [part.tolist() for part in table] == [[1000.0]] * 3


def test_rank_correlations_per_prompt_equal_scipy():
    average_logps, qualities, where = outputs(1)
    qualities = jnp.round(qualities, 1)
    for metric, reference in (
        (metrics.kendall_tau_metric, scipy.stats.kendalltau),
        (metrics.spearman_rho_metric, scipy.stats.spearmanr),
    ):
        per_prompt = jax.vmap(metric)(average_logps, qualities, where=where)
        rows = zip(*map(np.array, (average_logps, qualities, where)), strict=True)
        for index, (logps, quality, real) in enumerate(rows):
            if len(set(quality[real])) > 1:
                expected = reference(logps[real], quality[real]).statistic
                np.testing.assert_allclose(per_prompt.value[index], expected, rtol=1e-5, atol=1e-6)
            else:
                assert per_prompt.denominator[index] == 0


def test_bad_input():
    with pytest.raises(ValueError, match="got num_bins=0"):
        metrics.likelihood_edges(jnp.zeros(3), num_bins=0)
    with pytest.raises(ValueError, match="got 3, none of which is real"):
        metrics.likelihood_edges(jnp.zeros(3), where=jnp.zeros(3, bool))
    with pytest.raises(ValueError, match="one shape"):
        metrics.likelihood_table(jnp.zeros(3), jnp.zeros(2), edges=jnp.zeros(1))
