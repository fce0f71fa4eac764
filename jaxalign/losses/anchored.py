"""Preference losses that anchor each response to the reference, not only the difference of the two."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.losses.preference import log_ratios
from jaxalign.typing import ReduceFn


def nca_pair_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes noise-contrastive alignment, which raises the chosen response's likelihood itself, not only the margin.

    .. math:: -\log\sigma(\beta r_w) - \frac12\log\sigma(-\beta r_w) - \frac12\log\sigma(-\beta r_l)

    Here :math:`r_w` and :math:`r_l` are the log-ratios policy to reference of the chosen (winning) and the rejected
    (losing) response.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Source: NCA (arXiv 2402.05369).
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    noise = jax.nn.log_sigmoid(-beta * chosen) + jax.nn.log_sigmoid(-beta * rejected)
    return reduce_fn(-jax.nn.log_sigmoid(beta * chosen) - 0.5 * noise, where=where)


def bco_pair_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Classifies each response by the sign of its log-ratio: :math:`-\log\sigma(\beta r_w) - \log\sigma(-\beta r_l)`.

    Here :math:`r_w` and :math:`r_l` are the log-ratios policy to reference of the chosen (winning) and the rejected
    (losing) response.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy: nats, summed over its tokens, the end-of-sequence token included.
      reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
      beta: strength of the pull towards the reference, above 0, applied here and nowhere else.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Source: BCO (arXiv 2404.04656), without reward shift; :func:`jaxalign.losses.bco_loss` has it.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(-jax.nn.log_sigmoid(beta * chosen) - jax.nn.log_sigmoid(-beta * rejected), where=where)


def sppo_hard_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes self-play preference optimisation with hard win probabilities, 1 and 0.

    .. math:: (r_w - \frac{1}{2\beta})^2 + (r_l + \frac{1}{2\beta})^2

    Here :math:`r_w` and :math:`r_l` are the log-ratios policy to reference of the chosen (winning) and the rejected
    (losing) response.

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

    Source: SPPO (arXiv 2405.00675), equation 4.7 with hard labels.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    target = 1 / (2 * beta)
    return reduce_fn(jnp.square(chosen - target) + jnp.square(rejected + target), where=where)


def apo_zero_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Moves the chosen response up and the rejected one down: :math:`\sigma(-\beta r_w) + \sigma(\beta r_l)`.

    It suits data whose chosen responses are better than what the policy writes.

    Here :math:`r_w` and :math:`r_l` are the log-ratios policy to reference of the chosen (winning) and the rejected
    (losing) response.

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

    Source: APO (arXiv 2408.06266), equation 7.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(jax.nn.sigmoid(-beta * chosen) + jax.nn.sigmoid(beta * rejected), where=where)


def apo_down_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Moves both responses down, the rejected one further: :math:`\sigma(\beta r_w) + \sigma(-\beta\delta)`.

    It suits data whose chosen responses are worse than what the policy writes.

    Here :math:`r_w` and :math:`r_l` are the log-ratios policy to reference of the chosen (winning) and the rejected
    (losing) response, and :math:`\delta = r_w - r_l`.

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

    Source: APO (arXiv 2408.06266), equation 8.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(jax.nn.sigmoid(beta * chosen) + jax.nn.sigmoid(-beta * (chosen - rejected)), where=where)
