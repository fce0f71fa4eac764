"""The DPO family: losses of preference pairs under a policy and a reference.

The losses of this module depend on the pair only through the difference of its two log-ratios policy to reference, so
that other divergences than the reverse KL fit them (:func:`jaxalign.losses.with_divergence`). Weights, averages and
length-desensitised sums are functions of their own, in :mod:`jaxalign.losses.variants`: ``dpo_loss`` on averages is
length-normalised DPO, for instance. They apply beta themselves; the ranking losses expect it in their scores.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.typing import ReduceFn


def log_ratios(
    where: Array | None,
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
) -> tuple[Array, Array, Array]:
    """``where`` and the log-ratios policy to reference of chosen and rejected, 0 in masked pairs."""
    where, policy_chosen, policy_rejected, reference_chosen, reference_rejected = numerics.masked(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return where, policy_chosen - reference_chosen, policy_rejected - reference_rejected


def check_label_smoothing(label_smoothing: float) -> None:
    """Raises ValueError outside [0, 0.5): from one half on, the data would say the opposite of its labels."""
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(
            f"label_smoothing is the probability of a flipped label and must lie in [0, 0.5), got {label_smoothing}"
        )


def smoothed_logistic(logits: Float[Array, "*batch"], label_smoothing: float) -> Float[Array, "*batch"]:
    """Cross-entropy of a preference that is flipped with probability ``label_smoothing``."""
    check_label_smoothing(label_smoothing)
    right, wrong = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -(1 - label_smoothing) * right - label_smoothing * wrong


def dpo_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    label_smoothing: float = 0.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes direct preference optimisation, conservative with label smoothing :math:`\epsilon`.

    .. math:: -(1-\epsilon) \log\sigma(\beta\delta) - \epsilon \log\sigma(-\beta\delta)

    Here :math:`\delta` is the log-ratio policy to reference of the chosen response minus that of the rejected one.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      label_smoothing: probability that a pair is labelled the wrong way round, in [0, 0.5).
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: DPO (arXiv 2305.18290), equation 7; cDPO (Mitchell, 2023).
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(smoothed_logistic(beta * (chosen - rejected), label_smoothing), where=where)


def robust_dpo_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    label_smoothing: float,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes DPO in a form that is unbiased when labels are flipped with probability :math:`\epsilon`.

    .. math:: \frac{-(1-\epsilon)\log\sigma(\beta\delta) + \epsilon\log\sigma(-\beta\delta)}{1 - 2\epsilon}

    Here :math:`\delta` is the log-ratio policy to reference of the chosen response minus that of the rejected one.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      label_smoothing: :math:`\epsilon`, the probability that a pair is labelled the wrong way round, in [0, 0.5).
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: robust DPO (arXiv 2403.00409).
    """
    check_label_smoothing(label_smoothing)
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    logits = beta * (chosen - rejected)
    right, wrong = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    per_pair = (label_smoothing * wrong - (1 - label_smoothing) * right) / (1 - 2 * label_smoothing)
    return reduce_fn(per_pair, where=where)


def hinge_dpo_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the hinge of the margin, SLiC with normalised likelihoods: :math:`\max(0, 1 - \beta\delta)`.

    Here :math:`\delta` is the log-ratio policy to reference of the chosen response minus that of the rejected one.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

    Source: SLiC-HF (arXiv 2305.10425); RSO (arXiv 2309.06657), hinge-norm.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(jax.nn.relu(1 - beta * (chosen - rejected)), where=where)


def ipo_loss(
    policy_chosen_average_logps: Float[Array, "*batch"],
    policy_rejected_average_logps: Float[Array, "*batch"],
    reference_chosen_average_logps: Float[Array, "*batch"],
    reference_rejected_average_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes identity preference optimisation: :math:`(\delta - \frac{1}{2\beta})^2`.

    Takes averages over the response's tokens (:func:`jaxalign.losses.average_logps`), as its authors did in their
    experiments, since the target margin does not grow with length. Sums give the formula as printed.

    Here :math:`\delta` is the log-ratio policy to reference of the chosen response minus that of the rejected one.

    Args:
      policy_chosen_average_logps, policy_rejected_average_logps: ``[...]``, log-probability of the better and of the
        worse response under the policy: nats per token, averaged over its tokens, the end-of-sequence token included
        (:func:`jaxalign.losses.average_logps`).
      reference_chosen_average_logps, reference_rejected_average_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, the paper's tau: the target of the margin is
        1 / (2 beta).
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

    Source: IPO (arXiv 2310.12036), equation 17.
    """
    where, chosen, rejected = log_ratios(
        where,
        policy_chosen_average_logps,
        policy_rejected_average_logps,
        reference_chosen_average_logps,
        reference_rejected_average_logps,
    )
    return reduce_fn(jnp.square(chosen - rejected - 1 / (2 * beta)), where=where)


def exo_pair_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    label_smoothing: float = 1e-3,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the reverse KL divergence of the policy's preference from the labels'.

    .. math:: \sum_{y \in \{w, l\}} q_y \log(q_y / p_y)

    :math:`q_w = \sigma(\beta\delta)`, :math:`q_l = 1 - q_w`, :math:`p_w = 1 - \epsilon`, :math:`p_l = \epsilon`.

    Here :math:`\delta` is the log-ratio policy to reference of the chosen response minus that of the rejected one.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      label_smoothing: :math:`\epsilon`, the probability that a pair is labelled the wrong way round, in (0, 0.5).
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside (0, 0.5); at 0 the divergence is infinite.

    Source: EXO (arXiv 2402.00856), equation 16.
    """
    check_label_smoothing(label_smoothing)
    if label_smoothing == 0:
        raise ValueError("exo_pair_loss needs label_smoothing > 0, got 0; its paper recommends 1e-3")
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    logits = beta * (chosen - rejected)
    right = jax.nn.sigmoid(logits) * (jax.nn.log_sigmoid(logits) - jnp.log1p(-label_smoothing))
    wrong = jax.nn.sigmoid(-logits) * (jax.nn.log_sigmoid(-logits) - jnp.log(label_smoothing))
    return reduce_fn(right + wrong, where=where)


def discopop_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    temperature: float = 0.05,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Blends the logistic and the exponential loss, in a form found by a search over programs.

    .. math:: -(1-m) \log\sigma(\beta\delta) + m e^{-\beta\delta}, \quad m = \sigma(\beta\delta/\tau)

    Here :math:`\delta` is the log-ratio policy to reference of the chosen response minus that of the rejected one.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      temperature: :math:`\tau`, the width of the blend in units of :math:`\beta\delta`, in (0, 1].
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

    Raises:
      ValueError: if ``temperature`` is outside (0, 1]; above 1 the exponential term has no bound.

    Source: DiscoPOP (arXiv 2406.08414), equation 5.
    """
    if not 0 < temperature <= 1:
        raise ValueError(f"temperature must lie in (0, 1], got {temperature}; the paper recommends 0.05")
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    logits = beta * (chosen - rejected)
    logistic = -jax.nn.log_sigmoid(logits) * jax.nn.sigmoid(-logits / temperature)
    # One exponential of the sum: m underflows where exp(-logits) overflows.
    exponential = jnp.exp(jax.nn.log_sigmoid(logits / temperature) - logits)
    return reduce_fn(logistic + exponential, where=where)
