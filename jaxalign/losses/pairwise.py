"""Ranking losses over the pairs of a list whose labels differ.

Arguments as in :mod:`jaxalign.losses.pointwise`, and one more:
  normalization: which of two different numbers is computed.
    ``"list"``: the paper's sum over the pairs of a list, then ``reduce_fn`` over lists with a valid item. Long lists
    weigh more, by their number of pairs.
    ``"pairs"``: ``reduce_fn`` over all pairs of the batch at once: every pair weighs the same.

A list whose labels are all tied has no pairs: its loss and its gradient are 0.
"""

from typing import Any, Literal

import jax
from jaxtyping import Array, Bool, Float

from jaxalign import numerics
from jaxalign.losses.common import differences, masked, preferred_pairs, reduce_pairs
from jaxalign.typing import ReduceFn


def pairwise_hinge_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    normalization: Literal["list", "pairs"] = "list",
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Hinge on score differences: :math:`\sum_{\psi_i > \psi_j} \max(0, 1 - (s_i - s_j))`.

    The margin is 1 in units of beta * log-ratio, since scores include beta. With K = 2 this is SLiC with normalised
    likelihoods.

    Source: LiPO (arXiv 2402.01878), pair-hinge.
    """
    where, scores, labels = masked(where, scores, labels)
    per_pair = jax.nn.relu(1 - differences(scores))
    return reduce_pairs(per_pair, preferred_pairs(labels, where), where, normalization, reduce_fn)


def pairwise_logistic_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    normalization: Literal["list", "pairs"] = "list",
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Bradley-Terry likelihood of each pair: :math:`\sum_{\psi_i > \psi_j} \log(1 + e^{-(s_i - s_j)})`.

    With K = 2 this is DPO.

    Source: LiPO (arXiv 2402.01878), pair-logistic.
    """
    where, scores, labels = masked(where, scores, labels)
    per_pair = -jax.nn.log_sigmoid(differences(scores))
    return reduce_pairs(per_pair, preferred_pairs(labels, where), where, normalization, reduce_fn)
