"""Protein-MT compiled from files, and read again."""

import json
import os

import grain
import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein import example, structure_files
from tests.architecture.test_imports import loaded_by
from tests.protein import files


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_compile_and_read(inputs, tmp_path):
    reports = protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"], shard_size=2)
    examples = protein.read_protein_mt(tmp_path / "compiled", "train")
    assert [each.id for each in examples] == ["1abc-A", "1abc-B", "5cpx", "1xyz"]
    first, _, third, _ = examples
    assert (first.chain_names, third.chain_names) == (("A",), ("A", "B", "C"))
    label = protein.make_labeller(inputs["sources"])
    for each in examples:
        expected = label(each.id, each.chain_names)
        for task in protein.TASKS:
            for ours, theirs in zip(each.labels.terms[task], expected.terms[task], strict=True):
                np.testing.assert_array_equal(ours, theirs)
        for field in "affinities", "affinity_mask", "affinity_exact", "term_mask":
            ours, theirs = getattr(each.labels, field), getattr(expected, field)
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
    graph = files.make_graph(files.read_structure(tmp_path / "structures" / "ab" / "pdb5cpx.ent.gz"))
    rebuilt = files.ProteinGraph(**third.graph)
    assert (rebuilt.num_chains, rebuilt.embeddings) == (3, None) and isinstance(rebuilt.num_chains, int)
    for ours, theirs in zip(rebuilt[:5] + rebuilt[6:9], graph[:5] + graph[6:9], strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    # Identity bins of the one entry that the csv lists.
    assert first.identity["ec"].tolist() == [False, False, True, True, True] and third.identity == {}
    assert reports["train"].examples == len(examples) == 4
    written = json.loads((tmp_path / "compiled" / "train" / "report.json").read_text())
    assert written == json.loads(json.dumps(reports["train"]._asdict()))


def test_report_says_what_was_dropped_and_why(inputs, tmp_path):
    report = protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"])["train"]
    assert report.entries == 9 and report.examples == 4
    assert report.dropped == {
        "6ppi": ("unreadable", "6ppi.bcif: ValueError: line 3: expected ATOM, got bad"),
        "7fus-A": ("no protein chain", "7fus.pdb, chains ('A',)"),
        "7nil": ("no label", "no source has one"),
        "9aaa": ("no graph", "ValueError: expected 100 nodes at most, got 200"),
        "1abc-Z": ("no label", "no source has one"),
    }
    assert report.reasons == {"unreadable": 1, "no protein chain": 1, "no label": 2, "no graph": 1}
    assert report.labelled == {
        "lba": 1,
        "ppa": 0,
        "inexact lba": 0,
        "inexact ppa": 0,
        "ec": 3,  # 1abc-A, 5cpx A, 1xyz A
        "go_mf": 5,  # and 1abc-B, 5cpx B
        "go_bp": 5,
        "go_cc": 3,
    }


def test_entries_without_a_file_and_without_labelled_chains(inputs, tmp_path):
    (tmp_path / "structures" / "1abc.pdb").unlink()
    (tmp_path / "structures" / "ab" / "pdb5cpx.ent.gz").write_text("C1")
    sources = protein.Sources(ec=inputs["sources"].ec, chain_to_uniprot=inputs["sources"].chain_to_uniprot)
    report = protein.compile_protein_mt(tmp_path / "out", **inputs | {"sources": sources}, only=["train"])["train"]
    assert report.dropped["1abc-A"] == ("no structure file", "expected one such as 1abc.cif.gz in the folder")
    assert report.dropped["5cpx"] == ("no label", "of the chains C none has one")


@pytest.mark.parametrize("kept", [("ec",), ("go",), ("lba",), ("ec", "go"), ("go", "lba", "ppa")])
def test_any_subset_of_sources(inputs, tmp_path, kept):
    subset = protein.Sources(**{name: getattr(inputs["sources"], name) for name in (*kept, "chain_to_uniprot")})
    protein.compile_protein_mt(tmp_path / "part", **inputs | {"sources": subset}, only=["train"])
    protein.compile_protein_mt(tmp_path / "whole", **inputs, only=["train"])
    whole = {each.id: each for each in protein.read_protein_mt(tmp_path / "whole", "train")}
    given = np.array([("ec" in kept), *["go" in kept] * 3])
    affinities = np.array([name in kept for name in protein.AFFINITIES])
    found = {each.id: each for each in protein.read_protein_mt(tmp_path / "part", "train")}
    for entry, each in whole.items():
        expected = each.labels.term_mask & given
        if entry not in found:
            assert not expected.any() and not (each.labels.affinity_mask & affinities).any()
            continue
        np.testing.assert_array_equal(found[entry].labels.term_mask, expected)
        np.testing.assert_array_equal(found[entry].labels.affinity_mask, each.labels.affinity_mask & affinities)
    assert found


def test_a_split_without_any_example(inputs, tmp_path):
    only_ec = protein.Sources(ec=inputs["sources"].ec)
    with pytest.raises(ValueError, match=r"split 'test': all 1 entries were dropped: {'no label': 1}; .* 8aaa"):
        protein.compile_protein_mt(tmp_path / "compiled", **inputs | {"sources": only_ec}, only=["test"])


def test_a_fault_of_the_code_is_no_bad_file(inputs, tmp_path):
    def read(path, chains=None):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        protein.compile_protein_mt(tmp_path / "compiled", **inputs | {"read_structure": read})


def test_workers_write_the_same_files(tmp_path):
    inputs = files.write_inputs(tmp_path, num_more=6)
    seen = []
    for workers in 0, 2:
        protein.compile_protein_mt(
            tmp_path / str(workers),
            **inputs,
            only=["train"],
            shard_size=3,
            num_workers=workers,
            progress_fn=lambda *call: seen.append(call),
        )
    assert contents(tmp_path / "0" / "train") == contents(tmp_path / "2" / "train")
    assert seen == [("train", number, 5) for number in range(1, 6)] * 2


def test_workers_load_no_network():
    """Each one starts with an import of the functions that read structures and make graphs."""
    functions = "from jaxalign import protein; protein.read_structure, protein.make_graph, protein.compile_protein_mt"
    assert not loaded_by(functions) & {"flax", "optax", "e3nn_jax"}


def test_source_is_random_access_and_feeds_grain(inputs, tmp_path):
    protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"], shard_size=2)
    source = protein.read_protein_mt(tmp_path / "compiled", "train")
    assert (source[-1].id, source[np.int64(2)].id) == ("1xyz", "5cpx")
    with pytest.raises(IndexError, match="below 4, got 4"):
        source[4]
    dataset = grain.MapDataset.source(source).shuffle(seed=1).map(lambda each: each.id)
    assert sorted(dataset) == ["1abc-A", "1abc-B", "1xyz", "5cpx"]
    assert str(tmp_path) in repr(source)


def test_reading_what_is_not_there(inputs, tmp_path):
    protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"])
    with pytest.raises(ValueError, match=r"expected a compiled split 'val', got \['train'\]"):
        protein.read_protein_mt(tmp_path / "compiled", "val")


def test_arguments(inputs, tmp_path):
    for change, message in (
        ({"shard_size": 0}, "got 0 and 0"),
        ({"only": ["valid"]}, r"expected splits of \['test', 'train'\], got \['valid'\]"),
        ({"structures": tmp_path / "nowhere"}, "expected a folder of structures"),
        ({"structures": tmp_path / "splits"}, "expected files such as 1abc.pdb"),
    ):
        with pytest.raises(ValueError, match=message):
            protein.compile_protein_mt(tmp_path / "compiled", **inputs | change)


def test_bad_rows_and_inexact_affinities_are_told(inputs, tmp_path):
    with open(inputs["sources"].ppa, "a") as file:
        file.write("7nil  1.0  2000  Kd=1XM // 7nil.pdf\n")
    with pytest.raises(ValueError, match="ppa, line 3: .*got 'Kd=1XM'"):
        protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"])
    report = protein.compile_protein_mt(
        tmp_path / "compiled", **inputs, only=["train"], skip_bad_rows=True, drop_inexact=True
    )["train"]
    assert list(report.bad_rows) == ["ppa"] and report.bad_rows["ppa"][0].startswith("line 3: ")
    assert report.dropped["6ppi"] == ("no label", "only an inexact one: ppa")


def test_structure_files(tmp_path):
    for name in (
        "1abc.pdb",
        "1ABC.cif.gz",
        "pdb2abc.ent",
        "3abc-A.pdb",
        "4abc.bcif",
        "4abc.pdb",
        "5abc.txt",
        "6abc_x.pdb",
    ):
        (tmp_path / name).write_text("")
    found = structure_files.find_structures(tmp_path)
    assert {entry: os.path.basename(path) for entry, path in found.items()} == {
        "1abc": "1ABC.cif.gz",
        "2abc": "pdb2abc.ent",
        "3abc-A": "3abc-A.pdb",
        "4abc": "4abc.bcif",
    }
    assert structure_files.structure_of("2abc-B", found) == (str(tmp_path / "pdb2abc.ent"), ("B",))
    assert structure_files.structure_of("3abc-A", found) == (str(tmp_path / "3abc-A.pdb"), ("A",))
    assert structure_files.structure_of("3abc", found) is None


def test_bytes_are_no_pickle_and_damage_is_noticed(inputs):
    labels = protein.make_labeller(inputs["sources"])("5cpx", ("A", "B", "C"))
    graph = {"coordinates": np.ones((4, 14, 3), np.float32), "num_chains": np.int64(3), "embeddings": None}
    data = example.encode_example(protein.ProteinExample("5cpx", ("A", "B", "C"), graph, labels, {}))
    assert example.decode_example(data).graph["num_chains"] == 3
    for bad in (data[:200], b"", b"pickle", data.replace(b"\x80\x3f", b"\x80\x40", 1)):
        with pytest.raises(ValueError, match="expected the bytes of an example"):
            example.decode_example(bad)
    with pytest.raises(ValueError, match="5cpx: expected an array of numbers in the graph's names, got list"):
        example.encode_example(protein.ProteinExample("5cpx", (), {"names": ["x"]}, labels, {}))


def test_real_structures_are_found(shared_data):
    found = structure_files.find_structures(shared_data / "proteins" / "structures")
    assert os.path.basename(found["1dix"]) == "1dix.cif" and os.path.basename(found["11as"]) == "11as.pdb"
    assert not {"edge", "4hhh"} & found.keys()
