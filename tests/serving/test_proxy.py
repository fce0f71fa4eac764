"""The proxy model learns what similarity does not show."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn import metrics

from jaxalign import serving, training
from jaxalign.serving import Hits
from tests.serving.tables import new_examples

WIDTH = 8


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = new_examples(512, width=WIDTH, quality=rng.uniform(size=512), tokens=rng.integers(1, 500, 512))
    return serving.insert_examples(serving.init_table(WIDTH, capacity=1024), rows)[0]


@pytest.fixture(scope="module")
def params():
    return serving.init_proxy(jax.random.key(0), WIDTH, hidden=32)


def helps(table, queries, ids):
    """The planted rule: request and example agree in the sign of one entry of eight, and the response is good."""
    same = np.sign(queries[:, 0]) == np.sign(np.asarray(table.requests)[ids, 0])
    return (same & (np.asarray(table.quality)[ids] > 0.4)).astype(np.float32)


def pairs(table, count, seed):
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(count, WIDTH)).astype(np.float32)
    ids = rng.integers(0, 512, count).astype(np.int32)
    return queries, ids, helps(table, queries, ids), np.zeros(count, np.int32)


def test_it_learns_a_rule_that_cosine_does_not_see(params, table):
    optimizer = optax.adam(3e-3)
    step = training.make_train_step(serving.make_proxy_loss(), optimizer)
    state = training.init_state(jax.tree.map(jnp.copy, params), optimizer)  # the step donates them
    for seed in range(100):
        state, _ = step(state, serving.collect_feedback(table, *pairs(table, 256, seed)), jax.random.key(0))
    queries, ids, labels, _ = pairs(table, 1024, 1000)
    cosines = np.sum(queries * np.asarray(table.requests)[ids], axis=-1) / np.linalg.norm(queries, axis=-1)
    hits = Hits(jnp.asarray(ids)[:, None], jnp.asarray(cosines)[:, None])
    utilities = serving.proxy_utilities(state.params, jnp.asarray(queries), hits, table)[:, 0]
    assert abs(np.corrcoef(cosines, labels)[0, 1]) < 0.3
    assert metrics.roc_auc_score(labels, utilities) > 0.9 > metrics.roc_auc_score(labels, cosines) + 0.2
    assert 0 <= utilities.min() and utilities.max() <= 1


def test_before_it_has_learnt_utility_is_similarity(params, table):
    queries = np.random.default_rng(5).normal(size=(3, WIDTH)).astype(np.float32)
    ids = jnp.arange(12).reshape(3, 4)
    cosines = np.einsum("bd,bkd->bk", queries, np.asarray(table.requests)[ids])
    cosines /= np.linalg.norm(queries, axis=-1, keepdims=True)
    utilities = serving.proxy_utilities(params, queries, Hits(ids, jnp.asarray(cosines)), table)
    np.testing.assert_allclose(utilities, 1 / (1 + np.exp(-4 * (cosines - 0.5))), rtol=1e-5)


def test_no_candidate_has_no_utility(params, table):
    hits = Hits(jnp.array([[3, 600, -1]]), jnp.array([[0.5, 0.4, -jnp.inf]]))  # row 600 is free
    utilities = serving.proxy_utilities(params, jnp.ones((1, WIDTH)), hits, table)
    assert 0 < utilities[0, 0] < 1 and utilities[0, 1:].tolist() == [0, 0]
    longer = serving.proxy_utilities(params, jnp.full((1, WIDTH), 3.0), hits, table)
    np.testing.assert_allclose(longer, utilities, rtol=1e-5)


def test_the_loss_by_hand(params, table):
    """With last layers of 0 and a bias of ln 3 each probability is 3/4: -ln .75 for a 1, -ln .25 for a 0."""
    last = {"logit": params["logit"] | {"bias": jnp.log(jnp.array([3.0]))}}
    params = params | last | {"similarity": jax.tree.map(jnp.zeros_like, params["similarity"])}
    queries, ids, users = np.ones((4, WIDTH), np.float32), np.array([0, 1, -1, 700]), np.array([5, 6, 7, 8])
    batch = serving.collect_feedback(table, queries, ids, np.eye(4)[0], users)
    assert batch.users.tolist() == [5, 6, -1, -1] and batch.owners.tolist() == [0, 0, -1, -1]
    loss, found = serving.make_proxy_loss()(params, batch, jax.random.key(0))
    assert batch.where.tolist() == [True, True, False, False] and loss.denominator == 2
    np.testing.assert_allclose(loss.numerator, -np.log(0.75) - np.log(0.25), rtol=1e-5)
    assert found["accuracy"].value == 0.5
