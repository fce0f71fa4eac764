import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import losses, numerics


def test_hard_soft_and_tied_verdicts_by_hand():
    logps = jnp.log(jnp.array([[0.5, 0.25, 0.125]] * 3))  # 0.125 on other tokens of the vocabulary
    verdicts = jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.75, 0.25, 0.0]])
    expected = np.log([4.0, 8.0, 2.0**0.75 * 4.0**0.25])
    each = losses.verdict_loss(logps, verdicts, reduce_fn=lambda values, where: values)
    np.testing.assert_allclose(each, expected, rtol=1e-6)
    np.testing.assert_allclose(losses.verdict_loss(logps, verdicts), expected.mean(), rtol=1e-6)


def test_masked_and_impossible_verdicts_do_not_matter(allow_nans):
    logps = jnp.array([[0.0, -jnp.inf, -jnp.inf], [jnp.nan] * 3])
    verdicts, where = jnp.array([[1.0, 0.0, 0.0], [jnp.nan] * 3]), jnp.array([True, False])
    value, slope = jax.value_and_grad(losses.verdict_loss)(logps, verdicts, where=where)
    assert value == 0
    np.testing.assert_array_equal(slope, [[-1, 0, 0], [0, 0, 0]])


def test_parts_add_up():
    keys = jax.random.split(jax.random.key(0), 2)
    logps = jax.nn.log_softmax(jax.random.normal(keys[0], (6, 3)))
    verdicts = jax.nn.softmax(jax.random.normal(keys[1], (6, 3)))
    where = jnp.arange(6) != 4
    whole = losses.verdict_loss(logps, verdicts, where=where)
    parts = [
        losses.verdict_loss(logps[rows], verdicts[rows], where=where[rows], reduce_fn=numerics.ratio)
        for rows in (slice(0, 2), slice(2, 6))
    ]
    np.testing.assert_allclose((parts[0] + parts[1]).value, whole, rtol=1e-6)
