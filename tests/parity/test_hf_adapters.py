"""LoRA adapters and the peft library, both ways: equal logits."""

import copy
import functools
import json

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
from jaxalign.models import DecoderConfig, EncoderConfig, EncoderDecoderConfig, LoraConfig, RewardConfig
from tests.parity import t5, tiny

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
    "t5": t5.CASES["v1.0"],
    "bert": bert_config,
    "llama_reward": lambda: reward_config("llama"),
    "bert_reward": lambda: reward_config("bert"),
}
CLASSES = {
    "reward": transformers.AutoModelForSequenceClassification,
    "bert": transformers.AutoModel,
    "t5": transformers.AutoModelForSeq2SeqLM,
}
# Every model with the scale of rsLoRA and with DoRA; the plain scale of LoRA, which knows no model, once.
PAIRS = [("llama", "lora"), *((name, kind) for name in MAKERS for kind in ("rslora", "dora"))]
# What peft is asked to adapt, in transformers' names.
TARGETS = {"bert": ["query", "output.dense"], "bert_reward": ["query", "output.dense"], "t5": ["q", "o"]}


def torch_model(name):
    """A fresh one, which peft may wrap."""
    return copy.deepcopy(made_once(name))


@functools.cache
def made_once(name):
    config = MAKERS[name]()
    config._attn_implementation = "eager"
    kind = CLASSES.get(name.rpartition("_")[2], transformers.AutoModelForCausalLM)
    model = kind.from_config(config, dtype=torch.float32).eval()
    tiny.randomise(model, seed=3)
    return model


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """What is read from the directory that the torch model was saved in, once for each."""

    @functools.cache
    def load(name):
        directory = tmp_path_factory.mktemp(name)
        torch_model(name).save_pretrained(directory)
        return hf.load_pretrained(directory)

    return load


def torch_outputs(model):
    tokens = torch.tensor(TOKENS)
    with torch.no_grad():
        outputs = model(tokens, decoder_input_ids=tokens) if model.config.is_encoder_decoder else model(tokens)
    if hasattr(outputs, "logits"):
        return outputs.logits.numpy().squeeze(-1) if outputs.logits.shape[-1] == 1 else outputs.logits.numpy()
    return outputs.last_hidden_state.numpy()


@functools.partial(jax.jit, static_argnums=0)
def outputs(config, params):
    tokens = [jnp.asarray(TOKENS)] * (2 if isinstance(config, EncoderDecoderConfig) else 1)
    return models.build(config).apply({"params": params}, *tokens)


apply_lora = jax.jit(models.apply_lora, static_argnums=2)
merge_lora = jax.jit(models.merge_lora, static_argnums=2)


def shapes_of_adapter(params, lora):
    return jax.eval_shape(functools.partial(models.init_lora, config=lora), jax.random.key(0), params)


def random_adapter(params, lora):
    """Random factors; magnitudes and fully trained parameters are random about 1."""
    rng = np.random.default_rng(2)

    def draw(path, leaf):
        centre = 0.0 if "_lora_" in path[-1].key else 1.0
        return (centre + 0.25 * rng.standard_normal(leaf.shape)).astype(np.float32)

    return jax.device_put(jax.tree.map_with_path(draw, shapes_of_adapter(params, lora)))


def assert_same(actual, expected):
    actual, expected = (flax.traverse_util.flatten_dict(tree, sep="/") for tree in (actual, expected))
    assert actual.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(actual[path], leaf, err_msg=path)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_peft_loads_what_is_written(name, kind, load, tmp_path):
    config, params = load(name)
    lora = LORA[kind]
    adapter = random_adapter(params, lora)
    out = hf.save_adapter(tmp_path / "out", config, adapter, lora)
    model = torch_model(name)
    before = torch_outputs(model)
    loaded = peft.PeftModel.from_pretrained(model, out).eval()
    expected = torch_outputs(loaded)
    assert np.abs(expected - before).max() > 0.1
    np.testing.assert_allclose(outputs(config, apply_lora(params, adapter, lora)), expected, atol=1e-4)
    again, read = hf.load_adapter(out, config)
    assert again == lora
    assert_same(read, adapter)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_what_peft_writes_is_loaded(name, kind, load, tmp_path):
    config, params = load(name)
    targets = "all-linear" if kind == "dora" else TARGETS.get(name, ["q_proj", "o_proj"])
    task = {"task_type": "SEQ_CLS"} if name.endswith("reward") else {}
    options = peft.LoraConfig(r=3, lora_alpha=5, target_modules=targets, **OPTIONS[kind], **task)
    torch.manual_seed(3)  # peft draws factors: T5's attention is not scaled, and some draws are ill-conditioned
    model = peft.get_peft_model(torch_model(name), options).eval()
    before = torch_outputs(model)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    expected = torch_outputs(model)
    assert np.abs(expected - before).max() > 0.03
    model.save_pretrained(tmp_path)
    lora, adapter = hf.load_adapter(tmp_path, config)
    np.testing.assert_allclose(outputs(config, apply_lora(params, adapter, lora)), expected, atol=1e-4)
    assert jax.tree.structure(adapter) == jax.tree.structure(shapes_of_adapter(params, lora))


@pytest.mark.parametrize("name", MAKERS)
def test_transformers_loads_the_merged_model(name, load, tmp_path):
    config, params = load(name)
    adapter = random_adapter(params, LORA["dora"])
    merged = merge_lora(params, adapter, LORA["dora"])
    hf.save_pretrained(tmp_path / "out", config, merged)
    loaded, info = type(torch_model(name)).from_pretrained(
        tmp_path / "out", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values())
    loaded.config.pad_token_id = 0  # a classifier asks for one, and there was no tokenizer
    applied = outputs(config, apply_lora(params, adapter, LORA["dora"]))
    np.testing.assert_allclose(applied, torch_outputs(loaded.eval()), atol=1e-4)


SMALL = DecoderConfig(61, 16, 24, 2, 4, 2, 6, family="qwen3", qk_norm=True)
ENCODER = EncoderConfig(61, 16, 24, 2, 4, max_length=16, pooler=True)
PLAIN = LoraConfig(3, 5.0)


def keys_of(directory):
    return json.loads((directory / "adapter_config.json").read_text())


@pytest.mark.parametrize(
    ("config", "targets", "expected"),
    [
        (SMALL, (), ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]),
        (SMALL, ("query", "value"), ["q_proj", "v_proj"]),
        (SMALL, ("unembedding",), ["lm_head"]),
        # In BERT a shorter end would fit attention.output.dense as well.
        (ENCODER, ("down",), ["0.output.dense", "1.output.dense"]),
        (ENCODER, ("query", "down", "output"), ["output.dense", "query"]),
    ],
)
def test_targets(config, targets, expected, tmp_path):
    params = tiny.random_params(config)
    lora = LoraConfig(3, 5.0, targets)
    adapter = random_adapter(params, lora)
    out = hf.save_adapter(tmp_path / "out", config, adapter, lora, base="some/base")
    assert keys_of(out)["target_modules"] == expected
    assert keys_of(out)["base_model_name_or_path"] == "some/base"
    again, read = hf.load_adapter(out, config)
    assert set(again.target_modules) == set(targets)
    assert_same(read, adapter)


def test_fully_trained_parameters(tmp_path):
    """A final norm and a pooler with its bias; peft has them in modules_to_save."""
    params = tiny.random_params(ENCODER)
    lora = LoraConfig(3, 5.0, ("query",), ("pooler", "pooler_bias", "embedding_norm"))
    adapter = random_adapter(params, lora)
    out = hf.save_adapter(tmp_path / "out", ENCODER, adapter, lora)
    assert keys_of(out)["modules_to_save"] == ["embeddings.LayerNorm", "pooler.dense"]
    again, read = hf.load_adapter(out, ENCODER)
    assert_same(read, adapter)
    assert set(again.modules_to_save) == {"pooler", "pooler_bias", "embedding_norm/bias", "embedding_norm/scale"}
    base = transformers.AutoModel.from_pretrained(hf.save_pretrained(tmp_path / "base", ENCODER, params))
    model = peft.PeftModel.from_pretrained(base, out).eval()
    tokens = TOKENS % 61
    with torch.no_grad():
        expected = model(torch.tensor(tokens)).pooler_output.numpy()
    applied = apply_lora(params, adapter, lora)
    run = jax.jit(models.build(ENCODER).apply, static_argnames="method")
    first = run({"params": applied}, jnp.asarray(tokens))[:, 0]
    actual = run({"params": applied}, first, method="pool_first")
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_a_reward_model_whose_head_stays(tmp_path):
    config = RewardConfig(SMALL)
    params = tiny.random_params(config)
    lora = LoraConfig(3, 5.0, modules_to_save=())
    adapter = random_adapter(params, lora)
    again, read = hf.load_adapter(hf.save_adapter(tmp_path / "out", config, adapter, lora), config)
    assert again == lora and "head" not in read


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"peft_type": "IA3"}, "has peft_type 'IA3'; only 'LORA' is read"),
        ({"lora_bias": True}, "asks for what is not here: lora_bias = True; merge"),
        ({"layer_replication": [[0, 1]], "lora_bias": True}, r"layer_replication = \[\[0, 1\]\]; lora_bias = True"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa', which changes the base"),
        ({"some_later_option": 1}, "some_later_option = 1"),
        ({"r": 4}, r"does not fit this qwen3 model:\n  .*lora_A.weight: expected shape \(4, 16\), found \(3, 16\)"),
    ],
)
def test_what_is_not_here(keys, message, tmp_path):
    out = hf.save_adapter(tmp_path / "out", SMALL, random_adapter(tiny.random_params(SMALL), PLAIN), PLAIN)
    (out / "adapter_config.json").write_text(json.dumps(keys_of(out) | keys))
    with pytest.raises(ValueError, match=message):
        hf.load_adapter(out, SMALL)


def test_an_adapter_of_another_model(tmp_path):
    out = hf.save_adapter(tmp_path / "out", SMALL, random_adapter(tiny.random_params(SMALL), PLAIN), PLAIN)
    with pytest.raises(ValueError, match=r"model.layers.0.mlp.down_proj.lora_A.weight: unexpected, found shape"):
        hf.load_adapter(out, ENCODER)
    deeper = DecoderConfig(61, 16, 24, 3, 4, 2, 6, family="qwen3", qk_norm=True)
    with pytest.raises(ValueError, match="layers.2.self_attn.k_proj.lora_A.weight: expected .* found none: it is miss"):
        hf.load_adapter(out, deeper)
    with pytest.raises(FileNotFoundError, match="adapter_config.json is missing; pass a directory that peft saved"):
        hf.load_adapter(tmp_path, SMALL)


def test_what_cannot_be_written(tmp_path):
    params = tiny.random_params(SMALL)
    adapter = random_adapter(params, PLAIN)
    with pytest.raises(ValueError, match=r"this LoraConfig:\n(.*\n)*.*query_magnitude: expected \(2, 4, 6\), got none"):
        hf.save_adapter(tmp_path / "out", SMALL, adapter, LORA["dora"])
    tied = EncoderDecoderConfig(61, 16, 24, 1, 1, 2, 8)
    lora = LoraConfig(3, 5.0, modules_to_save=("embedding",))
    with pytest.raises(ValueError, match="peft cannot train a t5 model's embedding and keep it tied"):
        hf.save_adapter(tmp_path / "out", tied, random_adapter(tiny.random_params(tied), lora), lora)
    lora = LoraConfig(3, 5.0, ("pooler",), ("pooler_bias",))
    with pytest.raises(ValueError, match="cannot adapt a module and fully train its bias, as asked for pooler.dense"):
        hf.save_adapter(tmp_path / "out", ENCODER, random_adapter(tiny.random_params(ENCODER), lora), lora)
    assert not (tmp_path / "out").exists()


def test_an_adapter_replaces_an_adapter_and_nothing_else(tmp_path):
    adapter = random_adapter(tiny.random_params(SMALL), PLAIN)
    for _ in range(2):
        hf.save_adapter(tmp_path / "out", SMALL, adapter, PLAIN)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="out exists and is not an earlier export"):
        hf.save_adapter(tmp_path / "out", SMALL, adapter, PLAIN)
