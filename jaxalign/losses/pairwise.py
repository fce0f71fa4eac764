"""Ranking losses over the pairs of a list whose labels differ.

A ``lambdaweight_fn`` weighs the pairs: with :func:`jaxalign.losses.dcg_lambdaweight` the logistic loss is LiPO-lambda
(:func:`lambda_loss`), and the hinge loss its hinge variant.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxalign import numerics
from jaxalign.losses.common import preferred_pairs, reduce_pairs
from jaxalign.losses.lambdaweights import dcg_lambdaweight
from jaxalign.numerics import exponential_gain, log_discount
from jaxalign.typing import LambdaweightFn, ReduceFn


def pairwise_hinge_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    lambdaweight_fn: LambdaweightFn | None = None,
    normalization: Literal["list", "pairs"] = "list",
    key: PRNGKeyArray | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Hinge on score differences: :math:`\sum_{\psi_i > \psi_j} \max(0, 1 - (s_i - s_j))`.

    The margin is 1 in units of beta * log-ratio, since scores include beta. With K = 2 this is SLiC with normalised
    likelihoods.

    Source: LiPO (arXiv 2402.01878), pair-hinge.
    """
    return _pairwise_loss(_hinge, scores, labels, where, lambdaweight_fn, normalization, key, reduce_fn)


def pairwise_logistic_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    lambdaweight_fn: LambdaweightFn | None = None,
    normalization: Literal["list", "pairs"] = "list",
    key: PRNGKeyArray | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Bradley-Terry likelihood of each pair: :math:`\sum_{\psi_i > \psi_j} \log(1 + e^{-(s_i - s_j)})`.

    With K = 2 this is DPO.

    Source: LiPO (arXiv 2402.01878), pair-logistic.
    """
    return _pairwise_loss(_logistic, scores, labels, where, lambdaweight_fn, normalization, key, reduce_fn)


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

    def reduce_scaled(values, *, where=None):
        return reduce_fn(values * scores.shape[-1], where=where)

    return pairwise_logistic_loss(
        scores,
        labels,
        where=where,
        lambdaweight_fn=functools.partial(dcg_lambdaweight, gain_fn=gain_fn, discount_fn=discount_fn),
        normalization=normalization,
        key=key,
        reduce_fn=reduce_scaled if normalization == "pairs" else reduce_fn,
    )


def _hinge(differences):
    return jax.nn.relu(1 - differences)


def _logistic(differences):
    return -jax.nn.log_sigmoid(differences)


def _pairwise_loss(pair_loss_fn, scores, labels, where, lambdaweight_fn, normalization, key, reduce_fn):
    """``pair_loss_fn`` of all score differences ``[..., K, K]``, weighted, and reduced over the pairs that count."""
    where, scores, labels = numerics.masked(where, scores, labels)
    per_pair = pair_loss_fn(numerics.differences(scores))
    if lambdaweight_fn is not None:
        per_pair *= jax.lax.stop_gradient(lambdaweight_fn(scores, labels, where=where, key=key))
    return reduce_pairs(per_pair, preferred_pairs(labels, where), where, normalization, reduce_fn)
