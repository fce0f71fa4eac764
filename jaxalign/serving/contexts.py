"""What the router sees of a request and of the examples chosen for it."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxalign.numerics import safe_divide

NUM_SUMMARIES = 4


def context_width(width: int) -> int:
    """Returns how many numbers a context has for embeddings of a width."""
    return 2 * width + NUM_SUMMARIES


def router_contexts(
    queries: Float[Array, "B D"],
    examples: Float[Array, "B M D"],
    utilities: Float[Array, "B M"],
    where: Bool[Array, "B M"],
) -> Float[Array, "B F"]:
    """Puts a request and its examples into one row of 2 D + 4 numbers.

    They are the request's embedding, the mean of its examples' embeddings weighted by utility, and four numbers: the
    highest and the mean utility, the highest cosine of an example with the request, and how many examples there are as
    a share of M. Embeddings are scaled so that their entries are about 1, as networks like them.

    Args:
      queries: ``[B, D]``, unit embeddings of requests.
      examples: ``[B, M, D]``, unit embeddings of the requests of the chosen examples.
      utilities: ``[B, M]``, in [0, 1].
      where: ``[B, M]``, True for examples that there are; others may hold anything.

    Source: EchoLM (arXiv 2501.12689): the bandit's context is the request and the chosen examples. The form is ours.
    """
    width, most = queries.shape[-1], where.shape[-1]
    utilities = jnp.where(where, utilities, 0)
    examples = jnp.where(where[..., None], examples, 0)
    total = utilities.sum(-1)
    center = safe_divide((utilities[..., None] * examples).sum(-2), total[:, None])
    cosines = (queries[:, None] * examples).sum(-1)
    count = where.sum(-1)
    summaries = (utilities.max(-1), safe_divide(total, count.astype(total.dtype)), cosines.max(-1), count / most)
    scale = jnp.sqrt(jnp.float32(width))
    return jnp.concatenate([scale * queries, scale * center, jnp.stack(summaries, -1)], -1)
