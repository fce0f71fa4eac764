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
    r"""Sums the hinge of score differences over the pairs of a list whose labels differ.

    .. math:: \sum_{\psi_i > \psi_j} \max(0, 1 - (s_i - s_j))

    Here :math:`s` are the scores and :math:`\psi` the labels. The margin is 1 in units of beta * log-ratio, since
    scores include beta. With K = 2 this is SLiC with normalised likelihoods. A list whose labels are all tied has no
    pairs: its loss and its gradient are 0.

    Args:
      scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response: beta is in here, and nowhere else.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      lambdaweight_fn: called as ``lambdaweight_fn(scores, labels, where=where, key=key)``, returns weights
        ``[..., K, K]``, 0 or more, that multiply the losses of the pairs; no gradient flows through them. None weighs
        every pair 1. :func:`jaxalign.losses.dcg_lambdaweight` is one.
      normalization: ``"list"``: the paper's sum over the pairs of a list, then ``reduce_fn`` over the lists that have a
        real item; long lists weigh more, by their number of pairs. ``"pairs"``: ``reduce_fn`` over all pairs of the
        batch at once; every pair weighs the same.
      key: handed to ``lambdaweight_fn``, which may rank with it; consumed there, and not used without one.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the sums of the lists, or on the pairs. The default is
        the mean of those that count, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

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
    r"""Sums the negative Bradley-Terry log-likelihoods of the pairs of a list whose labels differ.

    .. math:: \sum_{\psi_i > \psi_j} \log(1 + e^{-(s_i - s_j)})

    Here :math:`s` are the scores and :math:`\psi` the labels. With K = 2 this is DPO. A list whose labels are all tied
    has no pairs: its loss and its gradient are 0.

    Args:
      scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response: beta is in here, and nowhere else.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      lambdaweight_fn: called as ``lambdaweight_fn(scores, labels, where=where, key=key)``, returns weights
        ``[..., K, K]``, 0 or more, that multiply the losses of the pairs; no gradient flows through them. None weighs
        every pair 1. :func:`jaxalign.losses.dcg_lambdaweight` is one.
      normalization: ``"list"``: the paper's sum over the pairs of a list, then ``reduce_fn`` over the lists that have a
        real item; long lists weigh more, by their number of pairs. ``"pairs"``: ``reduce_fn`` over all pairs of the
        batch at once; every pair weighs the same.
      key: handed to ``lambdaweight_fn``, which may rank with it; consumed there, and not used without one.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the sums of the lists, or on the pairs. The default is
        the mean of those that count, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

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
    r"""Computes LiPO-lambda: the logistic losses of a list's pairs, weighted by what swapping the two changes in DCG.

    .. math::
      \sum_{\psi_i > \psi_j} \Delta_{ij} \log(1 + e^{-(s_i - s_j)}), \quad
      \Delta_{ij} = |G(\psi_i) - G(\psi_j)| \, |1/D(r_i) - 1/D(r_j)|

    with :math:`s` the scores, :math:`\psi` the labels and :math:`r_i` the rank of item i by score, 1 = highest. No
    gradient flows through :math:`\Delta`.

    With ``normalization="pairs"`` the loss of a pair is also multiplied by K, the padded width of the list: with
    ``log2_discount`` this is what the paper's printed algorithm computes, K ln 2 / n times its equation on a full list
    of n pairs.

    It is :func:`pairwise_logistic_loss` with :func:`dcg_lambdaweight` as its ``lambdaweight_fn``;
    :func:`pairwise_hinge_loss` with these weights is the hinge variant. A list whose labels are all tied has no pairs:
    its loss and its gradient are 0.

    Args:
      scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response: beta is in here, and nowhere else.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      gain_fn: G of the labels, elementwise. None leaves the gain factor out of :math:`\Delta` (a constant G would make
        it 0).
      discount_fn: D of the ranks, elementwise. None leaves the discount factor out. With both None this is
        :func:`jaxalign.losses.pairwise_logistic_loss`, times K for pairs.
      normalization: ``"list"``: the paper's sum over the pairs of a list, then ``reduce_fn`` over the lists that have a
        real item; long lists weigh more, by their number of pairs. ``"pairs"``: ``reduce_fn`` over all pairs of the
        batch at once; every pair weighs the same.
      key: orders tied scores at random; consumed. With None they rank in storage order, and the loss depends on it: all
        scores tie at the first step of training, where the policy still is the reference.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the sums of the lists, or on the pairs. The default is
        the mean of those that count, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

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
