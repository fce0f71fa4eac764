"""The cache keeps what windows reach, and the decode loop updates it in place."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import models, sampling
from jaxalign.models.attention import shared_attention
from jaxalign.sampling import cache

ROOM, NEW = 23, 29  # lengths that nothing else in the program has


def lowered(config, rows, num_samples=1):
    model = models.build(config)
    params = tiny.shapes(config)
    prompts = jax.ShapeDtypeStruct((rows, ROOM), jnp.int32), jax.ShapeDtypeStruct((rows, ROOM), bool)
    options = {"num_samples": num_samples, "max_new_tokens": NEW, "eos_id": -1, "rule": sampling.greedy}
    generate = jax.jit(functools.partial(sampling.generate, model, **options))
    return generate.lower(params, *prompts, jax.random.key(0))


@pytest.mark.parametrize(("rows", "num_samples"), [(1, 1), (3, 1), (3, 3)])
def test_the_loop_copies_no_ring_and_no_prompt(rows, num_samples):
    """XLA's trap: with an axis of length 1 that a product drops, it copies each cache twice a token."""
    text = lowered(tiny.PLAIN, rows, num_samples).compile().as_text()
    (body,) = re.findall(r"\bbody=%?([\w.-]+)", text)
    loop = re.search(rf"^%?{re.escape(body)} .*?^}}", text, re.MULTILINE | re.DOTALL)[0]
    made = [
        name
        for name, shape in re.findall(r"^\s+(?:ROOT )?%?([\w.-]+) = f32\[([\d,]+)\]", loop, re.MULTILINE)
        for sizes in [{int(size) for size in shape.split(",")}]
        if tiny.PLAIN.head_dim in sizes and sizes & {ROOM, NEW}
    ]
    assert any("dynamic-update-slice" in name for name in made)
    # What else has such a shape is the loop's state, or another view of it.
    free = r".*dynamic-update-slice.*|get-tuple-element[.\d]*|bitcast[.\d]*"
    assert not [name for name in made if not re.fullmatch(free, name)]


def test_windowed_layers_keep_their_window():
    # A window of 4 reaches 3 tokens back: of the prompt 3 columns, of the ring 4, whatever the lengths.
    config = dataclasses.replace(tiny.PLAIN, window=4, windowed_layers=(True, False))
    assert [cache.prompt_columns(config, windowed, 100) for windowed in config.layer_windows] == [3, 100]
    rings = cache.empty_rings(config, 2, 3, 50)
    assert [ring[0].shape for ring in rings] == [(6, 2, 4, 4), (6, 2, 50, 4)]
    assert cache.prompt_columns(config, True, 2) == 2 and cache.ring_columns(config, True, 3) == 3


@pytest.mark.parametrize(("b", "k", "n"), [(2, 3, 2), (1, 1, 2), (2, 1, 1), (1, 1, 1)])
def test_equals_attention_over_one_prompt(b, k, n):
    rng = np.random.default_rng(0)
    g, p, c, d = 2, 5, 7, 4

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    query = draw(b, k, n * g, d)
    prompt_key, prompt_value, own_key, own_value = *draw(2, b, p, n, d), *draw(2, b, k, c, n, d)
    prompt_mask, mask = (rng.random((b, k, s)) < 0.6 for s in (p, c))
    mask[:, :, 0] = True
    options = {"scale": 0.7, "softcap": 2.0}

    def ring(x):
        leading = [size for size in (b * k, n) if size > 1]
        return x.transpose(0, 1, 3, 2, 4).reshape(*leading, c, d)

    @jax.jit
    def both(query, prompt_key, prompt_value, own_key, own_value, prompt_mask, mask):
        prompt = prompt_key.transpose(0, 2, 1, 3), prompt_value.transpose(0, 2, 1, 3)
        held = cache.LayerCache(*prompt, ring(own_key), ring(own_value))
        ours = cache.cached_attention(query, held, prompt_mask, mask, **options)
        lists = prompt_key, prompt_value, prompt_mask[:, :, None], own_key, own_value, mask[:, :, None]
        return ours, shared_attention(query[:, :, None], *lists, **options)[:, :, 0]

    ours, expected = both(query, prompt_key, prompt_value, own_key, own_value, prompt_mask, mask)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("window", [1, 3])
def test_long_after_the_window(window):
    """Rings that went round several times, prompts on either side of the window, against the plain forward pass."""
    config = dataclasses.replace(tiny.MIXED, num_layers=2, windowed_layers=(True, False), window=window)
    model, params = tiny.init(config)
    batch = jax.device_get(tiny.list_batch(config.vocab_size))
    options = {"num_samples": 1, "max_new_tokens": 12, "eos_id": -1, "rule": sampling.greedy}
    samples = sampling.generate(model, params, batch.prompt_tokens, batch.prompt_mask, jax.random.key(0), **options)
    samples = jax.device_get(samples)
    for b in range(2):
        prompt = batch.prompt_tokens[b][batch.prompt_mask[b]]
        row = np.concatenate([prompt, samples.tokens[b, 0], np.zeros(7, np.int32)])[None, :19]
        logits = np.asarray(tiny.forward(model, params, row)[0])
        expected = np.argmax(logits, axis=-1)[len(prompt) - 1 : len(prompt) + 11]
        np.testing.assert_array_equal(samples.tokens[b, 0], expected)
