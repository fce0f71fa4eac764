"""A compiled Protein-MT is continued with the functions, structures and rules that it was made with, or not at all."""

import functools
import os
import threading

import pytest

from jaxalign import protein
from jaxalign.protein import protein_mt
from tests.protein import files


def bound(neighbours):
    """Functions of one name that make other graphs."""

    def make_graph(structure):
        return files.make_graph(structure, neighbours=neighbours)

    class Maker:
        def __init__(self, count):
            self.count = count

        def __call__(self, structure):
            return files.make_graph(structure, neighbours=self.count)

    return {
        "closure": make_graph,
        "lambda": lambda structure: files.make_graph(structure, neighbours=neighbours),
        "partial": functools.partial(files.make_graph, neighbours=neighbours),
        "object": Maker(neighbours),
        "array": functools.partial(
            lambda structure, k: files.make_graph(structure, neighbours=int(k[900])), k=[neighbours] * 2000
        ),
    }


@pytest.mark.parametrize("kind", ["closure", "lambda", "partial", "object", "array"])
def test_a_function_of_the_same_name_with_other_arguments_is_refused(inputs, tmp_path, kind, log):
    make = functools.partial(protein.compile_protein_mt, tmp_path / "compiled", only=["train"])
    first = make(**inputs | {"make_graph": bound(1)[kind]})
    read = len(log())
    assert make(**inputs | {"make_graph": bound(1)[kind]}) == first and len(log()) == read
    with pytest.raises(ValueError, match="other settings: make_graph was .* and is .*name a new folder"):
        make(**inputs | {"make_graph": bound(2)[kind]})
    assert make(**inputs | {"make_graph": bound(1)[kind]}) == first and len(log()) == read


def test_a_function_that_cannot_be_read_needs_a_key(inputs, tmp_path):
    lock = threading.Lock()
    make = functools.partial(protein.compile_protein_mt, tmp_path / "compiled", only=["train"])

    def make_graph(structure):
        with lock:
            return files.make_graph(structure)

    functions = inputs | {"make_graph": make_graph}
    with pytest.raises(ValueError, match="make_graph depends on .*lock.*Pass function_keys"):
        make(**functions)
    make(**functions, function_keys={"make_graph": "one neighbour"})
    with pytest.raises(ValueError, match="make_graph was 'one neighbour' and is 'two'"):
        make(**functions, function_keys={"make_graph": "two"})
    with pytest.raises(ValueError, match="expected function_keys of read_structure, make_graph, got make_graf"):
        make(**functions, function_keys={"make_graf": "two"})


@pytest.mark.parametrize("before, after", [("A3 B2", "A2 B3"), ("A3 B2", "A4 B1"), ("A3 B2", "A3 C2")])
def test_a_structure_that_was_changed_is_noticed_by_its_content(inputs, tmp_path, before, after):
    path = tmp_path / "structures" / "1abc.pdb"
    assert path.read_text() == before
    make = functools.partial(protein.compile_protein_mt, tmp_path / "compiled", **inputs, only=["train"])
    first, times = make(), path.stat()
    path.write_text(after)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ValueError, match="other settings: structures was"):
        make()
    path.write_text(before)
    assert make() == first


def test_other_rules_of_reading_are_refused(inputs, tmp_path, monkeypatch):
    make = functools.partial(protein.compile_protein_mt, tmp_path / "compiled", **inputs, only=["train"])
    make()
    monkeypatch.setattr(protein_mt, "RULES", protein_mt.RULES + 1)
    with pytest.raises(ValueError, match=f"rules was {protein_mt.RULES - 1} and is {protein_mt.RULES}"):
        make()
    assert len(protein.read_protein_mt(tmp_path / "compiled", "train")) == 4  # what was compiled is still there
