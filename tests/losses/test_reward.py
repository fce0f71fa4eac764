"""Bradley-Terry and centring losses: values by hand, TRL's own code, and what must not happen in silence."""

from collections import defaultdict
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from trl import RewardTrainer

from jaxalign import losses, numerics

FIRST, SECOND = jnp.array([1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, 2.0])
SOFTPLUS = {-2: 0.126928, -1: 0.313262, 0: 0.693147, 1: 1.313262, 2: 2.126928}  # log(1 + e^x)


def each(values, where):
    return values


def test_values_by_hand():
    # Differences 1, -1, 0. -log sigma(d) = softplus(-d).
    values = losses.bradley_terry_loss(FIRST, SECOND, reduce_fn=each)
    np.testing.assert_allclose(values, [SOFTPLUS[-1], SOFTPLUS[1], SOFTPLUS[0]], atol=1e-5)
    # q = 0: the second should win; a tie: half of each; q = 0.25 of a difference of 0: log 2 whatever q is.
    values = losses.bradley_terry_loss(FIRST, SECOND, jnp.array([0.0, 0.5, 0.25]), reduce_fn=each)
    np.testing.assert_allclose(values, [SOFTPLUS[1], (SOFTPLUS[1] + SOFTPLUS[-1]) / 2, SOFTPLUS[0]], atol=1e-5)
    np.testing.assert_allclose(losses.centering_loss(FIRST, SECOND, reduce_fn=each), [1.0, 1.0, 16.0])


def test_margins_by_hand():
    # The better response should be ahead by 1: differences 1 - 1, -1 + 1 (the second is better), 0 (a tie).
    values = losses.bradley_terry_loss(FIRST, SECOND, jnp.array([1.0, 0.0, 0.5]), margin=1.0, reduce_fn=each)
    np.testing.assert_allclose(values, [SOFTPLUS[0]] * 3, atol=1e-5)
    # One margin a pair; with q = 0.75, half of it: -0.75 log sigma(-1) - 0.25 log sigma(1) at 0 - 2 / 2.
    values = losses.bradley_terry_loss(
        FIRST, SECOND, jnp.array([1.0, 1.0, 0.75]), margin=jnp.array([3.0, 1.0, 2.0]), reduce_fn=each
    )
    expected = [SOFTPLUS[2], SOFTPLUS[2], 0.75 * SOFTPLUS[1] + 0.25 * SOFTPLUS[-1]]
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_exchanging_the_responses_changes_nothing():
    rng = np.random.default_rng(0)
    first, second, q, margin = (jnp.asarray(rng.random(20), jnp.float32) for _ in range(4))
    np.testing.assert_allclose(
        losses.bradley_terry_loss(first, second, q, margin=margin, reduce_fn=each),
        losses.bradley_terry_loss(second, first, 1 - q, margin=margin, reduce_fn=each),
        rtol=1e-5,
    )


@pytest.mark.parametrize("q", [0.25, 0.5, 0.9])
def test_the_minimum_is_at_the_preference_and_its_share_of_the_margin(q):
    # sigma(difference - (2q - 1) margin) = q there, hence a gradient of 0.
    margin = 0.8
    best = jnp.array([np.log(q / (1 - q)) + (2 * q - 1) * margin])
    gradient = jax.grad(lambda r: losses.bradley_terry_loss(r, jnp.zeros(1), q, margin=margin))(best)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.parametrize("q", [0.0, 0.5, 1.0])
def test_huge_differences_have_exact_values_and_gradients(q):
    for difference in 1e4, -1e4:
        value, gradient = jax.value_and_grad(lambda r: losses.bradley_terry_loss(r, jnp.zeros(1), q))(
            jnp.array([difference])
        )
        # softplus is 0 on one side and the difference on the other; the slope is sigma(difference) - q.
        assert value == (1 - q) * max(difference, 0) + q * max(-difference, 0)
        assert gradient[0] == (difference > 0) - q


def test_two_items_of_a_list_are_a_pair():
    scores = jnp.stack([FIRST, SECOND], axis=-1)
    listwise = losses.pairwise_logistic_loss(scores, jnp.array([[1.0, 0.0]] * 3))
    np.testing.assert_allclose(losses.bradley_terry_loss(FIRST, SECOND), listwise, rtol=1e-6)


def test_a_nan_reward_of_a_real_pair_is_not_hidden(allow_nans):
    first = FIRST.at[1].set(jnp.nan)
    for loss in losses.bradley_terry_loss, losses.centering_loss:
        assert np.isnan(loss(first, SECOND))
        assert np.isfinite(loss(first, SECOND, where=jnp.array([True, False, True])))


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \[\(2, 3\), \(2, 3\), \(3,\)"):
        losses.bradley_terry_loss.__wrapped__(jnp.zeros((2, 3)), jnp.zeros((2, 3)), jnp.zeros(3))


def trl_loss(first, second, margin, coefficient):
    """``RewardTrainer.compute_loss`` on a trainer without its constructor, its model's scores given."""
    trainer = object.__new__(RewardTrainer)
    gather = lambda values: values  # noqa: E731
    trainer.__dict__.update(
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(center_rewards_coefficient=coefficient),
        accelerator=SimpleNamespace(gather=gather, gather_for_metrics=gather),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
    )
    rewards = torch.tensor(np.concatenate([first, second]), requires_grad=True)
    inputs = {"attention_mask": torch.ones(len(rewards), 1)} | (
        {} if margin is None else {"margin": torch.tensor(margin)}
    )
    loss = trainer.compute_loss(lambda **_: SimpleNamespace(logits=rewards[:, None]), inputs)
    loss.backward()
    return loss.item(), np.split(rewards.grad.numpy(), 2)


@pytest.mark.parametrize("coefficient", [None, 0.3])
@pytest.mark.parametrize("with_margin", [False, True])
def test_trl(with_margin, coefficient):
    rng = np.random.default_rng(0)
    first, second, margin = rng.normal(size=(3, 7)).astype(np.float32)
    margin = np.abs(margin) if with_margin else None

    def loss(first, second):
        ours = 0.0 if margin is None else jnp.asarray(margin)
        pairs = losses.bradley_terry_loss(first, second, margin=ours, reduce_fn=each)
        pairs = pairs + (coefficient or 0) * losses.centering_loss(first, second, reduce_fn=each)
        return numerics.ratio(pairs).value

    value, gradients = jax.value_and_grad(loss, argnums=(0, 1))(jnp.asarray(first), jnp.asarray(second))
    expected, expected_gradients = trl_loss(first, second, margin, coefficient)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradients, expected_gradients, rtol=1e-4, atol=1e-6)
