"""tools/predict_protein.py: a structure's file and a trained network to printed classes and numbers."""

import jax
import numpy as np
import pytest

from jaxalign import protein
from jaxalign.io import protein_model
from tests.protein import tiny
from tools import predict_protein


@pytest.fixture
def model(tmp_path):
    network = tiny.network()
    variables = tiny.variables(network, tiny.batch(tiny.graph(0)))
    protein_model.save_protein(tmp_path / "model", network.config, variables, {"family": ("one", "two", "three")})
    return tmp_path / "model"


@pytest.fixture
def structures(shared_data):
    return shared_data / "proteins" / "structures"


def test_chains_and_classes_are_printed(model, structures, capsys):
    predictions = predict_protein.main(structures / "1ay7.bcif", model=model, top=2)
    printed = capsys.readouterr().out
    assert "1ay7.bcif: " in printed and "chains A, B" in printed
    assert f"affinity: {predictions['affinity'][0]:.3f}" in printed
    names = np.array(["one", "two", "three"])[np.argsort(-predictions["family"][1])[:2]]
    assert f"family of chain B: {names[0]} {predictions['family'][1].max():.3f}, {names[1]} " in printed
    assert "site of chain A: " in printed  # classes without names have numbers


def test_a_ligand_beside_and_one_chain_alone(model, structures, capsys):
    alone = predict_protein.main(structures / "1ay7.bcif", model=model, chains=("A",))
    assert len(alone["family"]) == 1
    beside = predict_protein.main(
        structures / "1ay7.bcif", model=model, chains=("A",), ligand=structures / "1j01_ligand.sdf"
    )
    nodes = [int(line.split(": ")[1].split()[0]) for line in capsys.readouterr().out.splitlines() if "nodes" in line]
    assert nodes[1] > nodes[0]
    assert abs(beside["affinity"][0] - alone["affinity"][0]) > 0


def test_alpha_carbons_where_the_network_has_one_channel(tmp_path, structures):
    network = tiny.network(num_channels=1)
    variables = tiny.variables(network, tiny.batch(tiny.graph(0)))
    protein_model.save_protein(tmp_path, network.config, variables, {})
    structure = protein.read_structure(structures / "1ay7.bcif")
    graph = protein.make_graph(protein.alpha_carbons(structure))
    expected = protein.predict(network, variables, tiny.batch(graph))
    found = predict_protein.main(structures / "1ay7.bcif", model=tmp_path)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, dict(expected))
