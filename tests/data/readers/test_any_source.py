"""Files of every kind and layout are read without being told what they are."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from jaxalign import data
from tests.data.readers.asked import ANSWERED, ASKED, CHAT_PAIR, PAIR, A, H, assistant, record, texts


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write_jsonl(path):
    path.write_bytes(lines([texts(chosen="2", rejected="3")]))


def write_array(path):
    path.write_text(json.dumps([{"prompt": ASKED, "chosen": [assistant("2")], "rejected": [assistant("3")]}], indent=1))


def write_gzip(path):
    path.write_bytes(gzip.compress(lines([texts(completion="2", label=True), texts(completion="3", label=False)])))


def write_zstandard(path):
    rows = [texts(response=answer, score=score, prompt_id="a") for answer, score in [("2", 5), ("3", 1), ("4", 2)]]
    with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(lines(rows))


def write_parquet(path):
    completions = [{"response": "2", "overall_score": 10.0}, {"response": "3", "overall_score": 5.5}]
    rows = [{"instruction": "1 + 1?", "completions": completions}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def write_csv(path):
    path.write_text('instruction,input,output\nAdd.,"1,\n1",2\nBe.,,"[I] ""am"""\n')


def write_tsv(path):
    path.write_text('prompt\tresponses\tranks\n1 + 1?\t"[""2"", ""3""]"\t[1, 2]\n')


def saved(rows):
    import datasets

    return datasets.Dataset.from_list(rows)


def write_folder(path):
    saved([{"chosen": ANSWERED, "rejected": [*ASKED, assistant("3")]}]).save_to_disk(path)


def write_splits(path):
    import datasets

    row = {"chosen": f"{H}1 + 1?{A}2", "rejected": f"{H}1 + 1?{A}3"}
    datasets.DatasetDict({"train": saved([row] * 3), "test": saved([row])}).save_to_disk(path)


FILES = {
    "a.jsonl": (write_jsonl, "pairs", [PAIR]),
    "a.json": (write_array, "conversational pairs", [CHAT_PAIR]),
    "a.jsonl.gz": (write_gzip, "unpaired", [record("1 + 1?", ("2",), (1.0,)), record("1 + 1?", ("3",), (0.0,))]),
    "a.zst": (write_zstandard, "responses", [record("1 + 1?", ("2", "3", "4"), (1.0, 0.0, 0.25), id="a")]),
    "a.parquet": (write_parquet, "scored lists", [record("1 + 1?", ("2", "3"), (1.0, 0.5))]),
    "a.csv": (
        write_csv,
        "demonstrations",
        [record("Add.\n\n1,\n1", ("2",), (1.0,)), record("Be.", ('[I] "am"',), (1.0,))],
    ),
    "a.tsv": (write_tsv, "ranked lists", [PAIR]),
    "folder": (write_folder, "implicit-prompt pairs", [CHAT_PAIR]),
    "splits": (write_splits, "transcripts", [CHAT_PAIR]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for name, (write, _, _) in FILES.items():
        write(folder / name)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_each_is_recognised_and_read(name, folder):
    _, layout, records = FILES[name]
    source, found = data.read_any(folder / name, split="test" if name == "splits" else None)
    assert found.name == layout and found.seen.startswith(f"{layout}: ")
    assert source.records == records and source.report.skipped == 0


def test_columns_may_be_named(folder):
    columns = {"prompt": "prompt", "completion": "rejected"}
    source, layout = data.read_any(folder / "a.jsonl", columns=columns)
    assert layout.name == "demonstrations" and source.records == [record("1 + 1?", ("3",), (1.0,))]


def test_plain_rows(folder):
    assert data.plain_rows(folder / "a.jsonl") == [texts(chosen="2", rejected="3")]
    assert data.plain_rows(folder / "a.tsv") == [texts(responses=["2", "3"], ranks=[1, 2])]
    assert len(data.plain_rows(folder / "splits", split="train")) == 3


def test_bad_rows_are_named_or_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"prompt": \n' + lines([texts(chosen="2", rejected="3"), texts(chosen="2")]))
    with pytest.raises(ValueError, match=r"a.jsonl, row 1: Expecting value"):
        data.read_any(path)
    source, layout = data.read_any(path, skip_bad_rows=True)
    assert layout.name == "pairs" and source.records == [PAIR] and source.rows == [1]
    assert source.report[:2] == (3, 2) and "row 3: rejected: no such column" in source.report.problems[1]


REFUSED = {
    "missing.jsonl": ({}, "no such file or folder; correct it, or write tfds:NAME"),
    ".": ({}, "expected a folder that datasets.save_to_disk wrote; name a file in it"),
    "a.jsonl": ({"split": "train"}, "a file has no splits, got split='train'; leave it out"),
    "folder": ({"split": "train"}, "one data set without splits, got split='train'; leave it out"),
    "splits": ({}, "splits: expected split to be one of train, test, got None; name one of them"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_source(name, folder):
    options, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        data.read_any(folder / name, **options)


def test_a_part_that_is_missing_or_damaged(folder):
    with pytest.raises(ValueError, match="one of train, test, got 'validation'"):
        data.plain_rows(folder / "splits", split="validation")
    part = next((folder / "splits" / "train").glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:20])
    with pytest.raises(ValueError, match="not an Arrow file that can be read.*save the data set again"):
        data.plain_rows(folder / "splits", split="train")
    part.unlink()
    with pytest.raises(ValueError, match="not an Arrow file that can be read"):
        data.plain_rows(folder / "splits", split="train")


def test_real_transcripts(shared_data):
    """The README of the data: 559 rows, of which few have a name within an answer, or an empty one."""
    source, layout = data.read_any(shared_data / "hh_harmless" / "validation.parquet", skip_bad_rows=True)
    assert layout.name == "transcripts" and layout.seen.endswith("not used: turns")
    assert source.report.rows == 559 and len(source.records) > 500


def test_real_lists(shared_data):
    """The README of the data: 5,698 responses to 100 prompts, with probabilities as labels."""
    source, layout = data.read_any(shared_data / "alpacaeval_lists" / "validation.parquet")
    assert layout.name == "responses" and "'preference' has numbers in [0, 1]" in layout.seen
    assert len(source.records) == 100 and sum(len(each.responses) for each in source.records) == 5698
