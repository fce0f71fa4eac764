"""Calibration of sequence likelihoods: the better response becomes the likelier one, by a margin. No reference model.

Here ``beta`` is a margin in nats and not the strength of a pull: sums take a margin for the complete response. For the
length-normalised form pass averages (:func:`jaxalign.losses.average_logps`) and divide ``beta`` by the usual number of
tokens, as averages differ by that much less.

A hinge is content with two likelihoods that both fall: watch the chosen one, or add its likelihood to each pair with
:func:`jaxalign.losses.regularized`.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.typing import ReduceFn

PenaltyFn = Callable[[Array], Array]


def ranking_calibration_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    penalty_fn: PenaltyFn = jax.nn.relu,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Asks for the same margin in every pair: :math:`\max(0, \beta - \log\pi_w + \log\pi_l)`.

    Here :math:`\pi_w` and :math:`\pi_l` are the policy's probabilities of the chosen and the rejected response. It is
    ``beta`` times SLiC's hinge (:func:`jaxalign.losses.hinge_dpo_loss`) at strength ``1 / beta`` without a reference.
    With softplus it is :func:`jaxalign.losses.simpo_loss` at strength 1 and this margin.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy, nats: sums over its tokens, or averages (:func:`jaxalign.losses.average_logps`) for the
        length-normalised form.
      beta: the margin in nats, for averages in nats per token.
      penalty_fn: what a shortfall of the margin costs, elementwise. ``jax.nn.relu``, the papers' hinge, stops once the
        margin is reached; ``jax.nn.softplus`` is the logistic variant, which never quite does.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if shapes differ.

    >>> import jax.numpy as jnp
    >>> print(ranking_calibration_loss(jnp.array([-3.0, -1.0]), jnp.array([-4.0, -4.0]), beta=2.0))
    0.5

    Source: SLiC (arXiv 2210.00045), rank loss; PLaD (arXiv 2406.02886).
    """
    where, chosen, rejected = numerics.masked(where, policy_chosen_logps, policy_rejected_logps)
    return reduce_fn(penalty_fn(beta - (chosen - rejected)), where=where)


def margin_calibration_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    chosen_scores: Float[Array, "*batch"],
    rejected_scores: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    penalty_fn: PenaltyFn = jax.nn.relu,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Asks for a margin in proportion to how much better the better response is.

    .. math:: \max(0, \beta(s_w - s_l) - \log\pi_w + \log\pi_l)

    Here :math:`\pi_w` and :math:`\pi_l` are the policy's probabilities of the chosen and the rejected response.

    Args:
      policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probability of the better and of the worse response
        under the policy, nats: sums over its tokens, or averages (:func:`jaxalign.losses.average_logps`) for the
        length-normalised form.
      chosen_scores, rejected_scores: ``[...]``, quality on any scale, in the papers the similarity to a reference
        output. A pair whose "rejected" response scores higher may be ranked the other way round, by its own margin.
      beta: nats of margin per unit of score.
      penalty_fn: what a shortfall of the margin costs, elementwise. ``jax.nn.relu``, the papers' hinge, stops once the
        margin is reached; ``jax.nn.softplus`` is the logistic variant, which never quite does.
      where: ``[...]``, True for real pairs, None for all; masked pairs may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the pairs. The default is their mean, 0 if
        no pair counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Raises:
      ValueError: if shapes differ.

    >>> import jax.numpy as jnp
    >>> scores = jnp.array([0.75]), jnp.array([0.25])
    >>> print(margin_calibration_loss(jnp.array([-3.0]), jnp.array([-4.0]), *scores, beta=3.0))
    0.5

    Source: SLiC (arXiv 2210.00045), margin loss; PLaD (arXiv 2406.02886).
    """
    where, chosen, rejected, chosen_scores, rejected_scores = numerics.masked(
        where, policy_chosen_logps, policy_rejected_logps, chosen_scores, rejected_scores
    )
    return reduce_fn(penalty_fn(beta * (chosen_scores - rejected_scores) - (chosen - rejected)), where=where)
