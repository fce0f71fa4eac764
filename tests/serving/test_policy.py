"""A policy as one value: what it decides for tenants and several models, and what it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import serving
from jaxalign.serving import policy as policies
from jaxalign.serving import policy_learning
from tests.serving.tables import new_examples

WIDTH, MODELS = 4, 3


@pytest.fixture(scope="module")
def policy():
    return serving.init_policy(jax.random.key(0), WIDTH, MODELS)


@pytest.fixture(scope="module")
def stored():
    """A table of two examples of one tenant and one of another, and the index of all."""
    table, ids = serving.insert_examples(serving.init_table(WIDTH, capacity=8), new_examples(3, partition=[1, 1, 2]))
    index = serving.exact_index(WIDTH)
    return table, index.insert(index.init(), ids, np.asarray(table.requests)[:3]), index


def test_equal_keys_make_equal_policies(policy):
    again = serving.init_policy(jax.random.key(0), WIDTH, MODELS)
    for one, other in zip(jax.tree.leaves(policy), jax.tree.leaves(again), strict=True):
        assert np.array_equal(one, other)
    assert policy.posterior.wins.shape == (MODELS,) and policy.router.params["last"]["bias"].shape[-1] == MODELS
    with pytest.raises(ValueError, match="num_models: expected at least 1"):
        serving.init_policy(jax.random.key(0), WIDTH, 0)


def test_examples_are_those_of_the_partitions_that_a_request_may_see(policy, stored):
    table, state, index = stored
    queries = np.asarray(table.requests)[[0, 0, 0, 2]]
    hits = index.search(state, queries, 4)
    partitions = jnp.array([[1, -1], [2, -1], [-1, -1], [2, 1]])
    choose = jax.jit(functools.partial(policies.choose, explored=0.0, budget=1000))
    keys = jax.random.split(jax.random.key(1), 4)
    tried, chosen = choose(policy, table, keys, queries, hits, partitions=partitions)
    seen = [set(ids[ids >= 0].tolist()) for ids in np.asarray(chosen.ids)]
    assert seen == [{0, 1}, {2}, set(), {0, 1, 2}] and tried.tolist() == [0] * 4
    ids, models = jax.jit(functools.partial(policies.decide, budget=1000))(
        policy, table, queries, hits, jnp.zeros(MODELS), partitions=partitions
    )
    assert [set(row[row >= 0].tolist()) for row in np.asarray(ids)] == seen and models.shape == (4,)


def test_a_route_has_the_propensities_that_it_was_drawn_with(policy, stored):
    table, *_ = stored
    nothing = serving.Chosen(jnp.full((2, 5), -1), jnp.zeros((2, 5), bool), jnp.zeros((2, 5)))
    penalties, queries = jnp.array([0.0, 0.9, 0.9]), np.asarray(table.requests)[:2]
    route = jax.jit(functools.partial(policies.route, stray=0.3))
    found = route(policy, table, jax.random.key(2), queries, nothing, penalties)
    # No member thinks a model better by 0.9: all choose the first, and 0.3 is shared.
    np.testing.assert_allclose(found.propensities, [[0.8, 0.1, 0.1]] * 2, rtol=1e-6)
    allowed = jnp.array([[False, True, False], [True, True, True]])
    found = route(policy, table, jax.random.key(2), queries, nothing, penalties, allowed=allowed)
    np.testing.assert_allclose(found.propensities, [[0, 1, 0], [0.8, 0.1, 0.1]], rtol=1e-6)
    assert int(found.models[0]) == 1


def test_comparisons_are_counted_and_learning_moves_the_router(policy, stored):
    table, *_ = stored
    width = serving.context_width(WIDTH)
    feedback = serving.RouterFeedback(
        contexts=jnp.ones((4, width)),
        models=jnp.array([0, 0, 1, 2]),
        opponents=jnp.array([1, -1, 2, 0]),
        outcomes=jnp.array([1.0, 0.0, 0.0, 1.0]),
        users=jnp.zeros(4, jnp.int32),
        owners=jnp.full((4, 5), -1),
    )
    buffer, pairs = serving.init_buffer(64, width, 8), serving.init_pairs(64, WIDTH)
    where = jnp.array([True, True, True, False])
    counted, buffer = jax.jit(policy_learning.add_feedback)(policy, buffer, feedback, where, jax.random.key(3))
    # 0 beat 1 and 2 beat 1; the rating and what is no row count for nothing.
    assert counted.posterior.wins.tolist() == [1, 0, 1] and counted.posterior.losses.tolist() == [0, 2, 0]
    seen = table.requests[:2], jnp.array([0, -1]), jnp.array([1.0, 1.0]), jnp.array([7, 7])
    pairs = jax.jit(policy_learning.add_pairs)(table, pairs, *seen)
    assert int(pairs.added) == 1 and int(pairs.pairs.users[0]) == 7
    learnt, _ = jax.jit(policy_learning.learn)(counted, buffer, pairs, jax.random.key(4))
    assert int(learnt.router.steps) == 2
    for part, before in ((learnt.router.params, policy.router.params), (learnt.proxy[0], policy.proxy[0])):
        assert any(
            not np.array_equal(*pair) for pair in zip(jax.tree.leaves(part), jax.tree.leaves(before), strict=True)
        )
