"""No trace of a user stays, in any array of the state, and all others keep theirs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import ServingState
from tests.serving.tables import new_examples, on_host

WIDTH = 6
USERS, PARTITIONS = np.array([1, 2, 1, 2, 5, 6, 3, 3], np.int32), np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
INDEX = serving.exact_index(WIDTH, capacity=8)


def state_of(rows):
    """Each example in the table, in the index of its partition and in a shared one; each user's feedback and pairs."""
    table, ids = serving.insert_examples(serving.init_table(WIDTH, capacity=16), rows)
    table = table._replace(gain=np.where(table.live, 1 + np.arange(16), 0).astype(np.float32))
    indices = {9: INDEX.insert(INDEX.init(), ids, rows.requests)}
    for partition in (0, 1):
        own = PARTITIONS == partition
        indices[partition] = INDEX.insert(INDEX.init(), ids[own], rows.requests[own])
    zeros, neighbours = jnp.zeros(8, jnp.int32), np.roll(ids, 1)  # each request with the example of the one before
    owners = np.stack([USERS[neighbours], np.full(8, -1)], 1)
    # A context with one example holds its embedding as it is.
    contexts = np.concatenate([rows.requests, rows.requests[neighbours]], 1)
    said = serving.RouterFeedback(contexts, zeros, zeros - 1, jnp.ones(8), jnp.asarray(USERS), owners)
    buffer = serving.init_buffer(8, 2 * WIDTH, 2, max_examples=2)
    buffer = serving.add_feedback(buffer, jax.tree.map(jnp.asarray, said), jnp.ones(8, bool), jax.random.key(0))
    pairs = serving.collect_feedback(table, rows.requests, neighbours, np.ones(8), USERS)
    return ServingState(table, indices, serving.plan_replays(table, 0.0, budget=8), buffer, pairs)


def holds(state, vector):
    """True where a row of any array in the state is a vector, or a multiple of it."""
    rows = [
        leaf.reshape(-1, WIDTH) for leaf in jax.tree.leaves(state) if leaf.ndim and leaf.shape[-1] in (WIDTH, 2 * WIDTH)
    ]
    lengths = [np.linalg.norm(each, axis=-1) for each in rows]
    cosines = [
        np.abs(each @ vector) / np.where(length > 0, length, 1) for each, length in zip(rows, lengths, strict=True)
    ]
    return max(map(np.max, cosines)) > 0.9999 * np.linalg.norm(vector)


def test_no_trace_stays_and_others_keep_theirs():
    rows = new_examples(8, width=WIDTH, user=USERS, partition=PARTITIONS)
    state = state_of(rows)
    after, ids = serving.forget_user(state, INDEX, 0, 1)
    assert ids.tolist() == [0, 2]
    host, before = on_host(after), on_host(state)
    for row in range(8):
        for vector in (rows.requests[row], rows.responses[row]):
            assert holds(before, vector) and holds(host, vector) == (row not in (0, 2))
    assert {name: INDEX.contents(each)[0].tolist() for name, each in after.indices.items()} == {
        0: [1, 3], 1: [4, 5, 6, 7], 9: [1, 3, 4, 5, 6, 7],
    }  # fmt: skip
    assert before.plan.ids.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert host.plan.ids.tolist() == [7, 6, 5, 4, 3, -1, 1, -1] and host.plan.where.sum() == 6
    # Rows 0 and 2 are requests of user 1; 1 and 3 are requests of others with an example of user 1.
    assert host.buffer.feedback.users.tolist() == host.pairs.users.tolist() == [-1] * 4 + [5, 6, 3, 3]
    assert host.buffer.feedback.owners[:, 0].tolist() == host.pairs.owners.tolist() == [-1] * 4 + [2, 5, 6, 3]
    assert (host.buffer.priorities > 0).tolist() == host.pairs.where.tolist() == [False] * 4 + [True] * 4
    again, ids = serving.forget_user(after, INDEX, 0, 1)
    assert ids.size == 0
    assert all(map(np.array_equal, jax.tree.leaves(host), jax.tree.leaves(on_host(again))))


def test_what_has_no_row_for_each_record_is_refused():
    parts = {"users": np.zeros(2), "contexts": np.zeros(3)}
    with pytest.raises(ValueError, match=r"cannot be forgotten in \['contexts'\], which has shape \(3,\)"):
        serving.forget_rows(parts, np.array([True, False]))
