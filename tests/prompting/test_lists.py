"""Lists, sections and blocks that a model wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign.prompting import guess_tokens, parse_blocks, parse_list, parse_sections

ITEMS = ("a red apple", "**Style**: how it reads", "pears.")


@pytest.mark.parametrize(
    "form",
    [
        "1. {}\n2. {}\n3. {}",  # numbered
        "1) {}\n2) {}\n3) {}",
        "Here are three:\n\n 1. {}\n\n 2. {}\n\n 3. {}\n\nShall I go on?",
        "- {}\n- {}\n- {}",  # bulleted
        "* {}\n* {}\n* {}",
        "Sure!\n• {}\n  • {}\n• {}",
        "<think>- an idea\n- another</think>- {}\n- {}\n- {}",
        '["{}", "{}", "{}"]',  # JSON
        'Here they are:\n```json\n[\n  "{}",\n  "{}",\n  "{}"\n]\n```',
        'See [the list]: ["{}", "{}", " ", "{}"].',
        "(1) {}\n(2) {}\n(3) {}",
        "1\\. {}\n2\\. {}\n3\\. {}",
        "– {}\n– {}\n– {}",
        "1. {}\n\n   Why not?\n2. {}\n3. {}",
        '"{}", "{}", "{}"',  # quoted
        'Here they are:\n"{}"\n"{}"\n"{}"\nShall I go on?',
        'Sure:\n"{}",\n"{}",\n"{}".',
        "“{}”, “{}”, and “{}”",
    ],
)
def test_numbered_bulleted_and_json_lists(form):
    assert parse_list(form.format(*ITEMS)) == ITEMS


DIGITS = ("3D printing", "2K Games", "1984 as a model", "3-manifold theory", "100", "1.5 million years")


@pytest.mark.parametrize("mark", ["{n}. ", "{n}) ", "({n}) ", "- ", "* ", "• "])
def test_digits_at_the_beginning_of_an_item_stay(mark):
    text = "\n".join(f"{mark.format(n=n)}{item}" for n, item in enumerate(DIGITS, 1))
    assert parse_list(text) == DIGITS
    assert parse_list(", ".join(f'"{item}"' for item in DIGITS)) == parse_list(json.dumps(DIGITS)) == DIGITS


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"Accuracy" and style matter most.',
        'He said "yes", "no" and more.',
        '"one alone"',
        "3D printing\n2K Games",
        "Accuracy and style matter most.",
        "1.5 is a number, and -3 another",
        "-no blank behind the dash",
        "[1, 2]",
        '["a", 1]',
        "[]",
        '["a", "b"] are two of them',
        '["a", "b"',
        '{"items": "a"}',
        "[" * 5000,
        "<think>- an idea\n- another",  # no end of the thinking, so no answer
    ],
)
def test_what_is_no_list(text):
    assert parse_list(text) == ()


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=1))
def test_any_json_array_of_texts_is_read(items):
    assert parse_list(json.dumps(items)) == tuple(items)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Good:\n- x\n1. y\nBad: z", {"Good": ("x", "y"), "Bad": ("z",)}),
        ("Bad:\n- N/A.\n\n**GOOD:** x", {"Good": ("x",), "Bad": ()}),
        ("Well:\n- no\nGood:\nBad:\n", {"Good": (), "Bad": ()}),
        ("Good:\n- x", None),
        ("Good:\n- x\nBad:\n- y\nGood:\n- z", None),
        ("Goods:\n- x\nBad:\n- y", None),
        ("<think>Good: x\nBad: y</think>", None),
    ],
)
def test_statements_under_headings(text, expected):
    found = parse_sections(text, ("Good", "Bad"))
    assert found == expected and (found is None or list(found) == ["Good", "Bad"])


def test_blocks_go_by_name_and_the_first_of_a_name_counts():
    text = "Well.\nClass: Fruit\napple\n## class: Tools **\nsaw\nClass: FRUIT\npear"
    assert parse_blocks(text, "Class") == {"fruit": "\napple\n", "tools": "\nsaw\n"}
    assert parse_blocks("<think>Class: a\nb", "Class") == parse_blocks("none", "Class") == {}


@pytest.mark.parametrize("text, expected", [("", 0), ("four", 1), ("seven s", 2), ("äöü", 2), ("\ud800", 1)])
def test_tokens_are_estimated_from_bytes(text, expected):
    assert guess_tokens(text) == expected
