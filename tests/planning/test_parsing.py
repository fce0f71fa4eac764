"""Steps as teachers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign import planning
from jaxalign.planning import PARTS, Fact, Heading, PlannedArticle

OUTLINE = (Heading("Life"), Heading("Young", 2), Heading("Work"))
FACTS = (Fact("Bees live in hives."), Fact("They fly."))


@pytest.mark.parametrize(
    ("part", "text", "value"),
    [
        ("summary", "Bees live.", "Bees live."),
        ("summary", "Sure! Here is a summary:\n\nBees live. They fly.", "Bees live. They fly."),
        ("summary", "**Summary:** Bees live.", "Bees live."),
        ("summary", "# Summary\nBees live.", "Bees live."),
        ("summary", "Summary judgement is a term of law.", "Summary judgement is a term of law."),
        ("summary", "<think>Short?</think><summary>\nBees live.\n</summary>", "Bees live."),
        ("summary", "Bees live.\n\nThey fly.", "Bees live.\n\nThey fly."),
        ("outline", "# Life\n## Young\n# Work", OUTLINE),
        ("outline", "Here is the outline:\n1. **Life**\n1.1 Young\n2. Work", OUTLINE),
        ("outline", "## Outline:\n# Life\n## Young\n# Work", OUTLINE),
        ("outline", "<outline>\n# Life\n## Young\n# Work\n</outline>", OUTLINE),
        ("key_information", "Key information:\n- Bees live in hives.\n- They fly.", FACTS),
        ("key_information", '["Bees live in hives.", "They fly."]', FACTS),
    ],
)
def test_is_read(part, text, value):
    assert planning.parse_step(part, text) == (value, "")


@pytest.mark.parametrize(
    ("part", "text", "reason"),
    [
        *((part, "<think>So", "unfinished thinking") for part in PARTS),
        *((part, " \n", "empty") for part in PARTS),
        *((part, "Here is the summary:\n", "empty") for part in PARTS),
        *((part, "I'm sorry, but I can't help with that.", "refused") for part in PARTS),
        ("summary", "**Summary**\n", "empty"),
        ("summary", "<summary></summary>", "empty"),
        ("outline", "It begins with life.", "another form"),
        ("key_information", "Bees live in hives.", "another form"),
        # A plan that has another mark in it could not be written out.
        ("summary", "<summary>Bees live.</summary><outline># Life</outline>", "another form"),
        ("outline", "# Life\n# The <article> tag", "another form"),
    ],
)
def test_is_not_read(part, text, reason):
    assert planning.parse_step(part, text) == (None, reason)


@given(st.sampled_from(PARTS), st.text("ab.#-1<>/\n *:sumaryotlie"))
def test_what_is_read_can_be_put_into_a_plan(part, text):
    value, reason = planning.parse_step(part, text)
    assert (value is None) == bool(reason)
    if value is not None:
        record = PlannedArticle("x", "y", **{part: value})
        assert set(planning.parse_plan(planning.render_plan(record, (part,)), (part,))) == {part}
