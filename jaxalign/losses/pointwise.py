"""Ranking losses that look at one item at a time.

All ranking losses share these arguments:
  scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response. beta is in here, and nowhere else.
  labels: ``[..., K]``, in [0, 1], higher is better.
  where: ``[..., K]``, True for real items. None means all. Masked items may hold anything, NaN included.
  reduce_fn: called as ``reduce_fn(values, where=mask)``. The default is the mean of what counts, 0 if nothing does.

They sum over each list, as the paper does, and ``reduce_fn`` reduces over the lists that have a valid item. Arithmetic
is in float32 (or wider) whatever the inputs are.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxalign import numerics
from jaxalign.losses.common import reduce_lists
from jaxalign.typing import ReduceFn


def pointwise_mse_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Squared error of scores as predictions of the labels: :math:`\sum_k (\psi_k - s_k)^2`.

    Source: LiPO (arXiv 2402.01878), point-mse.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    return reduce_lists(jnp.square(labels - scores), where, reduce_fn)


def pointwise_sigmoid_loss(
    scores: Float[Array, "*batch K"],
    labels: Float[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
    key: PRNGKeyArray | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Cross-entropy of the labels as probabilities, with scores as their logits.

    .. math:: -\sum_i \psi_i \log\sigma(s_i) + (1-\psi_i) \log(1-\sigma(s_i))

    Source: LiPO (arXiv 2402.01878), point-sigmoid.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    per_item = -labels * jax.nn.log_sigmoid(scores) - (1 - labels) * jax.nn.log_sigmoid(-scores)
    return reduce_lists(per_item, where, reduce_fn)
