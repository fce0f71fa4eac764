import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from jaxalign import data

LISTS = [
    {"prompt": "p", "responses": ["a", "b", ""], "labels": [0.1, 0.9, 0.5], "set": "x"},
    {"prompt": [{"role": "user", "content": "q"}], "responses": ["c"], "labels": [1.0], "set": "y"},
]
RECORDS = [
    data.PreferenceRecord("p", ("a", "b", ""), (0.1, 0.9, 0.5), source="x"),
    data.PreferenceRecord(({"role": "user", "content": "q"},), ("c",), (1.0,), source="y"),
]
LONG = [
    {"prompt_id": 1, "prompt": "p", "response": "a", "preference": 0.1},
    {"prompt_id": 2, "prompt": "q", "response": "c", "preference": 1.0},
    {"prompt_id": 1, "prompt": "p", "response": "b", "preference": 0.9},
]
LONG_COLUMNS = data.ResponseColumns(id="prompt_id", label="preference")


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_of_lists():
    assert data.read_rows(LISTS, data.ListColumns(source="set")) == (RECORDS, data.SourceReport(2, 0, ()))


def test_rows_of_single_responses_are_grouped_in_order_of_appearance():
    records, report = data.read_rows(LONG, LONG_COLUMNS, group_by_id=True)
    first, second = records
    assert first == data.PreferenceRecord("p", ("a", "b"), (0.1, 0.9), id="1")
    assert second == data.PreferenceRecord("q", ("c",), (1.0,), id="2")
    assert report.rows == 3


def test_rows_that_nobody_has_judged():
    expected = [data.PreferenceRecord("p", ("a", "b"), (0.5, 0.5), id="3")]
    row = {"prompt": "p", "responses": ["a", "b"], "one": "a", "two": [{"role": "assistant", "content": "b"}], "n": 3}
    assert data.read_rows([row], data.UnlabelledColumns(id="n")).records == expected
    assert data.read_rows([row], data.UnlabelledColumns(responses=("one", "two"), id="n")).records == expected
    with pytest.raises(ValueError, match="row 1: three: no such column"):
        data.read_rows([row], data.UnlabelledColumns(responses=("one", "three")))


def test_rows_of_ranks_and_pairs():
    ranked = {"question": "p", "responses": ["a", "b"], "order": np.array([2, 1])}
    columns = data.RankColumns(prompt="question", ranks="order")
    assert data.read_rows([ranked], columns).records[0].labels == (0.25, 0.75)
    pair = {"prompt": "p", "chosen": "good", "rejected": [{"role": "assistant", "content": "bad"}]}
    assert data.read_rows([pair], data.PairColumns()).records == [data.PreferenceRecord.from_pair("p", "good", "bad")]


def test_pair_of_whole_chats():
    start = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    row = {f: [*start, {"role": "assistant", "content": f[0]}] for f in ("chosen", "rejected")}
    assert data.read_rows([row], data.PairColumns(prompt=None)).records[0] == data.PreferenceRecord.from_pair(
        start, "c", "r"
    )
    row["rejected"][1] = {"role": "user", "content": "another question"}
    with pytest.raises(ValueError, match="row 1: chosen, rejected: expected chats that differ in their last"):
        data.read_rows([row], data.PairColumns(prompt=None))


def test_any_function_may_read_a_row():
    def row_fn(row):
        return data.PreferenceRecord(row["post"]["text"], tuple(row["summaries"]), (1.0, 0.0))

    assert data.read_rows([{"post": {"text": "p"}, "summaries": ("a", "b")}], row_fn).records[0].prompt == "p"
    with pytest.raises(ValueError, match="row 2: KeyError: 'post'"):
        data.read_rows([{"post": {"text": "p"}, "summaries": ("a", "b")}, {}], row_fn)


def test_parquet_equals_jsonl_equals_memory(tmp_path):
    rows = [LISTS[0], {**LISTS[0], "prompt": "r"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    columns = data.ListColumns(source="set")
    expected = data.read_rows(rows, columns)
    assert data.read_parquet(tmp_path / "a.parquet", columns) == expected
    assert data.read_jsonl(write_jsonl(tmp_path / "a.jsonl", rows), columns) == expected


def test_several_files_are_one_source(tmp_path):
    paths = [write_jsonl(tmp_path / f"{n}.jsonl", [row]) for n, row in enumerate(LONG)]
    assert data.read_jsonl(paths, LONG_COLUMNS, group_by_id=True) == data.read_rows(
        LONG, LONG_COLUMNS, group_by_id=True
    )


def test_chats_in_parquet(tmp_path):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([LISTS[1]]), tmp_path / "a.parquet")
    assert data.read_parquet(tmp_path / "a.parquet", data.ListColumns(source="set")).records == [RECORDS[1]]


@pytest.mark.parametrize(
    "bad, message",
    [
        ('{"prompt": "p", "responses": ["a"], "labels": [2]}', "labels: expected numbers in .0, 1., got 2 at index 0"),
        ('{"prompt": "p", "responses": ["a"]}', "labels: no such column; the row has prompt, responses"),
        ('{"prompt": "p", "responses": null, "labels": [1]}', "responses: the row has no value here"),
        ('{"prompt": "p", "responses": "a", "labels": [1]}', "responses: expected a list, got 'a'"),
        ('{"prompt": "p", "responses": [', "Expecting value"),
        ("[1]", "expected a JSON object, got list"),
        (b"\xff", "invalid start byte|can't decode"),
    ],
)
def test_a_bad_row_is_named_or_skipped_and_counted(bad, message, tmp_path):
    path = tmp_path / "a.jsonl"
    good = json.dumps(LISTS[0]).encode()
    path.write_bytes(b"\n".join([good, b"", bad if isinstance(bad, bytes) else bad.encode(), good]))
    with pytest.raises(ValueError, match=rf"a\.jsonl, row 3: .*({message})"):
        data.read_jsonl(path, data.ListColumns())
    records, report = data.read_jsonl(path, data.ListColumns(), skip_bad_rows=True)
    assert len(records) == 2
    assert report.rows == 3 and report.skipped == 1
    assert report.problems[0].startswith(f"{path}, row 3: ")


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"responses": ["fine", "a\ud800b"], "labels": [0.5, 0.5]}, "responses: .*'.ud800' at character 1"),
        ({"prompt": [{"role": "user", "content": "\udfff"}]}, "prompt: .*'.udfff' at character 0"),
        ({"prompt": "cut \ud83d"}, "prompt: .*'.ud83d' at character 4"),
        ({"set": "\udc00"}, "set: .*'.udc00'"),  # the source, whose column is called otherwise
    ],
)
def test_half_a_surrogate_pair_is_a_bad_row(bad, field, tmp_path):
    """JSON can spell it, and no tokenizer reads it: file, row and column are told here, or it is counted."""
    path = tmp_path / "a.jsonl"
    rows = [LISTS[0], {**LISTS[0], **bad}, {**LISTS[0], "prompt": "whole \U0001f600", "unused": "\ud800"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = data.ListColumns(source="set")
    with pytest.raises(ValueError, match=rf"a\.jsonl, row 2: {field}.*Remove it or write the whole character"):
        data.read_jsonl(path, columns)
    source = data.read_jsonl(path, columns, skip_bad_rows=True)
    assert [record.prompt for record in source.records] == [LISTS[0]["prompt"], "whole \U0001f600"]
    assert (source.report.skipped, source.rows) == (1, [0, 2])


def test_bytes_that_are_no_text_are_a_bad_row():
    rows = [{**LISTS[0], "prompt": b"fine"}, {**LISTS[0], "prompt": b"\xff"}]
    with pytest.raises(ValueError, match="row 2: .*invalid start byte"):
        data.read_rows(rows, data.ListColumns())
    assert data.read_rows(rows, data.ListColumns(), skip_bad_rows=True).report.skipped == 1


def test_records_know_their_rows(tmp_path):
    """Over several files, behind rows that were skipped; a group stands at its first row."""
    good, bad = json.dumps(LISTS[0]), '{"prompt": 3}'
    for name, lines in (("a", [bad, good, "", bad, good]), ("b", ["nothing", good])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert data.read_jsonl(paths, data.ListColumns(), skip_bad_rows=True).rows == [1, 3, 5]
    rows = [{}, LONG[0], LONG[1], LONG[2], {**LONG[0], "prompt_id": "late"}]
    grouped = data.read_rows(rows, LONG_COLUMNS, group_by_id=True, skip_bad_rows=True)
    firsts = {record.id: row for record, row in zip(grouped.records, grouped.rows, strict=True)}
    assert firsts == {"1": 1, "late": 4} | {str(LONG[n]["prompt_id"]): n + 1 for n in (2, 1, 0)}


def test_a_bad_row_of_a_group_leaves_the_rest(tmp_path):
    rows = [*LONG, {**LONG[0], "preference": None}, {**LONG[0], "prompt": "another"}, {**LONG[0], "prompt_id": ""}]
    with pytest.raises(ValueError, match="row 4: preference: the row has no value here"):
        data.read_rows(rows, LONG_COLUMNS, group_by_id=True)
    records, report = data.read_rows(rows, LONG_COLUMNS, group_by_id=True, skip_bad_rows=True)
    assert records == data.read_rows(LONG, LONG_COLUMNS, group_by_id=True).records
    assert report.skipped == 3
    assert "row 5: prompt: differs from that of earlier rows with id '1'" in report.problems[1]
    assert "row 6: id: empty" in report.problems[2]


def test_nothing_but_bad_rows_is_an_error():
    with pytest.raises(ValueError, match="no usable row among 3; the first problem: row 1: responses: no such column"):
        data.read_rows([{}, {}, {}], data.ListColumns(), skip_bad_rows=True)
    with pytest.raises(ValueError, match="no usable row among 0"):
        data.read_rows([], data.ListColumns())


def test_only_ten_problems_are_kept():
    report = data.read_rows([*LISTS, *[{}] * 12], data.ListColumns(), skip_bad_rows=True).report
    assert (report.rows, report.skipped, len(report.problems)) == (14, 12, 10)


def test_files_that_are_no_data(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.jsonl"):
        data.read_jsonl(tmp_path / "missing.jsonl", data.ListColumns())
    with pytest.raises(FileNotFoundError, match="missing.parquet"):
        data.read_parquet(tmp_path / "missing.parquet", data.ListColumns())
    (tmp_path / "text.parquet").write_text("this is no parquet file")
    with pytest.raises(ValueError, match="text.parquet: not a parquet file that can be read"):
        data.read_parquet(tmp_path / "text.parquet", data.ListColumns())


@pytest.mark.parametrize("split, rows, prompts", [("train", 31_913, 560), ("validation", 5_698, 100)])
def test_real_lists(shared_data, split, rows, prompts):
    """Counts from the data's README; some of its responses are empty."""
    columns = data.ResponseColumns(id="prompt_id", label="preference", source="source")
    path = shared_data / "alpacaeval_lists" / f"{split}.parquet"
    records, report = data.read_parquet(path, columns, group_by_id=True)
    assert (report.rows, report.skipped, len(records)) == (rows, 0, prompts)
    assert sum(len(record.responses) for record in records) == rows
    assert max(len(record.responses) for record in records) == 57
    assert any("" in record.responses for record in records)
    assert "vicuna" in {record.source for record in records}


def test_real_pairs(shared_data):
    path = shared_data / "hh_harmless" / "validation.parquet"
    records, report = data.read_parquet(path, data.PairColumns(id="id"))
    assert len(records) == report.rows == 559
    assert all(record.labels == (0.75, 0.25) for record in records)
