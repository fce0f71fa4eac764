"""The latest pairs of a request and an example, from which the proxy model learns."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxalign.serving.proxy import FACTS, ProxyFeedback
from jaxalign.serving.table import NONE


class PairBuffer(NamedTuple):
    """At most C pairs; new ones take the place of the oldest."""

    pairs: ProxyFeedback  # [C, ...]
    added: Int[Array, ""]  # pairs that were ever added


def init_pairs(capacity: int, width: int) -> PairBuffer:
    """Makes an empty buffer.

    Args:
      capacity: C.
      width: D, the dimension of the embeddings.

    Raises:
      ValueError: one of them is below 1.
    """
    if min(capacity, width) < 1:
        raise ValueError(f"expected a capacity and a width of at least 1, got {capacity} and {width}")
    vectors, nobody = jnp.zeros((capacity, width)), jnp.full(capacity, NONE)
    facts, labels = jnp.zeros((capacity, FACTS)), jnp.zeros(capacity)
    return PairBuffer(
        ProxyFeedback(vectors, vectors, vectors, facts, labels, jnp.zeros(capacity, bool), nobody, nobody), jnp.int32(0)
    )


def add_pairs(buffer: PairBuffer, pairs: ProxyFeedback) -> PairBuffer:
    """Adds the pairs that count to a buffer.

    Args:
      buffer: where to.
      pairs: N of them, from :func:`jaxalign.serving.collect_feedback`, of which no more than the capacity count.
    """
    capacity = buffer.pairs.where.shape[0]
    places = (buffer.added + jnp.cumsum(pairs.where) - 1) % capacity
    rows = jnp.where(pairs.where, places, capacity)  # what does not count falls off the end
    placed = jax.tree.map(lambda old, new: old.at[rows].set(new, mode="drop"), buffer.pairs, pairs)
    return PairBuffer(placed, buffer.added + pairs.where.sum(dtype=jnp.int32))
