"""Packed lists against the same lists padded, one a row, and against separate rows of prompt and response."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import losses, models, numerics, sharding
from jaxalign.data import RowShape, lists_from_tokens
from jaxalign.data.batches.lists import Selection, make_list_batch
from jaxalign.data.batches.packed_lists import make_packed_list_batch

# Tokens of each prompt and of its responses: prompts and responses of one token, lists of one response.
SIZES = ((1, (3, 1, 2)), (6, (1,)), (4, (5, 2)), (7, (4, 4, 1)), (1, (1,)), (9, (2, 5, 5)))
K, BUCKET = 3, (9, 5)
SHAPE = RowShape(prompt=20, lanes=5, lane=6, lists=4, responses=K)
PACKS = ((3, 0, 4), (5, 2, 1))
QWEN3 = dataclasses.replace(tiny.PLAIN, vocab_size=64, qk_norm=True, tied_embeddings=True)
CONFIGS = {"qwen3": QWEN3, "gemma2": tiny.MIXED}


def make_lists(sizes=SIZES, seed=0):
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, 61, length) for length, _ in sizes]
    responses = [[rng.integers(0, 61, length) for length in of] for _, of in sizes]
    labels = [rng.uniform(size=len(of)).tolist() for _, of in sizes]
    return lists_from_tokens(prompts, responses, labels, pad_id=0, limits=BUCKET)


def complete(lists, records):
    """These records with all of their responses."""
    counts = np.diff(lists.list_starts)[list(records), None]
    return Selection(np.array(records), np.where(np.arange(K)[None] < counts, np.arange(K)[None], -1))


def padded(lists, table=None):
    records = range(len(lists))
    return jax.tree.map(jnp.asarray, make_list_batch(lists, table, BUCKET, complete(lists, records), len(lists)))


def packed(lists, packs=PACKS, table=None, shape=SHAPE):
    selections = [complete(lists, pack) for pack in packs]
    return jax.tree.map(jnp.asarray, make_packed_list_batch(lists, table, shape, selections, len(packs)))


def by_record(values, packs=PACKS):
    """``[B, S, K]`` in the order of the records, ``[N, K]``."""
    places = {record: (row, slot) for row, pack in enumerate(packs) for slot, record in enumerate(pack)}
    return np.stack([np.asarray(values)[places[record]] for record in sorted(places)])


response_logps = jax.jit(models.response_logps, static_argnums=0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def run(logps_fn, model, params, batch, weights):
    """Log-probabilities, and the gradient of their weighted sum."""

    def weighted(params):
        logps = logps_fn(model, params, batch)
        return (logps * weights).sum(), logps

    (_, logps), gradient = jax.value_and_grad(weighted, has_aux=True)(params)
    return logps, gradient


SEPARATE = functools.partial(models.response_logps, shared_prompt=False)
PACKED_ONES = np.ones((len(PACKS), SHAPE.lists, K), np.float32)


@pytest.mark.parametrize("name", CONFIGS)
def test_values_and_gradients_are_those_of_padded_lists(name):
    model, params = tiny.init(CONFIGS[name])
    lists = make_lists()
    weights = np.random.default_rng(5).standard_normal((len(lists), K)).astype(np.float32)
    packed_weights = np.zeros_like(PACKED_ONES)
    for row, pack in enumerate(PACKS):
        packed_weights[row, : len(pack)] = weights[list(pack)]
    batch = packed(lists)
    ours, gradient = jax.device_get(run(models.response_logps, model, params, batch, packed_weights))
    separate, expected = jax.device_get(run(SEPARATE, model, params, padded(lists), weights))
    where = np.asarray(batch.where)
    assert ours.shape == (2, SHAPE.lists, K) and ours.dtype == jnp.float32
    assert (ours[~where] == 0).all() and (ours[where] < 0).all()
    for theirs in separate, response_logps(model, params, padded(lists)):
        np.testing.assert_allclose(by_record(ours), theirs, rtol=1e-5, atol=1e-5)
    for (path, a), b in zip(jax.tree.leaves_with_path(gradient), jax.tree.leaves(expected), strict=True):
        scale = max(np.abs(b).max(), 1.0)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * scale, err_msg=str(path))


@pytest.mark.parametrize(
    "packs", [((4, 3, 0), (1, 5, 2)), ((5, 2, 1), (3, 0, 4)), ((2, 0, 4, 1), (5, 3)), ((0, 1, 2), (5, 4, 3))]
)
def test_it_does_not_matter_where_a_list_lies(packs):
    model, params = tiny.init(tiny.MIXED)
    lists = make_lists()
    here, there = (by_record(response_logps(model, params, packed(lists, p)), p) for p in (PACKS, packs))
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("changed", range(len(SIZES)))
def test_no_list_sees_another(changed):
    """It is equal to the bit, since what is hidden weighs exactly nothing."""
    model, params = tiny.init(tiny.MIXED)
    lists = make_lists()
    rng = np.random.default_rng(1)
    prompt_tokens, response_tokens = lists.prompt_tokens.copy(), lists.response_tokens.copy()
    mine = slice(*lists.prompt_starts[changed : changed + 2])
    own = slice(*lists.response_starts[lists.list_starts[changed : changed + 2]])
    for tokens, at in (prompt_tokens, mine), (response_tokens, own):
        tokens[at] = (tokens[at] + rng.integers(1, 61, len(tokens[at]))) % 61
    other = dataclasses.replace(lists, prompt_tokens=prompt_tokens, response_tokens=response_tokens)
    before, after = (by_record(response_logps(model, params, packed(x))) for x in (lists, other))
    same = np.arange(len(SIZES)) != changed
    np.testing.assert_array_equal(before[same], after[same])
    assert (before[changed] != after[changed]).any()


def test_padding_does_not_matter():
    model, params = tiny.init(tiny.MIXED)
    batch = packed(make_lists())
    noise = batch._replace(
        prompt_tokens=jnp.where(batch.prompt_lists > 0, batch.prompt_tokens, 7),
        prompt_positions=jnp.where(batch.prompt_lists > 0, batch.prompt_positions, 3),
        response_tokens=jnp.where(batch.response_slots > 0, batch.response_tokens, 9),
        response_positions=jnp.where(batch.response_slots > 0, batch.response_positions, 5),
        targets=jnp.where(batch.response_slots > 0, batch.targets, 11),
    )
    np.testing.assert_array_equal(response_logps(model, params, batch), response_logps(model, params, noise))


def test_masked_responses_count_nothing():
    model, params = tiny.init(QWEN3)
    batch = packed(make_lists())
    masked = batch._replace(where=batch.where.at[0, 0, 1].set(False))  # its tokens are still there
    before, after = (response_logps(model, params, x) for x in (batch, masked))
    assert before[0, 0, 1] < 0 and after[0, 0, 1] == 0
    np.testing.assert_array_equal(before.at[0, 0, 1].set(0), after)


def test_one_lane_is_a_plain_packed_row():
    """Lanes are a matter of speed: all responses of a row in one give the same numbers."""
    model, params = tiny.init(tiny.MIXED)
    lists = make_lists()
    one = packed(lists, shape=SHAPE._replace(lanes=1, lane=30))
    np.testing.assert_allclose(
        response_logps(model, params, one), response_logps(model, params, packed(lists)), rtol=1e-5, atol=1e-5
    )


def test_rows_without_a_list_are_finite():
    model, params = tiny.init(QWEN3)
    empty = jax.tree.map(jnp.zeros_like, packed(make_lists()))
    logps, gradient = run(models.response_logps, model, params, empty, PACKED_ONES)
    assert (np.asarray(logps) == 0).all()
    assert all((np.asarray(g) == 0).all() for g in jax.tree.leaves(gradient))


def test_bfloat16_compute_stays_near_float32():
    model, params = tiny.init(QWEN3)
    half = models.build(dataclasses.replace(QWEN3, dtype="bfloat16"))
    batch = packed(make_lists())
    exact, rough = (response_logps(m, params, batch) for m in (model, half))
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, exact, rtol=0.03, atol=0.1)


def test_ranking_losses_are_those_of_padded_lists():
    model, params = tiny.init(QWEN3)
    lists = make_lists()
    table = np.random.default_rng(2).normal(-9, 1, (len(lists), K)).astype(np.float32)

    @jax.jit
    def loss(batch):
        scores = 0.1 * (models.response_logps(model, params, batch) - batch.reference_logps)
        return losses.lambda_loss(scores, batch.labels, where=batch.where, reduce_fn=numerics.ratio)

    ours, theirs = loss(packed(lists, table=table)), loss(padded(lists, table))
    np.testing.assert_allclose(ours.numerator, theirs.numerator, rtol=1e-5)
    assert ours.denominator == theirs.denominator > 0


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 2, 2)])
def test_sharded_logps_and_gradients_equal_single_device(shape):
    model, params = tiny.init(QWEN3)
    batch, weights = packed(make_lists(), packs=PACKS * 4), np.tile(PACKED_ONES, (4, 1, 1))
    mesh = sharding.make_mesh(**dict(zip(("data", "fsdp", "tensor"), shape, strict=True)))
    rules = sharding.Rules(models.LOGICAL_AXES)
    logps, gradient = run(models.response_logps, model, params, batch, weights)
    placed = sharding.place(params, sharding.param_shardings(params, mesh, rules))
    with jax.set_mesh(mesh):
        batch, weights = sharding.place_batch((batch, weights), mesh=mesh, rules=rules)
        sharded_logps, sharded_gradient = run(models.response_logps, model, placed, batch, weights)
    np.testing.assert_allclose(sharded_logps, logps, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), sharded_gradient, gradient)


def test_only_a_decoder_reads_packed_lists():
    with pytest.raises(TypeError, match="read by a Decoder, got EncoderDecoder; give it padded lists"):
        models.response_logps(models.build(tiny.V1_0), {}, packed(make_lists()))


def test_separate_rows_are_for_padded_lists():
    model, params = tiny.init(QWEN3)
    with pytest.raises(ValueError, match="packed lists share their prompts, got shared_prompt=False; leave it out, or"):
        models.response_logps(model, params, packed(make_lists()), shared_prompt=False)
