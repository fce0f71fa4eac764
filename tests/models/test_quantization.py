"""A base in int8 or NF4: the numbers by hand, and every function of parameters as of the same base in float32."""

import dataclasses
import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import tiny

from jaxalign import models, sampling
from jaxalign.models import quantization

LORA = models.LoraConfig(3, 6.0)
CASES = [
    ("int8", models.RewardConfig(tiny.BIASED)),
    ("nf4", dataclasses.replace(tiny.MIXED, remat="dots")),
    ("nf4", tiny.ENCODER),
]
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 61, (2, 9)))


def flatten(tree):
    return flax.traverse_util.flatten_dict(tree, sep="/")


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def of_layers(**maps):
    return {"layers": {name: jnp.asarray(values) for name, values in maps.items()}}


quantize = jax.jit(models.quantize_base, static_argnums=1)  # one compilation for all shapes
dequantize = jax.jit(models.dequantize_base)


def random_adapter(params):
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(functools.partial(models.init_lora, config=LORA), jax.random.key(0), params)
    return jax.tree.map(lambda leaf: jnp.asarray(0.2 * rng.standard_normal(leaf.shape), leaf.dtype), shapes)


def test_int8_by_hand():
    """Two layers, two axes of inputs, three outputs: 255 equal steps from an output's lowest extreme to its highest."""
    weights = normal(2, 5, 4, 3)
    array = models.quantize_base(of_layers(output=weights), "int8")["layers"]["output"]
    scale = np.abs(weights).max(axis=(1, 2), keepdims=True) / np.float32(127.5)
    codes = np.round(weights / scale).clip(-128, 127)
    # An extreme lies between two codes, 127.5 steps from 0: either is right.
    extreme = np.abs(codes) >= 127
    np.testing.assert_array_equal(np.abs(np.asarray(array.qvalue, int)) >= 127, extreme)
    np.testing.assert_array_equal(np.where(extreme, 0, array.qvalue), np.where(extreme, 0, codes))
    assert array.qvalue.dtype == jnp.int8
    restored = dequantize({"layers": {"output": array}})["layers"]["output"]
    np.testing.assert_allclose(restored, np.asarray(array.qvalue, np.float32) * scale, rtol=1e-6)
    assert np.all(np.abs(restored - weights) <= 0.5001 * scale)


def test_nf4_values_are_those_of_the_paper():
    """Appendix E: quantiles of the standard normal, eight below zero and seven above it, over the largest."""
    quantiles = [scipy.stats.norm.ppf(np.linspace(0.9677083, 0.5, count)[:-1]) for count in (8, 9)]
    expected = np.concatenate([-quantiles[0], [0.0], quantiles[1][::-1]]) / quantiles[1].max()
    np.testing.assert_allclose(quantization.nf4_values(), np.sort(expected), atol=1e-6)


@pytest.mark.parametrize(("inputs", "block"), [(128, 64), (96, 32), (24, 8)])
def test_nf4_by_hand(inputs, block):
    """The nearest of 16 values in every block, times the block's largest absolute weight."""
    weights = normal(2, inputs, 3)
    array = models.quantize_base(of_layers(up=weights), "nf4")["layers"]["up"]
    blocks = weights.reshape(2, inputs // block, block, 3)
    scale = np.abs(blocks).max(axis=2, keepdims=True)
    values = np.asarray(quantization.nf4_values())
    codes = np.abs((blocks / scale)[..., None] - values).argmin(axis=-1)
    np.testing.assert_array_equal(np.asarray(array.qvalue, int), codes.reshape(weights.shape))
    expected = (values[codes] * scale).reshape(weights.shape)
    np.testing.assert_array_equal(dequantize({"up": array})["up"], expected)
    widest = (values[1] - values[0]) * np.repeat(scale, block, 2).reshape(weights.shape)  # the gap from -1 to -0.696
    assert np.all(np.abs(expected - weights) <= 0.5001 * widest)


def stored_bytes(params):
    """What a compiled program takes for them; ``nbytes`` counts a whole byte for 4 bits."""
    program = jax.jit(lambda params: jax.tree.map(lambda leaf: leaf.ravel()[0], params), keep_unused=True)
    return program.lower(params).compile().memory_analysis().argument_size_in_bytes


def test_bytes():
    """A scale of 4 bytes on 256 inputs, or on 64."""
    params = of_layers(up=normal(2, 256, 128), query=normal(2, 256, 4, 64))
    full = stored_bytes(params)
    assert full == 2 * 256 * (128 + 256) * 4
    assert stored_bytes(quantize(params, "int8")) == full / 4 * (1 + 4 / 256)
    assert stored_bytes(quantize(params, "nf4")) == full / 4 * (1 / 2 + 4 / 64)


def test_only_maps_of_the_layers_change():
    _, params = tiny.init(models.RewardConfig(tiny.PLAIN))
    quantized = flatten(models.quantize_base(params, "int8"))
    changed = {path for path, leaf in quantized.items() if quantization.is_quantized(leaf)}
    names = [f"attention/{name}" for name in ("query", "key", "value", "output")] + ["mlp/gate", "mlp/up", "mlp/down"]
    assert changed == {f"backbone/layers/{name}" for name in names}
    assert all(quantized[path] is leaf for path, leaf in flatten(params).items() if path not in changed)


@pytest.mark.parametrize(("kind", "config"), CASES, ids=["int8 reward", "nf4 decoder", "nf4 encoder"])
def test_values_and_gradients_are_those_of_the_dequantised_base(kind, config):
    model, params = tiny.init(config)
    adapter = random_adapter(params)
    quantized = quantize(params, kind)
    plain = dequantize(quantized)

    @jax.jit
    def run(params, adapter):
        def total(adapter):
            outputs = model.apply({"params": models.apply_lora(params, adapter, LORA)}, TOKENS)
            return jnp.sum(jnp.sin(outputs)), outputs

        return jax.grad(total, has_aux=True)(adapter)

    gradients, outputs = run(quantized, adapter)
    expected_gradients, expected = run(plain, adapter)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    for path, gradient in flatten(expected_gradients).items():
        assert np.abs(gradient).max() > 1e-6, path
        np.testing.assert_allclose(flatten(gradients)[path], gradient, rtol=1e-3, atol=1e-3, err_msg=path)


def test_lists_of_an_encoder_decoder_run_on_it():
    model, params = tiny.init(tiny.V1_1)
    quantized = quantize(params, "nf4")
    logps = jax.jit(functools.partial(models.response_logps, model))
    batch = tiny.list_batch(61)
    expected = logps(dequantize(quantized), batch)
    np.testing.assert_allclose(logps(quantized, batch), expected, atol=1e-4)


@pytest.mark.parametrize(("kind", "bound"), [("int8", 0.02), ("nf4", 0.2)])
def test_logits_are_near(kind, bound):
    """Normal weights, two layers: a map alone is off by 0.6 % (int8) or 9 % (NF4) of its standard deviation."""
    config = dataclasses.replace(tiny.PLAIN, width=128, mlp_width=128, head_dim=32)
    model, params = tiny.init(config)
    params = jax.tree.map(lambda leaf: np.asarray(leaf) / 3, params)
    logits = tiny.forward(model, params, TOKENS)
    noise = tiny.forward(model, quantize(params, kind), TOKENS) - logits
    assert np.std(noise) < bound * np.std(logits)


def test_generation_runs_on_it():
    model, params = tiny.init(tiny.MIXED)
    adapter = random_adapter(params)
    quantized = quantize(params, "nf4")
    applied = models.apply_lora(quantized, adapter, LORA)
    merged = jax.jit(models.merge_lora, static_argnums=2)(quantized, adapter, LORA)
    assert {leaf.dtype for leaf in jax.tree.leaves(merged)} == {jnp.dtype("float32")}
    options = {"num_samples": 2, "max_new_tokens": 4, "eos_id": 0, "rule": sampling.greedy}
    generated = [
        sampling.generate(model, form, TOKENS, jnp.ones(TOKENS.shape, bool), jax.random.key(0), **options)
        for form in (applied, merged)
    ]
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-4), *generated)


def test_dora_on_it():
    """Its norms are those of the map as it is multiplied."""
    config = dataclasses.replace(LORA, dora=True)
    model, params = tiny.init(tiny.PLAIN)
    quantized = quantize(params, "nf4")

    @jax.jit
    def adapted(params):
        return models.apply_lora(params, models.init_lora(jax.random.key(0), params, config), config)

    applied = tiny.forward(model, adapted(quantized), TOKENS)
    np.testing.assert_allclose(applied, tiny.forward(model, quantized, TOKENS), atol=1e-4)


def test_a_base_in_bfloat16():
    params = of_layers(up=jnp.asarray(normal(2, 64, 3), jnp.bfloat16))
    array = quantize(params, "nf4")["layers"]["up"]
    assert array.scale.dtype == jnp.float32
    assert quantization.dequantize(array, jnp.bfloat16).dtype == jnp.bfloat16


def test_what_cannot_be_quantised():
    _, params = tiny.init(tiny.PLAIN)
    with pytest.raises(ValueError, match="kind must be 'int8' or 'nf4', got 'int3'"):
        models.quantize_base(params, "int3")
    with pytest.raises(ValueError, match="no linear map of layers is left to quantise; there are embedding, "):
        models.quantize_base(models.quantize_base(params, "int8"), "int8")
