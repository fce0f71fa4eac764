"""What models answer about a task: classes in any spelling, and yes or no by a grammar."""

import pytest

from jaxalign.attributes import (
    Task,
    find_class,
    match_classes,
    parse_classes,
    parse_yes_no,
)
from tests.attributes.tiny import TASK


def test_classes_by_name_and_label():
    found = parse_classes("1. Science & technology\n2. Science and Technology: it is near\n3. WORLD\n4. Cooking", TASK)
    assert found.labels == ("tech", "world") and found.unknown == ("Science & technology", "Cooking")
    assert parse_classes("None.", TASK) == ((), ())


def test_classes_that_marks_alone_tell_apart():
    task = Task("question", {"c": "C", "cpp": "C++", "cs": "C#", "rust": "Rust", "..": "dots"})
    assert [find_class(task, name) for name in ("C++", "c++", "C#", "CPP", "rust.")] == [
        "cpp",
        "cpp",
        "cs",
        "cpp",
        "rust",
    ]
    assert find_class(task, "(C)") is None  # three classes are spelt like it
    assert find_class(task, "...") is None and find_class(task, "") is None
    assert parse_classes("1. C++: it is near\n2. C", task) == (("cpp", "c"), ())


def test_names_of_a_file():
    found = match_classes(["Sports", "science-and technology", "SPORT", "Cooking", "cooking"], TASK)
    assert found == (("sport", "tech"), ("Cooking", "cooking"))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Yes", True),
        ("yes.", True),
        ("**Yes**, it belongs to sports.", True),
        ("1", True),
        ("1 (Yes)", True),
        ("The answer is yes.", True),
        ("<think>No? 0.</think>Yes", True),
        ("No", False),
        ("0", False),
        ("No. It has nothing to do with the 1 class above.", False),  # "1" anywhere is not yes
        ("No, yesterday's news is none of these.", False),  # nor is "yes"
        ("Answer: No", False),
        ("No, only 1 of them is close", False),
        ("1. No", None),
        ("Yes and no", None),
        ("10 of them", None),
        ("It depends: 1 of the classes may fit", None),
        ("Formula 1 is a sport", None),
        ("I cannot say yes", None),
        ("", None),
        ("<think>Yes", None),
    ],
)
def test_yes_and_no(text, expected):
    assert parse_yes_no(text) is expected
