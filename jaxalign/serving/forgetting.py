"""Deletion by user, in every structure that holds something of an example or a request.

What was learnt from a user's data, the weights of the router and of the proxy model and averages over many requests, is
not undone. Ids of users are those of the caller and unique among tenants, as feedback has no partition.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxalign.serving.index import VectorIndex
from jaxalign.serving.partitions import delete_from_partitions
from jaxalign.serving.proxy import ProxyFeedback
from jaxalign.serving.replay import ReplayPlan
from jaxalign.serving.replay_buffer import ReplayBuffer, forget_feedback
from jaxalign.serving.table import NONE, ExampleTable, forget_examples, ids_of_user

Part = TypeVar("Part")


class ServingState(NamedTuple):
    """All that holds examples and requests, between two calls of the policies."""

    table: ExampleTable
    indices: Mapping[int, Any]  # for each partition the state of its index
    plan: ReplayPlan  # what is to be replayed
    buffer: ReplayBuffer  # what the router learns from
    pairs: ProxyFeedback  # what the proxy model learns from


def forget_user(
    state: ServingState, index: VectorIndex, partition: int, user: int
) -> tuple[ServingState, Int[np.ndarray, "N"]]:
    """Forgets a user's examples and requests: in the table, the indices, the replay plan, and what is learnt from.

    An example may be in more than one index, such as its tenant's and the shared one: it is deleted from all. Feedback
    and pairs of another user's request with an example of this user go too.

    Args:
      state: where they are; it stays as it is, so drop it and checkpoints of it.
      index: the functions that made the states of the indices.
      partition: the user's tenant.
      user: the user's id.

    Returns:
      The state without the user, and the ids of the examples that were forgotten, whose texts and checkpoints the
      caller deletes. The ids will be given to new examples.
    """
    ids = ids_of_user(state.table, partition, user)
    planned = np.asarray(state.plan.ids)
    stay = ~np.isin(planned, ids) & np.asarray(state.plan.where)
    return ServingState(
        forget_examples(state.table, ids),
        delete_from_partitions(index, state.indices, ids),
        ReplayPlan(jnp.asarray(np.where(stay, planned, NONE)), jnp.asarray(stay)),
        forget_feedback(state.buffer, user),
        forget_pairs(state.pairs, user),
    ), ids


@jax.jit
def forget_pairs(pairs: ProxyFeedback, user: Int[Array, ""] | int) -> ProxyFeedback:
    """Returns pairs without those of a user's requests and those with a user's examples.

    Args:
      pairs: what the proxy model learns from.
      user: the user's id.
    """
    gone = (pairs.users == user) | (pairs.owners == user)
    pairs = forget_rows(pairs, gone)
    people = {name: jnp.where(gone, NONE, getattr(pairs, name)) for name in ("users", "owners")}  # 0 would be a user
    return pairs._replace(**people)


@jax.jit
def forget_rows(part: Part, gone: Bool[Array, "R"] | Bool[np.ndarray, "R"]) -> Part:
    """Sets rows to 0 in every array of a pytree.

    Args:
      part: arrays whose first axis has R entries; their other axes may be any.
      gone: ``[R]``, True for rows to forget.

    Raises:
      ValueError: an array without such an axis: what it holds of the rows could not be found.
    """

    def clear(path, leaf):
        if leaf.shape[:1] != gone.shape:
            raise ValueError(
                f"rows of {len(gone)} records cannot be forgotten in {jax.tree_util.keystr(path)}, which has shape "
                f"{leaf.shape}; pass only arrays with one row for each record"
            )
        where = gone.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.where(where, jnp.zeros((), leaf.dtype), leaf)

    return jax.tree_util.tree_map_with_path(clear, part)
