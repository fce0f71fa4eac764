"""Ranking losses that depend on a whole list at once.

Arguments as in :mod:`jaxalign.losses.pointwise` and :mod:`jaxalign.losses.pairwise`, and one more:
  key: breaks ties of the ranking that the loss needs at random; consumed. With None, ties fall back to storage order,
    and then the result depends on it: labels tie in ``list_mle_loss``, and in ``lambda_loss`` all scores tie at the
    first step of training, where the policy still is the reference.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxalign import numerics
from jaxalign.losses.common import (
    differences,
    log_sum_exp_excess,
    masked,
    preferred_pairs,
    ranks,
    reduce_lists,
    reduce_pairs,
)
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
    where, scores, labels = masked(where, scores, labels)
    order = ranks(labels, where, key)
    remaining = (order[..., None, :] >= order[..., :, None]) & where[..., None, :]
    return reduce_lists(log_sum_exp_excess(scores, remaining), where, reduce_fn)


def softmax_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Cross-entropy of the labels, scaled to sum 1, with the scores' distribution.

    .. math:: -\sum_j \frac{\psi_j}{\sum_i \psi_i} \log \mathrm{softmax}(s)_j

    A list whose labels are all 0 has loss 0 and gradient 0.

    Source: LiPO (arXiv 2402.01878), softmax.
    """
    where, scores, labels = masked(where, scores, labels)
    target = numerics.safe_divide(labels, jnp.sum(labels, axis=-1, keepdims=True))
    everyone = jnp.broadcast_to(where[..., None, :], (*where.shape, where.shape[-1]))
    return reduce_lists(target * log_sum_exp_excess(scores, everyone), where, reduce_fn)


def exponential_gain(labels: Float[Array, "..."]) -> Float[Array, "..."]:
    r""":math:`G = 2^\psi - 1`."""
    return jnp.exp2(labels) - 1


def log_discount(ranks: Float[Array, "..."]) -> Float[Array, "..."]:
    r""":math:`D = \ln(1 + r)`, as the LiPO paper writes it."""
    return jnp.log1p(ranks)


def log2_discount(ranks: Float[Array, "..."]) -> Float[Array, "..."]:
    r""":math:`D = \log_2(1 + r)`, as in DCG and in the ranking library that the LiPO paper used."""
    return jnp.log2(1 + ranks)


def lambda_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    gain_fn: Callable[[Array], Array] | None = exponential_gain,
    discount_fn: Callable[[Array], Array] | None = log_discount,
    normalization: Literal["list", "pairs"] = "list",
    key: PRNGKeyArray | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""LiPO-lambda: pairs weighted by what swapping them changes in DCG.

    .. math::
      \sum_{\psi_i > \psi_j} \Delta_{ij} \log(1 + e^{-(s_i - s_j)}), \quad
      \Delta_{ij} = |G(\psi_i) - G(\psi_j)| \, |1/D(r_i) - 1/D(r_j)|

    with :math:`r_i` the rank of item i by score, 1 = highest. No gradient flows through :math:`\Delta`.

    With ``normalization="pairs"`` the loss of a pair is also multiplied by K, the padded width of the list: with
    ``log2_discount`` this is what the paper's printed algorithm computes, K ln 2 / n times its equation on a full list
    of n pairs.

    Args:
      gain_fn: G of the labels. None leaves the gain factor out of :math:`\Delta` (a constant G would make it 0).
      discount_fn: D of the ranks. None leaves the discount factor out. With both None this is
        :func:`jaxalign.losses.pairwise_logistic_loss`.
      key: orders tied scores; consumed.

    Source: LiPO (arXiv 2402.01878), LiPO-lambda, and its ablations of Delta.
    """
    where, scores, labels = masked(where, scores, labels)
    gain = 1.0 if gain_fn is None else jnp.abs(differences(gain_fn(labels)))
    discount = 1.0 if discount_fn is None else jnp.abs(differences(1 / discount_fn(ranks(scores, where, key))))
    width = scores.shape[-1] if normalization == "pairs" else 1
    per_pair = -jax.nn.log_sigmoid(differences(scores)) * jax.lax.stop_gradient(gain * discount) * width
    return reduce_pairs(per_pair, preferred_pairs(labels, where), where, normalization, reduce_fn)
