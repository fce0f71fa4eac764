"""Shapes of published models: their sizes, and config.json that says the same."""

import dataclasses
import json

import jax
import pytest

from jaxalign import models
from jaxalign.io import hf
from tools.model_shapes import MODELS, find_model


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("SmolLM2-135M", 0.1345),
        ("Qwen3-0.6B", 0.596),
        ("Qwen3-1.7B", 1.721),
        ("Qwen3-8B", 8.191),
        ("Gemma-2-2B", 2.614),
        ("Gemma-2-9B", 9.242),
        ("Gemma-2-27B", 27.227),
        ("Llama-3.1-8B", 8.030),
        ("Llama-3.1-70B", 70.554),
    ],
)
def test_parameters_are_as_many_as_the_published_models_have(name, billions):
    model = models.build(MODELS[name])
    shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "int32"))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e9 == pytest.approx(billions, abs=0.0006)


@pytest.mark.parametrize("name", MODELS)
def test_config_json_can_say_each_shape(name):
    keys = hf.config_to_json(MODELS[name])
    assert dataclasses.replace(hf.config_from_json(keys), dtype="bfloat16", remat="full") == MODELS[name]


def test_names_are_found_in_small_letters():
    assert find_model("gemma-2-9b") is MODELS["Gemma-2-9B"] or find_model("gemma-2-9b") == MODELS["Gemma-2-9B"]
    assert find_model("Qwen3-8B", remat="none").remat == "none"


def test_a_directory_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(hf.config_to_json(MODELS["Qwen3-0.6B"])))
    assert find_model(str(tmp_path)) == MODELS["Qwen3-0.6B"]


def test_unknown_models_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="neither a directory .* known: .*Gemma-2-9B"):
        find_model("gemma-9")
    with pytest.raises(FileNotFoundError, match="config.json is missing"):
        find_model(str(tmp_path))
