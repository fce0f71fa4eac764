"""Ranks and alphas of single modules and layers, both ways: equal to peft."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers

from jaxalign import models
from jaxalign.io import hf
from jaxalign.models import LoraConfig
from tests.parity import tiny

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
SIZES = dict(vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2)
TOKENS = np.random.default_rng(1).integers(0, 61, (1, 7))
OPTIONS = {"lora": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}
# What peft is asked for, and the same in a LoraConfig.
PATTERNS = {
    "rank of a module": (dict(rank_pattern={"q_proj": 4}), dict(rank_pattern=(("query", 4),))),
    "alpha of a module": (dict(alpha_pattern={"down_proj": 7}), dict(alpha_pattern=(("down", 7.0),))),
    "one layer": (dict(rank_pattern={"layers.1.self_attn.q_proj": 1}), dict(rank_pattern=(("query", (2, 1, 2)),))),
    "a regular expression, the first that fits": (
        dict(rank_pattern={r"layers\.[02]\..*": 3, "q_proj": 5}, alpha_pattern={"model.layers.2.mlp.down_proj": 9.5}),
        dict(
            rank_pattern=(("query", (3, 5, 3)), ("down", (3, 2, 3))),
            alpha_pattern=(("down", (5.0, 5.0, 9.5)),),
        ),
    ),
}


def torch_model():
    config = transformers.LlamaConfig(**SIZES, num_key_value_heads=1)
    model = transformers.LlamaForCausalLM(config).eval()
    tiny.randomise(model, seed=0)
    return model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("base")
    torch_model().save_pretrained(directory)
    return hf.load_pretrained(directory)


def trained(**options):
    targets = ["q_proj", "down_proj"]
    wrapped = peft.get_peft_model(torch_model(), peft.LoraConfig(r=2, lora_alpha=5, target_modules=targets, **options))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return wrapped.eval()


def torch_logits(model):
    with torch.no_grad():
        return model(torch.tensor(TOKENS)).logits.numpy()


@functools.partial(jax.jit, static_argnums=0)
def logits(config, params):
    return models.build(config).apply({"params": params}, jnp.asarray(TOKENS))


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_equal_to_peft(pattern, kind, base, tmp_path):
    theirs, ours = PATTERNS[pattern]
    wrapped = trained(**theirs, **OPTIONS[kind])
    wrapped.save_pretrained(tmp_path / "theirs")
    config, params = base
    lora, adapter = hf.load_adapter(tmp_path / "theirs", config)
    options = {"rank_stabilized": kind == "rslora", "dora": kind == "dora"}
    assert lora == LoraConfig(2, 5.0, ("down", "query"), **ours, **options)
    expected = torch_logits(wrapped)
    assert jax.tree.structure(adapter) == jax.tree.structure(
        jax.eval_shape(functools.partial(models.init_lora, config=lora), jax.random.key(0), params)
    )
    for form in models.apply_lora, models.merge_lora:
        np.testing.assert_allclose(logits(config, form(params, adapter, lora)), expected, atol=5e-5)
    out = hf.save_adapter(tmp_path / "ours", config, adapter, lora)
    again = peft.PeftModel.from_pretrained(torch_model(), out).eval()
    np.testing.assert_array_equal(torch_logits(again), expected)
    read, same = hf.load_adapter(out, config)
    assert read == lora
    jax.tree.map(np.testing.assert_array_equal, same, adapter)


def test_what_is_written(base, tmp_path):
    config, params = base
    lora = LoraConfig(2, 5.0, (), rank_pattern=(("up", 3), ("key", (2, 4, 2))), alpha_pattern=(("key", 1.0),))
    adapter = models.init_lora(jax.random.key(0), params, lora)
    keys = json.loads((hf.save_adapter(tmp_path / "out", config, adapter, lora) / "adapter_config.json").read_text())
    assert keys["rank_pattern"] == {"model.layers.1.self_attn.k_proj": 4, "up_proj": 3}
    assert keys["alpha_pattern"] == {"k_proj": 1.0} and (keys["r"], keys["lora_alpha"]) == (2, 5.0)


def test_what_is_beyond_a_layers_rank_takes_no_part(base):
    """It is zero at the start, and neither values nor gradients change with it."""
    config, params = base
    lora = LoraConfig(1, 2.0, ("query",), rank_pattern=(("query", (1, 3, 2)),))
    adapter = models.init_lora(jax.random.key(0), params, lora)
    first = adapter["layers"]["attention"]["query_lora_a"]
    beyond = np.arange(3) >= np.array([1, 3, 2])[:, None]
    np.testing.assert_array_equal((np.asarray(first) == 0).all(axis=1), beyond)
    noisy = jax.tree.map(lambda leaf: leaf + 0.1, adapter)

    def total(adapter):
        return jnp.sin(logits(config, models.apply_lora(params, adapter, lora))).sum()

    gradients = jax.jit(jax.grad(total))(noisy)["layers"]["attention"]
    assert (np.abs(gradients["query_lora_b"]).max(axis=(2, 3)) > 0).tolist() == (~beyond).tolist()
    assert (np.abs(gradients["query_lora_a"]).max(axis=1) > 0).tolist() == (~beyond).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(rank_pattern=(("q_proj", 4),)), "no linear map is called 'q_proj'"),
        (
            dict(alpha_pattern=(("query", (1.0, 2.0)),)),
            "alpha_pattern has 2 values for layers/attention/query, which has",
        ),
        (dict(rank_pattern=(("query", 0),)), "rank must be at least 1, got 0"),
        (dict(rank_pattern=(("query", (1, 2, -1)),)), "rank must be at least 1, got -1"),
    ],
)
def test_patterns_that_fit_nothing(options, message, base):
    with pytest.raises(ValueError, match=message):
        models.init_lora(jax.random.key(0), base[1], LoraConfig(2, 5.0, **options))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rank_pattern": {"q_proj": "4"}}, r"rank_pattern\['q_proj'\] = '4'; expected a whole number above 0"),
        ({"rank_pattern": {"q_proj": 2.5}}, r"rank_pattern\['q_proj'\] = 2.5; expected a whole number"),
        ({"alpha_pattern": {"q_proj": None}}, r"alpha_pattern\['q_proj'\] = None; expected a number above 0"),
        ({"alpha_pattern": [4]}, r"alpha_pattern = \[4\]; expected an object"),
        ({"rank_pattern": {"q_proj(": 4}}, r"rank_pattern\['q_proj\('\], which is no pattern"),
        ({"rank_pattern": {"q_proj": 4}}, r"lora_A.weight: expected shape \(4, 16\), found \(2, 16\)"),
    ],
)
def test_odd_patterns_are_named(keys, message, base, tmp_path):
    lora = LoraConfig(2, 5.0)
    out = hf.save_adapter(tmp_path / "out", base[0], models.init_lora(jax.random.key(0), base[1], lora), lora)
    stated = json.loads((out / "adapter_config.json").read_text())
    (out / "adapter_config.json").write_text(json.dumps(stated | keys))
    with pytest.raises(ValueError, match=message):
        hf.load_adapter(out, base[0])
