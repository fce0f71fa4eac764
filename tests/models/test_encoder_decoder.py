"""Encoder-decoders: masks and positions, responses of a list, rewards, shardings; transformers: tests/parity."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.special import log_softmax

from jaxalign import models, sharding
from jaxalign.models.relative import bucket_distances, distances_between, look_up

TOKENS, DECODER_TOKENS = (jnp.asarray(np.random.default_rng(1).integers(0, 61, (2, n)), jnp.int32) for n in (9, 8))
WEIGHTS = np.random.default_rng(5).standard_normal((2, 3)).astype(np.float32)
response_logps = jax.jit(models.response_logps, static_argnums=0, static_argnames="shared_prompt")
response_rewards = jax.jit(models.response_rewards, static_argnums=0)
run = tiny.scores_and_gradient


@pytest.fixture(scope="module", params=tiny.ENCODER_DECODERS)
def case(request):
    return tiny.init(tiny.ENCODER_DECODERS[request.param])


def moved(model, params, **changed):
    """Which logits move when tokens do, ``[T]``."""
    inputs = {"tokens": TOKENS, "decoder_tokens": DECODER_TOKENS}
    plain, other = (np.asarray(tiny.forward(model, params, **x)) for x in (inputs, {**inputs, **changed}))
    return np.abs(plain - other).max(axis=(0, 2)) > 1e-5


def test_buckets_by_hand():
    # 8 buckets, causal: distances 0 to 3 have one each, then 4 + 4 * log(d / 4) / log(16 / 4), rounded down: 6 at 8.
    back = -np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 99])
    causal = bucket_distances(back, bidirectional=False, num_buckets=8, max_distance=16)
    assert causal.tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7]
    assert not bucket_distances(np.arange(5), bidirectional=False, num_buckets=8, max_distance=16).any()
    # Both ways, four to a side: 0 and 1, then 2 + 2 * log(d / 2) / log(16 / 2); keys behind the query from 4 on.
    both = bucket_distances(np.array([-99, -6, -5, -1, 0, 1, 5, 6]), bidirectional=True, num_buckets=8, max_distance=16)
    assert both.tolist() == [3, 3, 2, 1, 0, 5, 6, 7]


def test_the_bias_of_a_pair_is_that_of_its_distance():
    table = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    options = {"bidirectional": True, "num_buckets": 8, "max_distance": 16}
    bias = look_up(jnp.asarray(table), bucket_distances(distances_between(4, 6), **options))
    for head, query, key in np.ndindex(3, 4, 6):
        (bucket,) = bucket_distances(np.array([key - query]), **options)
        assert bias[head, query, key] == table[bucket, head]


def test_a_decoder_token_sees_the_prompt_and_what_is_before_it(case):
    for place in range(9):
        assert moved(*case, tokens=(np.asarray(TOKENS) + np.eye(9, dtype=np.int32)[[place]]) % 61).all()
    for place in range(8):
        changed = moved(*case, decoder_tokens=(np.asarray(DECODER_TOKENS) + np.eye(8, dtype=np.int32)[[place]]) % 61)
        assert changed.tolist() == [t >= place for t in range(8)]


def test_order_matters_in_both_stacks(case):
    assert moved(*case, tokens=np.asarray(TOKENS)[:, ::-1]).all()
    swapped = np.asarray(DECODER_TOKENS)[:, [0, 2, 1, 3, 4, 5, 6, 7]]
    assert moved(*case, decoder_tokens=swapped)[3:].all()


@pytest.mark.parametrize("side", [(0, 3), (3, 0)])
def test_padding_changes_nothing_whatever_it_holds(case, side):
    plain = tiny.forward(*case, TOKENS, decoder_tokens=DECODER_TOKENS)
    padding, behind = ((0, 0), side), ((0, 0), (0, 4))
    mask, decoder_mask = np.pad(np.ones((2, 9), bool), padding), np.pad(np.ones((2, 8), bool), behind)
    for filler in 0, 9:
        tokens = np.pad(TOKENS, padding, constant_values=filler)
        decoder_tokens = np.pad(DECODER_TOKENS, behind, constant_values=filler)
        logits = tiny.forward(*case, tokens, decoder_tokens=decoder_tokens, mask=mask, decoder_mask=decoder_mask)
        np.testing.assert_allclose(logits[:, :8], plain, rtol=1e-4, atol=1e-4)


def test_without_decoder_tokens_the_start_token_is_read(case):
    start = np.full((2, 1), case[0].config.start_id)
    expected = tiny.forward(*case, TOKENS, decoder_tokens=start)
    np.testing.assert_array_equal(tiny.forward(*case, TOKENS), expected)


def test_the_output_scale():
    """v1.0's states are multiplied by width ** -0.5 = 1/4, and so are its logits."""
    model, params = tiny.init(tiny.V1_0)
    unscaled = models.build(dataclasses.replace(tiny.V1_0, output_scale=False))
    ours, expected = (tiny.forward(m, params, TOKENS, decoder_tokens=DECODER_TOKENS) for m in (model, unscaled))
    np.testing.assert_allclose(ours, expected / 4, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("left_padded", [False, True])
@pytest.mark.parametrize("shared_prompt", [False, True])
def test_response_logps_are_sums_over_the_plain_row(case, left_padded, shared_prompt):
    model, params = case
    batch = jax.device_get(tiny.list_batch(61, left_padded=left_padded))
    logps, _ = run(models.response_logps, model, params, batch, WEIGHTS, shared_prompt=shared_prompt)
    for b, k in np.ndindex(logps.shape):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]]
        response = batch.response_tokens[b, k][batch.response_mask[b, k]]
        row = np.zeros((1, 5), np.int32)  # a decoder's row ends in padding that none sees
        row[0, : len(response)] = [model.config.start_id, *response[:-1]]
        logits = tiny.forward(model, params, prompt[None], decoder_tokens=row)
        by_token = log_softmax(np.asarray(logits[0], np.float64), axis=-1)[np.arange(len(response)), response]
        expected = by_token.sum() if batch.where[b, k] else 0.0
        np.testing.assert_allclose(logps[b, k], expected, rtol=2e-5, atol=2e-5)


def assert_close(ours, theirs, rounding=1e-5):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for (path, a), b in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        atol = rounding * float(np.abs(b).max()) + 1e-6
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol, err_msg=str(path))


@pytest.mark.parametrize(
    ("config", "scores_fn"),
    [
        (tiny.V1_0, models.response_logps),
        (tiny.V1_1, models.response_logps),
        (models.RewardConfig(tiny.V1_0, "mean"), models.response_rewards),
    ],
    ids=["v1.0 logps", "v1.1 logps", "v1.0 rewards"],
)
def test_shared_prompt_has_the_values_and_gradients_of_separate_rows(config, scores_fn):
    model, params = tiny.init(config)
    batch = tiny.list_batch(61)
    (scores, shared), (expected, separate) = (
        run(scores_fn, model, params, batch, WEIGHTS, shared_prompt=flag) for flag in (True, False)
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    # Every parameter is used: the encoder is reached through the memories.
    assert all(np.abs(leaf).max() > 1e-4 for leaf in jax.tree.leaves(shared))
    assert_close(shared, separate)


def test_the_encoder_runs_once_for_a_list(case):
    """Matrix products over encoder rows: B * P of them, not B * K * P; P is a length that nothing else has."""
    model, params = case
    batch = tiny.list_batch(61, p=19)

    def products(shared_prompt):
        text = response_logps.lower(model, params, batch, shared_prompt=shared_prompt).as_text()
        return {rows for rows in (2, 6) if f"tensor<{rows}x19x16xf32>" in text}

    assert products(True) == {2} and products(False) == {6}


def test_masked_tokens_do_not_matter(case):
    batch = tiny.list_batch(61)
    noise = batch._replace(
        prompt_tokens=np.where(batch.prompt_mask, batch.prompt_tokens, 7),
        response_tokens=np.where(batch.response_mask, batch.response_tokens, 9),
    )
    ours, noisy = (run(models.response_logps, *case, x, WEIGHTS)[0] for x in (batch, noise))
    np.testing.assert_array_equal(ours, noisy)


def test_empty_responses_and_prompts_are_finite(case):
    batch = tiny.list_batch(61)
    empty = batch._replace(
        prompt_mask=np.zeros_like(batch.prompt_mask), response_mask=np.zeros_like(batch.response_mask)
    )
    logps, gradient = run(models.response_logps, *case, empty, WEIGHTS)
    assert (np.asarray(logps) == 0).all()
    assert all((np.asarray(g) == 0).all() for g in jax.tree.leaves(gradient))


def test_no_array_of_logits(case):
    """Log-probabilities and gradients without an array of tokens times vocabulary."""
    config = dataclasses.replace(case[0].config, vocab_size=8192)  # four blocks
    model = models.build(config)
    batch = tiny.list_batch(61)
    text = tiny.compiled_scores_and_gradient.lower(
        models.response_logps, model, True, tiny.shapes(config), batch, WEIGHTS
    ).as_text()
    assert "tensor<2x3x5x2048xf32>" in text and "5x8192x" not in text and "30x8192x" not in text


@pytest.mark.parametrize(("config", "remat"), [(tiny.V1_0, "dots"), (tiny.V1_1, "full")], ids=["dots", "full"])
def test_rematerialisation_changes_no_gradient(config, remat):
    model, params = tiny.init(config)
    again = models.build(dataclasses.replace(config, remat=remat))
    batch = tiny.list_batch(61)
    plain, other = (run(models.response_logps, m, params, batch, WEIGHTS)[1] for m in (model, again))
    assert_close(other, plain)


def test_bfloat16_compute_stays_near_float32(case):
    model, params = case
    half = models.build(dataclasses.replace(model.config, dtype="bfloat16"))
    batch = tiny.list_batch(61)
    exact, rough = run(models.response_logps, model, params, batch, WEIGHTS)[0], response_logps(half, params, batch)
    assert rough.dtype == jnp.float32 and (np.asarray(exact) != rough).any()
    np.testing.assert_allclose(rough, exact, rtol=0.05, atol=0.2)


@pytest.mark.parametrize(("backbone", "pooling"), [("v1.0", "mean"), ("v1.1", "last")])
def test_rewards_by_hand(backbone, pooling):
    """Rewards from the bare backbone's states behind its start token, one unpadded response at a time."""
    config = models.RewardConfig(tiny.ENCODER_DECODERS[backbone], pooling)
    model, params = tiny.init(config)
    backbone = models.build(dataclasses.replace(config.backbone, tied_embeddings=True, output_scale=False))
    states = jax.jit(lambda params, *x: backbone.apply({"params": params}, *x, method="hidden"))
    batch = jax.device_get(tiny.list_batch(61, left_padded=True))
    rewards = np.asarray(run(models.response_rewards, model, params, batch, WEIGHTS)[0])
    assert rewards.dtype == np.float32 and np.std(rewards) > 0.05
    for b, k in np.ndindex(rewards.shape):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]][None]
        response, n = batch.response_tokens[b, k][None], batch.response_mask[b, k].sum()
        row = np.pad(response[:, :n], ((0, 0), (1, 5 - n)), constant_values=config.backbone.start_id)
        hidden = np.asarray(states(params["backbone"], prompt, row))[0, 1 : n + 1]
        state = hidden[-1] if pooling == "last" else hidden.mean(axis=0)
        expected = float(state @ np.asarray(params["head"]["reward"])[:, 0])
        np.testing.assert_allclose(rewards[b, k], expected if batch.where[b, k] else 0, rtol=1e-4, atol=1e-5)
        one = tiny.forward(
            model, params, prompt, response_tokens=response, response_mask=batch.response_mask[b, k][None]
        )
        np.testing.assert_allclose(one[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tiny.forward(model, params, prompt, response_tokens=response[:, :n]), one, rtol=1e-5)


def test_a_response_without_a_token_has_reward_zero(case):
    model, params = tiny.init(models.RewardConfig(case[0].config))
    batch = tiny.list_batch(61)
    mask = np.array(batch.response_mask)
    mask[0, 1] = False
    rewards = np.asarray(response_rewards(model, params, batch._replace(response_mask=mask)))
    assert rewards[0, 1] == 0 and (np.abs(rewards[0]) > 0).sum() == 2


def test_from_a_language_model_to_a_reward_model(case):
    config = models.RewardConfig(case[0].config)
    params = models.init_reward_params(models.build(config), jax.random.key(0), case[1])
    assert "unembedding" not in params["backbone"] and params["head"].keys() == {"reward"}
    np.testing.assert_array_equal(params["backbone"]["embedding"], case[1]["embedding"])


def test_configs_that_make_no_sense():
    with pytest.raises(ValueError, match=r"num_buckets \(6\) must be a multiple of 4"):
        dataclasses.replace(tiny.V1_0, num_buckets=6)
    with pytest.raises(ValueError, match=r"max_distance \(4\) must exceed 4, the distances that have a bucket each"):
        dataclasses.replace(tiny.V1_0, max_distance=4)
    with pytest.raises(ValueError, match="'first' reads the decoder's start token, which sees nothing of the response"):
        models.RewardConfig(tiny.V1_0, "first")


@pytest.fixture(scope="module")
def on_one_device():
    """A model, its parameters, eight lists, the responses' log-probabilities, and the gradient of their sum."""
    model, params = tiny.init(dataclasses.replace(tiny.V1_1, vocab_size=64))
    batch = tiny.list_batch(64, b=8, p=22)
    weights = np.ones((8, 3), np.float32)
    return model, params, batch, weights, *run(models.response_logps, model, params, batch, weights)


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 2, 4)])
def test_sharded_logps_and_gradients_equal_single_device(shape, on_one_device):
    model, params, batch, weights, logps, gradient = on_one_device
    mesh = sharding.make_mesh(**dict(zip(("data", "fsdp", "tensor"), shape, strict=True)))
    rules = sharding.Rules(models.LOGICAL_AXES)
    shardings = sharding.param_shardings(params, mesh, rules)
    with jax.set_mesh(mesh):
        placed = sharding.place(params, shardings), *sharding.place_batch((batch, weights), mesh=mesh, rules=rules)
        sharded_logps, sharded_gradient = run(models.response_logps, model, *placed)
    np.testing.assert_allclose(sharded_logps, logps, rtol=1e-5)
    assert_close(sharded_gradient, gradient, rounding=1e-4)
    if shape == (2, 2, 2):
        # The layer axis first, replicated; then what the names say.
        spec = jax.sharding.PartitionSpec
        decoder = shardings["decoder"]
        assert decoder["layers"]["memory"]["key"].spec == spec(None, "fsdp", "tensor")
        assert decoder["layers"]["gated_mlp"]["down"].spec == spec(None, "tensor", "fsdp")
        assert decoder["relative_bias"].spec == spec(None, "tensor")
