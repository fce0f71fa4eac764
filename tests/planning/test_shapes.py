"""Lengths and structure of steps, by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign import planning
from jaxalign.planning import PARTS, Fact, Heading, PlannedArticle

ARTICLE = "# Life\n" + "Bees live in the hive. " * 19 + "\n# Work\nThey fly out."  # 1 + 19 * 5 + 1 + 3 = 100 words
GOOD = PlannedArticle(
    "Bees",
    ARTICLE,
    summary="Bees live in hives. They fly.",
    outline=(Heading("Life"), Heading("Young", 2), Heading("Old", 3), Heading("Work")),
    key_information=(Fact("Bees live in the hive."), Fact("They fly out of it")),
)
NUMBERS = st.floats(0.01, 1e6)


@given(st.floats(0, 1e6), NUMBERS, NUMBERS)
def test_length_scores_are_shares_and_1_where_wanted(length, one, other):
    least, greatest = sorted((one, other))
    score = planning.length_score(length, (least, greatest))
    assert 0 <= score <= 1
    assert (
        (score == 1)
        if least <= length <= greatest
        else score
        == pytest.approx(
            max(math.sin(math.pi / 2 * length / (least if length < least else greatest)), 0)
            if length < 2 * greatest
            else 0
        )
    )


def test_length_scores_by_hand():
    scores = [planning.length_score(length, (10, 10)) for length in (0, 5, 10, 15, 20, 30)]
    assert scores == pytest.approx([0, math.sqrt(0.5), 1, math.sqrt(0.5), 0, 0], abs=1e-12)


@pytest.mark.parametrize("wanted", [(0, 1), (2, 1), (1, math.inf), (math.nan, 1)])
def test_refuses_lengths_that_nobody_can_want(wanted):
    with pytest.raises(ValueError, match="least <= greatest"):
        planning.length_score(1, wanted)


def test_lengths_for_each_thousand_words():
    assert [planning.step_length(GOOD, part) for part in PARTS] == [60, 40, 20]  # of 6 words, 4 headings, 2 facts
    with pytest.raises(ValueError, match="an article with words"):
        planning.step_length(PlannedArticle("x", "...", summary="a"), "summary")


@pytest.mark.parametrize("part", PARTS)
def test_good_structure(part):
    assert planning.structure_score(GOOD, part) == 1
    with pytest.raises(ValueError, match=f"has no {part}"):
        planning.structure_score(PlannedArticle("x", "y"), part)


@pytest.mark.parametrize(
    ("summary", "score"),
    [
        (" ", 0),
        ("Bees live.\n\nThey fly.", (0.5 + 1 + 1 + 1) / 4),  # two paragraphs
        ("# Life\nThey fly.", (0.5 + 0.5 + 1 + 1) / 4),  # and a heading
        ("Bees live. They fly. Bees  LIVE.", (1 + 1 + 2 / 3 + 1) / 4),  # repeated
        ('They say "Bees live."', 1),
        ("Bees live and", (1 + 1 + 1 + 0) / 4),  # cut off
    ],
)
def test_structure_of_a_summary(summary, score):
    assert planning.structure_score(PlannedArticle("x", "y", summary=summary), "summary") == pytest.approx(score)


@pytest.mark.parametrize(
    ("levels", "titles", "score"),
    [
        ((1,), "a", (0.5 + 1 + 1 + 1) / 4),  # one heading
        ((2, 2), "ab", (1 + 0 + 1 + 1) / 4),  # begins below
        ((1, 3, 1), "abc", (1 + 1 + 1 / 2 + 1) / 4),  # a level is left out in one of two steps
        ((1, 2, 1, 2), "abcb", 1),  # one title under two headings
        ((1, 2, 1, 2), "abab", (1 + 1 + 1 + 1 / 2) / 4),  # repeated with all that stands under it
    ],
)
def test_structure_of_an_outline(levels, titles, score):
    record = PlannedArticle("x", "y", outline=tuple(map(Heading, titles, levels)))
    assert planning.structure_score(record, "outline") == pytest.approx(score)


@pytest.mark.parametrize(
    ("facts", "score"),
    [
        (("They fly.", "Bees live in the hive."), (1 / 2 + 1 + 1) / 3),  # no sentence
        (("They fly out of it", "they fly out of it."), (1 + 1 / 2 + 1) / 3),  # repeated
        (("Life", "They fly out of it"), (1 / 2 + 1 + 1 / 2) / 3),  # a heading, which is no sentence either
    ],
)
def test_structure_of_key_information(facts, score):
    record = PlannedArticle("x", ARTICLE, key_information=tuple(map(Fact, facts)))
    assert planning.structure_score(record, "key_information") == pytest.approx(score)
