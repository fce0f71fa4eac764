"""Cross-entropy of a pairwise generative reward model, which writes one token as its verdict."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxalign import numerics
from jaxalign.typing import ReduceFn


def verdict_loss(
    verdict_logps: Float[Array, "*batch 3"],
    verdicts: Float[Array, "*batch 3"],
    *,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the cross-entropy of a pairwise generative reward model's verdict token, over the complete vocabulary.

    .. math:: -\sum_v q_v \log p_v, \quad v \in \{\text{first wins}, \text{second wins}, \text{neither}\}

    Args:
      verdict_logps: ``[..., 3]``, :math:`\log p` of each verdict, for instance from
        :func:`jaxalign.models.verdict_logps`, nats.
      verdicts: ``[..., 3]``, :math:`q`, the chance of each verdict; one of them 1 for a plain preference or a tie.
      where: ``[...]``, True for comparisons that count, None for all; masked ones may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the comparisons. The default is their
        mean, 0 if none counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    >>> print(verdict_loss(jnp.log(jnp.array([[0.5, 0.25, 0.25]])), jnp.array([[1.0, 0.0, 0.0]])))
    0.6931472

    Source: RRM (arXiv 2409.13156), the pairwise model.
    """
    if where is None:
        where = jnp.ones(verdicts.shape[:-1], bool)
    entries = jnp.broadcast_to(where[..., None], verdicts.shape)
    _, verdict_logps, verdicts = numerics.masked(entries, verdict_logps, verdicts)
    # An impossible verdict that is not the target costs nothing, though its logarithm is -inf.
    terms = jnp.where(verdicts > 0, verdicts * jnp.where(verdicts > 0, verdict_logps, 0), 0)
    return reduce_fn(-jnp.sum(terms, axis=-1), where=where)
