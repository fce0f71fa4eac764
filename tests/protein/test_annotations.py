import json

import pytest

from jaxalign import metrics, protein
from jaxalign.protein import annotations

EC = "### EC-numbers\n3.2.2.9\t3.2.2.-\t1.1.1.1\n### PDB-chain\tEC-numbers\n4PR3-A\t3.2.2.9,3.2.2.-\n1TNT-a\t1.1.1.1\n"
GO = """### GO-terms (molecular_function)
GO:1\tGO:2
### GO-names (molecular_function)
one\ttwo, "quoted"
### GO-terms (biological_process)
GO:3\tGO:4\tGO:5
### GO-names (biological_process)
three\tfour\tfive
### GO-terms (cellular_component)
GO:6
### GO-names (cellular_component)
six
### PDB-chain\tGO-terms (molecular_function)\tGO-terms (biological_process)\tGO-terms (cellular_component)
1ABC-A\tGO:2,GO:1\tGO:5\tGO:6
1ABC-B\t\tGO:3,GO:4\t
2XYZ-AA\tGO:1\t\t
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="file.tsv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_names():
    assert [protein.entry_name(name) for name in ("1F4E", "3QRF-f", "11as-AA")] == ["1f4e", "3qrf-f", "11as-AA"]
    for name in "abcd", "1f4", "1f4e-", "1f4e_A", "":
        with pytest.raises(ValueError, match="expected a PDB code"):
            protein.entry_name(name)


def test_ec(write):
    found = protein.read_ec(write(EC))
    assert found.terms == ("3.2.2.9", "3.2.2.-", "1.1.1.1")
    # Codes in lower case; chain a is not chain A.
    assert found.chains == {"4pr3-A": (0, 1), "1tnt-a": (2,)}


def test_go(write):
    found = protein.read_go(write(GO))
    assert {task: table.terms for task, table in found.items()} == {
        "go_mf": ("GO:1", "GO:2"),
        "go_bp": ("GO:3", "GO:4", "GO:5"),
        "go_cc": ("GO:6",),
    }
    # An empty column: the chain is missing from that branch, and not without any function.
    assert found["go_mf"].chains == {"1abc-A": (0, 1), "2xyz-AA": (0,)}
    assert found["go_bp"].chains == {"1abc-A": (2,), "1abc-B": (0, 1)}
    assert found["go_cc"].chains == {"1abc-A": (0,)}


@pytest.mark.parametrize("read, text", [(protein.read_ec, EC), (protein.read_go, GO)])
def test_line_ends_of_either_kind(tmp_path, read, text):
    (tmp_path / "unix").write_bytes(text.encode())
    (tmp_path / "windows").write_bytes(text.replace("\n", "\r\n").encode())
    assert read(tmp_path / "unix") == read(tmp_path / "windows")


@pytest.mark.parametrize(
    "text, message",
    [
        (
            EC.replace("### EC-numbers", "### GO"),
            "line 1: expected a header such as .*EC-numbers', got '### GO'",
        ),
        (EC.replace("1.1.1.1\n###", "3.2.2.9\n###"), "line 2: expected distinct terms.*got 3, of which 2"),
        (EC.replace("### PDB-chain", "PDB-chain"), "line 3: expected a header"),
        (EC + "1ABC-A\n", "line 6: expected 2 columns with tabs between, got 1"),
        (EC + "1ABC-A\t9.9.9.9\n", r"line 6: 1abc-A has \['9.9.9.9'\], which the header does not list"),
        (EC + "1ABC-A\t\n", "line 6: expected one EC number or more for 1abc-A"),
        (EC + "1ABC\t1.1.1.1\n", "line 6: expected code and chain such as 4PR3-A, got '1ABC'"),
        (EC + "1TNT-a\t3.2.2.9\n", "line 6: 1tnt-a has other terms on an earlier line"),
        ("\n".join(EC.split("\n")[:3]), "expected rows from line 4, got none"),
        ("", "line 1: expected a header"),
    ],
)
def test_malformed_ec(write, text, message):
    with pytest.raises(ValueError, match=f"file.tsv.*{message}"):
        protein.read_ec(write(text))


@pytest.mark.parametrize(
    "text, message",
    [
        (GO.replace("(biological_process)\nGO:3", "(process)\nGO:3"), "line 5: expected a header.*biological_process"),
        (GO + "1DEF-A\tGO:1\tGO:3\n", "line 17: expected 4 columns with tabs between, got 3"),
        (GO + "1DEF-A\tGO:3\t\t\n", r"line 17: 1def-A has \['GO:3'\]"),
    ],
)
def test_malformed_go(write, text, message):
    with pytest.raises(ValueError, match=f"file.tsv, {message}"):
        protein.read_go(write(text))


def test_an_equal_row_twice_is_one(write):
    assert protein.read_ec(write(EC + "1TNT-a\t1.1.1.1\n")) == protein.read_ec(write(EC, "other"))


def test_chain_map(write):
    content = {"1o5g": {"L": "P00734", "h": "P00734"}, "5OHV-D": {}, "index": {}}
    found = protein.read_chain_map(write(json.dumps(content)))
    assert found == {"1o5g": {"L": "P00734", "h": "P00734"}, "5ohv-D": {}}
    for bad, message in (
        ({"1o5g": {"L": 1}}, "entry 1o5g: expected chains and their UniProt ids, got {'L': 1}"),
        ({"index": {"L": "P1"}}, "got 'index'"),
        ({"1o5g": {}, "1O5G": {"A": "P1"}}, "entry 1O5G: expected one set of chains"),
        ([], "expected an object of entries, got list"),
    ):
        with pytest.raises(ValueError, match=f"file.tsv.*{message}"):
            protein.read_chain_map(write(json.dumps(bad)))
    with pytest.raises(ValueError, match="file.tsv: expected JSON"):
        protein.read_chain_map(write("{"))


def test_split(write):
    assert protein.read_split(write("3QRF-F\n\n1F4E \n")) == ("3qrf-F", "1f4e")
    for text, message in (
        ("1f4e\nhello\n", "line 2: expected a PDB code"),
        ("1f4e\n1F4E\n", "line 2: 1f4e stands on line 1 already"),
        ("\n", "one entry or more"),
    ):
        with pytest.raises(ValueError, match=message):
            protein.read_split(write(text))


def test_splits_of_a_folder(write, tmp_path):
    with pytest.raises(ValueError, match="got none that end in .txt"):
        protein.read_splits(tmp_path)
    write("1f4e\n", "train.txt")
    write("2abc\n", "nrPDB-EC_2020.04_test.txt")
    assert protein.read_splits(tmp_path) == {"train": ("1f4e",), "nrPDB-EC_2020.04_test": ("2abc",)}


def test_identity_bins(write):
    header = "PDB-chain,<30%,<40%,<50%,<70%,<95%\r\n"
    found = protein.read_identity_bins(write(header + "2FOR-A,0,0,1,1,1\r\n"))
    assert found == {"2for-A": (False, False, True, True, True)}
    for text, message in (
        (header.replace("<30%,", ""), "line 1: expected the columns"),
        (header + "2FOR-A,0,0,1,1\n", "line 2: expected a chain and five of 0 or 1"),
        (header + "2FOR-A,0,0,1,1,2\n", "line 2: expected a chain and five of 0 or 1"),
    ):
        with pytest.raises(ValueError, match=message):
            protein.read_identity_bins(write(text))
    assert annotations.IDENTITY_COLUMNS == metrics.IDENTITY_BINS


def test_published_counts(shared_data):
    folder = shared_data / "proteins" / "annotations"
    ec = protein.read_ec(folder / "nrPDB-EC_2020.04_annot.tsv")
    assert (len(ec.terms), len(ec.chains)) == (538, 19201)
    splits = protein.read_splits(folder)
    sizes = {name.removeprefix("nrPDB-"): len(entries) for name, entries in splits.items()}
    assert sizes == {
        "EC_2020.04_train": 15551,
        "EC_2020.04_valid": 1729,
        "EC_2020.04_test": 1919,
        "GO_2019.06.18_train": 29902,
        "GO_2019.06.18_valid": 3323,
        "GO_2019.06.18_test": 3416,
    }
    for part in "train", "valid", "test":
        assert ec.chains.keys() >= set(splits[f"nrPDB-EC_2020.04_{part}"])
    joint = protein.read_splits(folder / "protein_mt_split")
    assert {name: len(entries) for name, entries in joint.items()} == {
        "train": 330,
        "train_all": 28541,
        "val": 530,
        "test": 467,
    }
    # train_all holds what is labelled in part: it does not contain train.
    assert len(set().union(*joint.values())) == 330 + 28541 + 530 + 467
    assert set(protein.read_chain_map(folder / "chain_to_uniprot.json")) >= set().union(*joint.values())
    bins = protein.read_identity_bins(folder / "nrPDB-EC_2020.04_test.csv")
    assert set(bins) == set(splits["nrPDB-EC_2020.04_test"])
    assert [sum(column) for column in zip(*bins.values(), strict=True)] == [720, 902, 1117, 1476, 1919]
    bins = protein.read_identity_bins(folder / "nrPDB-GO_2019.06.18_test.csv")
    assert set(bins) == set(splits["nrPDB-GO_2019.06.18_test"])
