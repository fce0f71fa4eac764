"""Assignments: uniform draws by their frequencies, balance by counting, and what may not change what."""

import collections
import dataclasses
import itertools

import pytest
import scipy.stats

from jaxalign.attributes import (
    OTHER,
    Assignment,
    ClassAttribute,
    SharedAttribute,
    Task,
    balance_assignments,
    labels_of,
    plain_assignments,
    sample_assignments,
)
from tests.attributes.tiny import STYLE, TASK

DESIGNS = pytest.mark.parametrize("assign", [sample_assignments, balance_assignments])


def test_the_draws_of_a_seed_are_fixed():
    """As they came out once: files of earlier runs must come out again, on any version of Python."""
    first, *_, last = sample_assignments(TASK, 2, seed=3)
    assert first == Assignment(
        "sport", 0, (("style", "opinion"), ("topic", "chess"), ("brand", "3M"), ("length", "30 to 80"))
    )
    assert (last.label, last.number) == ("world", 1)


@DESIGNS
def test_values_are_texts_of_the_class_in_the_order_of_the_task(assign):
    for assignment in assign(TASK, 20):
        values = dict(assignment.values)
        assert list(values) == ["style", "topic", "brand", "length"]
        assert values.pop("length") in ("30 to 80", "100 to 150")
        for name, value in values.items():
            assert value in TASK.attribute(name).values_of(assignment.label)


@DESIGNS
def test_more_documents_change_no_earlier_one(assign):
    few, many = assign(TASK, 5, seed=1), assign(TASK, 50, seed=1)
    assert many[: len(few)] == few
    of_one = assign(TASK, {"tech": 30, "sport": 5}, seed=1)
    assert {(each.label, each.number): each for each in many}.items() >= {
        (e.label, e.number): e for e in of_one
    }.items()
    assert collections.Counter(each.label for each in of_one) == {"tech": 30, "sport": 5}
    assert assign(TASK, 50, seed=2) != many and assign(TASK, 50, seed=1) == many


@DESIGNS
def test_another_attribute_changes_no_draw(assign):
    more = dataclasses.replace(TASK, attributes=(SharedAttribute("a", "a", ("x", "y")), *TASK.attributes))
    for one, other in zip(assign(TASK, 9), assign(more, 9), strict=True):
        assert one.values == other.values[1:]


def test_draws_are_uniform_and_independent():
    task = Task("text", {"a": "one", "b": "two"}, (STYLE, SharedAttribute("t", "t", tuple("pqrs"))))
    drawn = sample_assignments(task, 1500, seed=0)
    for label in task.classes:
        joint = collections.Counter(each.values for each in drawn if each.label == label)
        assert len(joint) == 3 * 4 * 2
        assert scipy.stats.chisquare(list(joint.values())).pvalue > 1e-3
    pairs = collections.Counter(zip(*([e.values for e in drawn if e.label == label] for label in "ab"), strict=True))
    assert len(pairs) > 500  # of 576: classes do not get the same values


def test_balanced_counts_differ_by_one_at_most_for_any_number_of_documents():
    drawn = balance_assignments(TASK, 13, seed=4)
    for label, name in itertools.product(TASK.classes, ("style", "topic", "brand", "length")):
        values = [dict(each.values)[name] for each in drawn if each.label == label]
        possible = ("30 to 80", "100 to 150") if name == "length" else TASK.attribute(name).values_of(label)
        for count in range(14):
            counts = [values[:count].count(value) for value in possible]
            assert max(counts) - min(counts) <= 1 and sum(counts) == count


def test_balanced_attributes_are_not_tied_to_each_other():
    attributes = tuple(SharedAttribute(name, name, tuple("pqrs")) for name in "ab")
    drawn = balance_assignments(Task("text", {"a": "one", "b": "two"}, attributes, lengths=()), 400)
    joint = collections.Counter(each.values for each in drawn)
    assert len(joint) == 16 and scipy.stats.chisquare(list(joint.values())).pvalue > 1e-3


def test_class_alone():
    assert plain_assignments(TASK, {"tech": 2, "sport": 1}) == (
        Assignment("sport", 0),
        Assignment("tech", 0),
        Assignment("tech", 1),
    )


def test_several_labels_come_from_the_value():
    several = dataclasses.replace(TASK, labels_from="topic")
    chess, other = Assignment("tech", 0, (("topic", "chess"),)), Assignment("tech", 0, (("topic", OTHER),))
    assert labels_of(several, chess) == ("tech", "sport") and labels_of(TASK, chess) == ("tech",)
    everywhere = several.with_attribute(ClassAttribute("topic", "t", {label: (OTHER,) for label in TASK.classes}))
    assert labels_of(everywhere, other) == ("tech",)
    assert labels_of(several, Assignment("world", 0)) == ("world",)


@DESIGNS
def test_errors(assign):
    with pytest.raises(ValueError, match="count: 'sports' is no label; expected one of sport, tech, world"):
        assign(TASK, {"sports": 3})
    with pytest.raises(ValueError, match="count: expected at least 0 documents of 'sport', got -1"):
        assign(TASK, -1)
    with pytest.raises(ValueError, match="attribute 'place' has no values; have them proposed, write some, or remove"):
        assign(TASK.with_attribute(SharedAttribute("place", "place")), 1)
    partly = TASK.with_attribute(ClassAttribute("topic", "t", {"sport": ("chess",)}))
    with pytest.raises(ValueError, match="attribute 'topic' has no values for class 'tech'"):
        assign(partly, 1)
    assert len(assign(partly, {"sport": 2})) == 2 and assign(TASK, 0) == ()
