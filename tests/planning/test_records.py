"""Records, formatters and structure: what they hold comes back, and what a file says wrongly is told."""

import json

import pyarrow.parquet as pq
import pytest

from jaxalign import planning
from jaxalign.planning import PARTS, CitedSentence, Fact, Heading, PlannedArticle

RECORD = PlannedArticle(
    "Bees",
    "# Life\nBees live in colonies.",
    summary="Bees are insects.",
    outline=("Life", Heading("Young", 2)),
    key_information=(Fact("Bees fly.", ("https://bees.example",)), "Bees sting."),
    scores={"summary": 0.5},
    provenance={"summary": "a model"},
    id="7",
)


def test_a_record_round_trips_through_json():
    assert planning.from_row(json.loads(json.dumps(planning.to_row(RECORD)))) == RECORD
    assert RECORD.known_parts == PARTS and RECORD.outline[0] == Heading("Life", 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "x: expected a text, got none"),
        ({"x": " "}, "x: expected a text that is not blank"),
        ({"article": 3}, "article: expected a text, got 3"),
        ({"text": "a"}, "unknown fields \\['text'\\]"),
        ({"outline": "Life"}, "outline: expected a list"),
        ({"outline": ["two\nlines"]}, "titles of one line"),
        ({"outline": [{"title": "Life", "level": 0}]}, "levels from 1"),
        ({"outline": [{"name": "Life"}]}, "title and level"),
        ({"key_information": ["one\ntwo"]}, "facts of one line"),
        ({"key_information": [{"text": "a", "url": "b"}]}, "text and references"),
        ({"scores": {"summary": float("nan")}}, "scores, summary: expected a finite number"),
        ({"provenance": {"summary": 3}}, "provenance, summary"),
    ],
)
def test_what_is_no_record_is_told_by_its_field(change, message):
    with pytest.raises(ValueError, match=message):
        planning.from_row(planning.to_row(RECORD) | change)


def test_formatters_ask_with_x_alone_and_the_plan_of_t3():
    summary, facts = "Bees are insects.", "Bees sting."
    plan = planning.render_plan(RECORD, ("outline", "summary"))
    made = {name: fn(RECORD, parts=("outline", "summary")) for name, fn in planning.FORMATTERS.items()}
    for name, each in made.items():
        assert "Subject: Bees\n" in each.prompt and "colonies" not in each.prompt and each.id == "7"
        assert (summary in each.prompt) == (name == "T3") and facts not in each.prompt
    assert made["T1"].responses == made["T3"].responses == (planning.render_article(RECORD),)
    assert made["T2"].responses == (plan.rstrip("\n"),)
    assert made["T4"].responses == (plan + planning.render_article(RECORD),)
    assert made["T3"].prompt.endswith(plan)


def test_a_prompt_keeps_braces_of_x():
    assert "{x} and {plan}" in planning.WORDING.ask_continuation("{x} and {plan}", "{parts}")


BODY = """Before any heading [1].

# Life
Bees live [2] in colonies. They fly.

Young bees clean.
## Gallery
Pictures
### Old pictures
More
# Work
Bees work on flowers.
# References
[1] https://one.example
## Notes to them
None
"""


def test_structure_by_hand():
    cited = [
        CitedSentence("Bees live in colonies", ("u1",)),
        CitedSentence("They fly", ()),
        CitedSentence("Young bees clean", ("u2",)),
        CitedSentence("Bees work on flowers", ("u3",)),
        CitedSentence("Bees live in colonies", ("u4",)),
        CitedSentence("Pictures", ("u5",)),
    ]
    record, report = planning.from_structure("Bees", "They are insects [1]. They fly.", BODY, cited, lead_sentences=1)
    assert record.summary == "They are insects."
    assert record.outline == (Heading("Life"), Heading("Work"))
    assert record.article.startswith("Before any heading.\n\n# Life\nBees live in colonies.")
    assert [fact.text for fact in record.key_information] == ["Bees live in colonies", "Bees work on flowers"]
    # Gallery, Old pictures, References, Notes to them; three words, a repetition, and the fact on pictures.
    assert tuple(report) == (4, 0, 2, 3)
    short, cut = planning.from_structure("Bees", "Insects.", BODY, cited, max_words=14, facts_per_section=1)
    assert short.outline == (Heading("Life"),) and "work" not in short.article
    assert [fact.text for fact in short.key_information] == ["Bees live in colonies"]
    assert (cut.cut_sections, cut.left_out_facts) == (1, 4)


def test_a_first_section_that_is_too_long_ends_with_a_sentence():
    body = "# One\nA b c. D e f.\n\nG h i.\n# Two\nz"
    for max_words, article in ((8, "# One\nA b c. D e f."), (7, "# One\nA b c."), (2, "# One\nA b c.")):
        record, report = planning.from_structure("x", "y", body, max_words=max_words)
        assert record.article == article and report.cut_sections == 1
    with pytest.raises(ValueError, match="no section that tells anything"):
        planning.from_structure("x", "y", "# References\n[1] u")


def test_kilt_by_hand():
    text = [
        "Bees\n",
        "Insects.\n",
        "Section::::Life.\n",
        "BULLET::::- They fly.\n",
        "Section::::Life.:Young.\n",
        "Small.",
    ]
    title, lead, body = planning.from_kilt({"wikipedia_title": "Bees", "text": {"paragraph": text}})
    assert (title, lead) == ("Bees", "Insects.")
    assert body == "# Life\n- They fly.\n## Young\nSmall."
    with pytest.raises(ValueError, match="wikipedia_title and text"):
        planning.from_kilt({"title": "Bees", "text": text})


def test_freshwiki_has_true_steps_and_round_trips(shared_data):
    articles = pq.read_table(shared_data / "freshwiki" / "articles.parquet").to_pylist()[:20]
    sentences = pq.read_table(shared_data / "freshwiki" / "sentences.parquet").to_pylist()
    for row in articles:
        cited = [CitedSentence(s["sentence"], tuple(s["refs"])) for s in sentences if s["article"] == row["article"]]
        body = row["text"].removeprefix(f"{row['page']}\n\n").removeprefix(row["summary"])
        record, report = planning.from_structure(row["title"], row["summary"], body, cited)
        assert planning.from_row(json.loads(json.dumps(planning.to_row(record)))) == record
        # The outline is the article's own, the lead is no part of it, and every fact stands in it.
        assert planning.article_headings(record.article) == record.outline and len(record.outline) >= 3
        assert record.summary[:60] not in record.article and "[1]" not in record.article
        squeezed = " ".join(record.article.split())
        assert all(fact.text in squeezed and fact.references for fact in record.key_information)
        assert report.facts + report.left_out_facts == sum(bool(s.references) for s in cited)
        parsed = planning.parse_output(
            planning.render_plan(record, record.known_parts) + planning.render_article(record), record.known_parts
        )
        assert parsed.article == record.article and planning.parse_outline(parsed.plan["outline"]) == record.outline
