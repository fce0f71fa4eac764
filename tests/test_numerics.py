import jax
import jax.numpy as jnp
import numpy as np

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
