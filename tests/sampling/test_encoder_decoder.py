"""Samples of encoder-decoders: the engine of decoders, the encoder run once a prompt."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import NamedSharding, PartitionSpec

from jaxalign import models, sampling, sharding

RULE = sampling.sample(sampling.temperature(2.0), sampling.repetition_penalty(1.3), sampling.top_p(0.95))
NUM_SAMPLES, MAX_NEW, ROOM = 2, 12, 20
LENGTHS = (3, 18, 1, 7, 7, 2)  # prompts' lengths: one bucket and the next, two the same
STOP_IDS = tuple(range(3, 61, 8))  # many, for samples of unlike length
OPTIONS = {"num_samples": NUM_SAMPLES, "max_new_tokens": MAX_NEW, "eos_id": STOP_IDS, "rule": RULE}


@functools.cache
def case(name="v1.1"):
    """A model, prompts, and what ``generate`` draws for them as one batch."""
    model, params = tiny.init(tiny.ENCODER_DECODERS[name])
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, model.config.vocab_size, length).tolist() for length in LENGTHS]
    prompts[4] = prompts[3]
    tokens, mask = np.zeros((len(prompts), ROOM), np.int32), np.zeros((len(prompts), ROOM), bool)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)], mask[row, : len(prompt)] = prompt, True
    drawn = sampling.generate(model, params, tokens, mask, jax.random.key(7), **OPTIONS)
    return model, params, prompts, jax.device_get(drawn)


def run(name="v1.1", *, params=None, samples=range(NUM_SAMPLES), **options):
    model, own, prompts, _ = case(name)
    jobs = [sampling.Job(number, prompt, samples) for number, prompt in enumerate(prompts)]
    options = {"max_prompt_tokens": ROOM, "max_new_tokens": MAX_NEW, "eos_id": STOP_IDS, "rule": RULE, **options}
    return sampling.run_jobs(model, own if params is None else params, jobs, jax.random.key(7), **options)


def assert_expected(completions, name="v1.1"):
    """Each job's samples once, with the tokens and log-probabilities of ``generate``."""
    drawn, completions = case(name)[3], list(completions)
    found = sorted((each.job, each.sample) for each in completions)
    assert found == [(job, sample) for job in range(len(LENGTHS)) for sample in range(NUM_SAMPLES)]
    for each in completions:
        mask = drawn.mask[each.job, each.sample]
        assert list(each.tokens) == drawn.tokens[each.job, each.sample][mask].tolist()
        np.testing.assert_allclose(each.logps, drawn.logps[each.job, each.sample][mask], rtol=1e-4, atol=1e-4)
        assert each.finish == ("stop_token" if each.tokens[-1] in STOP_IDS else "length")


@pytest.mark.parametrize("name", tiny.ENCODER_DECODERS)
@pytest.mark.parametrize("left_padded", [False, True])
def test_greedy_equals_argmax_of_the_plain_forward_pass(name, left_padded):
    model, params = tiny.init(tiny.ENCODER_DECODERS[name])
    batch = jax.device_get(tiny.list_batch(model.config.vocab_size, left_padded=left_padded))
    options = {**OPTIONS, "eos_id": -1, "rule": sampling.greedy}
    samples = sampling.generate(model, params, batch.prompt_tokens, batch.prompt_mask, jax.random.key(0), **options)
    for b in range(2):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]][None]
        row = np.zeros((1, MAX_NEW + 1), np.int32)
        row[0, 0] = model.config.start_id
        for t in range(MAX_NEW):
            row[0, t + 1] = np.argmax(np.asarray(tiny.forward(model, params, prompt, decoder_tokens=row))[0, t])
        np.testing.assert_array_equal(samples.tokens[b], np.stack([row[0, 1:], row[0, 1:]]))


def test_the_reference_has_samples_of_unlike_length():
    lengths = case()[3].mask.sum(axis=2)
    assert lengths.min() < 4 and lengths.max() == MAX_NEW
    assert (case()[3].tokens[3] != case()[3].tokens[4]).any()  # one prompt twice, unlike keys


@pytest.mark.parametrize(("name", "num_slots", "stride"), [("v1.1", 1, 5), ("v1.1", 3, 4), ("v1.0", 16, 16)])
def test_continuous_batching_equals_generate(name, num_slots, stride):
    assert_expected(run(name, num_slots=num_slots, stride=stride), name)


def test_meshes_give_the_tokens_of_one_device(allow_nans):
    model, params, prompts, drawn = case()
    mesh = sharding.make_mesh(data=2, fsdp=2, tensor=2)
    rules = sharding.Rules(models.LOGICAL_AXES, {**sharding.DEFAULT_MESH_AXES, "vocab": None})
    placed = sharding.place(params, sharding.param_shardings(params, mesh, rules))
    tokens = np.array([prompt + [0] * (ROOM - len(prompt)) for prompt in prompts], np.int32)
    mask = np.arange(ROOM)[None] < np.array(LENGTHS)[:, None]
    rows = jax.device_put((tokens, mask), NamedSharding(mesh, PartitionSpec("data")))
    samples = sampling.generate(model, placed, *rows, jax.random.key(7), **OPTIONS)
    np.testing.assert_array_equal(samples.tokens, drawn.tokens)
    np.testing.assert_allclose(samples.logps, drawn.logps, rtol=1e-4, atol=1e-4)
    assert_expected(run(params=placed, num_slots=8, stride=4, sharding=sharding.batch_sharding(mesh, rules)))


def test_prompts_have_no_longest_length():
    """Relative positions: a room that any position table would refuse."""
    assert not list(
        sampling.run_jobs(
            *case()[:2],
            [],
            jax.random.key(0),
            num_slots=1,
            max_prompt_tokens=10_000,
            max_new_tokens=4,
            eos_id=1,
            rule=RULE,
        )
    )


@pytest.mark.parametrize(("rows", "num_samples"), [(1, 1), (3, 3)])
def test_the_loop_copies_no_ring_and_no_memory_and_encodes_nothing(rows, num_samples):
    """What test_cache.py shows of decoders holds, and no product of the loop has the prompt's tokens as rows."""
    room, new = 23, 29  # lengths that nothing else in the program has
    config = tiny.V1_0
    model = models.build(config)
    params = tiny.shapes(config)
    prompts = jax.ShapeDtypeStruct((rows, room), jnp.int32), jax.ShapeDtypeStruct((rows, room), bool)
    options = {"num_samples": num_samples, "max_new_tokens": new, "eos_id": -1, "rule": sampling.greedy}
    generate = jax.jit(functools.partial(sampling.generate, model, **options))
    text = generate.lower(params, *prompts, jax.random.key(0)).compile().as_text()
    loops = [
        re.search(rf"^%?{re.escape(body)} .*?^}}", text, re.MULTILINE | re.DOTALL)[0]
        for body in re.findall(r"\bbody=%?([\w.-]+)", text)
    ]
    (loop,) = [body for body in loops if re.search(rf"s32\[{rows},{num_samples},{new}\]", body)]
    shapes = re.findall(r"^\s+(?:ROOT )?%?([\w.-]+) = f32\[([\d,]+)\]", loop, re.MULTILINE)
    made = [(name, {int(size) for size in shape.split(",")}) for name, shape in shapes]
    assert not [name for name, sizes in made if room in sizes and config.width in sizes]
    held = [name for name, sizes in made if config.head_dim in sizes and sizes & {room, new}]
    assert any("dynamic-update-slice" in name for name in held)
    free = r".*dynamic-update-slice.*|get-tuple-element[.\d]*|bitcast[.\d]*"
    assert not [name for name in held if not re.fullmatch(free, name)]


def test_bfloat16_logps_are_those_of_the_response():
    """The scale of v1.0's states and the bias are rounded as in the plain forward pass."""
    model, params = tiny.init(dataclasses.replace(tiny.V1_0, dtype="bfloat16"))
    batch = tiny.list_batch(61)
    options = OPTIONS | {"num_samples": 3}
    samples = sampling.generate(model, params, batch.prompt_tokens, batch.prompt_mask, jax.random.key(0), **options)
    scored = batch._replace(response_tokens=samples.tokens, response_mask=samples.mask, where=np.ones((2, 3), bool))
    logps = jax.jit(models.response_token_logps, static_argnums=0)
    expected, exact = (logps(each, params, scored) for each in (model, models.build(tiny.V1_0)))
    assert jnp.abs(expected - exact).max() > 1e-3
    np.testing.assert_allclose(samples.logps, expected, atol=0.1)
