import pytest

from jaxalign import data


def test_one_label_several_and_none():
    rows = [{"t": "a", "l": "x", "n": 1}, {"t": "b", "l": ["x", "y"], "n": 2}, {"t": "", "l": 3, "n": 3}]
    found = data.read_rows(rows, data.TextColumns("t", label="l", id="n")).records
    assert found == [("a", ("x",), "1"), ("b", ("x", "y"), "2"), ("", ("3",), "3")]
    assert data.read_rows([{"text": "a"}], data.TextColumns()).records == [data.TextRow("a")]


def test_a_text_of_several_columns():
    columns = data.TextColumns(("title", "body"), label="l")
    row = {"title": "A goal ", "body": "in  time", "l": 0}
    assert data.read_rows([row], columns).records == [("A goal  in  time", ("0",), "")]  # nothing is cleaned
    with pytest.raises(ValueError, match="row 1: body: expected a text, got 3"):
        data.read_rows([row | {"body": 3}], columns)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": 3, "label": "x"}, "row 1: text: expected a text, got 3"),
        ({"label": "x"}, "row 1: text: no such column; the row has label"),
        ({"text": "a", "label": None}, "row 1: label: the row has no value here"),
        ({"text": "a", "label": ["x", None]}, r"row 1: label: expected the name or number of a class.*got .'x', None"),
        ({"text": "a", "label": True}, "got True"),
        ({"text": "half \ud800", "label": "x"}, "row 1: text: holds half of a surrogate pair"),
    ],
)
def test_bad_rows_are_named(row, message):
    with pytest.raises(ValueError, match=message):
        data.read_rows([row], data.TextColumns(label="label"))
