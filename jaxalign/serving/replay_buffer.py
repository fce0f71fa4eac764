"""A prioritised replay buffer of feedback: ratings of one answer, and preferences between two.

Letters: C rows of capacity, B rows of a batch, F numbers of context, E members of the router's ensemble.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

UNKNOWN_PRIORITY = 1.0
"""The priority of what was never learnt from: the loss of even odds is 0.69, so that it comes early."""
SMALLEST_PRIORITY = 1e-3


class Feedback(NamedTuple):
    """What users or judges said."""

    contexts: Float[Array, "B F"]  # that the router saw
    models: Int[Array, "B"]  # whose answer is rated, or compared as the first
    opponents: Int[Array, "B"]  # whose answer is compared as the second; -1 for a rating
    outcomes: Float[Array, "B"]  # a rating in [0, 1], or the chance that the first is better
    users: Int[Array, "B"]  # whose request it was, so that it can be forgotten


BLANK = Feedback(0.0, -1, -1, 0.0, -1)
"""A row without feedback."""


class ReplayBuffer(NamedTuple):
    """The latest feedback, at most C rows; new rows take the place of the oldest."""

    feedback: Feedback  # [C, ...]
    bootstrap: Float[Array, "C E"]  # how often each member of the ensemble counts each row
    priorities: Float[Array, "C"]  # 0 for rows without feedback
    added: Int[Array, ""]  # rows that were ever added


def init_buffer(capacity: int, width: int, members: int) -> ReplayBuffer:
    """Makes an empty buffer.

    Args:
      capacity: C.
      width: F, numbers in a context.
      members: E, of the router's ensemble.

    Raises:
      ValueError: one of them is below 1.
    """
    if min(capacity, width, members) < 1:
        raise ValueError(f"expected a capacity, width and members of at least 1, got {capacity}, {width}, {members}")
    shapes = Feedback((capacity, width), *((capacity,),) * 4)
    feedback = Feedback(*(jnp.full(shape, blank) for shape, blank in zip(shapes, BLANK, strict=True)))
    return ReplayBuffer(feedback, jnp.zeros((capacity, members)), jnp.zeros(capacity), jnp.int32(0))


def add_feedback(buffer: ReplayBuffer, feedback: Feedback, where: Bool[Array, "B"], key: PRNGKeyArray) -> ReplayBuffer:
    """Adds rows to a buffer.

    Args:
      buffer: where to.
      feedback: ``[B]`` rows, of which no more than the capacity are real.
      where: ``[B]``, True for real rows.
      key: consumed; draws how often each member counts each row, Poisson(1), which is the online bootstrap (Oza and
        Russell, 2001).
    """
    capacity, members = buffer.bootstrap.shape
    rank = jnp.cumsum(where) - 1
    rows = jnp.where(where, (buffer.added + rank) % capacity, capacity)  # rows that are not real fall off the end
    counts = jax.random.poisson(key, 1.0, (where.shape[0], members)).astype(jnp.float32)
    placed = jax.tree.map(lambda old, new: old.at[rows].set(new, mode="drop"), buffer.feedback, feedback)
    return ReplayBuffer(
        placed,
        buffer.bootstrap.at[rows].set(counts, mode="drop"),
        buffer.priorities.at[rows].set(UNKNOWN_PRIORITY, mode="drop"),
        buffer.added + where.sum(dtype=jnp.int32),
    )


def sample_rows(
    buffer: ReplayBuffer, key: PRNGKeyArray, batch_size: int, *, alpha: float = 0.6, beta: float = 0.4
) -> tuple[Int[Array, "B"], Float[Array, "B"]]:
    r"""Draws rows by priority, with the weights that make up for it.

    .. math:: P(i) = p_i^\alpha / \textstyle\sum_j p_j^\alpha, \quad w_i \propto (N P(i))^{-\beta}

    Args:
      buffer: N rows with feedback among its C.
      key: consumed.
      batch_size: B rows are drawn, with replacement.
      alpha: 0 draws evenly, 1 by priority.
      beta: 1 makes up for all of it, 0 for nothing.

    Returns:
      Rows ``[B]`` and weights ``[B]``, the largest of which is 1. Of an empty buffer all weights are 0.

    Source: Schaul et al. (arXiv 1511.05952), equations 1 and 2 and section 3.4.
    """
    known = buffer.priorities > 0
    logits = jnp.where(known, alpha * jnp.log(jnp.where(known, buffer.priorities, 1)), -jnp.inf)
    chances = jax.nn.softmax(jnp.where(known.any(), logits, 0))
    cumulative = jnp.cumsum(chances)
    # The largest number below the total: rounding must not draw a row beyond the last one.
    draws = jax.random.uniform(key, (batch_size,), maxval=cumulative[-1] * (1 - 1e-6))
    rows = jnp.searchsorted(cumulative, draws, side="right").astype(jnp.int32)
    weights = (jnp.maximum(known.sum(), 1) * chances[rows]) ** -beta
    return rows, jnp.where(known[rows], weights / weights.max(), 0)


def set_priorities(buffer: ReplayBuffer, rows: Int[Array, "B"], errors: Float[Array, "B"]) -> ReplayBuffer:
    """Sets the priorities of rows to what was wrong with their prediction; rows that were forgotten stay so.

    Args:
      buffer: where the rows are.
      rows: ``[B]``, from :func:`sample_rows`.
      errors: ``[B]``, of 0 or more, such as the distance between outcome and prediction.
    """
    known = buffer.priorities[rows] > 0
    return buffer._replace(
        priorities=buffer.priorities.at[rows].set(jnp.where(known, jnp.maximum(errors, SMALLEST_PRIORITY), 0))
    )


def forget_feedback(buffer: ReplayBuffer, user: Int[Array, ""] | int) -> ReplayBuffer:
    """Deletes a user's feedback: contexts and outcomes become 0, and the rows are never drawn.

    Args:
      buffer: where from.
      user: the number that the feedback was added with.
    """
    gone = buffer.feedback.users == user

    def blank(column, empty):
        return jnp.where(gone.reshape(-1, *(1,) * (column.ndim - 1)), empty, column)

    feedback = jax.tree.map(blank, buffer.feedback, BLANK)
    return ReplayBuffer(feedback, blank(buffer.bootstrap, 0), blank(buffer.priorities, 0), buffer.added)
