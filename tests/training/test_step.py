import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxalign import training
from jaxalign.numerics import Ratio, ratio

KEY = jax.random.key(0)


def masked_slope(params, batch, key):
    """The sum of w * x over valid x; its gradient is the sum of valid x, whatever w is."""
    del key
    values = params["w"] * batch["x"]
    return ratio(values, where=batch["mask"]), {"x": ratio(batch["x"], where=batch["mask"])}


def one_sgd_step(loss_fn, params, batch, accumulate=1):
    optimizer = optax.sgd(1.0)
    step = training.make_train_step(loss_fn, optimizer, accumulate=accumulate)
    return step(training.init_state(params, optimizer), batch, KEY)


@pytest.mark.parametrize("accumulate", [1, 2, 3, 6])
def test_unequal_microbatches_by_hand(accumulate):
    batch = {
        "x": np.array([1.0, 10.0, 2.0, 20.0, 3.0, 99.0], np.float32),
        "mask": np.array([True, True, True, True, True, False]),
    }
    state, metrics = one_sgd_step(masked_slope, {"w": jnp.float32(0.5)}, batch, accumulate)
    # Five valid entries with sum 36: the gradient is 7.2, whichever microbatch holds them. A mean of the means of two
    # interleaved microbatches (1 + 2 + 3) / 3 and (10 + 20) / 2 would be 8.5.
    assert float(state.params["w"]) == pytest.approx(0.5 - 7.2)
    assert {name: float(r.value) for name, r in metrics.items()} == pytest.approx(
        {"x": 7.2, "loss": 0.5 * 7.2, "grad_norm": 7.2}
    )
    assert (float(metrics["x"].numerator), float(metrics["x"].denominator)) == (36, 5)
    assert int(state.step) == 1


def test_a_scalar_loss_is_averaged_over_microbatches():
    def loss_fn(params, batch, key):
        return jnp.mean(params["w"] * batch), {}

    state, metrics = one_sgd_step(loss_fn, {"w": jnp.float32(2)}, np.array([1.0, 2.0, 3.0, 6.0], np.float32), 2)
    # microbatches (1, 3) and (2, 6): means 2 and 4
    assert float(state.params["w"]) == 2 - 3
    assert float(metrics["loss"].value) == 6


def test_a_batch_without_valid_entries_changes_nothing():
    batch = {"x": np.ones(4, np.float32), "mask": np.zeros(4, bool)}
    state, metrics = one_sgd_step(masked_slope, {"w": jnp.float32(2)}, batch, 2)
    assert float(state.params["w"]) == 2
    assert float(metrics["loss"].value) == 0
    assert bool(state.finite)


def test_rows_that_cannot_be_cut_are_an_error():
    with pytest.raises(ValueError, match=r"shape \(6,\) cannot be cut into accumulate=4 equal parts.*multiple of 4"):
        one_sgd_step(masked_slope, {"w": jnp.float32(0)}, {"x": np.zeros(6, np.float32), "mask": np.ones(6, bool)}, 4)


def test_each_microbatch_has_its_own_key():
    def loss_fn(params, batch, key):
        return Ratio(params["w"] * jax.random.normal(key), jnp.float32(1)), {"draw": Ratio(batch.sum(), jnp.float32(1))}

    state, _ = one_sgd_step(loss_fn, {"w": jnp.float32(0)}, np.ones(2, np.float32), 2)
    draws = [float(jax.random.normal(key)) for key in jax.random.split(KEY, 2)]
    assert float(state.params["w"]) == pytest.approx(-sum(draws) / 2)


def test_gradients_of_bfloat16_parameters_are_summed_in_float32():
    batch = {"x": np.array([256] + [1] * 64, jnp.bfloat16), "mask": np.ones(65, bool)}
    params = {"w": jnp.bfloat16(1)}
    optimizer = optax.adamw(1e-3)
    step = training.make_train_step(masked_slope, optimizer, accumulate=65)
    before = training.init_state(params, optimizer)
    dtypes = jax.tree.map(lambda leaf: leaf.dtype, before)
    after, metrics = step(before, batch, KEY)
    # In bfloat16 256 + 1 rounds to 256, so a bfloat16 sum would stay at 256; the exact one is 320.
    assert float(metrics["grad_norm"].value) == pytest.approx(320 / 65)
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == dtypes
    step(after, batch, KEY)
    assert step.func._cache_size() == 1


def test_init_state_leaves_the_callers_parameters_alive(allow_nans):
    params = {"w": jnp.float32(0.5)}  # say, the start of a policy, which is the reference of its loss as well
    one_sgd_step(masked_slope, params, {"x": np.ones(4, np.float32), "mask": np.ones(4, bool)})
    assert float(params["w"]) == 0.5


@pytest.mark.parametrize(
    ("poison", "symptom"),
    [
        (lambda w: jnp.nan * w, "loss"),
        (lambda w: jnp.sqrt(w - w), "grad_norm"),  # 0, with an infinite gradient
    ],
)
def test_a_non_finite_step_keeps_the_last_good_state(poison, symptom, allow_nans):
    def loss_fn(params, batch, key):
        w = params["w"]
        return w**2 + jax.lax.cond(batch[0] < 0, poison, lambda w: 0 * w, w), {}

    optimizer = optax.adam(0.1)
    step = training.make_train_step(loss_fn, optimizer)
    good, bad = np.ones(2, np.float32), -np.ones(2, np.float32)
    state, _ = step(training.init_state({"w": jnp.float32(1)}, optimizer), good, KEY)
    kept = jax.device_get(state)
    assert kept.finite and kept.step == 1 and kept.params["w"] != 1

    state, metrics = step(state, bad, KEY)
    assert not np.isfinite(metrics[symptom].value)
    assert jax.device_get(state) == kept._replace(finite=False)
    state, metrics = step(state, good, KEY)  # dispatched before anyone saw the bad metrics
    assert np.isfinite(metrics["loss"].value) and np.isfinite(metrics["grad_norm"].value)
    assert jax.device_get(state) == kept._replace(finite=False)


def test_evaluate_adds_counts_before_it_divides():
    batches = [
        {"x": np.array([1.0, 5.0], np.float32), "mask": np.array([True, False])},
        {"x": np.array([4.0, 7.0, 0.0], np.float32), "mask": np.array([True, True, True])},
    ]
    step = training.make_eval_step(masked_slope)
    result = training.evaluate(step, {"w": jnp.float32(2)}, batches, KEY)
    # (1 + 4 + 7 + 0) / 4 = 3; the mean of the batches' means would be (1 + 11/3) / 2
    assert result == pytest.approx({"x": 3, "loss": 6})
    with pytest.raises(ValueError, match="at least one batch"):
        training.evaluate(step, {"w": jnp.float32(2)}, [], KEY)
