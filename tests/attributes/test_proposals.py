"""Dimensions, similar classes, values and instructions from a scripted model, and where it falls short."""

import pytest

from jaxalign.attributes import (
    ClassAttribute,
    SharedAttribute,
    find_similar_classes,
    parse_task,
    propose_dimensions,
    propose_values,
    render_task,
    write_instructions,
)
from tests.attributes.fakes import Writer
from tests.attributes.tiny import STYLE, TASK, TOPIC

BARE = type(TASK)(TASK.document, TASK.classes)


def silent(asked, **_):
    return [[] for _ in asked]


def test_dimensions_are_for_a_person_to_choose_from():
    writer = Writer(proposed={"dimensions": ["**Style**", "Place", "style", "3D view"]})
    found = propose_dimensions(writer, TASK, count=3)
    assert found.names == ("Style", "Place", "3D view") and found.text.startswith("- **Style**")
    assert propose_dimensions(writer, TASK, count=1).names == ("Style",)
    assert propose_dimensions(silent, TASK) == ((), "")


def test_similar_classes():
    similar = {
        "sports": ["World News", "Science and Technology", "Cooking"],
        "science and technology": ["sports", "science and technology"],
        "world news": ["politics"],
    }
    task, short, unknown = find_similar_classes(Writer(similar=similar), BARE)
    assert task.similar == {"sport": ("world", "tech"), "tech": ("sport",)}  # two others at most, not five
    assert short == {"tech": 1, "world": 0}
    assert unknown == {"sport": ("Cooking",), "tech": ("science and technology",), "world": ("politics",)}
    assert find_similar_classes(Writer(similar=similar), BARE, count=1).task.similar["sport"] == ("world",)


def test_what_a_person_wrote_is_not_asked_for_again():
    writer = Writer(similar={"world news": ["sports"]}, proposed={("subtopic", "world news"): ["3G", "war"]})
    task = find_similar_classes(writer, TASK, count=1).task
    assert task.similar == {**TASK.similar, "world": ("sport",)} and len(writer.prompts) == 1
    part = ClassAttribute("topic", "subtopic", {label: TOPIC.values[label] for label in ("sport", "tech")})
    found = propose_values(writer, TASK, part, count=2)
    assert found.attribute.values == {**part.values, "world": ("3G", "war")} and found.short == {}
    assert propose_values(writer, TASK, STYLE) == (STYLE, {}) and len(writer.prompts) == 2


def test_values_keep_their_digits():
    lists = {"writing style": ["3D report", '"21" as a motto', "3D report", "interview"]}
    style = SharedAttribute("style", "writing style")
    found = propose_values(Writer(proposed=lists), TASK, style, count=3)
    assert found == (SharedAttribute("style", "writing style", ("3D report", '"21" as a motto', "interview")), {})
    assert propose_values(Writer(proposed=lists), TASK, style, count=4).short == {"": 3}
    assert propose_values(silent, TASK, style) == (style, {"": 0})


def test_values_of_each_class_avoid_its_similar_classes():
    lists = {("subtopic", name): [f"2 {name}", f"3 {name}"] for name in TASK.classes.values()}
    writer = Writer(proposed=lists)
    found = propose_values(writer, TASK, ClassAttribute("topic", "subtopic"), count=2)
    assert found.attribute.values == {label: (f"2 {name}", f"3 {name}") for label, name in TASK.classes.items()}
    assert 'Name none that also fits the classes "sports" and "world news".' in writer.prompts[1]
    assert propose_values(silent, TASK, TOPIC.__class__("t", "t")).short == {"sport": 0, "tech": 0, "world": 0}
    task = TASK.with_attribute(found.attribute)
    assert parse_task(render_task(task)) == task


def test_instructions():
    assert write_instructions(Writer(), TASK).by_label["tech"] == "Write about science and technology in many ways."
    assert write_instructions(silent, TASK) == ({}, ("sport", "tech", "world"))


def test_counts_are_checked():
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        propose_values(silent, TASK, STYLE, count=0)
    with pytest.raises(ValueError, match="max_tokens: expected at least 1, got 0"):
        propose_dimensions(silent, TASK, max_tokens=0)
