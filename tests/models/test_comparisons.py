"""The tree of all comparisons of a list against one plain row for each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import losses, models
from jaxalign.typing import ComparisonBatch, ComparisonFormat

FORM = ComparisonFormat(context=(2, 50), first=(51, 52), second=(53, 54, 55), end=(1,), verdicts=(9, 4, 30))
comparison_logits = jax.jit(models.comparison_logits, static_argnums=(0, 3))
comparison_preferences = jax.jit(models.comparison_preferences, static_argnums=(0, 3), static_argnames="preference_fn")


def plain_logits(model, params, batch, b, i, j, length=32):
    """Logits of the verdicts after the one row that the format describes, by the plain causal forward pass."""
    response = [batch.response_tokens[b, k][batch.response_mask[b, k]] for k in (i, j)]
    prompt = batch.prompt_tokens[b][batch.prompt_mask[b]]
    row = np.concatenate([prompt, FORM.first, response[0], FORM.second, response[1], FORM.end])
    logits = tiny.forward(model, params, np.pad(row, (0, length - len(row)))[None])
    return np.asarray(logits[0, len(row) - 1])[list(FORM.verdicts)]


@pytest.mark.parametrize("name", tiny.CONFIGS)
@pytest.mark.parametrize("left_padded", [False, True])
def test_every_comparison_equals_its_own_row(name, left_padded):
    model, params = tiny.init(tiny.CONFIGS[name])
    batch = jax.device_get(tiny.list_batch(model.config.vocab_size, left_padded=left_padded))
    logits = comparison_logits(model, params, batch, FORM)
    assert logits.shape == (2, 3, 3, 3) and logits.dtype == jnp.float32
    for b, i, j in np.ndindex(2, 3, 3):
        if batch.where[b, i] and batch.where[b, j]:
            expected = plain_logits(model, params, batch, b, i, j)
            np.testing.assert_allclose(logits[b, i, j], expected, rtol=1e-4, atol=1e-4)


def test_an_empty_response_is_compared_too():
    model, params = tiny.init(tiny.MIXED)
    batch = tiny.list_batch(model.config.vocab_size)
    batch = jax.device_get(batch._replace(response_mask=batch.response_mask.at[0, 1].set(False)))
    logits = comparison_logits(model, params, batch, FORM)
    for i, j in (0, 1), (1, 0), (1, 1):
        np.testing.assert_allclose(logits[0, i, j], plain_logits(model, params, batch, 0, i, j), rtol=1e-4, atol=1e-4)


def test_padding_does_not_matter():
    model, params = tiny.init(tiny.MIXED)
    batch = tiny.list_batch(model.config.vocab_size)
    noise = batch._replace(
        prompt_tokens=jnp.where(batch.prompt_mask, batch.prompt_tokens, 7),
        response_tokens=jnp.where(batch.response_mask & batch.where[:, :, None], batch.response_tokens, 9),
    )
    wide = noise._replace(
        prompt_tokens=jnp.pad(noise.prompt_tokens, ((0, 0), (2, 1))),
        prompt_mask=jnp.pad(noise.prompt_mask, ((0, 0), (2, 1))),
        response_tokens=jnp.pad(noise.response_tokens, ((0, 0), (0, 1), (0, 2))),
        response_mask=jnp.pad(noise.response_mask, ((0, 0), (0, 1), (0, 2))),
        where=jnp.pad(noise.where, ((0, 0), (0, 1))),
    )
    ours, noisy, widened = (comparison_preferences(model, params, x, FORM) for x in (batch, noise, wide))
    np.testing.assert_array_equal(ours, noisy)
    np.testing.assert_allclose(ours, widened[:, :3, :3], rtol=1e-4, atol=1e-5)


def test_preferences_by_hand():
    # exp(logits) is 6 : 2 : 4, of 12 in all. Between the winners 6 / 8; with half of the ties 6 / 12 + 2 / 12.
    logits = jnp.log(jnp.array([[6.0, 2.0, 4.0]]))
    np.testing.assert_allclose(models.two_way_preferences(logits), [0.75], rtol=1e-6)
    np.testing.assert_allclose(models.three_way_preferences(logits), [8 / 12], rtol=1e-6)


def test_tie_mass_draws_towards_one_half_and_is_not_dropped():
    # 0.19 : 0.01 : 0.8 is nearly certain of a tie: without the tie 0.95, with it 0.59.
    logits = jnp.log(jnp.array([[0.19, 0.01, 0.8]]))
    np.testing.assert_allclose(models.two_way_preferences(logits), [0.95], rtol=1e-5)
    np.testing.assert_allclose(models.three_way_preferences(logits), [0.59], rtol=1e-5)


def test_both_kinds_of_preference_sum_to_one_over_mirrored_logits():
    logits = 3 * jax.random.normal(jax.random.key(0), (8, 3))
    mirrored = logits[:, jnp.array([1, 0, 2])]
    for fn in models.two_way_preferences, models.three_way_preferences:
        np.testing.assert_allclose(fn(logits) + fn(mirrored), jnp.ones(8), rtol=1e-5)


@pytest.mark.parametrize("preference_fn", [models.two_way_preferences, models.three_way_preferences])
def test_preferences_of_a_list(preference_fn):
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size)
    preferences = comparison_preferences(model, params, batch, FORM, preference_fn=preference_fn)
    expected = np.array(preference_fn(comparison_logits(model, params, batch, FORM)))
    expected[:, range(3), range(3)] = 0.5
    expected[1, 2] = expected[1, :, 2] = 0.5  # the last response of the last list is masked
    np.testing.assert_allclose(preferences, expected, rtol=1e-6)
    assert np.ptp(expected[0]) > 0.05


def test_labels_do_not_show_the_model_s_liking_for_a_place():
    """One order alone prefers the first or second of two equal responses; both orders together do not."""
    model, params = tiny.init(tiny.PLAIN)
    same = jax.tree.map(np.array, tiny.list_batch(model.config.vocab_size))
    for responses in same.response_tokens, same.response_mask:
        responses[0, 1] = responses[0, 0]
    preferences = np.asarray(comparison_preferences(model, params, same, FORM))
    assert abs(preferences[0, 0, 1] - 0.5) > 0.02
    np.testing.assert_allclose(preferences[0, 0, 1], preferences[0, 1, 0], rtol=1e-5)
    labels_of = jax.jit(losses.labels_from_preferences)
    labels = np.asarray(labels_of(preferences, where=same.where))
    np.testing.assert_allclose(labels[0, 0], labels[0, 1], rtol=1e-5)
    assert abs(labels[0, 2] - 0.5) > 1e-3
    # A model that always prefers the first place knows nothing.
    always_first = np.full((1, 3, 3), 0.9, np.float32)
    np.testing.assert_allclose(labels_of(always_first), np.full((1, 3), 0.5), rtol=1e-6)


def test_verdict_logps_are_those_of_the_plain_rows():
    """Two packed comparisons and one alone, against log-softmax over the vocabulary at each last token."""
    model, params = tiny.init(tiny.MIXED)
    rng = np.random.default_rng(0)
    tokens = jnp.asarray(rng.integers(0, model.config.vocab_size, (2, 12)), jnp.int32)
    segments = jnp.array([[1] * 5 + [2] * 6 + [0], [1] * 9 + [0] * 3])
    positions = jnp.array([[*range(5), *range(6), 0], [*range(9), 0, 0, 0]])
    ends = jnp.array([[4, 10], [8, 0]])
    where = jnp.array([[True, True], [True, False]])
    batch = ComparisonBatch(tokens, segments, positions, ends, jnp.zeros((2, 2, 3)), where)
    logps = jax.jit(models.verdict_logps, static_argnums=(0, 3))(model, params, batch, FORM)
    for at, (row, start, stop) in {(0, 0): (0, 0, 5), (0, 1): (0, 5, 11), (1, 0): (1, 0, 9)}.items():
        alone = jnp.pad(tokens[row, start:stop], (0, 12 - (stop - start)))[None]
        expected = jax.nn.log_softmax(tiny.forward(model, params, alone)[0, stop - start - 1])
        np.testing.assert_allclose(logps[at], expected[jnp.array(FORM.verdicts)], rtol=1e-4, atol=1e-4)


def test_comparisons_share_the_prompt_and_the_first_response(monkeypatch):
    """P + K * R and K times K * R tokens run through the layers, markers aside, not K * K * (P + 2 * R)."""
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size, b=1, k=4, p=40, r=5)
    counts, run = [], models.Decoder.run

    def counted(self, tokens, *rest):
        counts.append(tokens.shape[1])
        return run(self, tokens, *rest)

    monkeypatch.setattr(models.Decoder, "run", counted)
    jax.eval_shape(lambda: models.comparison_logits(model, params, batch, FORM))
    # First streams: 2 + 5 + 3; second streams, traced once for all firsts: 1 + 5 + 1.
    assert counts == [40 + 4 * 10, 4 * 7]


@pytest.mark.parametrize("config", [tiny.ENCODER, models.RewardConfig(tiny.PLAIN)])
def test_only_a_decoder_compares(config):
    batch = tiny.list_batch(31)
    with pytest.raises(ValueError, match=r"answered by a decoder, got (Encoder|RewardModel); give that a scalar"):
        models.comparison_preferences(models.build(config), {}, batch, FORM)
