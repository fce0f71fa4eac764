import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxalign import training


@pytest.mark.parametrize(
    ("schedule", "after_warmup"),
    [
        (training.constant_schedule, [8, 8, 8, 8, 8]),
        (training.linear_schedule, [8, 6, 4, 2, 0]),
        (training.cosine_schedule, [8, 4 + 2 * 2**0.5, 4, 4 - 2 * 2**0.5, 0]),  # 4 + 4 cos(k pi / 4)
    ],
)
def test_schedules_by_hand(schedule, after_warmup):
    rate = schedule(8.0, num_steps=6, warmup_steps=2)
    assert [float(rate(step)) for step in range(8)] == pytest.approx([4, 8, *after_warmup, after_warmup[-1]], abs=1e-6)
    assert float(schedule(8.0, num_steps=6)(0)) == 8


def test_warmup_must_end_before_the_run():
    with pytest.raises(ValueError, match="warmup_steps=6 must be at least 0 and less than num_steps=6"):
        training.cosine_schedule(1.0, num_steps=6, warmup_steps=6)


PARAMS = {
    "embedding": jnp.ones((4, 3)),
    "layers": {"norm": jnp.ones((2, 3)), "query_bias": jnp.ones((2, 3, 3)), "up": jnp.ones((2, 3, 4))},
    "norm": jnp.ones(3),
    "scale": jnp.ones(()),
}


def test_decay_reaches_matrices_only():
    assert training.decay_mask(PARAMS) == {
        "embedding": True,
        "layers": {"norm": False, "query_bias": False, "up": True},
        "norm": False,
        "scale": False,
    }


@pytest.mark.parametrize("make", [training.adamw, training.adafactor])
def test_decay_is_rate_times_weight(make):
    optimizer = make(0.1, weight_decay=0.5)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    # jit: between its operations, optax's clipping divides 0 by 0 in a branch that it does not take.
    updates, _ = jax.jit(optimizer.update)(zeros, optimizer.init(PARAMS), PARAMS)
    expected = jax.tree.map(lambda p, decays: -0.05 * p * decays, PARAMS, training.decay_mask(PARAMS))
    for ours, theirs in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_adamw_first_step_by_hand():
    # Bias-corrected moments of one gradient g are g and g^2: a step of rate * sign(g), after any clipping.
    optimizer = training.adamw(0.1, eps=0.0, clip_norm=1e-3)
    params = {"w": jnp.array([1.0, 2.0])}
    updates, _ = optimizer.update({"w": jnp.array([3.0, -4.0])}, optimizer.init(params), params)
    np.testing.assert_allclose(updates["w"], [-0.1, 0.1], rtol=1e-4)


def test_clipping_is_by_global_norm():
    # eps far above the gradient makes Adam linear in it: rate * g / eps; the norm of (3, 4) is 5, clipped to 1.
    optimizer = training.adamw(1.0, b1=0.0, eps=1e3, clip_norm=1.0)
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    updates, _ = optimizer.update({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, optimizer.init(params), params)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-0.6e-3, -0.8e-3], rtol=2e-3)


def test_adafactor_without_extras_is_optax_adafactor():
    params = {"w": jax.random.normal(jax.random.key(0), (8, 8))}
    gradients = {"w": jax.random.normal(jax.random.key(1), (8, 8))}
    ours, theirs = training.adafactor(0.1, min_dim_size_to_factor=8), optax.adafactor(0.1, min_dim_size_to_factor=8)
    updates, state = ours.update(gradients, ours.init(params), params)
    expected, _ = theirs.update(gradients, theirs.init(params), params)
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-5)
    assert updates["w"][0, 0] * gradients["w"][0, 0] < 0
    assert optax.tree.get(state, "v_row")["w"].shape == optax.tree.get(state, "v_col")["w"].shape == (8,)
