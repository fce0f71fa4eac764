"""Losses for a train step: their formulas on log-probabilities of a tiny model, padded and packed lists alike."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, losses, models, training
from jaxalign.typing import ComparisonFormat, ListBatch, TextBatch, TokenBatch

KEY = jax.random.key(0)
BETA = 0.5
CONFIG = models.DecoderConfig(
    vocab_size=32, width=16, mlp_width=32, num_layers=1, num_heads=2, num_kv_heads=1, head_dim=8
)
MODEL = models.build(CONFIG)
RANKING_LOSSES = [losses.lambda_loss, losses.pairwise_logistic_loss, losses.softmax_loss, losses.pointwise_mse_loss]
softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731


@pytest.fixture(scope="module")
def params():
    return jax.jit(MODEL.init)(KEY, jnp.zeros((1, 1), jnp.int32))["params"]


@pytest.fixture(scope="module")
def lists():
    """Three lists of three, two and three responses; the labels of the second are equal."""
    rng = np.random.default_rng(0)
    tokens = lambda length: rng.integers(3, 32, length).tolist()  # noqa: E731
    responses = [[tokens(2), tokens(3), tokens(1)], [tokens(3), tokens(2)], [tokens(1), tokens(3), tokens(3)]]
    labels = [[0.2, 0.9, 0.5], [0.4, 0.4], [0.0, 0.25, 1.0]]
    return data.lists_from_tokens([tokens(3), tokens(2), tokens(4)], responses, labels, pad_id=0, limits=(4, 3))


@pytest.fixture(scope="module")
def batch(lists):
    batch = next(iter(data.list_batches(lists, batch_size=3, list_size=3, shuffle=False)))
    return batch._replace(reference_logps=np.linspace(-9, -5, 9, dtype=np.float32).reshape(3, 3) * batch.where)


@pytest.fixture(scope="module")
def packed(lists, batch):
    shape = data.fit_row(lists, list_size=3, row_length=64)
    packed = next(iter(data.packed_list_batches(lists, shape, batch_size=1, shuffle=False)))
    reference = np.zeros(packed.where.shape, np.float32)
    for row, slot in zip(*packed.where.any(axis=2).nonzero(), strict=True):  # lists may stand in any order
        same = [n for n in range(3) if np.array_equal(batch.labels[n], packed.labels[row, slot])]
        reference[row, slot] = batch.reference_logps[same[0]]
    return packed._replace(reference_logps=reference)


@pytest.fixture(scope="module")
def rewards(params, batch):
    """beta (log pi - log pi_ref), of which everything here is made."""
    logps = jax.jit(models.response_logps, static_argnums=0)(MODEL, params, batch)
    return BETA * (np.asarray(logps) - batch.reference_logps)


def value_of(loss_fn, params, batch):
    return jax.jit(loss_fn)(params, batch, KEY)


def test_dpo_compares_the_best_and_the_worst_of_each_list(params, batch, rewards):
    loss, metrics = value_of(training.make_dpo_loss(MODEL, beta=BETA), params, batch)
    margins = rewards[0, 1] - rewards[0, 0], rewards[2, 2] - rewards[2, 0]  # the tied list has no pair
    assert loss.denominator == 2
    np.testing.assert_allclose(loss.numerator, softplus(-margins[0]) + softplus(-margins[1]), rtol=1e-5)
    np.testing.assert_allclose(metrics["margin"].value, np.mean(margins), rtol=1e-4)
    np.testing.assert_allclose(metrics["log_ratio"].value, rewards[batch.where].mean() / BETA, rtol=1e-5)
    # Tokens: prompts of 3, 2 and 4, responses of 2 + 3 + 1, 3 + 2 and 1 + 3 + 3, of 3 * (4 + 9) places.
    assert metrics["tokens"].numerator == 27 and tuple(metrics["padding"]) == (12, 39)


def test_other_losses_of_the_family_are_injected(params, batch, rewards):
    smoothed = functools.partial(losses.dpo_loss, label_smoothing=0.25)
    loss, _ = value_of(training.make_dpo_loss(MODEL, beta=BETA, pair_loss=smoothed), params, batch)
    margins = np.array([rewards[0, 1] - rewards[0, 0], rewards[2, 2] - rewards[2, 0]])
    np.testing.assert_allclose(loss.value, np.mean(0.75 * softplus(-margins) + 0.25 * softplus(margins)), rtol=1e-5)


@pytest.fixture(scope="module")
def averages(rewards, batch):
    """log pi of each response, nats per token."""
    lengths = np.maximum(batch.response_mask.sum(axis=2), 1)
    return (rewards / BETA + batch.reference_logps) / lengths


def test_losses_on_averages_with_the_likelihood_of_the_chosen_response(params, batch, packed, rewards, averages):
    loss_fn = training.make_dpo_loss(MODEL, beta=BETA, pair_loss=losses.ipo_loss, average=True, sft_weight=0.3)
    loss, _ = value_of(loss_fn, params, batch)
    per_token = rewards / BETA / np.maximum(batch.response_mask.sum(axis=2), 1)
    pairs = (0, 1, 0), (2, 2, 0)  # list, best, worst
    gaps = [per_token[n, best] - per_token[n, worst] for n, best, worst in pairs]
    likelihood = [averages[n, best] for n, best, _ in pairs]
    expected = np.mean([(gap - 1 / (2 * BETA)) ** 2 - 0.3 * logp for gap, logp in zip(gaps, likelihood, strict=True)])
    np.testing.assert_allclose(loss.value, expected, rtol=1e-5)
    np.testing.assert_allclose(value_of(loss_fn, params, packed)[0].value, expected, rtol=1e-5)


def test_losses_without_a_reference(params, batch, averages):
    unknown = batch._replace(reference_logps=np.full(batch.where.shape, np.inf, np.float32))
    simpo = functools.partial(losses.simpo_loss, margin=0.25)
    loss, metrics = value_of(training.make_reference_free_loss(MODEL, beta=2.0, pair_loss=simpo), params, unknown)
    gaps = averages[0, 1] - averages[0, 0], averages[2, 2] - averages[2, 0]
    np.testing.assert_allclose(loss.value, np.mean([softplus(0.25 - 2.0 * gap) for gap in gaps]), rtol=1e-5)
    np.testing.assert_allclose(metrics["margin"].value, 2.0 * np.mean(gaps), rtol=1e-4)
    np.testing.assert_allclose(metrics["logp"].value, (averages[0, 1] + averages[2, 2]) / 2, rtol=1e-5)


def test_single_responses_and_those_to_other_prompts(params, batch, rewards):
    """Labels 1 and 0 count; 0.5 marks mismatched ones, which KTO's reference point is the mean of."""
    marked = batch._replace(labels=np.float32([[1, 0.5, 0], [0, 0.5, 0], [1, 0.5, 0.5]]))
    ratios, sigmoid = rewards / BETA, lambda x: 1 / (1 + np.exp(-x))
    z = max(np.mean([ratios[0, 1], ratios[1, 1], ratios[2, 1], ratios[2, 2]]), 0)
    good, bad = np.array([ratios[0, 0], ratios[2, 0]]), np.array([ratios[0, 2], ratios[1, 0]])
    loss, metrics = value_of(training.make_kto_loss(MODEL, beta=BETA, undesirable_weight=0.5), params, marked)
    expected = [*sigmoid(-BETA * (good - z)), *(0.5 * sigmoid(BETA * (bad - z)))]
    np.testing.assert_allclose(loss.value, np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"].value, z, rtol=1e-4)
    assert tuple(metrics["accuracy"]) == ((good > 0).sum() + (bad <= 0).sum(), 4)

    loss, _ = value_of(training.make_bco_loss(MODEL, beta=BETA), params, marked)
    shift = BETA * (good.mean() + bad.mean()) / 2
    expected = [*softplus(shift - BETA * good), *softplus(BETA * bad - shift)]
    np.testing.assert_allclose(loss.value, np.mean(expected), rtol=1e-5)

    loss, _ = value_of(training.make_unpaired_loss(MODEL, beta=BETA), params, marked)
    np.testing.assert_allclose(loss.value, np.mean([*sigmoid(-BETA * good), *sigmoid(BETA * bad)]), rtol=1e-5)


@pytest.mark.parametrize("ranking_loss", RANKING_LOSSES)
def test_a_ranking_loss_gets_implicit_rewards(params, batch, rewards, ranking_loss):
    loss, metrics = value_of(training.make_ranking_loss(MODEL, beta=BETA, ranking_loss=ranking_loss), params, batch)
    expected = ranking_loss(jnp.asarray(rewards), jnp.asarray(batch.labels), where=jnp.asarray(batch.where), key=KEY)
    np.testing.assert_allclose(loss.value, expected, rtol=1e-5)
    ordered = [
        (rewards[n, i] > rewards[n, j]) for n in range(3) for i in range(3) for j in range(3)
        if batch.where[n, i] & batch.where[n, j] and batch.labels[n, i] > batch.labels[n, j]
    ]  # fmt: skip
    assert tuple(metrics["accuracy"]) == (sum(ordered), len(ordered))


@pytest.mark.parametrize("make_loss", [training.make_dpo_loss, training.make_ranking_loss])
def test_packed_lists_have_the_losses_of_padded_ones(params, batch, packed, make_loss):
    loss_fn = make_loss(MODEL, beta=BETA)
    (ours, our_metrics), (theirs, their_metrics) = value_of(loss_fn, params, packed), value_of(loss_fn, params, batch)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for metric in "accuracy", "margin", "log_ratio":
        np.testing.assert_allclose(our_metrics[metric], their_metrics[metric], rtol=1e-5)


def test_sft_of_lists_and_of_rows_is_the_cross_entropy_of_responses(params, batch):
    loss, metrics = value_of(training.make_sft_loss(MODEL), params, batch)
    logps = jax.jit(models.response_token_logps, static_argnums=0)(MODEL, params, batch)
    np.testing.assert_allclose(loss.value, -np.sum(logps) / 18, rtol=1e-5)
    # The first response of the first list as a row of its own, which the other two may follow or not.
    prompt = batch.prompt_tokens[0][batch.prompt_mask[0]]
    text = np.concatenate([prompt, batch.response_tokens[0, 1]])
    row = TokenBatch(*(x[None] for x in (text[:-1], text[1:], np.arange(5) >= 2, np.ones(5, np.int32), np.arange(5))))
    for make_loss in training.make_sft_loss, training.make_unpacked_sft_loss:
        loss, metrics = value_of(make_loss(MODEL), params, row)
        np.testing.assert_allclose(loss.value, -np.sum(logps[0, 1]) / 3, rtol=1e-5)
        assert metrics["tokens"].numerator == 5


@pytest.fixture(scope="module")
def reward(params):
    model = models.build(models.RewardConfig(CONFIG))
    return model, models.init_reward_params(model, KEY, params)


def test_reward_models_learn_from_pairs_and_from_lists(reward, batch):
    model, params = reward
    scores = np.asarray(jax.jit(models.response_rewards, static_argnums=0)(model, params, batch))
    pairs = ListBatch(
        *(x if x.ndim < 2 or x is batch.prompt_tokens or x is batch.prompt_mask else x[:, :2] for x in batch)
    )
    loss, metrics = value_of(training.make_reward_loss(model), params, pairs)
    gaps, chances = scores[:, 0] - scores[:, 1], batch.labels[:, 0]
    np.testing.assert_allclose(
        loss.value, np.mean(chances * softplus(-gaps) + (1 - chances) * softplus(gaps)), rtol=1e-5
    )
    np.testing.assert_allclose(metrics["margin"].value, np.mean(gaps * (2 * chances - 1)), rtol=1e-4)
    loss, _ = value_of(training.make_reward_ranking_loss(model), params, batch)
    expected = losses.lambda_loss(*map(jnp.asarray, (scores, batch.labels)), where=jnp.asarray(batch.where), key=KEY)
    np.testing.assert_allclose(loss.value, expected, rtol=1e-5)


def test_verdicts_are_learnt_by_their_cross_entropy(params, lists):
    form = ComparisonFormat((1,), (2,), (3,), (4,), (5, 6, 7))
    batches = data.comparison_batches(lists, form, batch_size=2, row_length=32, shuffle=False)
    batch = next(iter(batches))
    loss, metrics = value_of(training.make_verdict_loss(MODEL, form), params, batch)
    logps = np.asarray(jax.jit(models.verdict_logps, static_argnums=(0, 3))(MODEL, params, batch, form))
    each = -np.sum(batch.verdicts * logps, axis=-1)[batch.where]
    np.testing.assert_allclose(loss.value, each.mean(), rtol=1e-5)
    right = (logps.argmax(axis=-1) == batch.verdicts.argmax(axis=-1))[batch.where]
    assert tuple(metrics["accuracy"]) == (right.sum(), right.size)


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_classifiers_learn_from_one_class_or_from_several(params, problem_type):
    model = models.build(models.ClassifierConfig(CONFIG, ("a", "b", "c"), problem_type))
    params = models.init_classifier_params(model, KEY, params)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 6)
    labels = np.eye(3, dtype=np.float32)[classes] if model.config.multi_label else classes
    mask = np.arange(5) < rng.integers(1, 6, (6, 1))
    batch = TextBatch(rng.integers(0, 32, (6, 5)), mask, labels, np.arange(6) != 4)
    logits = np.asarray(jax.jit(lambda p, b: model.apply({"params": p}, b.tokens, mask=b.mask))(params, batch))
    loss, metrics = value_of(training.make_classification_loss(model), params, batch)
    if model.config.multi_label:
        each = np.mean(softplus(logits) - labels * logits, axis=1)
        right = ((logits > 0) == (labels > 0)).all(axis=1)
    else:
        each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), classes]
        right = logits.argmax(axis=1) == classes
    np.testing.assert_allclose(loss.value, each[batch.where].mean(), rtol=1e-5)
    assert tuple(metrics["accuracy"]) == (right[batch.where].sum(), 5)
    assert metrics["tokens"].numerator == mask.sum()
    other = batch._replace(labels=classes if model.config.multi_label else np.eye(3, dtype=np.float32)[classes])
    matching = models.build(models.MatchingConfig(CONFIG, ("a", "b", "c"), 4, pooling="last"))
    with pytest.raises(ValueError, match=r"a classifier of class embeddings learns from labels \[B, C\].*got .*\(6,\)"):
        training.make_classification_loss(matching)(params, batch._replace(labels=np.zeros(6, np.int32)), None)
    with pytest.raises(ValueError, match=rf"{problem_type}' learns from labels \[B.*got labels of shape \(6"):
        value_of(training.make_classification_loss(model), params, other)


def test_classes_are_matched_with_what_is_known_of_each_text(params):
    """The sum over known classes, each text as often as its weight says, and twice all weights are the same loss."""
    model = models.build(models.MatchingConfig(CONFIG, ("a", "b", "c"), 4, pooling="last"))
    params = models.init_matching_params(model, KEY, params, jax.random.normal(KEY, (3, 4)))
    rng = np.random.default_rng(1)
    labels, known = rng.integers(0, 2, (5, 3)), rng.random((5, 3)) < 0.7
    known[1], weights = False, np.array([0.25, 0.25, 0.5, 0.5, 0.125])
    targets = np.concatenate([labels, known * weights[:, None]], axis=1).astype(np.float32)
    batch = TextBatch(rng.integers(0, 32, (5, 4)), np.ones((5, 4), bool), targets, np.arange(5) != 3)
    logits = np.asarray(jax.jit(lambda p, b: model.apply({"params": p}, b.tokens, mask=b.mask))(params, batch))
    each = np.sum(known * (softplus(logits) - labels * logits), axis=1)
    counted = known.any(axis=1) & batch.where
    loss, metrics = value_of(training.make_matching_loss(model), params, batch)
    np.testing.assert_allclose(loss.value, (weights * each)[counted].sum() / weights[counted].sum(), rtol=1e-5)
    twice = batch._replace(labels=targets * np.repeat([1, 2], 3).astype(np.float32))
    np.testing.assert_allclose(value_of(training.make_matching_loss(model), params, twice)[0].value, loss.value)
    has = (labels > 0) & known & batch.where[:, None]
    assert tuple(metrics["hits"]) == ((logits > 0)[has].sum(), has.sum())
    with pytest.raises(ValueError, match=r"expected labels \[B, 6\].*put the weights behind the chances"):
        training.make_matching_loss(model)(params, batch._replace(labels=targets[:, :3]), None)


def test_losses_that_differ_in_bound_arrays_share_a_program(params, batch):
    """A teacher of other weights is another argument; another share of own texts is another program."""
    make_step = training.train_step_maker(optimizer := training.adamw(1e-3))
    teachers = [jax.tree.map(lambda x, n=n: n * x, params) for n in (1.5, 2.0)]
    steps = [make_step(training.make_distillation_loss(MODEL, MODEL, teacher)) for teacher in teachers]
    values = [step(training.init_state(params, optimizer), batch, KEY)[1]["loss"].value for step in steps]
    assert values[0] != values[1]
    assert steps[0].func is steps[1].func and steps[0].func._cache_size() == 1
    alone = training.make_train_step(training.make_distillation_loss(MODEL, MODEL, teachers[1]), optimizer)
    assert alone(training.init_state(params, optimizer), batch, KEY)[1]["loss"].value == values[1]
    make_step(training.make_distillation_loss(MODEL, MODEL, teachers[0], own_share=0.5, end_ids=(2,)))(
        training.init_state(params, optimizer), batch, KEY
    )
    assert steps[0].func._cache_size() == 2
