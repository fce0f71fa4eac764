"""Ranking losses that depend on a complete list at once."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxalign import numerics
from jaxalign.losses.common import log_sum_exp_excess, reduce_lists
from jaxalign.typing import ReduceFn


def list_mle_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the negative Plackett-Luce log-likelihood of the order of the labels.

    .. math:: -\sum_k \log \frac{e^{s_k}}{\sum_{j \ge k} e^{s_j}}

    with :math:`s` the scores, sorted by label, best first. With K = 2 this is DPO.

    Args:
      scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response: beta is in here, and nowhere else.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      key: orders tied labels at random; consumed. With None they stay in storage order, and the loss depends on it.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the sums of the lists, True for lists with a real item.
        The default is their mean, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Source: LiPO (arXiv 2402.01878), list-mle; DPO (arXiv 2305.18290), appendix A.3.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    order = numerics.ranks(labels, where, key)
    remaining = (order[..., None, :] >= order[..., :, None]) & where[..., None, :]
    return reduce_lists(log_sum_exp_excess(scores, remaining), where, reduce_fn)


def softmax_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the cross-entropy of the labels, scaled to sum 1, with the scores' softmax.

    .. math:: -\sum_j \frac{\psi_j}{\sum_i \psi_i} \log \mathrm{softmax}(s)_j

    Here :math:`s` are the scores and :math:`\psi` the labels. A list whose labels are all 0 has loss 0 and gradient 0.

    Args:
      scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response: beta is in here, and nowhere else.
      labels: ``[..., K]``, in [0, 1], higher is better; only their proportions matter.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      key: not used, since this loss ranks nothing; it is taken so that all ranking losses are called alike.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the sums of the lists, True for lists with a real item.
        The default is their mean, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Source: LiPO (arXiv 2402.01878), softmax.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    target = numerics.safe_divide(labels, jnp.sum(labels, axis=-1, keepdims=True))
    everyone = jnp.broadcast_to(where[..., None, :], (*where.shape, where.shape[-1]))
    return reduce_lists(target * log_sum_exp_excess(scores, everyone), where, reduce_fn)
