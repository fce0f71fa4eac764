import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import metrics

BELOW = np.array([[0, 0, 0, 0, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]], bool)


def test_bins_by_hand():
    # Errors 1, 2, 4 of proteins below 95, 30 and 40 %: cumulative means 2, 3, 3, 3, 7/3.
    bins = metrics.within_identity(metrics.absolute_error_metric, jnp.array([1.0, 2.0, 4.0]), jnp.zeros(3), below=BELOW)
    assert list(bins) == list(metrics.IDENTITY_BINS) == ["<30%", "<40%", "<50%", "<70%", "<95%"]
    np.testing.assert_allclose([total.value for total in bins.values()], [2, 3, 3, 3, 7 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.exact_fmax,
        jax.jit(metrics.average_precision),
        jax.jit(metrics.macro_average_precision),
        jax.jit(lambda *x, where: metrics.fmax_table(*x, where=where).fmax),
    ],
    ids=["exact fmax", "average precision", "macro average precision", "fmax"],
)
def test_is_the_metric_of_the_proteins_in_the_bin(metric):
    rng = np.random.default_rng(0)
    scores, labels = jnp.array(rng.uniform(size=(3, 6))), jnp.array(rng.uniform(size=(3, 6)) < 0.5)
    where = jnp.array([True, True, False])
    bins = metrics.within_identity(metric, scores, labels, below=jnp.array(BELOW), where=where)
    for column, value in enumerate(bins.values()):
        rows = np.flatnonzero(BELOW[:, column] & np.array(where))
        np.testing.assert_allclose(value, metric(scores[rows], labels[rows], where=None), rtol=1e-6)


def test_other_bins_and_their_number():
    bins = metrics.within_identity(metrics.rmse, jnp.ones(3), jnp.zeros(3), below=BELOW[:, :2], names=("a", "b"))
    assert list(bins) == ["a", "b"]
    with pytest.raises(ValueError, match=r"\(3, 5\).*got \(3, 2\)"):
        metrics.within_identity(metrics.rmse, jnp.ones(3), jnp.zeros(3), below=BELOW[:, :2])
