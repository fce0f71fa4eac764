"""Stretched rotary positions: equal to transformers, within the length of pretraining and beyond it."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from jaxalign import models, sampling
from jaxalign.io import hf
from jaxalign.io.run import model_config
from jaxalign.models import RopeScaling, rope
from jaxalign.typing import ListBatch
from tests.parity import tiny

LENGTH = 12  # tokens of pretraining
SIZES = dict(vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
SIZES |= dict(num_key_value_heads=1)  # heads of 8, so 4 frequencies
YARN = dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=LENGTH)
LONGROPE = dict(
    rope_type="longrope",
    rope_theta=100.0,
    short_factor=[1.0, 1.1, 1.5, 2.0],
    long_factor=[1.0, 2.0, 3.5, 8.0],
    original_max_position_embeddings=LENGTH,
)
PARAMETERS = {
    "linear": dict(rope_type="linear", rope_theta=100.0, factor=2.5),
    "llama3": tiny.LLAMA3_ROPE | {"original_max_position_embeddings": LENGTH},
    "yarn": YARN,
    "yarn without a factor": YARN | {"factor": None},
    "yarn ramp": YARN | dict(beta_fast=2.0, beta_slow=0.25, truncate=False, attention_factor=1.3),
    "yarn of DeepSeek": YARN | dict(mscale=0.7, mscale_all_dim=1.2),
    "dynamic": dict(rope_type="dynamic", rope_theta=100.0, factor=3.0),
    "longrope": LONGROPE,
    "longrope with factors": LONGROPE | dict(factor=2.0, attention_factor=1.2),
    "longrope with a factor": LONGROPE | dict(factor=6.0),
}
CLASSES = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config, "mistral": transformers.MistralConfig}


def theirs(kind, family="llama"):
    """A model whose positions were trained up to LENGTH; yarn and longrope say so and hold for four times as many."""
    longest = LENGTH if kind in ("dynamic", "linear") else 4 * LENGTH
    config = CLASSES[family](**SIZES, max_position_embeddings=longest, rope_parameters=dict(PARAMETERS[kind]))
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    tiny.randomise(model, seed=0)
    return model


@pytest.fixture(scope="module", params=PARAMETERS)
def case(request, tmp_path_factory):
    model, directory = theirs(request.param), tmp_path_factory.mktemp("rope")
    model.save_pretrained(directory)
    return model, directory, *hf.load_pretrained(directory)


def row(length, seed=0):
    return np.random.default_rng(seed).integers(0, SIZES["vocab_size"], (1, length))


@functools.partial(jax.jit, static_argnums=0)
def ours(config, params, tokens, **options):
    return models.build(config).apply({"params": params}, tokens, **options)


def test_logits(case):
    """Rows of all lengths in one batch, and the longest without a mask; transformers reads each alone."""
    model, _, config, params = case
    lengths = LENGTH - 3, LENGTH, LENGTH + 1, 3 * LENGTH
    tokens = np.concatenate([np.pad(row(length), ((0, 0), (0, 3 * LENGTH - length))) for length in lengths])
    logits = ours(config, params, tokens, mask=np.arange(3 * LENGTH) < np.array(lengths)[:, None])
    for length, each in zip(lengths, np.asarray(logits), strict=True):
        expected = tiny.torch_logits(model, row(length))
        np.testing.assert_allclose(each[None, :length], expected, atol=2e-5)
    np.testing.assert_allclose(ours(config, params, row(3 * LENGTH)), expected, atol=2e-5)


def test_what_is_written_reads_the_same(case, tmp_path):
    """They are equal from the file's own words, and from ours, which transformers reads with equal logits."""
    model, directory, config, params = case
    new = dataclasses.replace(config, origin=None)
    assert hf.config_from_json(hf.config_to_json(config)) == hf.config_from_json(hf.config_to_json(new)) == config
    written = hf.save_pretrained(tmp_path / "out", config, params)
    stated = [json.loads((folder / "config.json").read_text()) for folder in (directory, written)]
    assert stated[0]["rope_parameters"] == stated[1]["rope_parameters"]
    again = transformers.AutoModelForCausalLM.from_pretrained(
        hf.save_pretrained(tmp_path / "new", new, params), attn_implementation="eager"
    )
    tokens = row(3 * LENGTH)
    np.testing.assert_array_equal(tiny.torch_logits(again.eval(), tokens), tiny.torch_logits(model, tokens))


@pytest.mark.parametrize("kind", ["dynamic", "longrope", "yarn"])
def test_each_sequence_of_a_row_has_its_own_length(kind, tmp_path):
    """Rows of other lengths beside it, padding on either side and packing change nothing."""
    model = theirs(kind)
    model.save_pretrained(tmp_path)
    config, params = hf.load_pretrained(tmp_path)
    long, short = row(2 * LENGTH, 1), row(LENGTH - 2, 2)
    # Alone: in a batch, and after a longer row, transformers turns a short row as if it were long.
    expected = [tiny.torch_logits(theirs(kind), tokens)[0] for tokens in (long, short)]
    run = functools.partial(ours, config, params)
    np.testing.assert_allclose(run(short)[0], expected[1], atol=2e-5)
    pad = np.zeros((1, 3), int)
    padded = np.concatenate([np.c_[long, pad], np.c_[pad, long]])
    mask = np.arange(padded.shape[1]) < 2 * LENGTH
    mask = np.stack([mask, mask[::-1]])
    for logits, real in zip(np.asarray(run(padded, mask=mask)), mask, strict=True):
        np.testing.assert_allclose(logits[real], expected[0], atol=2e-5)
    packed = np.c_[long, short, pad]
    segments = np.array([[1] * 2 * LENGTH + [2] * (LENGTH - 2) + [0] * 3])
    positions = np.array([[*range(2 * LENGTH), *range(LENGTH - 2), 0, 1, 2]])
    logits = np.asarray(run(packed, segment_ids=segments, positions=positions)[0])
    for segment, each in enumerate(expected, start=1):
        np.testing.assert_allclose(logits[segments[0] == segment], each, atol=2e-5)


def test_sequences_that_share_keys(tmp_path):
    """Up to the limit as ever; beyond it no angle fits responses of other lengths, or a text that still grows."""
    theirs("longrope").save_pretrained(tmp_path)
    config, params = hf.load_pretrained(tmp_path)
    model = models.build(config)

    def lists(p, r):
        tokens = np.random.default_rng(0).integers(0, 61, (1, p + 2 * r))
        mask = np.ones((1, 2, r), bool)
        mask[0, 1, r - 1] = False
        batch = tokens[:, :p], np.ones((1, p), bool), tokens[:, p:].reshape(1, 2, r), mask
        zeros = jnp.zeros((1, 2))
        return ListBatch(*map(jnp.asarray, batch), zeros, jnp.ones((1, 2), bool), zeros)

    short, long = lists(6, 5), lists(9, 5)
    logps = jax.jit(models.response_logps, static_argnums=0, static_argnames="shared_prompt")
    shared, separate = (logps(model, params, short, shared_prompt=each) for each in (True, False))
    np.testing.assert_allclose(shared, separate, rtol=1e-5)
    with pytest.raises(
        ValueError, match="'longrope' turns sequences of more than 12 tokens .* pass shared_prompt=Fals"
    ):
        logps(model, params, long, shared_prompt=True)
    options = dict(num_samples=1, eos_id=60, rule=sampling.sample())
    prompt = jnp.asarray(row(8)), jnp.ones((1, 8), bool)
    with pytest.raises(ValueError, match="up to 13 tokens cannot share keys; shorten the prompts or lower max_new"):
        sampling.generate(model, params, *prompt, jax.random.key(0), max_new_tokens=5, **options)


@pytest.mark.parametrize("family", ["qwen2", "mistral"])
@pytest.mark.parametrize("kind", ["yarn", "dynamic"])
def test_other_families(family, kind, tmp_path):
    model = theirs(kind, family)
    model.save_pretrained(tmp_path)
    config, params = hf.load_pretrained(tmp_path)
    logits = ours(config, params, row(20))
    np.testing.assert_allclose(logits, tiny.torch_logits(model, row(20)), atol=2e-5)


def gemma3(**full):
    sizes = SIZES | dict(num_hidden_layers=2, head_dim=8, query_pre_attn_scalar=8, sliding_window=4)
    kinds = ["sliding_attention", "full_attention"]
    near = dict(rope_type="default", rope_theta=50.0)
    return sizes | dict(
        layer_types=kinds, max_position_embeddings=48, rope_parameters=dict(zip(kinds, (near, full), strict=True))
    )


@pytest.mark.parametrize("kind", ["yarn", "yarn of DeepSeek", "longrope"])
def test_only_the_layers_that_see_everything(kind, tmp_path):
    config = transformers.Gemma3TextConfig(**gemma3(**PARAMETERS[kind]))
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    tiny.randomise(model, seed=0)
    model.save_pretrained(tmp_path)
    config, params = hf.load_pretrained(tmp_path)
    assert (config.local_rope_base, config.rope_scaling.kind) == (50.0, kind.split()[0])
    logits = ours(config, params, row(20))
    np.testing.assert_allclose(logits, tiny.torch_logits(model, row(20)), atol=5e-5)


def test_what_transformers_does_not_read_by_layer():
    keys = {"model_type": "gemma3_text", **gemma3(**YARN, truncate=False)}
    with pytest.raises(
        ValueError, match=r"\['full_attention'\]\['truncate'\] = False; expected true: transformers does"
    ):
        hf.config_from_json(keys)


def test_a_run_remembers_it(case, tmp_path):
    model_config.save_config(tmp_path, case[2])
    again = model_config.load_config(tmp_path)
    assert again == case[2] and again.origin == case[2].origin


def test_yarn_by_hand():
    # Base 1e4 over 4 pairs: 1, 0.1, 0.01, 0.001 radians a token. Of 64 original tokens, turns * 2 pi = 64 * frequency
    # at pair 4 * log(64 / (turns * 2 pi)) / log(1e4): 32 turns at -0.49, so the ramp begins at 0; 1 turn at 1.008, so
    # that it ends at 2. Pair 0 is kept, half of pair 1 is divided by 4, and all of the others.
    scaling = RopeScaling("yarn", 4.0, original_max_length=64)
    expected = [1.0, 0.1 * (0.5 + 0.5 / 4), 0.01 / 4, 0.001 / 4]
    np.testing.assert_allclose(rope.rope_frequencies(8, 1e4, scaling), expected, rtol=1e-12)
    assert scaling.rotation_scale == 0.1 * np.log(4) + 1


def llama(**rope_keys):
    return {"model_type": "llama", **SIZES, "max_position_embeddings": 48, **rope_keys}


def test_the_older_spelling_and_a_length_beside_it():
    keys = llama(rope_theta=100, rope_scaling={"type": "yarn", "factor": 4}, original_max_position_embeddings=12)
    assert hf.config_from_json(keys).rope_scaling == RopeScaling("yarn", 4.0, original_max_length=12)
    transformed = transformers.LlamaConfig(**keys).to_dict()
    assert hf.config_from_json(transformed) == hf.config_from_json(keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rope_scaling": "linear"}, "rope_scaling = 'linear'; expected a dict of rotary parameters"),
        ({"rope_parameters": ["yarn"]}, r"rope_parameters = \['yarn'\]; expected a dict"),
        ({"rope_parameters": {"rope_type": None}}, r"rope_parameters\['rope_type'\] = None; expected one of 'default'"),
        ({"rope_parameters": {"rope_type": ["yarn"]}}, r"\['rope_type'\] = \['yarn'\]; expected one of"),
        ({"rope_parameters": {"rope_theta": None}}, r"\['rope_theta'\] = None; expected a positive number"),
        ({"rope_theta": "1e4"}, r"\['rope_theta'\] = '1e4'; expected a positive number"),
        ({"rope_scaling": {"type": "linear", "factor": None}}, r"rope_scaling\['factor'\] = None; expected a pos"),
        ({"rope_scaling": {"type": "dynamic", "factor": -2.0}}, r"\['factor'\] = -2.0; expected a positive"),
        ({"rope_scaling": {"type": "dynamic"}}, "a 'factor', which rope_type 'dynamic' needs"),
        ({"rope_parameters": tiny.LLAMA3_ROPE | {"high_freq_factor": True}}, r"\['high_freq_factor'\] = True"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "a 'low_freq_factor', which rope_type 'llama3'"),
        ({"rope_parameters": tiny.LLAMA3_ROPE | {"high_freq_factor": 1}}, "more than 'low_freq_factor', which is 1.0"),
        (
            {"rope_parameters": YARN | {"original_max_position_embeddings": None}},
            r"\['original_max_position_embeddings'\] = None; expected a whole number",
        ),
        ({"rope_parameters": YARN | {"beta_fast": "32"}}, r"\['beta_fast'\] = '32'; expected a positive"),
        ({"rope_parameters": YARN | {"truncate": 1}}, r"\['truncate'\] = 1; expected true or false"),
        ({"rope_parameters": LONGROPE | {"long_factor": None}}, r"\['long_factor'\] = None; expected a list"),
        ({"rope_parameters": LONGROPE | {"short_factor": [1, 2, "3", 4]}}, r"\['short_factor'\] = '3'; expected"),
        ({"rope_parameters": LONGROPE | {"short_factor": [1.0] * 3}}, "short_factors has 3 entries for heads of 8"),
        ({"rope_parameters": YARN | {"partial_rotary_factor": 0.5}}, r"\['partial_rotary_factor'\] = 0.5; expected 1"),
        ({"rope_scaling": {"type": "linear", "factor": 2, "alpha": 1}}, r"rope_scaling = \['alpha'\]; expected only"),
        ({"max_position_embeddings": None}, "max_position_embeddings = None; expected a whole number above 0"),
    ],
)
def test_odd_parameters_are_named(keys, message):
    with pytest.raises(ValueError, match=message):
        hf.config_from_json(llama(**keys))
