"""The router: which model is chosen, with which propensities, and what it learns of ratings and preferences."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxalign import serving

WIDTH, CONFIG = 6, serving.RouterConfig(num_models=3, members=4, width=16)
OPTIMIZER = optax.adam(1e-2)
NO_PENALTY = jnp.zeros(3)
choose_models = jax.jit(serving.choose_models, static_argnames="least")
best_models, router_logits = jax.jit(serving.best_models), jax.jit(serving.router_logits)


@pytest.fixture(scope="module")
def params():
    return jax.jit(serving.init_router, static_argnums=(1, 2))(jax.random.key(0), CONFIG, WIDTH)


def test_half_a_million_parameters_for_two_models_and_embeddings_of_384():
    width = serving.context_width(384)
    shapes = jax.eval_shape(lambda key: serving.init_router(key, serving.RouterConfig(), width), jax.random.key(0))
    # 8 members: 772 * 72 + 72, then 72 * 72 + 72, then 72 * 2 + 2; and 772 * 2 + 2 that are linear.
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 8 * (55656 + 5256 + 146 + 1546) == 500_832


def test_members_differ(params):
    logits = router_logits(params, jnp.ones((2, WIDTH)))
    assert logits.shape == (4, 2, 3)
    assert len(np.unique(np.asarray(logits[:, 0, 0]))) == 4


def test_propensities_are_the_shares_of_members_and_of_chance():
    # Two members like model 0, one likes model 1, one model 2 were it not for what it costs: then model 0.
    logits = jnp.array([[[2.0, 0, 0]], [[2.0, 0, 0]], [[0, 2.0, 0]], [[0, 0, 0.2]]])
    penalties = jnp.array([0.0, 0.0, 0.1])
    decision = choose_models(jax.random.key(0), logits, penalties, least=0.03)
    np.testing.assert_allclose(decision.propensities, [[0.97 * 0.75 + 0.01, 0.97 * 0.25 + 0.01, 0.01]], rtol=1e-6)


def test_models_are_drawn_as_propensities_say():
    logits = jnp.broadcast_to(jnp.array([[2.0, 0, 0], [2.0, 0, 0], [0, 2.0, 0], [0, 0, 0.2]])[:, None], (4, 4000, 3))
    decision = choose_models(jax.random.key(1), logits, jnp.array([0.0, 0.0, 0.1]), least=0.03)
    drawn = np.bincount(decision.models, minlength=3) / 4000
    chances = np.asarray(decision.propensities[0])
    assert (np.abs(drawn - chances) < 4 * np.sqrt(chances * (1 - chances) / 4000)).all()


def test_requests_go_only_where_they_may():
    """By hand: the member that likes the model that is left out likes the next one, and chance is shared by two."""
    where = jnp.broadcast_to(jnp.array([True, False, True]), (4000, 3))
    logits = jnp.broadcast_to(jnp.array([[2.0, 0, 1], [2.0, 0, 1], [0, 2.0, 1], [0, 0, 0.2]])[:, None], (4, 4000, 3))
    decision = choose_models(jax.random.key(2), logits, jnp.zeros((4000, 3)), least=0.2, where=where)
    np.testing.assert_allclose(decision.propensities[0], [0.8 * 0.5 + 0.1, 0, 0.8 * 0.5 + 0.1], rtol=1e-6)
    drawn = np.bincount(decision.models, minlength=3) / 4000
    assert drawn[1] == 0 and abs(drawn[0] - 0.5) < 4 * 0.5 / np.sqrt(4000)
    one = choose_models(jax.random.key(2), logits, NO_PENALTY, least=1.0, where=jnp.arange(3)[None] == where[:, :1] * 2)
    assert (np.asarray(one.models) == 2).all() and (np.asarray(one.propensities[:, 2]) == 1).all()


def test_without_exploration_the_mean_decides():
    logits = jnp.array([[[3.0, 0, 0]], [[-3.0, 0.5, 0]]])  # means of sigmoid: .5, .561, .5
    decision = best_models(logits, NO_PENALTY)
    assert decision.models.tolist() == [1] and decision.propensities.tolist() == [[0, 1, 0]]
    assert best_models(logits, jnp.array([0.0, 0.1, 0.0])).models.tolist() == [0]


def test_a_rating_is_of_one_logit_and_a_preference_of_a_difference():
    logits = jnp.array([[[1.0, 3.0, 5.0], [1.0, 3.0, 5.0]]])
    both = feedback(np.zeros((2, WIDTH)), models=[1, 1], opponents=[-1, 2], outcomes=[1, 0])
    np.testing.assert_allclose(serving.feedback_differences(logits, both), [[3.0, -2.0]])


def test_the_loss_is_the_cross_entropy_weighted_by_the_bootstrap(params):
    row = feedback(np.ones((1, WIDTH)), models=[2], opponents=[0], outcomes=[0.25])
    logits = np.asarray(router_logits(params, row.contexts))[:, 0]
    chance = 1 / (1 + np.exp(logits[:, 0] - logits[:, 2]))
    expected = -(0.25 * np.log(chance) + 0.75 * np.log(1 - chance))
    weights = jnp.array([[1.0, 0.0, 2.0, 0.0]])
    loss, errors = jax.jit(serving.router_loss)(params, row, weights)
    np.testing.assert_allclose(loss, (expected[0] + 2 * expected[2]) / 4, rtol=1e-5)
    np.testing.assert_allclose(errors, [abs(0.25 - chance.mean())], rtol=1e-3)


@pytest.fixture(scope="module")
def learnt(params):
    """A world in which model 0 is good where the first number is positive, model 1 where it is negative."""
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(512, WIDTH)).astype(np.float32)
    chances = np.stack([contexts[:, 0] > 0, contexts[:, 0] < 0, np.full(512, 0.5)], 1) * 0.8 + 0.1
    models, opponents = rng.integers(0, 3, (2, 512))
    compared = (np.arange(512) % 2 == 0) & (models != opponents)
    row = np.arange(512)
    beats = chances[row, models] * (1 - chances[row, opponents])
    beats = beats / (beats + chances[row, opponents] * (1 - chances[row, models]))
    outcomes = rng.random(512) < np.where(compared, beats, chances[row, models])
    said = feedback(contexts, models, np.where(compared, opponents, -1), outcomes)
    buffer = serving.init_buffer(512, WIDTH, CONFIG.members)
    buffer = serving.add_feedback(buffer, said, jnp.ones(512, bool), jax.random.key(1))
    update = serving.make_router_update(OPTIMIZER, batch_size=128, steps=25)
    state = serving.init_router_state(params, OPTIMIZER)
    for key in jax.random.split(jax.random.key(2), 4):
        state, buffer, loss = update(state, buffer, key)
    assert update._cache_size() == 1
    return state, loss


def test_the_router_learns_which_model_is_good_where(learnt):
    state, loss = learnt
    contexts = jnp.array(np.random.default_rng(1).normal(size=(200, WIDTH)), jnp.float32)
    contexts = contexts[jnp.abs(contexts[:, 0]) > 0.5]
    models = best_models(router_logits(state.params, contexts), NO_PENALTY).models
    assert (models == jnp.where(contexts[:, 0] > 0, 0, 1)).mean() > 0.95
    assert state.steps == 100 and loss < 0.6


def test_an_empty_buffer_teaches_nothing(params):
    buffer = serving.init_buffer(4, WIDTH, CONFIG.members)
    update = serving.make_router_update(OPTIMIZER, batch_size=8, steps=2)
    state, same, loss = update(serving.init_router_state(params, OPTIMIZER), buffer, jax.random.key(0))
    assert loss == 0
    jax.tree.map(np.testing.assert_array_equal, (state.params, same), (params, buffer))


def feedback(contexts, models, opponents, outcomes):
    users = jnp.zeros(len(models), jnp.int32)
    ints = (jnp.asarray(column, jnp.int32) for column in (models, opponents))
    contexts, outcomes = (jnp.asarray(column, jnp.float32) for column in (contexts, outcomes))
    return serving.RouterFeedback(contexts, *ints, outcomes, users, jnp.full((len(models), 5), -1))
