"""Deletion by user, in every structure that holds something of an example or a request.

What was learnt from a user's data, the weights of the router and of the proxy model and averages over many requests, is
not undone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxalign.serving.index import VectorIndex
from jaxalign.serving.replay import ReplayPlan
from jaxalign.serving.table import NONE, ExampleTable, forget_examples, ids_of_user, pad_rows

Part = TypeVar("Part")


class ServingState(NamedTuple):
    """All that holds examples and requests, between two calls of the policies.

    ``buffers`` are records that learning draws from, such as the router's replay buffer: named tuples with the field
    ``users [R]`` and, where user ids are not unique among tenants, ``partitions [R]``; every array in them has R rows.
    """

    table: ExampleTable
    indices: Mapping[int, Any]  # for each partition the state of its index
    plan: ReplayPlan  # what is to be replayed
    buffers: tuple[Any, ...]


def forget_user(
    state: ServingState, index: VectorIndex, partition: int, user: int
) -> tuple[ServingState, Int[np.ndarray, "N"]]:
    """Forgets a user's examples and requests: in the table, the indices, the replay plan and the buffers.

    An example may be in more than one index, such as its tenant's and the shared one: it is deleted from all.

    Args:
      state: where they are; it stays as it is, so drop it and checkpoints of it.
      index: the functions that made the states of the indices.
      partition: the tenant.
      user: the user's id; the same id of another tenant is another user.

    Returns:
      The state without the user, and the ids of the examples that were forgotten, whose texts and checkpoints the
      caller deletes. The ids will be given to new examples.

    Raises:
      ValueError: a buffer without ``users``, or with arrays of other lengths.
    """
    ids = ids_of_user(state.table, partition, user)
    padded = pad_rows(ids, NONE)
    indices = {name: index.delete(each, padded) for name, each in state.indices.items()} if len(ids) else state.indices
    planned = np.asarray(state.plan.ids)
    stay = ~np.isin(planned, ids) & np.asarray(state.plan.where)
    plan = ReplayPlan(jnp.asarray(np.where(stay, planned, NONE)), jnp.asarray(stay))
    buffers = tuple(_without_user(buffer, partition, user) for buffer in state.buffers)
    return ServingState(forget_examples(state.table, ids), indices, plan, buffers), ids


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


def _without_user(buffer: Any, partition: int, user: int) -> Any:
    if not hasattr(buffer, "users"):
        raise ValueError(
            f"a buffer of type {type(buffer).__name__} has no field users, so nobody's rows can be found in it; keep "
            "the user of each row beside it"
        )
    gone = jnp.asarray(buffer.users) == user
    if hasattr(buffer, "partitions"):
        gone &= jnp.asarray(buffer.partitions) == partition
    cleared = forget_rows(buffer, gone)
    return cleared._replace(users=jnp.where(gone, NONE, cleared.users))  # 0 would be a user
