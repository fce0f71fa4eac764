"""One content in every form that files come in."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from jaxalign import data
from jaxalign.data.readers import files

PAIRS = [{"prompt": f"p{n} \u2028 ü", "chosen": "good", "rejected": "bad"} for n in range(3)]
RECORDS = [data.PreferenceRecord.from_pair(f"p{n} \u2028 ü", "good", "bad") for n in range(3)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in PAIRS).encode()


def zstandard(content):
    return pyarrow.Codec("zstd").compress(content, asbytes=True)


FORMS = {
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "of several members.gz": b"".join(gzip.compress(line + b"\n") for line in LINES.splitlines()),
    "a.jsonl.zst": zstandard(LINES),
    "named as if it were plain.jsonl": gzip.compress(LINES),
    "named as if it were compressed.jsonl.gz": LINES,
    "blank lines.jsonl": b"\n \n" + LINES.replace(b"\n", b"\n\n"),
    "no line end.jsonl": LINES.rstrip(),
    "with a mark.jsonl": b"\xef\xbb\xbf" + LINES,
    "array.json": json.dumps(PAIRS).encode(),
    "indented array.json.gz": gzip.compress(json.dumps(PAIRS, indent=2).encode()),
    "array, a row a line.json.zst": zstandard(b"[" + b",\n".join(LINES.splitlines()) + b"]\n"),
}


@pytest.mark.parametrize("name", FORMS)
def test_rows_of_every_form(name, tmp_path):
    (tmp_path / name).write_bytes(FORMS[name])
    assert data.read_jsonl(tmp_path / name, data.PairColumns()).records == RECORDS
    assert data.read_file(tmp_path / name, data.PairColumns()).records == RECORDS


@pytest.mark.parametrize("name", ["a.parquet", "parquet by another name", "a.jsonl"])
def test_parquet_by_its_content(name, tmp_path):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(PAIRS), tmp_path / name)
    assert data.read_file(tmp_path / name, data.PairColumns()).records == RECORDS


BAD = {
    "cut off": (gzip.compress(LINES)[:-12], "ends early or is damaged"),
    "damaged": (gzip.compress(LINES)[:20] + b"\x00\xff" * 40, "ends early or is damaged"),
    "another checksum": (gzip.compress(LINES)[:-8] + b"12345678", "ends early or is damaged"),
    "damaged zstandard": (zstandard(LINES)[:10] + b"garbage" * 9, "ends early or is damaged"),
    "cut off zstandard": (zstandard(LINES)[:-9], "ends early or is damaged"),
    "a bad row": (gzip.compress(b'{"prompt": "p"}\n'), "row 1: chosen: no such column"),
    "a cut off array": (b'[{"prompt": "p"},\n', "begins as an array of JSON objects, and is none"),
    "an item": (b'[{"prompt": "p", "chosen": "a", "rejected": "b"}, 3]', "row 2: expected a JSON object, got int"),
    "lines of lists": (b"[1, 2]\n[3, 4]\n", "row 1: expected a JSON object, got list"),
    "nothing": (b"", "no usable row among 0"),
    "an empty array": (b"[]", "no usable row among 0"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_says_why(kind, tmp_path):
    content, words = BAD[kind]
    (tmp_path / "pairs").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        data.read_jsonl(tmp_path / "pairs", data.PairColumns())


def test_rows_are_read_as_they_are_asked_for(tmp_path):
    (tmp_path / "two.gz").write_bytes(gzip.compress(LINES))
    rows = files.json_rows(tmp_path / "two.gz")
    assert next(rows) == (1, LINES.splitlines(keepends=True)[0])
    rows.close()
