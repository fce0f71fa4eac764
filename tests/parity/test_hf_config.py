"""config.json as it stands in well-known repositories, in old and new spelling; facts, without what does not matter."""

import dataclasses
import re

import pytest
import transformers

from jaxalign import models
from jaxalign.io import hf
from jaxalign.io.run import model_config
from jaxalign.models import RopeScaling
from tests.parity.known_configs import EXPECTED, GEMMA_3_1B, LLAMA_3_2_1B, QWEN2_5_0_5B, QWEN3_0_6B


@pytest.fixture(params=EXPECTED)
def known(request):
    return EXPECTED[request.param]


def test_well_known_models(known):
    keys, expected = known
    assert hf.config_from_json(keys) == expected


def test_what_is_written_reads_back(known):
    config = dataclasses.replace(known[1], float8=True, remat="full", attention="cudnn")
    assert hf.config_from_json(hf.config_to_json(config) | {"dtype": config.dtype}) == known[1]


def test_new_spelling(known):
    """transformers 5 reads the old spelling and writes the new one, which must mean the same."""
    keys, expected = known
    theirs = transformers.AutoConfig.for_model(**keys).to_dict()
    assert "rope_theta" not in theirs
    assert hf.config_from_json(theirs) == expected


def test_windows_of_the_upper_layers():
    keys = QWEN2_5_0_5B | {"use_sliding_window": True, "max_window_layers": 21}
    config = hf.config_from_json(keys)
    assert (config.window, config.windowed_layers) == (32768, (False,) * 21 + (True,) * 3)
    assert hf.config_to_json(config)["max_window_layers"] == 21
    assert hf.config_from_json(keys | {"use_sliding_window": False}).window is None


def test_windows_without_a_size_are_none():
    keys = QWEN3_0_6B | {"layer_types": ["sliding_attention"] * 28}
    assert not any(hf.config_from_json(keys).layer_windows)


def test_gemma_without_windows_still_states_one():
    """transformers 5 raises for a Gemma whose window is null, even if no layer has it."""
    config = dataclasses.replace(EXPECTED["gemma2"][1], window=None, windowed_layers=())
    keys = hf.config_to_json(config)
    assert (keys["sliding_window"], set(keys["layer_types"])) == (8192, {"full_attention"})
    assert hf.config_from_json(keys).window is None


def test_old_gemma_base_of_windowed_layers():
    assert hf.config_from_json(GEMMA_3_1B | {"rope_local_base_freq": 5000}).local_rope_base == 5000.0


def test_old_linear_scaling_is_called_type():
    keys = LLAMA_3_2_1B | {"rope_scaling": {"type": "linear", "factor": 2}}
    assert hf.config_from_json(keys).rope_scaling == RopeScaling("linear", 2.0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model_type": "gpt2"}, "'gpt2' is not known; known are llama, mistral, qwen2, .*, gemma3$"),
        ({}, "model_type None is not known"),
        ({key: QWEN3_0_6B[key] for key in ("model_type", "vocab_size")}, "qwen3 model lacks 'hidden_size'"),
        (
            QWEN3_0_6B | {"rope_scaling": {"rope_type": "proportional"}},
            r"\['rope_type'\] = 'proportional'; expected one",
        ),
        (LLAMA_3_2_1B | {"rope_scaling": {"type": "linear"}}, "a 'factor', which rope_type 'linear' needs"),
        (QWEN2_5_0_5B | {"rope_scaling": {"type": "default", "mrope_section": [1]}}, r"\['mrope_section'\]"),
        (LLAMA_3_2_1B | {"hidden_act": "relu"}, "hidden_act = 'relu'; expected one of .*silu"),
        (GEMMA_3_1B | {"attn_logit_softcapping": 50.0}, "gemma3_text .* attn_logit_softcapping = 50.0; expected"),
        (GEMMA_3_1B | {"use_bidirectional_attention": True}, "use_bidirectional_attention = True; expected"),
        (GEMMA_3_1B | {"rope_parameters": {"rope_theta": 1.0}}, "one dict for 'full_attention' and one for"),
        (LLAMA_3_2_1B | {"quantization_config": {"bits": 4}}, r"quantization_config = \{'bits': 4\}; expected"),
        (QWEN3_0_6B | {"layer_types": ["chunked_attention"] * 28}, r"layer_types = \['chunked_attention'\]; expected"),
        (QWEN3_0_6B | {"layer_types": ["full_attention"] * 3}, "windowed_layers has 3 entries for 28 layers"),
    ],
)
def test_configs_that_cannot_be_read(keys, message):
    with pytest.raises(ValueError, match=message):
        hf.config_from_json(keys)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("llama", dict(window=128), r"llama config.json cannot express window = 128 \(it would read back as None\)"),
        ("llama", dict(output_bias=True), "cannot express qkv_bias = False .*would read back as True"),
        ("llama", dict(num_heads=24), "width .2048. is not a multiple of its number of heads .24."),
        ("llama", dict(family="mine"), "family 'mine' is not known; known are llama"),
        ("mistral 0.1", dict(windowed_layers=(True,) + (False,) * 31), "cannot express window = 4096"),
        ("qwen2", dict(qk_norm=True), "cannot express qk_norm = True"),
        ("qwen3", dict(post_norms=True, logit_softcap=3.0), "post_norms = True .*logit_softcap = 3.0"),
        ("gemma2", dict(local_rope_base=10.0), "cannot express local_rope_base = 10.0"),
        ("gemma2", dict(query_scale=0.3), "cannot express query_scale = 0.3"),
        ("gemma3", dict(attention_softcap=50.0), "cannot express attention_softcap = 50.0"),
    ],
)
def test_configs_that_a_family_cannot_express(name, changes, message):
    with pytest.raises(ValueError, match=message):
        hf.config_to_json(dataclasses.replace(EXPECTED[name][1], **changes))


CLASSIFIER = {key: LLAMA_3_2_1B[key] for key in LLAMA_3_2_1B} | {"architectures": ["LlamaForSequenceClassification"]}


@pytest.mark.parametrize(
    "labels",
    [
        {"num_labels": 1},
        {"num_labels": 1, "id2label": None},
        {"num_labels": 1, "id2label": {}},
        {"id2label": {"0": "quality"}},
        {"num_labels": 1, "id2label": {"0": "a", "1": "b"}},  # which transformers reads as one, with a warning
        {"num_labels": 3, "id2label": {"0": "a"}},
        {"num_labels": 2},
        {"id2label": {"0": "a", "1": "b"}},
        {"label2id": {"a": 0}},
        {},
    ],
)
def test_labels_are_counted_as_transformers_counts_them(labels):
    keys = CLASSIFIER | labels
    theirs, ours = transformers.LlamaConfig.from_dict(keys), hf.config_from_json(keys)
    assert isinstance(ours, models.RewardConfig if theirs.num_labels == 1 else models.ClassifierConfig)
    if theirs.num_labels > 1:
        assert dict(enumerate(ours.labels)) == theirs.id2label and not ours.multi_label


@pytest.mark.parametrize(
    "labels",
    [
        {"num_labels": "1"},
        {"num_labels": 1.0},
        {"num_labels": 0},
        {"id2label": ["a"]},
        {"id2label": "a"},
        {"id2label": {}},
        {"id2label": {"0": "a", "2": "b"}},
        {"id2label": {"0": "a", "1": "a"}},
        {"id2label": {"0": "a", "1": None}},
        {"problem_type": "regression"},
    ],
)
def test_odd_labels_are_named(labels):
    ((name, value),) = labels.items()
    with pytest.raises(ValueError, match=f"{name} = {re.escape(repr(value))}; expected"):
        hf.config_from_json(CLASSIFIER | labels)


def test_model_json(known, tmp_path):
    model_config.save_config(tmp_path / "run", known[1])
    assert model_config.load_config(tmp_path / "run") == known[1]


def test_model_json_of_a_reward_model(known, tmp_path):
    config = models.RewardConfig(known[1], pooling="mean")
    model_config.save_config(tmp_path, config)
    assert model_config.load_config(tmp_path) == config


def test_model_json_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="model.json is missing; pass the folder of a run"):
        model_config.load_config(tmp_path)
    (tmp_path / "model.json").write_text('{"class": "DecoderConfig", "vocab_size": 3, "colour": "red"}')
    with pytest.raises(ValueError, match=r"unknown fields \['colour'\]"):
        model_config.load_config(tmp_path)
    (tmp_path / "model.json").write_text('{"class": "Perceptron"}')
    with pytest.raises(ValueError, match=r"unknown fields \['class'\]"):
        model_config.load_config(tmp_path)
