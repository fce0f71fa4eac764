"""The grammar of plan and article: what is rendered is read again, and nothing else is ever read as an article."""

import random
import re

import hypothesis
import pytest
from hypothesis import strategies as st

from jaxalign import planning
from jaxalign.planning import PARTS, Fact, Heading, PlannedArticle

RECORD = PlannedArticle(
    "Bees",
    "# Life\nBees live in colonies.",
    summary="Bees are insects.",
    outline=(Heading("Life"), Heading("Young", 2)),
    key_information=(Fact("Bees fly.", ("https://bees.example",)), Fact("Bees sting.")),
)
PLAN = (
    "<summary>\nBees are insects.\n</summary>\n<outline>\n# Life\n## Young\n</outline>\n"
    "<key_information>\n- Bees fly.\n- Bees sting.\n</key_information>\n"
)
ARTICLE = "<article>\n# Life\nBees live in colonies.\n</article>"


def test_a_plan_and_an_article_by_hand():
    assert planning.render_plan(RECORD) == PLAN
    assert planning.render_article(RECORD) == ARTICLE


def test_what_is_rendered_is_read():
    parsed = planning.parse_output(PLAN + ARTICLE, PARTS)
    assert parsed.article == RECORD.article and parsed.finished and not parsed.reason
    assert parsed.plan == {part: planning.render_part(RECORD, part) for part in PARTS}
    assert planning.parse_plan(PLAN) == dict(parsed.plan)
    assert planning.parse_outline(parsed.plan["outline"]) == RECORD.outline


@pytest.mark.parametrize(
    ("text", "parts", "reason"),
    [
        ("", (), "empty"),
        (" \n", PARTS, "cut off in the plan"),
        ("Bees are insects.", (), "another form"),
        (f"Sure!\n{ARTICLE}", (), "another form"),
        (PLAN + ARTICLE, (), "another form"),  # a plan that nobody asked for
        (ARTICLE, PARTS, "another form"),  # a plan that is missing
        (PLAN + ARTICLE, ("outline", "summary", "key_information"), "another form"),
        (PLAN + "So:\n" + ARTICLE, PARTS, "another form"),
        (PLAN + ARTICLE + "\nThat is all.", PARTS, "another form"),
        (PLAN + ARTICLE + ARTICLE, PARTS, "another form"),
        (PLAN + "<article> </article>", PARTS, "empty"),
        (PLAN, PARTS, "cut off in the plan"),
        (PLAN[:50], PARTS, "cut off in the plan"),
        ("<think>What of bees?", (), "unfinished thinking"),
        ("<article>Bees.\n<sumary>Insects.</sumary>", (), "another form"),
    ],
)
def test_what_is_not_of_the_form_has_no_article(text, parts, reason):
    parsed = planning.parse_output(text, parts)
    assert (parsed.article, parsed.reason) == ("", reason)


def test_an_article_may_be_cut_off_and_case_and_thinking_do_not_matter():
    cut = planning.parse_output("<think>Bees?</think>\n<ARTICLE>Bees live in", ())
    assert (cut.article, cut.reason, cut.finished) == ("Bees live in", "", False)
    assert planning.parse_output("<article>Bees live.\n</artic").article == "Bees live."


def test_a_plan_alone_is_read_strictly():
    assert planning.parse_plan(PLAN[:-5]) is None
    assert planning.parse_plan(PLAN, ("summary",)) is None
    assert planning.parse_plan("<think>never ends") is None


def test_marks_in_a_text_and_steps_that_lack_are_refused():
    with pytest.raises(ValueError, match="mark '</summary>'"):
        planning.render_plan(PlannedArticle("x", "y", summary="one </summary> two"), ("summary",))
    with pytest.raises(ValueError, match="has no outline"):
        planning.render_plan(PlannedArticle("x", "y", summary="one"))
    with pytest.raises(ValueError, match="not blank"):
        planning.render_article(PlannedArticle("x", " "))
    for parts in ("summary", ("title",), ("summary", "summary")):
        with pytest.raises(ValueError, match="different parts"):
            planning.parse_output("", parts)


MARKS = re.compile(r"</?\w+>")


def damage(text, rng):
    """Changes marks, blocks or the end of a text, as models and limits do."""
    marks = list(MARKS.finditer(text))
    if not marks:
        return text
    mark, other = rng.choice(marks), rng.choice(marks)
    block = rng.choice(re.findall(r"<\w+>\n(?:.*\n)*?</\w+>\n?", text) or [""])
    place = rng.choice([0, *(end for each in marks for end in each.span())])
    return rng.choice(
        [
            lambda: text[: rng.randrange(len(text) + 1)],
            lambda: text[: mark.start()] + text[mark.end() :],
            lambda: text[: mark.end()] + mark.group() + text[mark.end() :],
            lambda: text[: mark.start()] + other.group() + text[mark.end() :],
            lambda: text[: mark.start()] + mark.group().upper() + text[mark.end() :],
            lambda: text[: (cut := rng.randrange(*mark.span()))] + text[cut + 1 :],
            lambda: text.replace(block, "", 1),
            lambda: text[:place] + block + text[place:],
            lambda: text[:place] + " in other words " + text[place:],
            lambda: text[:place] + "<think>" + text[place:],
        ]
    )()


def test_in_10_000_damaged_texts_no_text_of_a_plan_is_an_article():
    rng = random.Random(0)
    record = PlannedArticle(
        "x",
        "# Art\narticle words\n\n# Art\nmore article words",
        summary="plan words",
        outline=("Planned", "Planning"),
        key_information=("the plan says", "as planned"),
    )
    counts = {"articles": 0, "cut in the plan": 0}
    for _ in range(10_000):
        parts = tuple(rng.sample(PARTS, rng.randrange(1, 4)))
        text = planning.render_plan(record, parts) + planning.render_article(record)
        for _ in range(rng.randrange(1, 4)):
            text = damage(text, rng)
        asked = parts if rng.random() < 0.8 else ()
        parsed = planning.parse_output(text, asked)
        assert "plan" not in parsed.article.lower(), text
        assert bool(parsed.article) != bool(parsed.reason)
        counts["articles"] += bool(parsed.article)
        if asked and not re.search("<article>", text, re.IGNORECASE):
            counts["cut in the plan"] += 1
            assert not parsed.article, text
    # The damage leaves enough of both for the test to say something.
    assert min(counts.values()) > 500, counts


def test_every_cut_inside_the_plan_is_an_empty_article():
    for end in range(1, len(PLAN) + len("<article>")):
        parsed = planning.parse_output((PLAN + ARTICLE)[:end], PARTS)
        assert (parsed.article, parsed.reason) == ("", "cut off in the plan"), end


TITLES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(st.lists(st.tuples(TITLES, st.integers(1, 6)), min_size=1, max_size=5))
def test_outlines_round_trip(headings):
    outline = tuple(Heading(*each) for each in headings)
    assert planning.parse_outline(planning.render_outline(outline)) == outline


def test_outlines_that_models_write():
    lettered = "I. Life\n  A. Youth\n  B. Age\nII. Work"
    assert [h.level for h in planning.parse_outline(lettered)] == [1, 2, 2, 1]
    assert planning.parse_outline("Here it is:\n- Life\n- Work") == (Heading("Life"), Heading("Work"))
    assert planning.parse_outline("I cannot help with that.") == ()
    with pytest.raises(ValueError, match="levels 1 to 6"):
        planning.render_outline([Heading("deep", 7)])
