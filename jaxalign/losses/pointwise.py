"""Ranking losses that look at one item at a time.

All ranking losses are called alike and sum over each list, as LiPO does; ``reduce_fn`` reduces over the lists that have
a real item. Arithmetic is in float32 (or wider) whatever the inputs are.
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
    r"""Sums the squared errors of a list's scores as predictions of its labels: :math:`\sum_k (\psi_k - s_k)^2`.

    Here :math:`s` are the scores and :math:`\psi` the labels.

    Args:
      scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response: beta is in here, and nowhere else.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      key: not used, since this loss ranks nothing; it is taken so that all ranking losses are called alike.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the sums of the lists, True for lists with a real item.
        The default is their mean, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar.

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
    r"""Sums the cross-entropies of a list's labels as probabilities, with its scores as their logits.

    .. math:: -\sum_i \psi_i \log\sigma(s_i) + (1-\psi_i) \log(1-\sigma(s_i))

    Here :math:`s` are the scores and :math:`\psi` the labels.

    Args:
      scores: ``[..., K]``, beta * (log pi - log pi_ref) of each response: beta is in here, and nowhere else.
      labels: ``[..., K]``, in [0, 1], higher is better.
      where: ``[..., K]``, True for real items, None for all; masked items may hold anything, NaN included.
      key: not used, since this loss ranks nothing; it is taken so that all ranking losses are called alike.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the sums of the lists, True for lists with a real item.
        The default is their mean, 0 if there is none.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    Source: LiPO (arXiv 2402.01878), point-sigmoid.
    """
    where, scores, labels = numerics.masked(where, scores, labels)
    per_item = -labels * jax.nn.log_sigmoid(scores) - (1 - labels) * jax.nn.log_sigmoid(-scores)
    return reduce_lists(per_item, where, reduce_fn)
