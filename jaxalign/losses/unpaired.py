"""Preference losses for single responses that are marked desirable or undesirable."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.typing import ReduceFn


def kto_kl(
    policy_logps: Float[Array, "*batch"],
    reference_logps: Float[Array, "*batch"],
    *,
    where: Bool[Array, "*batch"] | None = None,
) -> Float[Array, ""]:
    r"""Returns the reference point of :func:`kto_loss`, a scalar in nats: :math:`\max(0, \mathrm{mean}\, r)`.

    Here :math:`r` is the log-ratio policy to reference of *mismatched* responses: prompts are paired with responses to
    other prompts of the batch, so that r estimates the divergence of policy and reference. No gradient flows through
    it.

    Args:
      policy_logps, reference_logps: ``[...]``, log-probability of each mismatched response under the policy and under
        the frozen reference: nats, summed over its tokens.
      where: ``[...]``, True for real responses, None for all; masked responses may hold anything, NaN included.

    Source: KTO (arXiv 2402.01306), section 4.1.
    """
    where, policy_logps, reference_logps = numerics.masked(where, policy_logps, reference_logps)
    mean = numerics.masked_mean(policy_logps - reference_logps, where=where)
    return jax.lax.stop_gradient(jnp.maximum(mean, 0))


def kto_loss(
    policy_logps: Float[Array, "*batch"],
    reference_logps: Float[Array, "*batch"],
    desirable: Bool[Array, "*batch"],
    *,
    kl: ScalarLike,
    beta: ScalarLike,
    desirable_weight: ScalarLike = 1.0,
    undesirable_weight: ScalarLike = 1.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes Kahneman-Tversky optimisation of responses that are marked desirable or undesirable.

    .. math:: \sigma(-\beta(r - z)) \text{ if desirable}, \quad \sigma(\beta(r - z)) \text{ if not}

    Here :math:`r` is the log-ratio policy to reference of a response and :math:`z` a reference point.

    Args:
      policy_logps, reference_logps: ``[...]``, log-probability of each response under the policy and under the frozen
        reference: nats, summed over its tokens.
      desirable: ``[...]``, True for responses to learn, False for those to unlearn.
      kl: the reference point z, a scalar in nats, from :func:`kto_kl`. No gradient flows through it.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      desirable_weight, undesirable_weight: factors of the losses of the two kinds, to balance their numbers.
      where: ``[...]``, True for real responses, None for all; masked responses may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the responses. The default is their mean,
        0 if no response counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

    Source: KTO (arXiv 2402.01306), section 4.1.
    """
    where, policy_logps, reference_logps, desirable = numerics.masked(where, policy_logps, reference_logps, desirable)
    gain = beta * (policy_logps - reference_logps - jax.lax.stop_gradient(kl))
    per_response = jax.nn.sigmoid(jnp.where(desirable == 1, -gain, gain))
    return reduce_fn(per_response * jnp.where(desirable == 1, desirable_weight, undesirable_weight), where=where)


def apo_zero_unpaired_loss(
    policy_logps: Float[Array, "*batch"],
    reference_logps: Float[Array, "*batch"],
    desirable: Bool[Array, "*batch"],
    *,
    beta: ScalarLike,
    desirable_weight: ScalarLike = 1.0,
    undesirable_weight: ScalarLike = 1.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes APO-zero for single responses: :math:`\sigma(-\beta r)` if desirable, :math:`\sigma(\beta r)` if not.

    Here :math:`r` is the log-ratio policy to reference of a response. This is :func:`kto_loss` with reference point 0.

    Args:
      policy_logps, reference_logps: ``[...]``, log-probability of each response under the policy and under the frozen
        reference: nats, summed over its tokens.
      desirable: ``[...]``, True for responses to learn, False for those to unlearn.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      desirable_weight, undesirable_weight: factors of the losses of the two kinds, to balance their numbers.
      where: ``[...]``, True for real responses, None for all; masked responses may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the responses. The default is their mean,
        0 if no response counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

    Source: APO (arXiv 2408.06266), equation 7.
    """
    return kto_loss(
        policy_logps,
        reference_logps,
        desirable,
        kl=0.0,
        beta=beta,
        desirable_weight=desirable_weight,
        undesirable_weight=undesirable_weight,
        where=where,
        reduce_fn=reduce_fn,
    )


def bco_loss(
    policy_logps: Float[Array, "*batch"],
    reference_logps: Float[Array, "*batch"],
    desirable: Bool[Array, "*batch"],
    *,
    shift: ScalarLike,
    beta: ScalarLike,
    desirable_weight: ScalarLike = 1.0,
    undesirable_weight: ScalarLike = 1.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Classifies single responses as desirable or undesirable by their log-ratios.

    .. math:: -\log\sigma(\beta r - s) \text{ if desirable}, \quad -\log\sigma(s - \beta r) \text{ if not}

    Here :math:`r` is the log-ratio policy to reference of a response and :math:`s` a shift.

    Args:
      policy_logps, reference_logps: ``[...]``, log-probability of each response under the policy and under the frozen
        reference: nats, summed over its tokens.
      desirable: ``[...]``, True for responses to learn, False for those to unlearn.
      shift: s, where the two kinds part: the average of their two average rewards :math:`\beta r`, as a moving average
        over batches. No gradient flows through it.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      desirable_weight, undesirable_weight: factors of the losses of the two kinds, to balance their numbers.
      where: ``[...]``, True for real responses, None for all; masked responses may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the responses. The default is their mean,
        0 if no response counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Source: BCO (arXiv 2404.04656), with reward shift.
    """
    where, policy_logps, reference_logps, desirable = numerics.masked(where, policy_logps, reference_logps, desirable)
    logits = beta * (policy_logps - reference_logps) - jax.lax.stop_gradient(shift)
    per_response = -jax.nn.log_sigmoid(jnp.where(desirable == 1, logits, -logits))
    return reduce_fn(per_response * jnp.where(desirable == 1, desirable_weight, undesirable_weight), where=where)
