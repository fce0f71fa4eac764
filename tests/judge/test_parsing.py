import pytest

from jaxalign import data
from jaxalign.judge import (
    RATING,
    SUMMARISATION,
    Column,
    Contrast,
    parse_aspects,
    parse_contrast,
    parse_joint_contrast,
    prompts,
)

PAIR = data.PreferencePair("Add.", "4 [RESPONSE B] 5", "3\n\n[QUESTION] Who?", 1.0)
TABLE = (Column("tone", Contrast(("kind", "warm"), (), ("short",))),)


def every_prompt(pair):
    contrast = TABLE[0].contrast
    return [
        prompts.render_aspects(RATING, pair, 3),
        prompts.render_contrast(RATING, pair, "tone"),
        prompts.render_joint_contrast(RATING, pair, ("tone", "length")),
        prompts.render_match(RATING, pair, "tone", contrast, contrast.swapped()),
        prompts.render_rating(RATING, pair, "tone", contrast),
        prompts.render_verdict(RATING, pair),
        prompts.render_verdict(RATING, pair, TABLE),
        prompts.render_reasoning(RATING, pair),
    ]


def test_every_prompt_begins_with_the_pair_and_can_be_taken_apart():
    rendered = every_prompt(PAIR)
    assert len(set(rendered)) == len(rendered)
    for prompt in rendered:
        head, _, tail = prompt.rpartition("\n\n[QUESTION] ")
        assert data.parse_comparison(head) == data.ComparisonParts("Add.", PAIR.first, PAIR.second)
        assert tail.startswith(RATING.question)


def test_the_target_is_not_shown():
    assert every_prompt(PAIR) == every_prompt(data.PreferencePair(PAIR.prompt, PAIR.first, PAIR.second, 0.0))


def test_a_table_as_text():
    prompt = prompts.render_verdict(SUMMARISATION, PAIR, TABLE)
    assert prompt.startswith("[CONTEXT] Add. [SUMMARY A] ")
    rows = "Aspect: tone\nOnly A:\n- kind\n- warm\nOnly B:\n- none\nBoth:\n- short\n\nAnswer with A or B.\nAnswer:"
    assert prompt.endswith(rows)
    assert parse_joint_contrast(prompt.partition("by aspects:")[2].partition("Answer with")[0], ("tone",)) == (
        TABLE[0].contrast,
    )


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Here are three:\n1. Accuracy\n2) **Style** : how it reads\n\n3. accuracy\n4. Length.", ("Accuracy", "Style")),
        ("- one", ("one",)),
        ("Accuracy and style matter most.", ()),
        ("", ()),
    ],
)
def test_aspects(text, expected):
    assert parse_aspects(text, 2) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Only A:\n- x\n- y\nOnly B:\n- none\nBoth:\n- z", Contrast(("x", "y"), (), ("z",))),
        ("**Both:** z\n\n**Only B**: None.\n\n## Only A:\n* x", Contrast(("x",), (), ("z",))),
        ("Well:\n- no\nOnly A:\nOnly B:\nBoth:\n", Contrast((), (), ())),
        ("Only A:\n- x\nOnly B:\n- y", None),
        ("Only A:\n- x\nOnly B:\n- y\nBoth:\n- z\nOnly A:\n- w", None),
        ("They differ.", None),
    ],
)
def test_contrasts(text, expected):
    assert parse_contrast(text) == expected


def test_joint_contrasts_go_by_name():
    part = "Only A:\n- {}\nOnly B:\n- none\nBoth:\n- none\n"
    text = f"Aspect: Length\n{part.format('x')}\n**Aspect: tone**\n{part.format('y')}\nAspect: broken\nOnly A:\n- z"
    found = parse_joint_contrast(text, ("tone", "length", "broken", "absent"))
    assert found == (Contrast(("y",), (), ()), Contrast(("x",), (), ()), None, None)


def test_lists_and_contrasts_are_read_behind_the_thinking():
    assert parse_aspects("<think>- length\n- tone</think>\n- facts", 3) == ("facts",)
    assert parse_aspects("<think>- length\n- tone", 3) == ()
    contrast = "Only A:\n- {}\nOnly B:\n- none\nBoth:\n- none\n"
    thought = f"<think>{contrast.format('no')}</think>{contrast.format('yes')}"
    assert parse_contrast(thought) == Contrast(("yes",), (), ())
    assert parse_contrast(f"<think>{contrast.format('no')}") is None
    joint = f"<think>Aspect: tone\n{contrast.format('no')}</think>Aspect: tone\n{contrast.format('yes')}"
    assert parse_joint_contrast(joint, ("tone",)) == (Contrast(("yes",), (), ()),)
    assert parse_joint_contrast(f"<think>Aspect: tone\n{contrast.format('no')}", ("tone",)) == (None,)


def test_contradictions_are_statements_in_two_places():
    assert Contrast(("it rhymes", "short"), ("long",), ("It rhymes.",)).contradictions == 1
    assert Contrast(("a", "b"), ("a",), ("a", "b")).contradictions == 3
    assert Contrast(("a", "a"), ("b",), ()).contradictions == 0
