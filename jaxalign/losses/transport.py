"""Alignment by optimal transport: distributions of log-ratios are compared, not the members of a pair.

Values are sorted along the last axis, which is the batch whose distribution counts. So the loss of a shard is not a
part of the loss of the batch.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.losses.preference import smoothed_logistic
from jaxalign.typing import ReduceFn


def aot_loss(
    policy_chosen_logps: Float[Array, "*batch B"],
    policy_rejected_logps: Float[Array, "*batch B"],
    reference_chosen_logps: Float[Array, "*batch B"],
    reference_rejected_logps: Float[Array, "*batch B"],
    *,
    beta: ScalarLike,
    label_smoothing: float = 0.0,
    where: Bool[Array, "*batch B"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Makes the policy's margins stochastically dominate the reference's.

    DPO's logistic loss of :math:`\beta (a_{(i)} - b_{(i)})`, with :math:`a_{(i)}` the i-th smallest margin chosen minus
    rejected under the policy and :math:`b_{(i)}` that under the reference.

    Values are sorted along the last axis. So the loss of a shard is not a part of the loss of the batch: call it under
    ``jax.jit``, which sorts across devices, and without weights for single pairs.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[..., B]``, log-probabilities of the better and of the worse
        responses under the policy: nats, summed over their tokens. B is the batch whose distribution counts.
      reference_chosen_logps, reference_rejected_logps: ``[..., B]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      label_smoothing: probability that a pair is labelled the wrong way round, in [0, 0.5).
      where: ``[..., B]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the sorted gaps, where real ones come
        first. The default is their mean, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: AOT (arXiv 2406.05882), paired.
    """
    where, policy_chosen, policy_rejected, reference_chosen, reference_rejected = numerics.masked(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    gaps, where = _quantile_gaps(policy_chosen - policy_rejected, reference_chosen - reference_rejected, where)
    return reduce_fn(smoothed_logistic(beta * gaps, label_smoothing), where=where)


def aot_unpaired_loss(
    policy_chosen_logps: Float[Array, "*batch B"],
    policy_rejected_logps: Float[Array, "*batch B"],
    reference_chosen_logps: Float[Array, "*batch B"],
    reference_rejected_logps: Float[Array, "*batch B"],
    *,
    beta: ScalarLike,
    label_smoothing: float = 0.0,
    where: Bool[Array, "*batch B"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Makes the log-ratios of chosen responses stochastically dominate those of rejected ones.

    It is DPO's logistic loss of :math:`\beta (r_{w(i)} - r_{l(i)})`, the i-th smallest log-ratios policy to reference
    of the chosen and of the rejected responses, each sorted by itself: chosen and rejected responses need not answer
    the same prompts.

    Values are sorted along the last axis. So the loss of a shard is not a part of the loss of the batch: call it under
    ``jax.jit``, which sorts across devices, and without weights for single pairs.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[..., B]``, log-probabilities of the better and of the worse
        responses under the policy: nats, summed over their tokens. B is the batch whose distribution counts.
      reference_chosen_logps, reference_rejected_logps: ``[..., B]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      label_smoothing: probability that a pair is labelled the wrong way round, in [0, 0.5).
      where: ``[..., B]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the sorted gaps, where real ones come
        first. The default is their mean, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: AOT (arXiv 2406.05882), unpaired.
    """
    where, policy_chosen, policy_rejected, reference_chosen, reference_rejected = numerics.masked(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    gaps, where = _quantile_gaps(policy_chosen - reference_chosen, policy_rejected - reference_rejected, where)
    return reduce_fn(smoothed_logistic(beta * gaps, label_smoothing), where=where)


def _quantile_gaps(upper: Array, lower: Array, where: Array) -> tuple[Array, Array]:
    """Differences of the i-th smallest valid values, and which of them are real."""
    count = jnp.sum(where, axis=-1, keepdims=True)
    real = jnp.broadcast_to(jnp.arange(where.shape[-1]), where.shape) < count
    # Masked values sort to the end, where they are replaced before they meet.
    upper, lower = (jnp.sort(jnp.where(where, values, jnp.inf), axis=-1) for values in (upper, lower))
    return jnp.where(real, upper, 0) - jnp.where(real, lower, 0), real
