"""The buffer of pairs: a ring of those that count."""

import jax
import jax.numpy as jnp
import pytest

from jaxalign import serving

add_pairs = jax.jit(serving.add_pairs)


def pairs(labels, where):
    labels = jnp.asarray(labels, jnp.float32)
    vectors, people = labels[:, None] * jnp.ones((1, 2)), jnp.arange(len(labels), dtype=jnp.int32)
    facts = labels[:, None] * jnp.ones((1, 4))
    return serving.ProxyFeedback(vectors, vectors, vectors, facts, labels, jnp.asarray(where), people, people)


def test_the_oldest_pairs_make_room_and_those_that_do_not_count_take_none():
    buffer = add_pairs(serving.init_pairs(4, 2), pairs([0.1, 0.2, 0.3], [True, False, True]))
    assert buffer.pairs.where.tolist() == [True, True, False, False] and buffer.added == 2
    buffer = add_pairs(buffer, pairs([0.5, 0.25, 0.75], [True, True, True]))
    assert buffer.pairs.labels.tolist() == pytest.approx([0.75, 0.3, 0.5, 0.25]) and buffer.added == 5
    assert buffer.pairs.users.tolist() == [2, 2, 0, 1]
    again = add_pairs(buffer, pairs([0.9, 0.9, 0.9], [False, False, False]))
    jax.tree.map(lambda one, other: (one == other).all() or pytest.fail(), again, buffer)


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0 and 2"):
        serving.init_pairs(0, 2)
