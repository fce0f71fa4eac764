"""No trace of a user stays, in any array of the state, and all others keep theirs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import ServingState, VectorIndex
from tests.serving.tables import new_examples

WIDTH = 6


class Buffer(NamedTuple):
    users: jax.Array
    partitions: jax.Array
    contexts: jax.Array
    priorities: jax.Array


class Unowned(NamedTuple):
    users: jax.Array
    contexts: jax.Array


def insert(state, ids, vectors):
    return {**state, **dict(zip(ids.tolist(), vectors, strict=True))}


def delete(state, ids):
    return {id: vector for id, vector in state.items() if id not in ids.tolist()}


INDEX = VectorIndex(dict, insert, delete, lambda state, queries, k: None)


def state_of(rows, seed=0):
    """Examples in the table, in the index of their partition and in a shared one, and in the buffers."""
    table, ids = serving.insert_examples(serving.init_table(WIDTH, capacity=16), rows)
    table = table._replace(gain=np.where(table.live, 1 + np.arange(16), 0).astype(np.float32))
    vectors = np.asarray(table.requests)[ids]
    indices = {0: INDEX.init(), 1: INDEX.init(), 9: INDEX.insert(INDEX.init(), ids, vectors)}
    for partition in (0, 1):
        own = rows.partition == partition
        indices[partition] = INDEX.insert(indices[partition], ids[own], vectors[own])
    first = rows.partition == 0
    buffers = (
        Buffer(*map(jnp.asarray, (rows.user, rows.partition, vectors, np.ones(len(ids), np.float32)))),
        Unowned(jnp.asarray(rows.user[first]), jnp.asarray(vectors[first, None, :])),
    )
    return ServingState(table, indices, serving.plan_replays(table, 0.0, budget=8), buffers)


def holds(state, vector):
    """True where a row of any array in the state is a vector, or nearly."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    rows = [leaf.reshape(-1, WIDTH) for leaf in leaves if leaf.ndim and leaf.shape[-1] == WIDTH]
    return any(np.any(np.abs(each @ vector) > 0.999) for each in rows)


def test_no_trace_stays_and_others_keep_theirs():
    rows = new_examples(8, width=WIDTH, user=[1, 2, 1, 2, 1, 2, 3, 3], partition=[0, 0, 0, 0, 1, 1, 1, 1])
    before = state_of(rows)
    units = rows.requests / np.linalg.norm(rows.requests, axis=-1, keepdims=True)
    answers = rows.responses / np.linalg.norm(rows.responses, axis=-1, keepdims=True)
    after, ids = serving.forget_user(before, INDEX, 0, 1)
    assert ids.tolist() == [0, 2]
    for row in range(8):
        gone = row in (0, 2)
        assert holds(before, units[row]) and holds(before, answers[row])
        assert holds(after, units[row]) == (not gone) and holds(after, answers[row]) == (not gone)
    assert {name: sorted(each) for name, each in after.indices.items()} == {
        0: [1, 3], 1: [4, 5, 6, 7], 9: [1, 3, 4, 5, 6, 7],
    }  # fmt: skip
    assert before.plan.ids.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert after.plan.ids.tolist() == [7, 6, 5, 4, 3, -1, 1, -1] and np.count_nonzero(after.plan.where) == 6
    assert after.buffers[0].users.tolist() == [-1, 2, -1, 2, 1, 2, 3, 3]  # 4 is user 1 of another tenant
    assert after.buffers[0].priorities.tolist() == [0, 1, 0, 1, 1, 1, 1, 1]
    assert after.buffers[1].users.tolist() == [-1, 2, -1, 2]
    assert after.table.live.tolist()[:8] == [False, True, False, True, True, True, True, True]
    again, ids = serving.forget_user(after, INDEX, 0, 1)
    assert ids.size == 0 and all(
        np.array_equal(*leaves) for leaves in zip(jax.tree.leaves(after), jax.tree.leaves(again), strict=True)
    )


def test_what_cannot_be_searched_is_refused():
    state = state_of(new_examples(2, width=WIDTH))
    nobodys = state._replace(buffers=((np.zeros(3),),))
    with pytest.raises(ValueError, match="a buffer of type tuple has no field users"):
        serving.forget_user(nobodys, INDEX, 0, 0)
    with pytest.raises(ValueError, match=r"cannot be forgotten in \.contexts, which has shape \(3,\)"):
        serving.forget_rows(Unowned(np.zeros(2), np.zeros(3)), np.array([True, False]))
