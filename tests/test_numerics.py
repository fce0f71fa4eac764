import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import numerics


def test_masked_mean_ignores_masked_entries_in_value_and_gradient(allow_nans):
    # (1 + 3) / 2 = 2, each counted entry has gradient 1/2.
    values, where = jnp.array([1.0, jnp.nan, 3.0]), jnp.array([True, False, True])
    value, gradient = jax.value_and_grad(lambda v: numerics.masked_mean(v, where=where))(values)
    assert value == 2.0
    np.testing.assert_array_equal(gradient, [0.5, 0.0, 0.5])


def test_masked_mean_of_nothing_is_zero_with_zero_gradient():
    nothing = jnp.zeros(2, bool)
    value, gradient = jax.value_and_grad(lambda v: numerics.masked_mean(v, where=nothing))(jnp.ones(2))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, [0.0, 0.0])


def test_ratios_of_unequal_parts_add_up_to_the_whole():
    values = jnp.arange(5.0)
    whole = numerics.ratio(values)
    parts = numerics.ratio(values[:2]) + numerics.ratio(values[2:])
    assert whole.value == parts.value == 2.0


def test_safe_divide_has_no_nan_gradient():
    assert jax.grad(lambda d: numerics.safe_divide(1.0, d))(0.0) == 0.0


def test_inputs_of_other_shapes_are_refused():
    # Checked at run time, since users have no shape checks: [2, 3] with [3] would broadcast in silence.
    with pytest.raises(ValueError, match=r"one shape, got \[\(2, 3\), \(3,\), \(2, 3\)\]"):
        numerics.masked(None, jnp.zeros((2, 3)), jnp.zeros(3))


def test_ranks_break_ties_only():
    values = jnp.array([1.0, 4.0, 1.0, 9.0, 1.0])
    where = jnp.array([True, True, True, False, True])
    np.testing.assert_array_equal(numerics.ranks(values, where, None), [2, 1, 3, 5, 4])
    keys = jax.random.split(jax.random.key(0), 200)
    draws = np.asarray(jax.jit(jax.vmap(lambda k: numerics.ranks(values, where, k)))(keys))
    np.testing.assert_array_equal(draws[:, 1], 1)
    np.testing.assert_array_equal(draws[:, 3], 5)
    assert {tuple(map(int, row)) for row in draws[:, [0, 2, 4]]} == {
        (2, 3, 4), (2, 4, 3), (3, 2, 4), (3, 4, 2), (4, 2, 3), (4, 3, 2),
    }  # fmt: skip


def test_gains_and_discounts_by_hand():
    np.testing.assert_allclose(numerics.exponential_gain(jnp.array([0.0, 0.5, 2.0])), [0, 2**0.5 - 1, 3], rtol=1e-6)
    ranks = jnp.array([1.0, 3.0])
    np.testing.assert_allclose(numerics.log2_discount(ranks), [1, 2], rtol=1e-6)
    np.testing.assert_allclose(numerics.log_discount(ranks), np.log([2, 4]), rtol=1e-6)
