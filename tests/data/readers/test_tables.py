"""CSV and TSV files: what is a text, what is JSON, and which rows are refused."""

import pytest

from jaxalign import data


def read(tmp_path, text, row_fn=dict, name="a.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return data.read_csv(path, row_fn, **options)


def test_cells_are_texts(tmp_path):
    rows = read(tmp_path, 'a,b\r\n042,"two\nlines, ""quoted"""\r\n\r\nTrue,\r\n').records
    assert rows == [{"a": "042", "b": 'two\nlines, "quoted"'}, {"a": "True", "b": ""}]


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_other_delimiters(tmp_path, delimiter):
    assert read(tmp_path, f"a{delimiter}b\n1,5{delimiter}2\n").records == [{"a": "1,5", "b": "2"}]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n").records == [{"a": "1", "b": "2"}]


def test_a_column_is_json_as_a_whole_or_not_at_all(tmp_path):
    text = 'lists,texts,objects\n"[1, 2]",[1],"{""x"": 1}"\n,a,"{""x"": 2}"\n'
    first, second = read(tmp_path, text).records
    assert first == {"lists": [1, 2], "texts": "[1]", "objects": '{"x": 1}'}  # an object that is no message is a text
    assert second == {"lists": None, "texts": "a", "objects": '{"x": 2}'}


def test_labels_are_read_from_texts(tmp_path):
    text = "id,prompt,response,label\n1,p,a,0.75\n1,p,b,true\n"
    source = read(tmp_path, text, data.ResponseColumns(), group_by_id=True)
    assert source.records == [data.PreferenceRecord("p", ("a", "b"), (0.75, 1.0), id="1")]


def test_cells_longer_than_the_csv_module_takes(tmp_path):
    assert read(tmp_path, f"a,b\n{'x' * 200_000},1\n").records == [{"a": "x" * 200_000, "b": "1"}]


def test_rows_of_another_length_are_bad_rows(tmp_path):
    text = "a,b\n1,2\n1\n1,2,3\n"
    with pytest.raises(ValueError, match="a.csv, row 2: expected 2 cells, as the header has names, got 1"):
        read(tmp_path, text)
    source = read(tmp_path, text, skip_bad_rows=True)
    assert source.report[:2] == (3, 2) and source.records == [{"a": "1", "b": "2"}]


REFUSED = {
    "nothing": ("", "expected a header of different names, got nothing"),
    "names twice": ("a,a\n1,2\n", "expected a header of different names, got a, a"),
    "no rows": ("a,b\n", "no usable row among 0"),
    "an open quote": ('a,b\n"1,2\n', "not a table in UTF-8 that can be read: unexpected end of data; export it again"),
    "another encoding": (b"a,b\n\xff,2\n", "not a table in UTF-8 that can be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table(tmp_path, case):
    text, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text)
