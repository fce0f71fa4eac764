"""Preference losses without a reference model, and the likelihood term that some of them add.

The papers of CPO, ORPO and TPO add the likelihood of a good response, weighted by a coefficient: add
:func:`sft_loss` of its tokens. Other losses of the family lose their reference with log-probabilities of 0 there:
``hinge_dpo_loss(chosen, rejected, zeros, zeros, beta=beta)``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.losses.preference import smoothed_logistic
from jaxalign.typing import ReduceFn


def sft_loss(
    token_logps: Float[Array, "*batch L"],
    *,
    where: Bool[Array, "*batch L"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the negative log-likelihood per token, reduced over all tokens that count: :math:`-\log \pi(y_t)`.

    Args:
      token_logps: ``[..., L]``, log-probability of each token under the policy, nats.
      where: ``[..., L]``, True for tokens to learn, None for all; masked tokens may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the tokens. The default is their mean, 0
        if no token counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, nats per token.
    """
    where, token_logps = numerics.masked(where, token_logps)
    return reduce_fn(-token_logps, where=where)


def cpo_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    label_smoothing: float = 0.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes contrastive preference optimisation: DPO with a uniform reference.

    .. math:: -(1-\epsilon) \log\sigma(x) - \epsilon \log\sigma(-x), \quad x = \beta (\log\pi_w - \log\pi_l)

    with :math:`\epsilon` = ``label_smoothing`` and :math:`\pi_w, \pi_l` the policy's probabilities of the chosen and
    the rejected response. The paper adds :func:`sft_loss` of the chosen response; TPO is the same with the likelihood
    of a third, gold response.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      beta: scale of the log-ratio of the two responses, above 0.
      label_smoothing: probability that a pair is labelled the wrong way round, in [0, 0.5).
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: CPO (arXiv 2401.08417), equation 3; TPO (arXiv 2405.16681).
    """
    where, chosen, rejected = numerics.masked(where, policy_chosen_logps, policy_rejected_logps)
    return reduce_fn(smoothed_logistic(beta * (chosen - rejected), label_smoothing), where=where)


def simpo_loss(
    policy_chosen_average_logps: Float[Array, "*batch"],
    policy_rejected_average_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    margin: ScalarLike,
    label_smoothing: float = 0.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes simple preference optimisation: :math:`-\log\sigma(\beta (\bar p_w - \bar p_l) - \gamma)`.

    :math:`\bar p` are the average log-probabilities per token of the chosen and the rejected response. With
    :func:`sft_loss` of a gold response this is TPO-L.

    Args:
      policy_chosen_average_logps, policy_rejected_average_logps: ``[...]``, log-probability of the better and of the
        worse response under the policy: nats per token, averaged over its tokens, the end-of-sequence token included
        (:func:`jaxalign.losses.average_logps`).
      beta: scale of the log-ratio of the two responses, above 0.
      margin: :math:`\gamma`, by how much the scaled gap should exceed 0; ``beta`` does not scale it.
      label_smoothing: probability that a pair is labelled the wrong way round, in [0, 0.5).
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: SimPO (arXiv 2405.14734), equation 6.
    """
    where, chosen, rejected = numerics.masked(where, policy_chosen_average_logps, policy_rejected_average_logps)
    return reduce_fn(smoothed_logistic(beta * (chosen - rejected) - margin, label_smoothing), where=where)


def alphapo_loss(
    policy_chosen_average_logps: Float[Array, "*batch"],
    policy_rejected_average_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    margin: ScalarLike,
    alpha: float,
    label_smoothing: float = 0.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes SimPO with another shape of the reward.

    .. math:: -\log\sigma(\beta (R_w - R_l) - \gamma), \quad R = (1 - \bar\pi^{-\alpha}) / \alpha

    :math:`\bar\pi` is the geometric mean of the response's token probabilities.

    Args:
      policy_chosen_average_logps, policy_rejected_average_logps: ``[...]``, log-probability of the better and of the
        worse response under the policy: nats per token, averaged over its tokens, the end-of-sequence token included
        (:func:`jaxalign.losses.average_logps`).
      beta: scale of the log-ratio of the two responses, above 0.
      margin: :math:`\gamma`, by how much the scaled gap should exceed 0; ``beta`` does not scale it.
      alpha: :math:`\alpha`, the shape of the reward; 0 is SimPO.
      label_smoothing: probability that a pair is labelled the wrong way round, in [0, 0.5).
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: AlphaPO (arXiv 2501.03884).
    """
    where, chosen, rejected = numerics.masked(where, policy_chosen_average_logps, policy_rejected_average_logps)
    gap = _alpha_reward(chosen, alpha) - _alpha_reward(rejected, alpha)
    return reduce_fn(smoothed_logistic(beta * gap - margin, label_smoothing), where=where)


def orpo_loss(
    policy_chosen_average_logps: Float[Array, "*batch"],
    policy_rejected_average_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the odds-ratio term of ORPO.

    .. math:: -\beta \log\sigma\left(\log \frac{\bar\pi_w / (1-\bar\pi_w)}{\bar\pi_l / (1-\bar\pi_l)}\right)

    :math:`\bar\pi` is the geometric mean of the token probabilities of the chosen (w) or the rejected (l) response. The
    full objective adds :func:`sft_loss` of the chosen response with weight 1.

    Args:
      policy_chosen_average_logps, policy_rejected_average_logps: ``[...]``, log-probability of the better and of the
        worse response under the policy: nats per token, averaged over its tokens, the end-of-sequence token included
        (:func:`jaxalign.losses.average_logps`).
      beta: weight of the term, the paper's lambda.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

    Source: ORPO (arXiv 2403.07691), equations 6 and 7.
    """
    where, chosen, rejected = numerics.masked(where, policy_chosen_average_logps, policy_rejected_average_logps)
    return reduce_fn(-beta * jax.nn.log_sigmoid(_log_odds(chosen) - _log_odds(rejected)), where=where)


def _alpha_reward(average_logps: Array, alpha: float) -> Array:
    if alpha == 0:
        return average_logps
    # The bound keeps the exponential finite: past it the loss is flat in any case.
    return -jnp.expm1(jnp.minimum(-alpha * average_logps, 80.0)) / alpha


def _log_odds(average_logps: Array) -> Array:
    """log(p / (1 - p)). A probability within 1e-6 of 1 counts as that, since the odds of certainty are infinite."""
    logps = jnp.minimum(average_logps, -1e-6)
    near_one = logps > -0.693
    # Each branch is accurate on its side; the inner selects keep the other one's gradient finite.
    log_complement = jnp.where(
        near_one,
        jnp.log(-jnp.expm1(jnp.where(near_one, logps, -0.693))),
        jnp.log1p(-jnp.exp(jnp.where(near_one, -0.693, logps))),
    )
    return logps - log_complement
