"""tools/predict_protein.py: a structure's file and a trained network to printed classes and numbers."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxalign import protein
from jaxalign.io import edge, protein_model
from tests.architecture import subprocesses
from tests.protein import tiny
from tests.protein.lines import MOL2, atom, atoms, moved
from tools import predict_protein


@pytest.fixture
def model(tmp_path):
    network = tiny.network()
    variables = tiny.variables(network)
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
    variables = tiny.variables(network)
    protein_model.save_protein(tmp_path, network.config, variables, {})
    structure = protein.read_structure(structures / "1ay7.bcif")
    graph = protein.make_graph(protein.alpha_carbons(structure))
    expected = protein.predict(network, variables, tiny.batch(graph))
    found = predict_protein.main(structures / "1ay7.bcif", model=tmp_path)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, dict(expected))


WRONG = {
    "no file": ("nowhere.pdb", {}, "nowhere.pdb: expected a file, got none of that name. Correct the path"),
    "a folder": (".", {}, "expected a file, got a folder. Name one of the files in it"),
    "an empty file": ("empty.pdb", {}, "empty.pdb: expected a structure, got an empty file. Download it again"),
    "another format": ("x.txt", {}, "x.txt: expected a name that ends in one of .pdb"),
    "bytes": ("bytes.pdb", {}, "bytes.pdb: expected text, got bytes of 0"),
    "stars": ("stars.pdb", {}, "stars.pdb: not a .pdb file that can be read: line 2: expected a coordinate in columns"),
    "no such chain": ("whole.pdb", {"chains": ("Q",)}, "whole.pdb: expected chains Q, got A. Choose among these"),
    "a ligand alone": ("x.mol2", {}, "x.mol2: expected a protein, got a ligand. Name the protein's file"),
    "a protein as ligand": ("whole.pdb", {"ligand": "whole.pdb"}, "expected a ligand, got chains A. Give the protein"),
    "no ligand": ("whole.pdb", {"ligand": "nothing.sdf"}, "nothing.sdf: expected a file, got none of that name"),
    "no model": ("whole.pdb", {"model": "."}, "protein.json is missing; pass the folder 'model' of a run"),
    "a file as model": (
        "whole.pdb",
        {"model": "whole.pdb"},
        "protein.json is missing; pass the folder 'model' of a run",
    ),
    "a damaged model": ("whole.pdb", {"model": "damaged"}, "protein.json is not as it was written"),
    "another model": ("whole.pdb", {"model": "other"}, "protein.json is not as it was written"),
    "half a model": (
        "whole.pdb",
        {"model": "half"},
        "protein.safetensors is missing; copy the whole folder of the model",
    ),
}


@pytest.fixture
def files(tmp_path, model):
    whole = atoms("ALA 1") + atoms("GLY 2")
    (tmp_path / "whole.pdb").write_text(whole)
    (tmp_path / "stars.pdb").write_text(
        atom("ALA 1", "N") + atom("ALA 1", "CA").replace("0.000   0.000", "************")
    )
    (tmp_path / "bytes.pdb").write_bytes(b"ATOM\0\0\1")
    (tmp_path / "empty.pdb").write_text("")
    (tmp_path / "x.txt").write_text(whole)
    (tmp_path / "x.mol2").write_text(MOL2)
    for name, text in {"damaged": "{", "other": "[]", "half": (model / "protein.json").read_text()}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "protein.json").write_text(text)
    return tmp_path


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_the_input_is_one_line(files, model, what):
    file, options, message = WRONG[what]
    options = {name: value if name == "chains" else files / value for name, value in options.items()}
    with pytest.raises((ValueError, OSError)) as error:
        predict_protein.main(files / file, **{"model": model} | options)
    text = edge.explanation(error.value)
    assert text is not None and message in text and "\n" not in text


def test_a_command_with_wrong_input_ends_without_a_traceback(files):
    command = [sys.executable, "-m", "tools.predict_protein", str(files / "whole.pdb"), "--model", str(files)]
    found = subprocess.run(command, cwd=subprocesses.ROOT, capture_output=True, text=True)
    assert found.returncode == 1 and not found.stdout
    # XLA may log something about programs that another process has compiled.
    assert found.stderr.splitlines()[-1].startswith("error: ") and "Traceback" not in found.stderr


def test_the_report_is_printed(files, model, capsys):
    text = atoms("ALA 1", chain=" ") + atoms("GLY 2", chain=" ") + "TER\n"
    text += moved(atoms("SER 1", chain=" "), 9) + "TER\n" + atom("SOL 9", "OW", element="O", chain=" ", at=(9, 9, 9))
    (files / "two.pdb").write_text(text)
    predict_protein.main(files / "two.pdb", model=model)
    printed = capsys.readouterr().out
    assert "two.pdb: 3 nodes, chains without a letter, _2\n" in printed
    assert "  waters, left out: 1\n  chains that share a name in the file, kept apart as A_2 and so on: 1\n" in printed
    assert "family of chain _2: " in printed
    assert predict_protein.report_lines(protein.StructureReport()) == []


def test_residues_without_an_alpha_carbon_are_told(tmp_path, files, capsys):
    network = tiny.network(num_channels=1)
    variables = tiny.variables(network)
    protein_model.save_protein(tmp_path / "alphas", network.config, variables, {})
    (files / "lacks.pdb").write_text(atoms("ALA 1") + atoms("GLY 2", ("N", "C")) + atoms("SER 3"))
    predict_protein.main(files / "lacks.pdb", model=tmp_path / "alphas")
    assert "2 nodes, chains A\n  residues without an alpha carbon, left out: 1\n" in capsys.readouterr().out
    (files / "none.pdb").write_text(atoms("ALA 1", ("N", "C")))
    with pytest.raises(ValueError, match="this network reads alpha carbons, of which the structure has none"):
        predict_protein.main(files / "none.pdb", model=tmp_path / "alphas")


def test_every_count_has_words():
    assert tuple(predict_protein.REPORTED) == protein.StructureReport._fields
    report = protein.StructureReport(*range(1, 1 + len(protein.StructureReport._fields)))
    assert [int(line.rpartition(": ")[2]) for line in predict_protein.report_lines(report)] == list(report)


def test_a_network_of_embeddings_is_refused(tmp_path, files):
    network = tiny.network(embedding_size=4)
    variables = tiny.variables(network)
    protein_model.save_protein(tmp_path / "esm", network.config, variables, {})
    with pytest.raises(ValueError, match="this network reads embeddings of residues, which a file does not have"):
        predict_protein.main(files / "whole.pdb", model=tmp_path / "esm")
