"""Each form of file from a disk."""

import json

import pyarrow
import pyarrow.parquet as parquet
import pytest

from jaxalign.taxonomy import Taxonomy, merge_same_names, read_taxonomy

EXPECTED = Taxonomy(("pets", "guinea pigs", "food"), ((), (0,), (1,)))
ROWS = [
    {"label": number, "name": name, "parents": parents}
    for number, (name, parents) in enumerate([("pets", []), ("guinea_pigs", [0]), ("food", [1])])
]


@pytest.mark.parametrize(
    "name, text",
    [
        ("classes.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("classes.json", '{"pets": {"guinea_pigs": ["food"]}}'),
        ("classes.txt", "pets > guinea_pigs > food\n\n"),
    ],
)
def test_files(tmp_path, name, text):
    (tmp_path / name).write_text(text, "utf-8")
    assert merge_same_names(read_taxonomy(tmp_path / name)) == EXPECTED


def test_parquet(tmp_path):
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "classes.parquet")
    assert merge_same_names(read_taxonomy(tmp_path / "classes.parquet")) == EXPECTED


def test_a_folder(tmp_path):
    (tmp_path / "labels.txt").write_text("0\tpets\n1\tguinea_pigs\n2\tfood\n", "utf-8")
    with pytest.raises(FileNotFoundError, match="label_hierarchy.txt missing; name a file instead"):
        read_taxonomy(tmp_path)
    (tmp_path / "label_hierarchy.txt").write_text("0\t1\n1\t2\n", "utf-8")
    assert merge_same_names(read_taxonomy(tmp_path)) == EXPECTED
    (tmp_path / "label_hierarchy.txt").write_text("0 1\n", "utf-8")
    with pytest.raises(ValueError, match="label_hierarchy.txt, line 1: expected two columns"):
        read_taxonomy(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_taxonomy(tmp_path / "nothing.txt")
