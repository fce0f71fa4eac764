"""What holds for every loss: the cases are in conftest.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import losses, numerics


def make(case, seed=0, scale=1.0, shape=None, dtype=jnp.float32):
    inputs = case.make(np.random.default_rng(seed), shape or case.shape, scale)
    return tuple(jnp.asarray(x) if x.dtype == bool else jnp.asarray(x, dtype) for x in inputs)


def some(case, seed=1):
    return jnp.asarray(np.random.default_rng(seed).random(case.shape) < 0.7)


def with_padding(inputs, where, fill):
    return tuple(x if x.dtype == bool else jnp.where(where, x, fill) for x in inputs)


def assert_close(actual, expected, rtol=1e-5, atol=1e-6):
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=rtol, atol=atol), actual, expected)


def test_every_public_loss_is_a_case(cases):
    public = {name for name in dir(losses) if name.endswith("_loss")}
    # These take hidden states, or three numbers for each entry of the mask: their own files test them likewise.
    others = {"jaxalign.losses.token", "jaxalign.losses.distillation", "jaxalign.losses.verdicts"}
    assert {name for name in public if getattr(losses, name).__module__ not in others} == {
        name.split("-")[0] for name in cases
    }


def test_jit_equals_eager(case):
    inputs, where = make(case), some(case)
    value, grads = case.compiled(inputs, where)
    assert value.shape == () and grads[0].shape == case.shape
    assert np.abs(value) > 1e-3 and np.any(np.abs(grads[0]) > 1e-4)  # neither is trivially 0
    assert_close(case.loss(*inputs, where=where, reduce_fn=numerics.masked_mean), value)


def test_vmap_equals_batch(case):
    @jax.jit
    def both(inputs, where):
        loss = lambda x, w: case.loss(*x, where=w, reduce_fn=jnp.sum)  # noqa: E731
        return jax.vmap(loss)(inputs, where), loss(inputs, where)

    mapped, batched = both(make(case, shape=(3, 5)), np.arange(15).reshape(3, 5) % 4 > 0)
    assert_close(np.sum(mapped), batched)


def test_what_masked_entries_hold_does_not_matter(case, allow_nans):
    inputs, where = make(case), some(case)
    expected = case.compiled(with_padding(inputs, where, -7.0), where)
    value, grads = case.compiled(with_padding(inputs, where, jnp.nan), where)
    assert_close((value, grads), expected, rtol=0, atol=0)
    for grad in grads:
        np.testing.assert_array_equal(jnp.where(where, 0, grad), 0)


def test_more_padding_changes_nothing(case, allow_nans):
    if case.width_matters:
        return
    inputs, where = make(case), some(case)
    widths = [(0, 0)] * (where.ndim - 1) + [(0, 3)]
    padded = tuple(np.pad(x, widths, constant_values=False if x.dtype == bool else np.nan) for x in inputs)
    loss = jax.jit(lambda x, w: case.loss(*x, where=w, reduce_fn=numerics.masked_mean))
    assert_close(loss(padded, np.pad(where, widths)), case.compiled(inputs, where)[0])


def test_order_of_entries_does_not_matter(case):
    inputs, where = make(case), some(case)
    order = np.random.default_rng(2).permutation(case.shape[-1])
    value, grads = case.compiled(inputs, where)
    permuted = case.compiled(tuple(x[..., order] for x in inputs), where[..., order])
    assert_close(permuted, (value, tuple(grad[..., order] for grad in grads)))


def test_nothing_valid_is_zero_with_zero_gradient(case, allow_nans):
    nothing = jnp.zeros(case.shape, bool)
    inputs = with_padding(make(case), nothing, jnp.nan)
    value, grads = case.compiled(inputs, nothing)
    assert value == 0
    for grad in grads:
        np.testing.assert_array_equal(grad, 0)


def test_extremes_stay_finite(case):
    value, grads = case.compiled(make(case, scale=1e4), some(case))
    assert np.isfinite(value)
    for grad in grads:
        assert np.isfinite(grad).all()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_bfloat16_inputs_are_computed_in_float32(case, scale):
    inputs, where = make(case, scale=scale, dtype=jnp.bfloat16), some(case)
    wide = tuple(x if x.dtype == bool else x.astype(jnp.float32) for x in inputs)
    value = case.loss(*inputs, where=where, reduce_fn=jnp.mean)
    assert value.dtype == jnp.float32 and np.isfinite(value)
    assert value == case.loss(*wide, where=where, reduce_fn=jnp.mean)


def test_reductions_agree(case):
    inputs, where = make(case), some(case)
    ratio = case.loss(*inputs, where=where, reduce_fn=numerics.ratio)
    assert isinstance(ratio, numerics.Ratio)
    assert_close(ratio.value, case.loss(*inputs, where=where, reduce_fn=jnp.mean))
    assert_close(ratio.numerator, case.loss(*inputs, where=where, reduce_fn=jnp.sum))
    everything = jnp.ones(case.shape, bool)
    assert_close(
        case.loss(*inputs, where=None, reduce_fn=numerics.masked_mean),
        case.loss(*inputs, where=everything, reduce_fn=jnp.mean),
    )
