"""How far a reward model follows a cue that says nothing about quality."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Num

from jaxalign.numerics import Ratio, masked, ratio


def choice_change_metric(
    scores: Num[Array, "*batch K"],
    marked_scores: Num[Array, "*batch K"],
    *,
    where: Bool[Array, "*batch K"] | None = None,
) -> Ratio:
    """Computes how often the choice between two responses changes when one of them, either one, gets a cue.

    All ordered pairs (i, j) of a list are tried: response i with the cue against j without, compared with both without.
    A choice that becomes a tie, or was one, counts one half.

    Args:
      scores: ``[..., K]``, of the responses as they are, any scale.
      marked_scores: ``[..., K]``, of the same responses with the cue, on the same scale.
      where: ``[..., K]``, True for real responses, None for all; masked ones may hold anything, NaN included.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over ordered pairs: parts add up, ``.value`` divides.

    Source: the artifact test of RRM (arXiv 2409.13156), over all pairs of a list.
    """
    where, scores, marked_scores = masked(where, scores, marked_scores)
    mine, marked, other = scores[..., :, None], marked_scores[..., :, None], scores[..., None, :]
    changes = jnp.abs(jnp.sign(marked - other) - jnp.sign(mine - other)) / 2
    same = jnp.broadcast_to(jnp.eye(scores.shape[-1], dtype=bool), changes.shape)
    return ratio(changes, where=where[..., :, None] & where[..., None, :] & ~same)
