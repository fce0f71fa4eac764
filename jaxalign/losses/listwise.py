"""Ranking losses that depend on a whole list at once.

Arguments as in :mod:`jaxalign.losses.pointwise` and :mod:`jaxalign.losses.pairwise`, and one more:
  key: breaks ties of the ranking that the loss needs at random; consumed. With None, ties fall back to storage order,
    and then the result depends on it: labels tie in ``list_mle_loss``, and in ``lambda_loss`` all scores tie at the
    first step of training, where the policy still is the reference.
"""

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
    r"""Plackett-Luce likelihood of the labels' order.

    .. math:: -\sum_k \log \frac{e^{s_k}}{\sum_{j \ge k} e^{s_j}}

    with items sorted by label, best first. ``key`` orders tied labels. With K = 2 this is DPO.

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
    r"""Cross-entropy of the labels, scaled to sum 1, with the scores' distribution.

    .. math:: -\sum_j \frac{\psi_j}{\sum_i \psi_i} \log \mathrm{softmax}(s)_j

    A list whose labels are all 0 has loss 0 and gradient 0.

    Source: LiPO (arXiv 2402.01878), softmax.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    target = numerics.safe_divide(labels, jnp.sum(labels, axis=-1, keepdims=True))
    everyone = jnp.broadcast_to(where[..., None, :], (*where.shape, where.shape[-1]))
    return reduce_lists(target * log_sum_exp_excess(scores, everyone), where, reduce_fn)
