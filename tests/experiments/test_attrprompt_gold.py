"""Gold sets: texts as they are, with the labels of a task, or an error that says what to do."""

import json

import pyarrow.parquet
import pytest

from experiments.attrprompt.gold import AGNEWS, SST2, GoldColumns, read_gold
from jaxalign.attributes import Task

TASK = Task("news article", {"World": "world news", "Sports": "sports", "Sci_Tech": "science and technology"})


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_labels_by_label_name_and_spelling(tmp_path):
    given = ["Sci/Tech", "science and technology", "SPORTS", ["World", "world news", "sports"]]
    path = write(tmp_path / "gold", *({"text": f"t{n}", "label": label} for n, label in enumerate(given)))
    rows, counts, report = read_gold(path, TASK)
    assert [row.labels for row in rows] == [("Sci_Tech",), ("Sci_Tech",), ("Sports",), ("World", "Sports")]
    assert counts == {"World": 1, "Sports": 2, "Sci_Tech": 2} and report.rows == 4


def test_numbers_get_their_names(tmp_path):
    path = write(tmp_path / "gold", {"t": "a", "l": 2}, {"t": "b", "l": "0"})
    columns = GoldColumns(("t",), "l", ("World", "Sports", "sci/tech"))
    rows, counts, _ = read_gold(path, TASK, columns)
    assert rows == [("a", ("Sci_Tech",), ""), ("b", ("World",), "")] and counts["Sports"] == 0
    digits = Task("number", {"0": "zero", "2": "two"})
    assert [row.labels for row in read_gold(path, digits, GoldColumns(("t",), "l")).rows] == [("2",), ("0",)]


def test_no_text_is_cleaned(tmp_path):
    raw = {"title": " Oil &lt;up&gt;  #36;5", "description": "AP\\\\says  so \t", "label_name": "World"}
    assert (
        read_gold(write(tmp_path / "gold", raw), TASK, AGNEWS).rows[0].text
        == " Oil &lt;up&gt;  #36;5 AP\\\\says  so \t"
    )


@pytest.mark.parametrize(
    ("label", "columns", "message"),
    [
        (
            "Cooking",
            GoldColumns(),
            "gold, row 2: label: 'Cooking' is no class of the task, whose classes are World, Sports",
        ),
        ("Cooking", GoldColumns(), "Sci_Tech; rename it in the file or in the task, or leave out such rows"),
        (
            1,
            GoldColumns(),
            "row 2: label: '1' is no class .*; say which class each number is, by its name, in the order",
        ),
        (
            3,
            GoldColumns(names=("World", "Sports")),
            "label: 3 is beyond the 2 names of classes, which are World, Sports; name",
        ),
        (0, GoldColumns(names=("Cooking",)), "label: 'Cooking' is no class of the task"),
        ("World", GoldColumns(("title",)), "row 1: title: no such column; the row has text, label"),
        ("World", GoldColumns(label="topic"), "row 1: topic: no such column; the row has text, label"),
    ],
)
def test_errors(tmp_path, label, columns, message):
    path = write(
        tmp_path / "gold", {"text": "a", "label": 0 if columns.names else "World"}, {"text": "b", "label": label}
    )
    with pytest.raises(ValueError, match=message):
        read_gold(path, TASK, columns)


def test_bad_rows_can_be_left_out_and_are_counted(tmp_path):
    rows = ({"text": text, "label": label} for text, label in [("a", "World"), ("b", "Cooking"), (3, "World")])
    gold = read_gold(write(tmp_path / "gold", *rows), TASK, skip_bad_rows=True)
    assert [row.text for row in gold.rows] == ["a"] and gold.report.skipped == 2 and len(gold.report.problems) == 2


def test_a_long_list_of_classes_is_shortened(tmp_path):
    task = Task("text", {f"c{n}": f"class {n}" for n in range(98)})
    with pytest.raises(ValueError, match="c9 and 88 more; rename"):
        read_gold(write(tmp_path / "gold", {"text": "a", "label": "z"}), task)


def test_real_news(shared_data):
    """Titles and descriptions as they stand, backslashes and broken entities included."""
    path = shared_data / "agnews_test" / "test.parquet"
    task = Task("news article", {"World": "w", "Sports": "s", "Business": "b", "Sci_Tech": "t"})
    rows, counts, report = read_gold(path, task, AGNEWS)
    assert counts == dict.fromkeys(task.classes, 1900) and report == (7600, 0, ())
    table = pyarrow.parquet.read_table(path).to_pylist()
    assert [row.text for row in rows] == [f"{row['title']} {row['description']}" for row in table]
    by_number = read_gold(path, task, GoldColumns(("title", "description"), "label", tuple(task.classes)))
    assert by_number.rows == rows
    assert sum("\\" in row.text for row in rows) >= 772


def test_real_reviews(shared_data):
    path = shared_data / "sst2" / "test.parquet"
    rows, counts, _ = read_gold(path, Task("movie review", {"negative": "negative", "positive": "positive"}), SST2)
    numbers = pyarrow.parquet.read_table(path)["label"].to_pylist()
    assert [row.labels for row in rows] == [("positive",) if number else ("negative",) for number in numbers]
    assert counts == {"negative": numbers.count(0), "positive": numbers.count(1)} and len(rows) == 1821


def test_real_questions_and_intents(shared_data):
    coarse = {
        "ABBR": "abbreviation",
        "DESC": "description",
        "ENTY": "thing",
        "HUM": "person",
        "LOC": "place",
        "NUM": "number",
    }
    task = Task("question", coarse)
    assert read_gold(shared_data / "trec6_50" / "test.parquet", task, GoldColumns(label="coarse")).counts["ABBR"] == 9
    with pytest.raises(ValueError, match="fine: '[A-Z]+:[a-z]+' is no class of the task"):  # no part of it is taken
        read_gold(shared_data / "trec6_50" / "test.parquet", task, GoldColumns(label="fine"))
    intents = Task("request", {"pto_balance": "PTO balance", "oos": "out of scope"})
    gold = read_gold(
        shared_data / "clinc150" / "test.parquet", intents, GoldColumns(label="intent"), skip_bad_rows=True
    )
    assert gold.counts == {"pto_balance": 30, "oos": 1000} and gold.report.skipped == 5500 - 1030
