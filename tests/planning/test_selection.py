"""The best of several candidates, and what a teacher's candidates come to."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign import planning
from jaxalign.planning import PARTS, Heading, PlannedArticle, Shape
from tests.planning.teachers import REFUSAL, Teacher, overlap, shown_articles

ANY_LENGTH = Shape(*[(0.1, 1e6)] * 3)
SCORES = st.one_of(st.just(math.nan), st.floats(0, 1))


def article(name):
    parts = (f"# {name} life\nMany {name} live {place} of it.\n## {name} {place}\nA {name} sleeps." for place in "ab")
    return PlannedArticle(name, "\n".join(parts), id=f"id {name}")


RECORDS = [article(name) for name in ("bee", "ant", "wasp")]
TRUE = dataclasses.replace(
    planning.write_steps(Teacher(), [article("moth")], num_candidates=1, entail=overlap).records[0], scores={}
)


@given(st.lists(SCORES, max_size=6), st.randoms())
def test_the_order_of_candidates_does_not_matter(scores, rng):
    candidates = list(enumerate(scores))
    best = planning.choose_best(candidates, scores)
    usable = [score for score in scores if not math.isnan(score)]
    assert (best is None) == (not usable)
    if best is not None:
        assert best[1] == max(usable) and best[0] == scores.index(best[1])
        shuffled = rng.sample(candidates, len(candidates))
        assert planning.choose_best(shuffled, [score for _, score in shuffled])[1] == best[1]


def test_there_must_be_a_score_for_each():
    with pytest.raises(ValueError, match="got 2 and 1"):
        planning.choose_best("ab", [0.0])


def test_a_teacher_that_errs_is_corrected_by_choice():
    """Of 8 candidates half are spoilt and a fifth refused: 0.6 ^ 8 = 2 % of the steps have no good one."""
    teacher = Teacher(spoils=0.5, refuses=0.2)
    records, report = planning.write_steps(
        teacher, RECORDS, num_candidates=8, entail=overlap, shape=ANY_LENGTH, teacher="Teacher", seed=5
    )
    good = planning.write_steps(Teacher(), RECORDS, num_candidates=1, entail=overlap, shape=ANY_LENGTH).records
    for record, wanted in zip(records, good, strict=True):
        assert all(getattr(record, part) == getattr(wanted, part) for part in PARTS)
        assert record.provenance == dict.fromkeys(PARTS, "Teacher")
        scores = planning.score_plans([record], entail=overlap, shape=ANY_LENGTH)[0]
        assert record.scores == {name: each for part in PARTS for name, each in scores[part].by_name(part).items()}
    assert teacher.calls == [{"n": 8, "temperature": 0.7, "max_tokens": 1024, "seed": 5}] * 3
    assert report.asked == dict.fromkeys(PARTS, 24) and report.missing == dict.fromkeys(PARTS, ())
    for place, part in enumerate(PARTS):
        texts = teacher(teacher.prompts[3 * place : 3 * place + 3], n=8, seed=5)
        refused = sum(each.count(REFUSAL) for each in texts)
        assert report.unread[part] == {"refused": refused} and 0 < refused < 12
        assert report.repeated[part] == 24 - refused - sum(len({*each} - {REFUSAL}) for each in texts)


def test_examples_are_other_articles():
    teacher = Teacher()
    shown = [TRUE, dataclasses.replace(TRUE, x="other", article=RECORDS[0].article)]
    planning.write_steps(teacher, RECORDS[:2], parts=["outline"], num_candidates=1, entail=overlap, examples=shown)
    assert [shown_articles(prompt) for prompt in teacher.prompts] == [
        [TRUE.article, RECORDS[0].article],
        [TRUE.article, RECORDS[0].article, RECORDS[1].article],
    ]


def test_nothing_is_lost_in_silence():
    old = dataclasses.replace(
        RECORDS[0],
        summary="Old.",
        outline=(Heading("Old"),),
        scores={"summary": 0.5, "summary length": 0.5, "outline": 0.25},
        provenance={"summary": "gold", "outline": "gold"},
    )

    def generate(prompts, *, n, **options):
        return [[REFUSAL, "<think>"], ["", "It lives."], ["It lives."]]

    def unread(premises, hypotheses):
        texts = map("".join, zip(premises, hypotheses, strict=True))
        return np.array([math.nan if "wasp" in text else 1.0 for text in texts])

    (first, second, third), report = planning.write_steps(
        generate, [old, *RECORDS[1:]], parts=["summary"], num_candidates=2, entail=unread, shape=ANY_LENGTH
    )
    assert first == dataclasses.replace(old, summary="", scores={"outline": 0.25}, provenance={"outline": "gold"})
    assert second.summary == "It lives." and second.scores["summary"] == 1 and third == RECORDS[2]
    assert report == (
        {"summary": 6},
        {"summary": {"refused": 1, "unfinished thinking": 1, "empty": 1, "no answer": 1}},
        {"summary": 1},
        {"summary": 0},
        {"summary": ("id bee", "id wasp")},
    )


def test_there_may_be_no_records():
    teacher = Teacher()
    records, report = planning.write_steps(teacher, [], entail=overlap)
    assert records == () and not teacher.calls and report.asked == dict.fromkeys(PARTS, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_candidates": 0}, "num_candidates: expected at least 1"),
        ({"max_tokens": 0}, "max_tokens: expected at least 1"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": 0.0}, "would all be equal"),
        ({"parts": ["title"]}, "different parts"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        planning.write_steps(Teacher(), RECORDS, entail=overlap, **options)


@pytest.mark.parametrize("answers", [[["a"]], [["a", "b", "c"]] * 3])
def test_a_generator_that_answers_otherwise(answers):
    with pytest.raises(ValueError, match="expected 3 lists of 2 texts at most"):
        planning.write_steps(lambda prompts, **_: answers, RECORDS, entail=overlap, num_candidates=2)
