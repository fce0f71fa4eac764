"""experiments.hemenet at toy size: every method, real files, and a second run that repeats nothing."""

import dataclasses
import re
import shutil

import jax
import numpy as np
import pytest

from experiments import hemenet
from experiments.common.proteins import methods, world
from jaxalign import protein
from jaxalign.io import edge
from jaxalign.io.protein_model import load_protein

TOY = dict(num_layers=1, width=24, edge_width=8, num_heads=2, batch=(1500, 300, 6), steps=2)


@pytest.fixture(autouse=True)
def as_e3nn_has_it(monkeypatch):
    """e3nn-jax promotes ranks on its own; intervals need not be good."""
    monkeypatch.setattr(methods, "BOOTSTRAP_DRAWS", 2)
    with jax.numpy_rank_promotion("allow"):
        yield


def toy(output, preset="default", **fields):
    return dataclasses.replace(hemenet.PRESETS[preset], **TOY | {"output": output} | fields)


def test_methods_run_and_a_second_run_repeats_nothing(tmp_path, capsys):
    names = ("single-task", "multi-task", "alpha-carbons")
    config = toy(tmp_path, methods=names, num_graphs=(12, 12), tasks=("fold",))
    values = hemenet.main(config)
    assert all(np.isfinite(list(values.values())))
    for name in (*names, "mean of training"):
        assert 0 <= values[f"held-out: fold/{name}/Fmax"] <= 1
    printed = capsys.readouterr().out
    assert "multi-task, seed 0: reflection changes predictions by at most" in printed
    written = {path: path.read_bytes() for path in tmp_path.rglob("metrics.jsonl")}
    assert len(written) == len(names)
    assert (tmp_path / "seed-0" / "single-task" / "fold" / "model" / "protein.json").exists()  # a network a task
    assert hemenet.main(config) == values
    assert {path: path.read_bytes() for path in tmp_path.rglob("metrics.jsonl")} == written
    loaded = load_protein(tmp_path / "seed-0" / "alpha-carbons" / "model")
    assert loaded.network.config.encoder.num_channels == 1


def test_symmetry_errors_are_those_of_the_encoder(tmp_path):
    graphs = world.make_graphs(6, 0)
    sizes = protein.batch_sizes(protein.BatchSize(1500, 300, 6, 12), count=1)
    data = hemenet.ProteinWorld((world.TASKS["fold"],), graphs, {}, {})
    for name, seen in {"multi-task": False, "tensor field": True}.items():
        config = toy(tmp_path / name, steps=1, num_layers=2)  # pseudoscalars take two products
        trained = methods.learn(config, methods.METHODS[name], data, tmp_path / name, jax.random.key(0), sizes)
        errors = methods.symmetry_errors(trained[0], graphs, sizes)
        assert errors["rotation"] < 1e-4 and errors["100 angstrom"] < 1e-4
        assert (errors["reflection"] > 20 * errors["rotation"]) == seen


def test_constants_by_hand():
    task = world.TASKS["fold"]
    graphs = world.make_graphs(10, 0)
    data = hemenet.ProteinWorld((task,), graphs, {}, {})
    known = np.concatenate([each.targets["fold"][each.masks["fold"]] for each in graphs])
    expected = methods.figures(
        task, protein.Predictions(np.broadcast_to(known.mean(axis=0), known.shape), known, np.ones(len(known), bool))
    )
    assert methods.constants(data, graphs)["fold"]["AUPR"].value == pytest.approx(expected["AUPR"].value)


def test_real_files_from_structures_to_a_trained_network(tmp_path, shared_data):
    source = shared_data / "proteins"
    config = toy(tmp_path / "run", "shared", data=source, batch=(6000, 1200, 4))
    values = hemenet.main(config)
    assert 0 <= values["test: ec/multi-task/Fmax"] <= 1
    loaded = load_protein(tmp_path / "run" / "seed-0" / "multi-task" / "model")
    assert len(loaded.classes["ec"]) == 538 and "3.4.21.4" in loaded.classes["ec"]
    # The same command finds the compiled graphs: nothing is read again.
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.array_record")}
    assert hemenet.main(config) == values
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.array_record")} == shards


def test_given_splits_count_where_each_has_structures(tmp_path, shared_data):
    source = shared_data / "proteins"
    folder = tmp_path / "data"
    (folder / "structures").mkdir(parents=True)
    (folder / "annotations" / "protein_mt_split").mkdir(parents=True)
    for name in ("11as.pdb", "1dix.cif", "1qgi.bcif"):
        shutil.copy(source / "structures" / name, folder / "structures")
    shutil.copy(source / "annotations" / "nrPDB-EC_2020.04_annot.tsv", folder / "annotations")
    for split, entries in {"train": "11as\n1QGI-A\n", "test": "1dix\n"}.items():
        (folder / "annotations" / "protein_mt_split" / f"{split}.txt").write_text(entries)
    values = hemenet.main(toy(tmp_path / "run", "shared", data=folder, batch=(6000, 1200, 4)))
    assert "test: ec/multi-task/Fmax" in values
    compiled = protein.read_protein_mt(tmp_path / "run" / "compiled" / "all-atoms", "train")
    assert [each.id for each in compiled] == ["11as", "1qgi-A"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="unknown methods .'magic'.; there are multi-task, single-task"):
        hemenet.main(toy(tmp_path, methods=("magic",)))
    with pytest.raises(ValueError, match="unknown tasks .'taste'.; there are interface"):
        hemenet.main(toy(tmp_path / "tasks", tasks=("taste",)))
    with pytest.raises(ValueError, match="expected --data FOLDER with structures/ and annotations/, got None"):
        hemenet.main(toy(tmp_path / "files", "shared"))


def broken(folder, source):
    """Folders of data in which something is missing, and what is said of each."""
    structures, annotations = folder / "whole" / "structures", folder / "whole" / "annotations"
    structures.mkdir(parents=True)
    annotations.mkdir()
    for name in ("11as.pdb", "1dix.cif", "1qgi.bcif"):
        shutil.copy(source / "structures" / name, structures)
    table = (source / "annotations" / "nrPDB-EC_2020.04_annot.tsv").read_text()
    yield folder / "nowhere", r"got .*nowhere, which is none"
    yield structures, r"which has no folder structures"
    yield folder / "whole", "annotations: expected files such as nrPDB-EC_"
    (annotations / "nrPDB-EC_1_annot.tsv").write_text(
        "".join(f"{line.split(chr(9))[0]}\n" for line in table.splitlines())
    )
    yield folder / "whole", "annot.tsv, line 4: expected 2 columns with tabs between, got 1"
    (annotations / "nrPDB-EC_1_annot.tsv").write_text(table)
    (structures / "1qgi.bcif").unlink()
    yield folder / "whole", "expected 3 structures or more that are labelled, got 2 of 2. Add structures"
    for path in structures.iterdir():
        path.unlink()
    yield folder / "whole", "structures: expected files such as 1abc.pdb"


def test_what_is_wrong_with_the_data_is_one_line(tmp_path, shared_data):
    for number, (data, message) in enumerate(broken(tmp_path, shared_data / "proteins")):
        config = toy(tmp_path / f"run{number}", "shared", data=data)
        with pytest.raises((ValueError, OSError), match=message) as error:
            hemenet.main(config)
        said = edge.explanation(error.value)
        assert said is not None and re.search(message, said) and "\n" not in said


def test_graphs_that_no_batch_holds_are_told(tmp_path, shared_data):
    config = toy(tmp_path, "shared", data=shared_data / "proteins", batch=(100, 20, 2))
    with pytest.raises(ValueError, match="train: expected a graph or more, got none that fits in a batch. Raise"):
        hemenet.main(config)
