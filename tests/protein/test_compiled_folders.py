"""What compiled folders of Protein-MT survive, and with what they are not mixed up."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxalign import protein
from jaxalign.protein import protein_mt
from tests.architecture import subprocesses
from tests.full_disk import limited
from tests.protein import files


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_run_reads_nothing(inputs, tmp_path, log):
    first = protein.compile_protein_mt(tmp_path / "compiled", **inputs, shard_size=2)
    before, read = contents(tmp_path / "compiled" / "train"), len(log())
    assert protein.compile_protein_mt(tmp_path / "compiled", **inputs, shard_size=2) == first
    assert len(log()) == read and contents(tmp_path / "compiled" / "train") == before


@pytest.mark.parametrize("damage", ["missing data", "missing report", "half a report", "cut data"])
def test_what_is_not_whole_is_written_again(inputs, tmp_path, log, damage):
    protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"], shard_size=2)
    folder = tmp_path / "compiled" / "train"
    before, read = contents(folder), len(log())
    data, report = folder / "shard-00001-of-00005.array_record", folder / "shard-00001-of-00005.json"
    (folder / "shard-00001-of-00005.array_record.part-1").write_bytes(b"half")
    {
        "missing data": data.unlink,
        "missing report": report.unlink,
        "half a report": lambda: report.write_text("{"),
        "cut data": lambda: os.truncate(data, 100),
    }[damage]()
    with pytest.raises(ValueError, match="shard-00001-of-00005.array_record missing or not as written"):
        protein.read_protein_mt(tmp_path / "compiled", "train")
    protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"], shard_size=2)
    assert log()[read:] == ["pdb5cpx.ent.gz", "6ppi.bcif"]
    assert contents(folder) == before


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_started_again(tmp_path, log, workers):
    """SIGKILL when a third of the shards stand; the second run makes the rest, and no entry of a whole shard."""
    files.write_inputs(tmp_path, num_more=31)  # 40 entries, 10 shards of 4
    folder = tmp_path / "compiled" / "train"
    program = f"from tests.protein import files; files.compile_inputs({str(tmp_path)!r}, {workers})"
    environment = os.environ | {"PYTHONPATH": str(subprocesses.ROOT), "JAXALIGN_TEST_SLEEP": "0.1"}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=subprocesses.ROOT, env=environment)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("shard-*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # workers see that their parent is gone
    read = log()
    time.sleep(0.5)
    assert log() == read
    finished = {path.name: path.read_bytes() for path in folder.glob("shard-*.json")}
    assert 4 <= len(finished) < 10 and not (folder / "report.json").exists()
    with pytest.raises(ValueError, match="has not finished"):
        protein.read_protein_mt(tmp_path / "compiled", "train")
    files.compile_inputs(tmp_path)
    again = log()[len(read) :]
    files.write_inputs(tmp_path / "whole", num_more=31)
    files.compile_inputs(tmp_path / "whole")
    assert contents(folder) == contents(tmp_path / "whole" / "compiled" / "train")
    entries = protein.read_split(tmp_path / "splits" / "train.txt")
    kept = {entry for name in finished for entry in entries[4 * int(name[6:11]) : 4 * int(name[6:11]) + 4]}
    assert again and not kept & {name[:4] for name in again if name.startswith("2")}


def test_other_settings_are_refused(inputs, tmp_path):
    make = functools.partial(protein.compile_protein_mt, tmp_path / "compiled", only=["train"])
    make(**inputs, shard_size=2, settings={"k": 7})
    for change, message in (
        ({"shard_size": 3}, "shard_size was 2 and is 3"),
        ({"settings": {"k": 9}}, "settings was {'k': 7} and is {'k': 9}"),
        ({"drop_inexact": True}, "drop_inexact was False and is True"),
        ({"make_graph": functools.partial(files.make_graph, neighbours=2)}, r"make_graph was .* is .*neighbours', 2"),
    ):
        with pytest.raises(ValueError, match=f"other settings: {message}.*name a new folder"):
            make(**inputs | {"shard_size": 2, "settings": {"k": 7}} | change)
    inputs["sources"].ec.write_text(files.EC + "9XYZ-A\t1.1.1.1\n")
    with pytest.raises(ValueError, match="source ec was"):
        make(**inputs, shard_size=2, settings={"k": 7})
    inputs["sources"].ec.write_text(files.EC)
    (tmp_path / "structures" / "7nil.pdb").write_text("A2")
    with pytest.raises(ValueError, match="structures was"):
        make(**inputs, shard_size=2, settings={"k": 7})


@pytest.mark.parametrize("limit", [200, 1500])
def test_a_full_disk_is_told(inputs, tmp_path, limit):
    """A limit of the file size, which is met by the manifest, or by the shard when its writer is closed."""
    with (
        limited(limit),
        pytest.raises(OSError, match="could not write .*Free space, then start the same command again"),
    ):
        protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"])
    assert not list((tmp_path / "compiled" / "train").glob("*.part-*"))
    assert protein.compile_protein_mt(tmp_path / "compiled", **inputs, only=["train"])["train"].examples == 4


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
