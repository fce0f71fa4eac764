"""A task and its file: every error names the field and the remedy, and what is written is read again as it was."""

import dataclasses
import re
import textwrap
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign.attributes import ClassAttribute, SharedAttribute, Task, parse_task, render_task, task_file

FILE = """
document = "news article"
lengths = [30, 100]
room = 50

[classes]
World = "world news"
Sports = "sports"
"Sci Tech" = "science and technology"

[similar]
World = ["Sports"]

[[attributes]]
name = "style"
phrase = "writing style"
kind = "shared"
values = ["interview", "3D report"]

[[attributes]]
name = "subtopics"
phrase = "subtopic"
kind = "class"
[attributes.values]
Sports = ["3D tracking", "100 m sprint"]
"Sci Tech" = ["\\"1984\\" as a model", "2K Games"]

[[attributes]]
name = "brands"
phrase = "brand"
kind = "class"
filtered = false
"""
TASK = Task(
    "news article",
    {"World": "world news", "Sports": "sports", "Sci Tech": "science and technology"},
    (
        SharedAttribute("style", "writing style", ("interview", "3D report")),
        ClassAttribute(
            "subtopics",
            "subtopic",
            {"Sports": ("3D tracking", "100 m sprint"), "Sci Tech": ('"1984" as a model', "2K Games")},
        ),
        ClassAttribute("brands", "brand", {}, filtered=False),
    ),
    {"World": ("Sports",)},
)
LINE = st.text(min_size=1).map(str.strip).filter(lambda text: text and len(text.splitlines()) == 1)


def test_a_file_by_hand():
    assert parse_task(FILE) == TASK
    assert TASK.attribute("style").values_of("World") == ("interview", "3D report")
    assert TASK.attribute("subtopics").values_of("Sports") == ("3D tracking", "100 m sprint")
    assert TASK.attribute("subtopics").values_of("World") == ()


def test_round_trip():
    assert parse_task(render_task(TASK)) == TASK
    several = dataclasses.replace(TASK, labels_from="subtopics", lengths=(), similar={}, room=7)
    assert parse_task(render_task(several)) == several
    bare = Task("review", {"a": "good", "b": "bad"})
    assert parse_task(render_task(bare)) == bare


@given(st.lists(LINE, unique=True), LINE, st.lists(LINE, unique=True, min_size=2, max_size=4))
def test_any_texts_come_back(values, phrase, labels):
    classes = {label: f"{place} {label}" for place, label in enumerate(labels)}
    attribute = ClassAttribute("a", phrase, {labels[0]: tuple(values)})
    task = Task(phrase, classes, (attribute, SharedAttribute("b", phrase, tuple(values))))
    assert parse_task(render_task(task)) == task


def test_the_example_of_the_documentation():
    example = textwrap.dedent(task_file.__doc__.partition("::")[2].partition("\nA stage writes")[0])
    task = parse_task(example)
    assert parse_task(render_task(task)) == task
    assert task.attribute("products").values_of("toys_games") == ('"1984", a board game', 'a 12" doll')
    assert task.similar == {"kitchen": ("toys_games",), "toys_games": ()} and not task.attribute("brands").filtered
    several = parse_task(example.replace("# labels_from", "labels_from"))
    assert several == dataclasses.replace(task, labels_from="products")
    fields = {name for kind in (Task, SharedAttribute, ClassAttribute) for name in kind.__dataclass_fields__}
    assert all(re.search(rf"^\W*{name}\b", example, re.MULTILINE) for name in fields)


def test_a_person_can_read_the_file():
    text = render_task(TASK)
    assert text.startswith("# ") and '\n    "3D tracking",\n' in text
    assert tomllib.loads(text)["attributes"][0]["values"] == ["interview", "3D report"]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('document = "news article"', "", "'document' is missing; add"),
        ('document = "news article"', "document = 3", "document: expected a text, got 3; put it into quotes"),
        ('document = "news article"', 'document = "a\\nb"', "document: expected one line"),
        ("room = 50", "rooms = 50", "unknown field 'rooms'; the fields are attributes, classes"),
        ("room = 50", 'room = "50"', "room: expected whole numbers of words above 0, got '50'; write"),
        ("room = 50", "labels_from = 5", "labels_from: expected a text, got 5"),
        (
            "room = 50",
            'labels_from = "style"',
            r"one of .'subtopics', 'brands'., got 'style'",
        ),
        ("[30, 100]", "[30, 0]", "lengths: expected whole numbers of words above 0, got 0"),
        ("[30, 100]", "[30, 30]", "lengths: 30 stands twice"),
        ("[30, 100]", "30", "lengths: expected a list, got 30; put it into brackets"),
        ('World = "world news"', 'World = "Sports"', "name 'sports' stands twice; prompts tell"),
        ('World = ["Sports"]', 'World = ["World"]', "similar: 'World' stands in its own list; remove"),
        (
            'World = ["Sports"]',
            'World = ["Sport"]',
            "similar, classes of 'World': 'Sport' is no label; expected one of",
        ),
        ('World = ["Sports"]', 'World = "Sports"', "similar of 'World': expected a list"),
        (
            'kind = "shared"',
            'kind = "global"',
            "attribute 'style', kind: expected \"shared\" or \"class\", got 'global'",
        ),
        ('kind = "shared"', 'kind = "shared"\nfiltered = true', "attribute 'style': unknown field 'filtered'"),
        ('["interview", "3D report"]', '["interview", 3]', "attribute 'style', values: expected a text, got 3; put it"),
        ('["interview", "3D report"]', '["b", "b"]', "attribute 'style', values: 'b' stands twice; remove"),
        ('["interview", "3D report"]', '["b "]', "attribute 'style', values: expected one line without blanks"),
        ('["interview", "3D report"]', "[3D report]", "the task is not TOML: .*line 18.*texts stand in quotes"),
        ('Sports = ["3D', 'Sport = ["3D', "attribute 'subtopics', values: 'Sport' is no label.* or add it"),
        ('name = "brands"', 'name = "style"', "attributes: the name 'style' stands twice"),
        ('name = "brands"', 'name = "length"', "the length of documents has a field of its own; write lengths"),
        ("filtered = false", "filtered = 0", "attribute 'brands', filtered: expected true or false, got 0"),
        ('phrase = "brand"', "", "attribute 'brands': the field 'phrase' is missing"),
    ],
)
def test_errors_name_field_and_remedy(old, new, message):
    assert old in FILE
    with pytest.raises(ValueError, match=message):
        parse_task(FILE.replace(old, new))


def test_one_class_is_no_task():
    with pytest.raises(ValueError, match="classes: expected at least 2, got 1"):
        Task("review", {"a": "good"})


def test_an_attribute_takes_the_place_of_its_name():
    new = SharedAttribute("style", "tone", ("dry",))
    assert TASK.with_attribute(new).attributes == (new, *TASK.attributes[1:])
    assert TASK.with_attribute(SharedAttribute("place", "place")).attributes[-1].name == "place"
    with pytest.raises(ValueError, match="got 'tone'; the task has style, subtopics, brands"):
        TASK.attribute("tone")


def test_a_proposed_attribute_becomes_one_of_classes_by_one_word():
    text = render_task(Task("note", {"a": "a", "b": "b"}, (SharedAttribute("topic", "topic"),)))
    edited = parse_task(text.replace('kind = "shared"', 'kind = "class"'))
    assert edited.attributes == (ClassAttribute("topic", "topic"),)
