"""The decoder's masks, packing and rematerialisation; parity with transformers stands in tests/parity."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import models
from jaxalign.models import attention, layers, rope


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_packed_segments_equal_separate_rows(name):
    model, params = tiny.init(tiny.CONFIGS[name])
    tokens = np.random.default_rng(1).integers(0, model.config.vocab_size, (1, 12))
    segments = jnp.array([[1] * 5 + [2] * 6 + [0]])
    positions = jnp.array([[*range(5), *range(6), 0]])
    packed = tiny.forward(model, params, tokens, segment_ids=segments, positions=positions)
    first = tiny.forward(model, params, tokens[:, :5])
    second = tiny.forward(model, params, tokens[:, 5:11])
    np.testing.assert_allclose(packed[:, :5], first, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(packed[:, 5:11], second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_left_padding_shifts_nothing(name):
    model, params = tiny.init(tiny.CONFIGS[name])
    tokens = np.random.default_rng(1).integers(0, model.config.vocab_size, (1, 6))
    padded = np.concatenate([np.full((1, 3), 9), tokens], axis=1)
    mask = np.arange(9)[None] >= 3
    logits = tiny.forward(model, params, padded, mask=mask)
    np.testing.assert_allclose(logits[:, 3:], tiny.forward(model, params, tokens), rtol=1e-4, atol=1e-4)


def test_a_token_sees_no_later_one_and_none_beyond_its_window():
    config = dataclasses.replace(tiny.PLAIN, num_layers=1, window=3)
    model, params = tiny.init(config)
    embedded = jnp.zeros((1, 8), jnp.int32)
    logits = tiny.forward(model, params, embedded)
    for changed in range(8):
        other = tiny.forward(model, params, embedded.at[0, changed].set(5))
        differs = np.abs(np.asarray(other - logits)).max(axis=(0, 2)) > 1e-6
        # One layer with a window of 3: token j is seen at j, j + 1 and j + 2.
        assert differs.tolist() == [changed <= i < changed + 3 for i in range(8)]


@functools.partial(jax.jit, static_argnums=0)
def gradient_of_spread(model, params, tokens):
    return jax.grad(lambda params: model.apply({"params": params}, tokens).std())(params)


@pytest.mark.parametrize("remat", ["dots", "full", "offload"])
def test_rematerialisation_changes_no_gradient(remat):
    model, params = tiny.init(tiny.MIXED)
    tokens = np.random.default_rng(1).integers(0, model.config.vocab_size, (2, 6))
    again = models.build(dataclasses.replace(model.config, remat=remat))
    plain, other = (gradient_of_spread(m, params, tokens) for m in (model, again))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), plain, other)


def test_full_rematerialisation_saves_memory():
    config = dataclasses.replace(tiny.PLAIN, num_layers=8)
    tokens = jnp.zeros((4, 64), jnp.int32)

    def temporary_bytes(config):
        model, params = tiny.init(config)
        program = gradient_of_spread.lower(model, params, tokens).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporary_bytes(dataclasses.replace(config, remat="full")) < 0.5 * temporary_bytes(config)


@pytest.mark.parametrize(("remat", "moved"), [("full", 0), ("offload", 1)])
def test_offload_moves_the_input_of_each_layer_to_the_host(remat, moved):
    """The scan over layers of a program for GPU does it; the CPU backend has no host memory apart."""
    model, params = tiny.init(dataclasses.replace(tiny.PLAIN, remat=remat))
    traced = gradient_of_spread.trace(model, params, jnp.zeros((2, 6), jnp.int32))
    program = traced.lower(lowering_platforms=("cuda",)).as_text()
    lines = [line for line in program.splitlines() if '"pinned_host"' in line]
    assert len(lines) == moved and all("tensor<2x6x16xf32>" in line for line in lines)


def test_llama3_rope_scaling_by_hand():
    # base 1e4 over 4 pairs: 1, 0.1, 0.01, 0.001 radians a token. Of 64 original tokens they turn 10.19, 1.019, 0.1019
    # and 0.01019 times; 4 turns and more are kept, 1 and less are divided by 8, between is a linear blend.
    scaling = models.RopeScaling("llama3", factor=8.0, original_max_length=64)
    blend = (64 * 0.1 / (2 * np.pi) - 1) / (4 - 1)
    expected = [1.0, 0.1 * (blend + (1 - blend) / 8), 0.01 / 8, 0.001 / 8]
    np.testing.assert_allclose(rope.rope_frequencies(8, 1e4, scaling), expected, rtol=1e-12)


def test_attention_equals_jax_nn(float64):
    rng = np.random.default_rng(0)
    query, key, value = (rng.standard_normal((2, 5, n, 8)) for n in (4, 2, 2))
    mask = (rng.random((2, 5, 5)) < 0.7) | np.eye(5, dtype=bool)
    ours = jax.jit(functools.partial(attention.attention, scale=0.3))(query, key, value, mask)
    theirs = jax.jit(functools.partial(jax.nn.dot_product_attention, scale=0.3))(query, key, value, mask=mask[:, None])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match=r"num_heads \(5\) must be a multiple of num_kv_heads \(2\)"):
        dataclasses.replace(tiny.PLAIN, num_heads=5)
    with pytest.raises(ValueError, match="3 entries for 2 layers"):
        dataclasses.replace(tiny.PLAIN, windowed_layers=(True,) * 3)


def test_the_gradient_of_a_frequent_token_adds_up():
    """256 + 1 is 256 in bfloat16."""
    tokens = np.array([0] * 1000 + [2])
    gradient_of = jax.grad(lambda t: layers.embed_tokens(t, t.astype("bfloat16"), tokens).astype("float32").sum())
    gradient = jax.jit(gradient_of)(np.ones((3, 2), np.float32))
    assert gradient.tolist() == [[1000, 1000], [0, 0], [1, 1]]


def test_a_decoder_adds_up_gradients_of_embeddings_in_float32():
    model, params = tiny.init(dataclasses.replace(tiny.PLAIN, dtype="bfloat16"))
    tokens = jnp.zeros((1, 6), jnp.int32)
    gradient = jax.grad(lambda p: model.apply({"params": p}, tokens, method="hidden").sum())
    sums = [line for line in str(jax.make_jaxpr(gradient)(params)).splitlines() if "scatter-add" in line]
    assert len(sums) == 1 and "f32[61,16] = scatter-add" in sums[0]
