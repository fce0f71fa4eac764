"""The DPO family: values derived by hand, limits, and what holds between its members. TRL's values: test_trl.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import log

from jaxalign import losses, numerics

# Log-ratios of chosen and rejected are log 3 / beta and -log 2 / beta, so that with rewards log 3 and -log 2
# sigma(chosen) = 3/4, sigma(rejected) = 1/3 and, with a margin of log 6, sigma(margin) = 6/7.
BETA = 0.5
PAIR = tuple(jnp.array([x], jnp.float32) for x in (-4 + 2 * log(3), -5 - 2 * log(2), -4, -5))


@pytest.mark.parametrize(
    "loss, expected",
    [
        (losses.dpo_loss, log(7 / 6)),
        (functools.partial(losses.dpo_loss, label_smoothing=0.25), 0.75 * log(7 / 6) + 0.25 * log(7)),
        (functools.partial(losses.robust_dpo_loss, label_smoothing=0.25), (0.75 * log(7 / 6) - 0.25 * log(7)) / 0.5),
        (functools.partial(losses.robust_dpo_loss, label_smoothing=0.0), log(7 / 6)),
        (losses.hinge_dpo_loss, 0.0),  # the margin log 6 is past 1
        (losses.ipo_loss, (2 * log(6) - 1) ** 2),
        (
            functools.partial(losses.exo_pair_loss, label_smoothing=0.25),
            6 / 7 * log(6 / 7 / 0.75) + 1 / 7 * log(1 / 7 / 0.25),
        ),
        # m = sigma(log 6) at temperature 1: 6/7 of exp(-log 6), 1/7 of log(7/6)
        (functools.partial(losses.discopop_loss, temperature=1.0), 6 / 7 / 6 + log(7 / 6) / 7),
        (losses.nca_pair_loss, log(4 / 3) + 0.5 * log(4) + 0.5 * log(3 / 2)),
        (losses.bco_pair_loss, log(4 / 3) + log(3 / 2)),
        (losses.sppo_hard_loss, (2 * log(3) - 1) ** 2 + (1 - 2 * log(2)) ** 2),
        (losses.apo_zero_loss, 1 / 4 + 1 / 3),
        (losses.apo_down_loss, 3 / 4 + 1 / 7),
    ],
)
def test_pair_losses_by_hand(loss, expected):
    np.testing.assert_allclose(loss(*PAIR, beta=BETA), expected, rtol=2e-6, atol=1e-7)


def test_hinge_inside_its_margin():
    # A margin of 0.5 * (1 + 0.2) = 0.6 leaves 0.4.
    pair = (jnp.array([x]) for x in (-3.0, -5.2, -4.0, -5.0))
    np.testing.assert_allclose(losses.hinge_dpo_loss(*pair, beta=BETA), 0.4, rtol=1e-6)


def test_aot_compares_sorted_values():
    chosen, rejected = jnp.array([-1.0, -2.0]), jnp.array([-4.0, -2.5])
    zeros = jnp.zeros(2)
    # Margins 3 and 0.5 under the policy, -1 and 1 under the reference: sorted gaps 0.5 + 1 and 3 - 1.
    reference = jnp.array([0.0, 1.0]), jnp.array([1.0, 0.0])
    expected = (np.log1p(np.exp(-BETA * 1.5)) + np.log1p(np.exp(-BETA * 2.0))) / 2
    np.testing.assert_allclose(losses.aot_loss(chosen, rejected, *reference, beta=BETA), expected, rtol=1e-6)
    # Log-ratios of chosen sorted -2, -1 and of rejected -4, -2.5: gaps 2 and 1.5.
    unpaired = losses.aot_unpaired_loss(chosen, rejected, zeros, zeros, beta=BETA)
    np.testing.assert_allclose(unpaired, expected, rtol=1e-6)


def test_reference_free_losses_by_hand():
    chosen, rejected = jnp.array([log(0.5)], jnp.float32), jnp.array([log(0.25)], jnp.float32)
    # beta 1: sigma(log 2) = 2/3. beta 2, margin log 2: sigma(2 log 2 - log 2) = 2/3.
    np.testing.assert_allclose(losses.cpo_loss(chosen, rejected, beta=1.0), log(3 / 2), rtol=1e-6)
    np.testing.assert_allclose(losses.simpo_loss(chosen, rejected, beta=2.0, margin=log(2)), log(3 / 2), rtol=1e-6)
    # Rewards at alpha 1: 1 - 2 = -1 and 1 - 4 = -3; at alpha -1: p - 1.
    alphapo = functools.partial(losses.alphapo_loss, chosen, rejected, beta=1.0, margin=0.5)
    np.testing.assert_allclose(alphapo(alpha=1.0), np.log1p(np.exp(-1.5)), rtol=1e-6)
    np.testing.assert_allclose(alphapo(alpha=-1.0), np.log1p(np.exp(-0.25 + 0.5)), rtol=1e-6)
    # Odds 1 and 1/3: sigma(log 3) = 3/4.
    np.testing.assert_allclose(losses.orpo_loss(chosen, rejected, beta=0.1), 0.1 * log(4 / 3), rtol=1e-6)
    tokens, where = jnp.array([[-1.0, -2.0], [-6.0, 9.0]]), jnp.array([[True, True], [True, False]])
    assert losses.sft_loss(tokens, where=where) == (1 + 2 + 6) / 3


def test_orpo_near_certainty_and_far_from_it():
    # p = 1 counts as 1 - 1e-6: log-odds 13.8 against -1e4. The other way round costs the difference.
    sure, hopeless = jnp.array([0.0]), jnp.array([-1e4])
    assert losses.orpo_loss(sure, hopeless, beta=1.0) == 0
    np.testing.assert_allclose(losses.orpo_loss(hopeless, sure, beta=1.0), 1e4 + 6 * log(10), rtol=1e-5)
    # log(p / (1 - p)) = log(0.999 / 0.001)
    logp = jnp.array([log(0.999)], jnp.float32)
    even = jnp.array([log(0.5)], jnp.float32)
    np.testing.assert_allclose(losses.orpo_loss(even, logp, beta=1.0), log(1 + 999), rtol=1e-4)


def test_unpaired_losses_by_hand():
    # Rewards 0.5 * (2 log 3 - 0) = log 3 and log 2, of a desirable and an undesirable response.
    policy, reference = jnp.array([2 * log(3), 2 * log(2)], jnp.float32), jnp.zeros(2)
    desirable = jnp.array([True, False])
    settings = {"beta": BETA, "desirable_weight": 2.0, "undesirable_weight": 3.0}
    apo = losses.apo_zero_unpaired_loss(policy, reference, desirable, **settings)
    np.testing.assert_allclose(apo, (2 / 4 + 3 * 2 / 3) / 2, rtol=1e-6)
    # Against a divergence of 2 log 2 the rewards are log(3/2) and 0.
    kto = losses.kto_loss(policy, reference, desirable, kl=2 * log(2), **settings)
    np.testing.assert_allclose(kto, (2 * 2 / 5 + 3 / 2) / 2, rtol=1e-6)
    # A shift of log 2 is one of rewards.
    bco = losses.bco_loss(policy, reference, desirable, shift=log(2), **settings)
    np.testing.assert_allclose(bco, (2 * log(5 / 3) + 3 * log(2)) / 2, rtol=1e-6)


def test_kto_divergence_is_a_mean_clamped_at_zero_and_without_gradient(allow_nans):
    policy, reference = jnp.array([-1.0, -2.0, jnp.nan]), jnp.array([-3.0, -3.0, 0.0])
    where = jnp.array([True, True, False])
    assert losses.kto_kl(policy, reference, where=where) == 1.5
    assert losses.kto_kl(reference, policy, where=where) == 0
    np.testing.assert_array_equal(jax.grad(losses.kto_kl)(policy[:2], reference[:2]), 0)


def test_bco_of_a_desirable_and_an_undesirable_response_is_bco_of_the_pair():
    chosen, rejected, reference_chosen, reference_rejected = PAIR
    desirable = losses.bco_loss(chosen, reference_chosen, jnp.array([True]), shift=0.0, beta=BETA)
    undesirable = losses.bco_loss(rejected, reference_rejected, jnp.array([False]), shift=0.0, beta=BETA)
    np.testing.assert_allclose(desirable + undesirable, losses.bco_pair_loss(*PAIR, beta=BETA), rtol=1e-6)


REWARD_LOSSES = [
    losses.dpo_loss,
    functools.partial(losses.robust_dpo_loss, label_smoothing=0.1),
    losses.hinge_dpo_loss,
    losses.exo_pair_loss,
    losses.discopop_loss,
    losses.nca_pair_loss,
    losses.bco_pair_loss,
    losses.apo_zero_loss,
    losses.apo_down_loss,
    losses.aot_loss,
    losses.aot_unpaired_loss,
]


@pytest.mark.parametrize("loss", REWARD_LOSSES)
def test_beta_is_applied_once(loss):
    scaled = tuple(0.2 * x for x in PAIR)
    np.testing.assert_allclose(loss(*PAIR, beta=0.2), loss(*scaled, beta=1.0), rtol=2e-6)


@pytest.mark.parametrize("label_smoothing", [-0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    "loss", [losses.dpo_loss, losses.robust_dpo_loss, losses.exo_pair_loss, losses.aot_loss, losses.aot_unpaired_loss]
)
def test_label_smoothing_outside_its_range(loss, label_smoothing):
    with pytest.raises(ValueError, match=rf"must lie in \[0, 0.5\), got {label_smoothing}"):
        loss(*PAIR, beta=BETA, label_smoothing=label_smoothing)


def test_other_settings_outside_their_range():
    with pytest.raises(ValueError, match="needs label_smoothing > 0"):
        losses.exo_pair_loss(*PAIR, beta=BETA, label_smoothing=0.0)
    with pytest.raises(ValueError, match=r"temperature must lie in \(0, 1\], got 2.0"):
        losses.discopop_loss(*PAIR, beta=BETA, temperature=2.0)
    tokens, where = jnp.zeros((1, 2)), jnp.ones((1, 2), bool)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], from .*, got 1.5"):
        losses.length_desensitized_logps(tokens, tokens, chosen_where=where, rejected_where=where, alpha=1.5)


def test_scores_of_divergences_by_hand():
    # t = 3: 1 - 1/3, log(6 / 4), (3^-0.5 - 1) / -0.5
    log_ratio = jnp.array(log(3), jnp.float32)
    np.testing.assert_allclose(losses.forward_kl_score(log_ratio), 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(losses.js_divergence_score(log_ratio), log(1.5), rtol=1e-6)
    np.testing.assert_allclose(losses.make_alpha_divergence_score(0.5)(log_ratio), 2 - 2 / 3**0.5, rtol=1e-6)
    # The reverse KL at 1 and near it, the forward KL at 0.
    for alpha in (1.0, 1 + 1e-5):
        np.testing.assert_allclose(losses.make_alpha_divergence_score(alpha)(log_ratio), log(3), rtol=2e-5)
    np.testing.assert_allclose(losses.make_alpha_divergence_score(0.0)(log_ratio), 2 / 3, rtol=1e-6)


def test_with_divergence_replaces_the_log_ratios():
    # Log-ratios 2 log 3 and -2 log 2: 1 - 1/9 and 1 - 4.
    loss = losses.with_divergence(losses.hinge_dpo_loss, losses.forward_kl_score)
    np.testing.assert_allclose(loss(*PAIR, beta=0.1), 1 - 0.1 * (8 / 9 + 3), rtol=1e-6)


def test_averages_and_length_desensitised_sums():
    chosen, rejected = jnp.array([[9.0, -1.0, -2.0, -4.0]]), jnp.array([[-3.0, 9.0]])
    chosen_where, rejected_where = jnp.array([[False, True, True, True]]), jnp.array([[True, False]])
    np.testing.assert_allclose(losses.average_logps(chosen, where=chosen_where), [-7 / 3], rtol=1e-6)
    assert losses.average_logps(chosen, where=jnp.zeros((1, 4), bool)) == 0
    # The rejected response has one token; the second and third of the chosen one count half.
    where = {"chosen_where": chosen_where, "rejected_where": rejected_where}
    sums = losses.length_desensitized_logps(chosen, rejected, **where, alpha=0.5)
    assert sums == (-1 - 0.5 * (2 + 4), -3)
    assert losses.length_desensitized_logps(chosen, rejected, **where, alpha=1.0) == (-7, -3)
    assert losses.length_desensitized_logps(chosen, rejected, **where, alpha=0.0) == (-1, -3)


def test_weights_multiply_values_but_not_the_count(allow_nans):
    values, weights = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([3.0, 0.5, jnp.nan])
    where = jnp.array([True, True, False])
    assert losses.weighted(numerics.ratio, weights)(values, where=where) == numerics.Ratio(3.0 + 1.0, 2.0)
    # exp of the mean of log(p / sum p^2) over two tokens: (0.5 / 0.25 * 0.1 / 0.2)^(1/2) = 1, without gradient.
    tokens, squares = jnp.log(jnp.array([[0.5, 0.1, 9.0]])), jnp.log(jnp.array([[0.25, 0.2, 9.0]]))
    compute = functools.partial(losses.wpo_weights, log_sum_squares=squares, where=jnp.array([[True, True, False]]))
    np.testing.assert_allclose(compute(tokens), [1.0], rtol=1e-6)
    np.testing.assert_array_equal(jax.grad(lambda x: compute(x).sum())(tokens), 0)


def test_large_margins_are_exact():
    wrong = tuple(jnp.array([x]) for x in (-1e4, 0.0, 0.0, 0.0))
    assert losses.dpo_loss(*wrong, beta=1.0) == 1e4
    assert losses.bco_pair_loss(*wrong, beta=1.0) == np.float32(1e4) + np.float32(log(2))
    assert losses.discopop_loss(*wrong, beta=1.0) == 1e4
    np.testing.assert_allclose(losses.exo_pair_loss(*wrong, beta=1.0, label_smoothing=1e-3), log(1e3), rtol=1e-6)
