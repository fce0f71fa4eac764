"""Merged subtopics: groups by brute force, labels that nothing resets, and what a task makes of them."""

import dataclasses
import itertools
import random

import pytest
from rapidfuzz import fuzz

from jaxalign.attributes import (
    OTHER,
    ClassAttribute,
    MergedValue,
    labels_of,
    merge_values,
    read_attributes,
    sample_assignments,
)
from tests.attributes.tiny import TASK


def attribute(values):
    return ClassAttribute("topic", "subtopic", values)


def test_by_hand():
    given = {
        "a": ("3D printing", "Reinforcement learning", OTHER),
        "b": ("reinforcement  learnings", OTHER),
        "c": ("go",),
    }
    new, merged = merge_values(attribute(given))
    # ratio = 100 (1 - indel distance / total length): "reinforcement learning" (22) and with an s (23): 100 (1 - 1/45).
    assert merged == (
        MergedValue("Reinforcement learning", ("Reinforcement learning", "reinforcement  learnings"), ("a", "b")),
    )
    assert new.values == {
        "a": ("3D printing", "Reinforcement learning", OTHER),
        "b": ("Reinforcement learning", OTHER),
        "c": ("go",),
    }


def test_a_repeated_subtopic_adds_its_label_and_resets_none():
    given = {"a": ("chess",), "b": ("go", "chess"), "c": ("Chess", "chess!")}
    new, merged = merge_values(attribute(given))
    assert merged == (MergedValue("chess", ("chess", "Chess", "chess!"), ("a", "b", "c")),)
    assert new.values == {"a": ("chess",), "b": ("go", "chess"), "c": ("chess",)}


def test_the_threshold_itself_is_near():
    given = {"a": ("abcdefghij",), "b": ("abcdefghix",)}  # one of ten exchanged: 2 of 20 letters, a ratio of 90
    assert len(merge_values(attribute(given)).merged) == 1
    assert merge_values(attribute(given), threshold=90.1).merged == ()
    with pytest.raises(ValueError, match="threshold: expected a number above 0, at most 100, got 0.0"):
        merge_values(attribute(given), threshold=0.0)


def test_groups_equal_brute_force():
    rng = random.Random(0)
    values = list(dict.fromkeys("".join(rng.choices("ab", k=rng.randint(8, 12))) for _ in range(60)))
    groups = [{value} for value in values]
    for one, other in itertools.combinations(values, 2):
        if fuzz.ratio(one, other) >= 90:
            first, second = (next(g for g in groups if value in g) for value in (one, other))
            if first is not second:
                groups.remove(second)
                first |= second
    found = merge_values(attribute({"a": tuple(values[::2]), "b": tuple(values[1::2])})).merged
    assert {frozenset(each.variants) for each in found} == {frozenset(g) for g in groups if len(g) > 1}
    turned = merge_values(attribute({"b": tuple(values[1::2][::-1]), "a": tuple(values[::2][::-1])})).merged
    assert {frozenset(each.variants) for each in turned} == {frozenset(each.variants) for each in found}


def test_documents_get_the_labels_of_a_merged_value():
    merged = merge_values(attribute({"sport": ("chess",), "tech": ("3D printing", "Chess"), "world": ("chess.",)}))
    task = dataclasses.replace(TASK, labels_from="topic", attributes=(merged.attribute,))
    labels = {dict(each.values)["topic"]: set(labels_of(task, each)) for each in sample_assignments(task, 20)}
    assert labels == {"chess": {"sport", "tech", "world"}, "3D printing": {"tech"}}
    assert merge_values(merged.attribute).attribute == merged.attribute


def test_nothing_to_merge():
    assert merge_values(attribute({})) == (attribute({}), ())
    only_other = attribute({"a": (OTHER,), "b": (OTHER,)})
    assert merge_values(only_other) == (only_other, ())


def test_real_subtopics(shared_data):
    read = read_attributes(shared_data / "attrprompt_attributes" / "attributes.parquet")
    given = attribute(read.by_class["arxiv", "subtopics"])
    new, merged = merge_values(given)
    before = {label: set(values) for label, values in given.values.items()}
    for each in merged:
        assert each.value == each.variants[0]
        assert set(each.labels) == {label for label, values in before.items() if values & set(each.variants)}
        assert all(each.value in new.values[label] for label in each.labels)
    assert len([each for each in merged if len(each.labels) > 1]) > 113  # those that are equal, and near ones
