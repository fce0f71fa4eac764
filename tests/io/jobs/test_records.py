"""Records with provenance come back as they went, are made once, and are never mistaken for others."""

import pytest

from jaxalign.data import PreferenceRecord
from jaxalign.io.jobs import records
from tests.full_disk import limited

RECORDS = [
    PreferenceRecord("q", ("a\nb", "ü"), (1.0, 0.25), source="s", id="7"),
    PreferenceRecord(({"role": "user", "content": "hi"},), ("", "x"), (0.5, 0.5)),
]
MADE_BY = {"seed": 0, "temperature": 0.7, "student": "abc", "step": 100}


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "new" / "pairs.jsonl"
    assert records.stored_records(file, MADE_BY, lambda: RECORDS) == RECORDS
    assert records.read_provenance(file) == MADE_BY
    assert sorted(path.name for path in file.parent.iterdir()) == ["pairs.jsonl", "pairs.jsonl.provenance.json"]


def test_records_are_made_once(tmp_path):
    file = tmp_path / "pairs.jsonl"
    records.stored_records(file, MADE_BY, lambda: RECORDS)
    again = records.stored_records(file, MADE_BY, lambda: pytest.fail("made again"))
    assert again == RECORDS


def test_another_provenance_is_named(tmp_path):
    file = tmp_path / "pairs.jsonl"
    records.stored_records(file, MADE_BY, lambda: RECORDS)
    changed = {**MADE_BY, "step": 200, "rounds": 2}
    with pytest.raises(ValueError, match="rounds was None and is 2, step was 100 and is 200"):
        records.stored_records(file, changed, lambda: pytest.fail("made again"))
    (tmp_path / "pairs.jsonl.provenance.json").unlink()
    with pytest.raises(FileNotFoundError, match="provenance.json is missing"):
        records.stored_records(file, MADE_BY, lambda: RECORDS)


def test_a_full_disk_leaves_no_half_file(tmp_path):
    file = tmp_path / "pairs.jsonl"
    with limited(150), pytest.raises(OSError, match="could not write .*pairs.jsonl: .*too large.* Free space"):
        records.stored_records(file, MADE_BY, lambda: RECORDS)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl.provenance.json"]
    assert records.stored_records(file, MADE_BY, lambda: RECORDS) == RECORDS


def test_nothing_to_write(tmp_path):
    with pytest.raises(ValueError, match="no record to write to .*pairs.jsonl"):
        records.stored_records(tmp_path / "pairs.jsonl", MADE_BY, lambda: [])
