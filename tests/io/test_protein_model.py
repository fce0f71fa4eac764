"""A protein network on disk: what was saved comes back, and what does not fit is named."""

import json

import jax
import numpy as np
import pytest

from jaxalign import protein
from jaxalign.io import protein_model
from tests.protein import tiny


@pytest.fixture
def saved(tmp_path):
    network, batch = tiny.network(), tiny.batch(tiny.graph(0))
    variables = tiny.variables(network)
    protein_model.save_protein(tmp_path, network.config, variables, {"family": ("a", "b", "c")})
    return tmp_path, network, variables, batch


def test_round_trip(saved):
    folder, network, variables, batch = saved
    loaded = protein_model.load_protein(folder)
    assert loaded.network.config == network.config and loaded.classes == {"family": ["a", "b", "c"]}
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, variables)
    ours, theirs = (protein.predict(model, v, batch) for model, v in ((network, variables), loaded[:2]))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_an_encoder_without_batch_norms(tmp_path):
    config = protein.ProteinConfig(protein.TensorFieldConfig(num_layers=1, irreps="4x0e + 2x1o"), tiny.TASKS, 2)
    network = protein.ProteinNetwork(config)
    with jax.numpy_rank_promotion("allow"):
        variables = tiny.variables(network)
        protein_model.save_protein(tmp_path, config, variables, {})
        loaded = protein_model.load_protein(tmp_path)
    assert loaded.network.config == config
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, variables)


def test_what_does_not_fit_is_named(saved, tmp_path):
    folder, network, variables, _ = saved
    with pytest.raises(ValueError, match="task 'family' has 3 classes, but 1 names"):
        protein_model.save_protein(tmp_path / "x", network.config, variables, {"family": ("a",)})
    with pytest.raises(FileNotFoundError, match="protein.json is missing; pass the folder 'model'"):
        protein_model.load_protein(tmp_path / "x")
    content = json.loads((folder / "protein.json").read_text())
    content["config"]["encoder"]["width"] = 8
    (folder / "protein.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="does not fit protein.json: .*encoder/layer_0/batch_norm/mean"):
        protein_model.load_protein(folder)
    content["config"]["encoder"]["colour"] = "red"
    (folder / "protein.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="unknown fields .'colour'."):
        protein_model.load_protein(folder)


def test_a_damaged_file_is_named(saved):
    folder = saved[0]
    file = folder / "protein.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match="protein.safetensors is not complete"):
        protein_model.load_protein(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"config": 1}'])
def test_a_damaged_config_is_named(saved, text):
    (saved[0] / "protein.json").write_text(text)
    with pytest.raises(ValueError, match="protein.json is not as it was written .*train or copy the model again"):
        protein_model.load_protein(saved[0])


def test_a_missing_file_of_variables_is_named(saved):
    (saved[0] / "protein.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="protein.safetensors is missing; copy the whole folder"):
        protein_model.load_protein(saved[0])
