"""experiments.hemenet at toy size: every method, real files, and a second run that repeats nothing."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest

from experiments.common.task import exactly
from experiments.hemenet import __main__ as hemenet
from experiments.hemenet import benchmark, conditions, figures, labels, methods, task, world
from jaxalign import protein
from jaxalign.io import edge
from jaxalign.io.protein_model import load_protein

TOY = dict(num_layers=1, width=24, edge_width=8, num_heads=2, batch=(1500, 300, 6), steps=1)


@pytest.fixture(autouse=True, scope="module")
def as_e3nn_has_it():
    """e3nn-jax promotes ranks on its own; intervals need not be good."""
    with pytest.MonkeyPatch.context() as patch, jax.numpy_rank_promotion("allow"):
        patch.setattr(figures, "BOOTSTRAP_DRAWS", 2)
        yield


def toy(output, preset="default", **fields):
    return dataclasses.replace(hemenet.PRESETS[preset], **TOY | {"output": output} | fields)


NAMES = ("single-task", "multi-task", "alpha-carbons")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of three methods: its config and its figures."""
    config = toy(tmp_path_factory.mktemp("made"), methods=NAMES, num_graphs=(12, 12), tasks=("fold",))
    return config, hemenet.main(config)


def test_methods_run_and_a_second_run_repeats_nothing(finished, capsys):
    config, values = finished
    assert all(np.isfinite(list(values.values())))
    for name in (*NAMES, "mean of training"):
        assert 0 <= values[f"held-out: fold/{name}/Fmax"] <= 1
    written = {path: path.read_bytes() for path in config.output.rglob("metrics.jsonl")}
    assert len(written) == len(NAMES)
    folder = config.output / "seed-0"
    assert (folder / "single-task" / "fold" / "model" / "protein.json").exists()  # a network a task
    assert hemenet.main(config) == values
    assert "multi-task, seed 0: reflection changes predictions by at most" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in config.output.rglob("metrics.jsonl")} == written
    loaded = load_protein(folder / "alpha-carbons" / "model")
    assert loaded.network.config.encoder.num_channels == 1


def test_symmetry_errors_are_those_of_the_encoder(finished, tmp_path):
    graphs = world.make_graphs(6, 0)
    sizes = protein.batch_sizes(protein.BatchSize(1500, 300, 6, 24), count=2)
    data = hemenet.ProteinWorld((labels.TASKS["fold"],), graphs, {}, {})
    loaded = load_protein(finished[0].output / "seed-0" / "multi-task" / "model")
    config = toy(tmp_path, num_layers=2)  # pseudoscalars take two products, hence two layers
    trained = methods.learn(config, methods.METHODS["tensor field"], data, tmp_path, jax.random.key(0), sizes)
    for network, seen in ((methods.Trained(loaded.network, loaded.variables), False), (trained[0], True)):
        errors = figures.symmetry_errors(network, graphs, sizes)
        assert errors["rotation"] < 1e-4 and errors["100 angstrom"] < 1e-4
        assert (errors["reflection"] > 20 * errors["rotation"]) == seen


def test_constants_by_hand():
    fold = labels.TASKS["fold"]
    graphs = world.make_graphs(10, 0)
    data = hemenet.ProteinWorld((fold,), graphs, {}, {})
    known = np.concatenate([each.targets["fold"][each.masks["fold"]] for each in graphs])
    expected = figures.figures(
        fold, protein.Predictions(np.broadcast_to(known.mean(axis=0), known.shape), known, np.ones(len(known), bool))
    )
    assert figures.constants(data, graphs)["fold"]["AUPR"].value == pytest.approx(expected["AUPR"].value)


def test_updates_of_each_row():
    """Two tasks: networks of their own have the updates of one for all, together or each."""
    lines = conditions.describe_updates(hemenet.DEFAULT, 2)
    steps = hemenet.DEFAULT.steps
    where = "on proteins with labels of the task"
    assert lines == [
        f"multi-task: 1 network, {steps} updates in all, {steps} a task",
        f"single-task at equal cost: 2 networks, {steps} updates in all, {steps // 2} a task, {where}",
        f"single-task: 2 networks, {2 * steps} updates in all, {steps} a task, {where}",
    ]


def test_single_tasks_learn_from_proteins_with_their_labels():
    graphs = world.make_graphs(100, 0)
    known = task.labelled(graphs, labels.TASKS["family"])
    assert [id(each) for each in known] == [id(each) for each in graphs if each.masks["family"].any()]
    assert 0 < len(known) < 30
    with pytest.raises(ValueError, match="family: expected a labelled protein or more to learn from, got none of 1"):
        task.labelled([each for each in graphs if not each.masks["family"].any()][:1], labels.TASKS["family"])


def test_which_condition_is_met():
    told = {name: conditions.describe_world(config) for name, config in hemenet.PRESETS.items()}
    met = {name for name, line in told.items() if line.startswith("The paper's condition is met")}
    assert met == {"default", "ablations"}
    assert "motif 100%, family 8%" in told["default"]
    assert {name for name, line in told.items() if line.startswith("Real structures")} == {"shared", "protein_mt"}


def test_gains_are_of_the_same_seed():
    row = lambda value: {"AUPR": exactly(value)}  # noqa: E731
    by_seed = [{"held-out: fold": {"multi-task": row(base), "single-task": row(0.75)}} for base in (0.5, 0.25)]
    (table,) = (found := hemenet.gains(by_seed)).values()
    assert list(found) == ["held-out: fold, minus multi-task of the same seed"] and list(table) == ["single-task"]
    assert table["single-task"]["AUPR"].value == (0.25 + 0.5) / 2


STRUCTURES = ("11as.pdb", "1dix.cif", "1qgi.bcif", "2olx.cif")  # of the last one, nothing is known


@pytest.fixture(scope="module")
def of_files(tmp_path_factory, shared_data):
    """A run on a few real structures with the published labels: its config and its figures."""
    folder = copy(shared_data / "proteins", tmp_path_factory.mktemp("proteins"))
    config = toy(tmp_path_factory.mktemp("hemenet"), "shared", data=folder, batch=(6000, 1200, 4))
    return config, hemenet.main(config)


def copy(source, folder, annotations="*.*"):
    """A folder of data with the structures above and what the annotations say of them, and of one in fifty others.

    All that was published is read in tests/protein.
    """
    for part in "structures", "annotations":
        (folder / part).mkdir(parents=True)
    for name in STRUCTURES:
        shutil.copy(source / "structures" / name, folder / "structures")
    chain_map = json.loads((source / "annotations" / "chain_to_uniprot.json").read_text())
    known = {name.partition(".")[0] for name in STRUCTURES}
    uniprots = {uniprot for entry, chains in chain_map.items() if code(entry) in known for uniprot in chains.values()}
    known |= {code(entry) for entry, chains in chain_map.items() if uniprots & set(chains.values())}  # labels by these
    for path in (source / "annotations").glob(annotations):
        if path.suffix == ".json":
            text = json.dumps(dict(kept(chain_map.items(), lambda item: code(item[0]) in known)))
        else:
            lines = path.read_text().splitlines(keepends=True)
            text = "".join(lines[:3] + kept(lines[3:], lambda line: code(line) in known))
        (folder / "annotations" / path.name).write_text(text)
    return folder


def code(entry):
    """That of the PDB, with which names of entries and chains begin."""
    return entry[:4].lower()


def kept(rows, is_known):
    return [row for number, row in enumerate(rows) if is_known(row) or number % 50 == 0]


def test_real_files_from_structures_to_a_trained_network(of_files):
    config, values = of_files
    assert 0 <= values["test: ec/multi-task/Fmax"] <= 1
    loaded = load_protein(config.output / "seed-0" / "multi-task" / "model")
    assert len(loaded.classes["ec"]) == 538 and "3.4.21.4" in loaded.classes["ec"]
    # The same command finds the compiled graphs: nothing is read again.
    shards = {path: path.stat().st_mtime_ns for path in config.output.rglob("*.array_record")}
    assert hemenet.main(config) == values
    assert shards and {path: path.stat().st_mtime_ns for path in config.output.rglob("*.array_record")} == shards


def test_graphs_that_no_batch_holds_are_told(of_files):
    with pytest.raises(ValueError, match="train: expected a graph or more, got none that fits in a batch. Raise"):
        largest = protein.BatchSize(edges=100, nodes=20, graphs=2, chains=8)
        benchmark.make_world(of_files[0].data, of_files[0].output, largest=largest, num_workers=0)


def test_given_splits_count_where_each_has_structures(tmp_path, shared_data):
    folder = copy(shared_data / "proteins", tmp_path / "data", annotations="nrPDB-EC*annot.tsv")
    splits = folder / "annotations" / "protein_mt_split"
    splits.mkdir()
    for split, entries in {"train": "11as\n1QGI-A\n", "test": "1dix\n"}.items():
        (splits / f"{split}.txt").write_text(entries)
    largest = protein.BatchSize(edges=6000, nodes=1200, graphs=4, chains=16)
    data = benchmark.make_world(folder, tmp_path / "run", largest=largest, num_workers=0)
    assert len(data.train) == 2 and [*data.tests] == ["test"] and len(data.tests["test"]) == 1
    compiled = protein.read_protein_mt(tmp_path / "run" / "compiled" / "all-atoms", "train")
    assert [each.id for each in compiled] == ["11as", "1qgi-A"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="unknown methods .'magic'.; there are multi-task, single-task"):
        hemenet.main(toy(tmp_path, methods=("magic",)))
    with pytest.raises(ValueError, match="unknown tasks .'taste'.; there are motif"):
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
