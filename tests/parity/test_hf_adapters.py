"""LoRA adapters and the peft library, both ways: equal logits."""

import flax
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

OPTIONS = {"lora": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}
LORA = {
    "lora": LoraConfig(3, 5.0),
    "rslora": LoraConfig(3, 5.0, rank_stabilized=True),
    "dora": LoraConfig(3, 5.0, dora=True),
}
TOKENS = np.random.default_rng(1).integers(0, tiny.SIZES["vocab_size"], (2, 11))


def bert_config():
    config = transformers.BertConfig(**tiny.BERT_SIZES)
    config._attn_implementation = "eager"
    return config


def reward_config(name):
    config = bert_config() if name == "bert" else tiny.CASES[name]()
    config.num_labels, config.pad_token_id, config._attn_implementation = 1, 0, "eager"
    return config


MAKERS = {name: lambda name=name: tiny.CASES[name]() for name in tiny.CASES} | {
    "bert": bert_config,
    "llama_reward": lambda: reward_config("llama"),
    "bert_reward": lambda: reward_config("bert"),
}
CLASSES = {"reward": transformers.AutoModelForSequenceClassification, "bert": transformers.AutoModel}


def torch_model(name):
    """A fresh one, which peft may wrap."""
    config = MAKERS[name]()
    config._attn_implementation = "eager"
    kind = CLASSES.get(name.rpartition("_")[2], transformers.AutoModelForCausalLM)
    model = kind.from_config(config, dtype=torch.float32).eval()
    tiny.randomise(model, seed=3)
    return model


@pytest.fixture(scope="module", params=MAKERS)
def case(request, tmp_path_factory):
    """What is read from the directory that the torch model was saved in."""
    directory = tmp_path_factory.mktemp(request.param)
    torch_model(request.param).save_pretrained(directory)
    return request.param, *hf.load_pretrained(directory)


def torch_outputs(model):
    with torch.no_grad():
        outputs = model(torch.tensor(TOKENS))
    if hasattr(outputs, "logits"):
        return outputs.logits.numpy().squeeze(-1) if outputs.logits.shape[-1] == 1 else outputs.logits.numpy()
    return outputs.last_hidden_state.numpy()


def outputs(config, params):
    return jax.jit(models.build(config).apply)({"params": params}, jnp.asarray(TOKENS))


def random_adapter(params, lora):
    rng = np.random.default_rng(2)
    adapter = models.init_lora(jax.random.key(0), params, lora)
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(0.2 * rng.standard_normal(leaf.shape), jnp.float32), adapter)


def assert_same(actual, expected):
    actual, expected = (flax.traverse_util.flatten_dict(tree, sep="/") for tree in (actual, expected))
    assert actual.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(actual[path], leaf, err_msg=path)


@pytest.mark.parametrize("kind", LORA)
def test_peft_loads_what_is_written(case, kind, tmp_path):
    name, config, params = case
    lora = LORA[kind]
    adapter = random_adapter(params, lora)
    out = hf.save_adapter(tmp_path / "out", config, adapter, lora)
    model = torch_model(name)
    before = torch_outputs(model)
    loaded = peft.PeftModel.from_pretrained(model, out).eval()
    expected = torch_outputs(loaded)
    assert np.abs(expected - before).max() > 0.1
    np.testing.assert_allclose(outputs(config, models.apply_lora(params, adapter, lora)), expected, atol=1e-4)
    again, read = hf.load_adapter(out, config)
    assert again == lora
    assert_same(read, adapter)


@pytest.mark.parametrize("kind", OPTIONS)
def test_what_peft_writes_is_loaded(case, kind, tmp_path):
    name, config, params = case
    targets = (
        "all-linear" if kind == "rslora" else (["query", "output.dense"] if "bert" in name else ["q_proj", "o_proj"])
    )
    task = {"task_type": "SEQ_CLS"} if name.endswith("reward") else {}
    options = peft.LoraConfig(r=3, lora_alpha=5, target_modules=targets, **OPTIONS[kind], **task)
    model = peft.get_peft_model(torch_model(name), options).eval()
    before = torch_outputs(model)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    expected = torch_outputs(model)
    assert np.abs(expected - before).max() > 0.1
    model.save_pretrained(tmp_path)
    lora, adapter = hf.load_adapter(tmp_path, config)
    np.testing.assert_allclose(outputs(config, models.apply_lora(params, adapter, lora)), expected, atol=1e-4)
    assert jax.tree.structure(adapter) == jax.tree.structure(models.init_lora(jax.random.key(0), params, lora))


@pytest.mark.parametrize("kind", LORA)
def test_transformers_loads_the_merged_model(case, kind, tmp_path):
    name, config, params = case
    adapter = random_adapter(params, LORA[kind])
    merged = models.merge_lora(params, adapter, LORA[kind])
    hf.save_pretrained(tmp_path / "out", config, merged)
    loaded, info = type(torch_model(name)).from_pretrained(
        tmp_path / "out", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values())
    applied = outputs(config, models.apply_lora(params, adapter, LORA[kind]))
    np.testing.assert_allclose(applied, torch_outputs(loaded.eval()), atol=1e-4)
