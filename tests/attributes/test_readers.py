"""Attribute values of files: real ones, where each defect is named, and small ones by hand."""

import collections

import pyarrow
import pyarrow.parquet
import pytest

from jaxalign.attributes import SharedAttribute, read_attributes, read_labels

COLUMNS = ("dataset", "attribute", "class", "label", "value")
ROWS = [
    ("d", "style", "", "", "3D printing"),
    ("d", "topic", "a", "A", "2K Games"),
    ("d", "topic", "a", "A", "2K Games"),
    ("d", "topic", "b_b", "B_b", "100"),
    ("d", "topic", "bb", "", "100"),
    ("d", "topic", "bb", "", "Sure! Here are two:"),
    ("d", "topic", "c", "", "chess"),
]


def write(path, rows):
    columns = zip(*rows, strict=True)
    pyarrow.parquet.write_table(pyarrow.table(dict(zip(COLUMNS, map(list, columns), strict=True))), path)
    return path


@pytest.fixture(scope="module")
def real(shared_data):
    folder = shared_data / "attrprompt_attributes"
    labels = [(dataset, label) for dataset, each in read_labels(folder / "labels.parquet").items() for label in each]
    return read_attributes(folder / "attributes.parquet", labels=labels)


def all_values(read):
    yield from (value for values in read.shared.values() for value in values)
    yield from (value for of in read.by_class.values() for values in of.values() for value in values)


def test_by_hand(tmp_path):
    values, by_class, report = read_attributes(write(tmp_path / "rows", ROWS))
    assert values == {("d", "style"): ("3D printing",)}
    assert by_class == {("d", "topic"): {"A": ("2K Games",), "B_b": ("100",), "bb": ("100",), "c": ("chess",)}}
    assert report.rows == 7 and report.repeated == 1 and report.preambles == ("Sure! Here are two:",)
    assert report.unlabelled == (("d", "bb"), ("d", "c")) and report.suggested == {("d", "bb"): "B_b"}


def test_renamed_classes_join_their_label(tmp_path):
    read = read_attributes(write(tmp_path / "rows", ROWS), renames={("d", "bb"): "B_b"})
    assert read.by_class["d", "topic"] == {"A": ("2K Games",), "B_b": ("100",), "c": ("chess",)}
    assert read.report.unlabelled == (("d", "c"),)


def test_a_number_is_no_value(tmp_path):
    path = write(tmp_path / "rows", [("d", "length", "", "", 30)])
    with pytest.raises(ValueError, match="row 1: value: expected a text, got 30; write numbers as texts"):
        read_attributes(path)


def test_attributes_for_a_task(tmp_path):
    read = read_attributes(write(tmp_path / "rows", ROWS))
    style = read.attribute("d", "style", name="style", phrase="writing style")
    assert style == SharedAttribute("style", "writing style", ("3D printing",))
    assert read.attribute("d", "topic", name="t", phrase="t").values_of("A") == ("2K Games",)
    with pytest.raises(ValueError, match="d: expected one of its attributes, style, topic, got 'tone'"):
        read.attribute("d", "tone", name="t", phrase="t")


def test_real_pairs_and_counts(real):
    pairs = collections.Counter(dataset for dataset, _ in [*real.shared, *real.by_class])
    assert sum(pairs.values()) == 31 and pairs["agnews"] == 6
    assert real.report.rows == 6329 and real.report.repeated == 7
    assert len(list(all_values(real))) == 6329 - 7 - 1  # the preamble


def test_real_values_keep_their_digits(real):
    beginning = [value for value in all_values(real) if value[0].isdigit()]
    assert len(beginning) == 21
    assert {"3D printing", "2K Games", "3M", "3-manifold theory", "30", "100"} <= set(beginning)


def test_real_values_are_those_of_the_file(real, shared_data):
    table = pyarrow.parquet.read_table(shared_data / "attrprompt_attributes" / "attributes.parquet")
    assert {*all_values(real), *real.report.preambles} == set(table["value"].to_pylist())


def test_real_class_names_without_a_label(real):
    """All nine of the whole set are in the part at hand; seven are another spelling of a label."""
    alike = {
        "comicbooks": "comic_books",
        "covid19positive": "covid19_positive",
        "elitedangerous": "elite_dangerous",
        "monsterhunter": "monster_hunter",
        "nomansskythegame": "nomans_sky_the_game",
        "personalfinancecanada": "personal_finance_canada",
        "pokemongofriends": "pokemongo_friends",
    }
    reddit = {("reddit", name) for name in (*alike, "coins4sale")}
    assert len(real.report.unlabelled) == 9 and set(real.report.unlabelled) == reddit | {("nyt", "cosmos")}
    assert real.report.suggested == {("reddit", name): label for name, label in alike.items()}


def test_real_chat_preamble(real):
    (preamble,) = real.report.preambles
    assert preamble.startswith("As an AI language model") and preamble not in all_values(real)


def test_real_labels(shared_data):
    labels = read_labels(shared_data / "attrprompt_attributes" / "labels.parquet")
    assert labels["agnews"] == ("World", "Sports", "Business", "Sci_Tech")
    assert sum(map(len, labels.values())) == 198
