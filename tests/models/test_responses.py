"""Log-probabilities of responses: against the sum over one concatenated row, and shared against separate prompts."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.special import log_softmax

from jaxalign import models, sharding

response_logps = jax.jit(models.response_logps, static_argnums=0)
run = functools.partial(tiny.scores_and_gradient, models.response_logps)
WEIGHTS = np.random.default_rng(5).standard_normal((2, 3)).astype(np.float32)


def by_hand(model, params, prompt, response, length=16):
    """sum_t log softmax(logits of the row up to t)[response_t], from one row and the plain causal forward pass."""
    row = np.concatenate([prompt, response])
    logits = tiny.forward(model, params, np.pad(row, (0, length - len(row)))[None])[0]
    logps = log_softmax(np.asarray(logits, np.float64), axis=-1)
    start = len(prompt) - 1
    return sum(logps[start + t, token] for t, token in enumerate(response))


@pytest.mark.parametrize("name", tiny.CONFIGS)
@pytest.mark.parametrize("left_padded", [False, True])
@pytest.mark.parametrize("shared_prompt", [False, True])
def test_response_logps_are_sums_over_the_plain_row(name, left_padded, shared_prompt):
    model, params = tiny.init(tiny.CONFIGS[name])
    batch = jax.device_get(tiny.list_batch(model.config.vocab_size, left_padded=left_padded))
    logps, _ = run(model, params, batch, WEIGHTS, shared_prompt=shared_prompt)
    for b, k in np.ndindex(logps.shape):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]]
        response = batch.response_tokens[b, k][batch.response_mask[b, k]]
        expected = by_hand(model, params, prompt, response) if batch.where[b, k] else 0.0
        np.testing.assert_allclose(logps[b, k], expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_shared_prompt_has_the_gradients_of_separate_rows(name):
    model, params = tiny.init(tiny.CONFIGS[name])
    batch = tiny.list_batch(model.config.vocab_size)
    shared, separate = (run(model, params, batch, WEIGHTS, shared_prompt=flag)[1] for flag in (True, False))
    for path, ours in jax.tree.leaves_with_path(shared):
        theirs = separate
        for step in path:
            theirs = theirs[step.key]
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max() + 1e-6, err_msg=str(path))


@pytest.mark.parametrize("shared_prompt", [False, True])
def test_masked_tokens_do_not_matter(shared_prompt):
    model, params = tiny.init(tiny.MIXED)
    batch = tiny.list_batch(model.config.vocab_size)
    noise = batch._replace(
        prompt_tokens=jnp.where(batch.prompt_mask, batch.prompt_tokens, 7),
        response_tokens=jnp.where(batch.response_mask, batch.response_tokens, 9),
    )
    ours, noisy = (run(model, params, x, WEIGHTS, shared_prompt=shared_prompt)[0] for x in (batch, noise))
    np.testing.assert_array_equal(ours, noisy)


def test_wider_padding_gives_the_same_numbers():
    model, params = tiny.init(tiny.MIXED)
    batch = tiny.list_batch(model.config.vocab_size)
    wide = batch._replace(
        prompt_tokens=jnp.pad(batch.prompt_tokens, ((0, 0), (0, 3))),
        prompt_mask=jnp.pad(batch.prompt_mask, ((0, 0), (0, 3))),
        response_tokens=jnp.pad(batch.response_tokens, ((0, 0), (0, 0), (0, 4))),
        response_mask=jnp.pad(batch.response_mask, ((0, 0), (0, 0), (0, 4))),
    )
    narrow_logps, _ = run(model, params, batch, WEIGHTS)
    np.testing.assert_allclose(narrow_logps, response_logps(model, params, wide), rtol=1e-5, atol=1e-5)


def test_empty_response_slots_and_promptless_lists_are_finite():
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size)
    empty = batch._replace(
        prompt_mask=jnp.zeros_like(batch.prompt_mask), response_mask=jnp.zeros_like(batch.response_mask)
    )
    logps, gradient = run(model, params, empty, WEIGHTS)
    assert (np.asarray(logps) == 0).all()
    assert all(np.all(np.asarray(g) == 0) for g in jax.tree.leaves(gradient))


def test_bfloat16_compute_stays_near_float32():
    model, params = tiny.init(tiny.PLAIN)
    batch = tiny.list_batch(model.config.vocab_size)
    half = models.build(dataclasses.replace(model.config, dtype="bfloat16"))
    exact, rough = run(model, params, batch, WEIGHTS)[0], response_logps(half, params, batch)
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, exact, rtol=0.03, atol=0.1)


RULES = sharding.Rules(models.LOGICAL_AXES)


def compile_logps(name, batch, mesh):
    """Parameters and batch on the mesh, and the compiled sum of the log-probabilities with its gradient."""
    model, params = tiny.init(dataclasses.replace(tiny.CONFIGS[name], vocab_size=64))

    def total(params, batch):
        with sharding.on_mesh(mesh, RULES):
            return models.response_logps(model, params, batch).sum()

    if mesh is not None:
        params = sharding.place(params, sharding.param_shardings(params, mesh, RULES))
        batch = sharding.place_batch(batch, mesh=mesh, rules=RULES)
    return params, batch, jax.jit(jax.value_and_grad(total)).lower(params, batch).compile()


@functools.cache
def on_one_device(name):
    params, batch, program = compile_logps(name, tiny.list_batch(64, b=8, k=4, p=24, r=8), None)
    return program(params, batch)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("plain", {"data": 8}),
        ("plain", {"data": 2, "tensor": 2}),
        ("plain", {"data": 2, "context": 4}),  # complete responses on each device, of which there are four
        ("mixed", {"context": 2, "tensor": 2}),  # windows, and the vocabulary split under a soft-cap
        ("mixed", {"context": 8}),  # a stretch of each response on each device
    ],
)
def test_sharded_logps_and_gradients_equal_single_device(name, sizes):
    mesh = sharding.make_mesh(**sizes)
    params, batch, program = compile_logps(name, tiny.list_batch(64, b=8, k=4, p=24, r=8), mesh)
    value, gradient = program(params, batch)
    expected, expected_gradient = on_one_device(name)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), gradient, expected_gradient)


def test_under_context_parallelism_devices_exchange_keys_and_values_only():
    """No other array of numbers moves: queries, hidden states and logits stay, and parameters are replicated here."""
    mesh = sharding.make_mesh(fsdp=1, context=8)
    *_, program = compile_logps("plain", tiny.list_batch(64, b=2, k=8, p=24, r=8), mesh)
    gathered = set(re.findall(r"= (f32\S+)\{\S+ all-gather", program.as_text()))
    assert gathered == {"f32[2,24,2,4]"}  # two rows, the prompt's 24 tokens, two heads of four
    assert not re.findall(r"all-to-all|collective-permute", program.as_text())


@pytest.mark.parametrize(("k", "p"), [(4, 23), (3, 24)])
def test_a_list_that_context_cannot_split_is_an_error(k, p):
    mesh = sharding.make_mesh(fsdp=2, context=4)
    message = rf"prompt of {p} tokens with {k} responses of 5 cannot .* 4 devices .*such as 24, .*such as 8"
    with pytest.raises(ValueError, match=message):
        compile_logps("plain", tiny.list_batch(64, b=2, k=k, p=p, r=5), mesh)
