"""The made worlds of experiments.plad: what is right, how often people err, what pairs of their texts are like."""

import math

import numpy as np
import pytest

from experiments.common import sequences
from experiments.plad import made_texts, own_texts, sequence_world
from experiments.plad.made_texts import KINDS, WALK, walk_quality, write_walk
from jaxalign import data
from jaxalign.data import Outputs, PreferenceRecord

PROMPT = "next c a f d ="  # a walk has the letters d, b, g and e, none as one of the two before
LONG = "d b g e"


@pytest.fixture(scope="module")
def prompts():
    world = sequences.make_world(0, num_demonstrations=1000, num_train=1, num_test=1, error_rate=0.0)
    return [record.prompt for record in world.demonstrations]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("d b g e d b", 6),
        ("d b d b", 2),  # the last two come back too soon
        ("d d b", 2),  # the second repeats the first
        ("c d c b", 2),  # c is a letter of the prompt alone
        ("", 0),
    ],
)
def test_letters_of_a_walk_that_are_right(text, right):
    assert walk_quality(PROMPT, text) == right / WALK


def test_a_walk_has_an_end_and_takes_what_letters_there_are():
    assert walk_quality(PROMPT, " ".join([LONG] * 6)) == 1
    assert walk_quality(PROMPT, " ".join([LONG] * 7)) == WALK / 28  # letters beyond the 24th are never right
    assert walk_quality("sort a b b =", "a b a b") == 4 / WALK  # of two letters, only the one before must differ
    assert walk_quality("sort a a a =", "a a a") == 3 / WALK


def test_walks_are_open(prompts):
    rng = np.random.default_rng(0)
    texts = {write_walk(PROMPT, 0.0, rng) for _ in range(50)}
    assert len(texts) == 50 and {walk_quality(PROMPT, text) for text in texts} == {1.0}
    assert all(walk_quality(prompt, write_walk(prompt, 0.0, rng)) == 1 for prompt in prompts[:200])


@pytest.mark.parametrize("kind", KINDS)
def test_people_err_as_often_as_they_should(kind, prompts):
    rng, errors = np.random.default_rng(0), 0.3
    texts = [KINDS[kind].write(prompt, errors, rng) for prompt in prompts]
    quality = np.array([KINDS[kind].quality(prompt, text) for prompt, text in zip(prompts, texts, strict=True)])
    # A careless letter is any of the twelve, so at least one in twelve is right by luck.
    assert np.mean(quality) > 1 - errors * 11 / 12 - 3 * np.std(quality) / math.sqrt(len(quality))
    if kind == "sequences":
        assert abs(np.mean(quality) - (1 - errors * 11 / 12)) < 3 * np.std(quality) / math.sqrt(len(quality))
    careful = [KINDS[kind].quality(prompt, KINDS[kind].write(prompt, 0.05, rng)) for prompt in prompts]
    assert np.mean(careful) > np.mean(quality) + 0.1


def pairs_of(kind, prompts, teacher_errors, student_errors):
    """Pairs of texts that people with these errors write, and what became of the prompts."""
    rng = np.random.default_rng(1)
    write = KINDS[kind].write
    outputs = [Outputs(p, (write(p, teacher_errors, rng),), (write(p, student_errors, rng),)) for p in prompts]
    limit = KINDS[kind].limits[1]
    return data.pseudo_pairs(outputs, sequences.make_tokenizer(), max_response=limit)


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_and_ends_of_both_sides_are_alike(kind, prompts):
    pairs, report = pairs_of(kind, prompts, 0.05, sequence_world.GOLD_ERRORS)
    assert report.unanswered == 0 and report.pairs == len(pairs) > len(prompts) / 2
    lists = sequence_world.encode(KINDS[kind], sequences.make_tokenizer(), pairs)
    lengths = np.diff(lists.response_starts).reshape(-1, 2)
    np.testing.assert_array_equal(lengths[:, 0], lengths[:, 1])
    last = lists.response_tokens[lists.response_starts[1:] - 1]
    assert set(last) == set(sequences.make_tokenizer().end_ids)  # nothing was cut


def share_better(count, teacher_errors, student_errors):
    """How likely, of texts that differ, the teacher's has fewer letters wrong than the student's, of ``count``."""
    wrong = [
        [math.comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(count + 1)]
        for p in (teacher_errors * 11 / 12, student_errors * 11 / 12)
    ]
    chances = np.outer(*wrong)
    return np.triu(chances, 1).sum(), 1 - chances[0, 0]


def test_the_teachers_text_is_truly_better_in_most_pairs(prompts):
    pairs, _ = pairs_of("sequences", prompts, 0.05, 0.3)
    quality_fn = lambda prompt, texts: sequence_world.quality_of(KINDS["sequences"], prompt, texts)  # noqa: E731
    _, report = data.order_by_quality(pairs, quality_fn)
    # As many prompts as there are of each length; two texts with the same errors are rare enough to leave out.
    lengths = [len(prompt.split()) - 2 for prompt in prompts]
    better, differ = map(sum, zip(*(share_better(length, 0.05, 0.3) for length in lengths), strict=True))
    assert report.kept / len(pairs) == pytest.approx(better / differ, abs=0.03)
    assert report.kept > 0.8 * len(pairs)
    told = own_texts.truth(pairs, quality_fn)
    assert f"truly better in {report.kept / len(pairs):.1%}, as good in {report.dropped / len(pairs):.1%}" in told


def test_an_imperfect_teacher_is_often_no_better(prompts):
    pairs, _ = pairs_of("sequences", prompts, 0.3, 0.3)
    quality_fn = lambda prompt, texts: sequence_world.quality_of(KINDS["sequences"], prompt, texts)  # noqa: E731
    _, report = data.order_by_quality(pairs, quality_fn)
    # By symmetry the better text is either's in half of the pairs that differ in quality.
    decided = report.kept + report.flipped
    assert abs(report.kept - decided / 2) < 3 * math.sqrt(decided) / 2
    assert own_texts.truth(pairs, None) == ""


def test_a_judge_of_quality_turns_pairs_round():
    pairs = [PreferenceRecord("sort b a =", ("b a", "a b"), (1.0, 0.5))]
    quality_fn = lambda prompt, texts: sequence_world.quality_of(KINDS["sequences"], prompt, texts)  # noqa: E731
    ordered, report = data.order_by_quality(pairs, quality_fn)
    assert report.flipped == 1 and ordered[0].labels == (0.0, 1.0)


def test_demonstrations_are_numbered():
    records = [PreferenceRecord("reverse c a f =", ("f a c",), (1.0,))] * 2
    found = sequence_world.demonstrate(KINDS["sequences"], records, 0.0, np.random.default_rng(0))
    assert [(each.id, each.responses) for each in found] == [("0", ("f a c",)), ("1", ("f a c",))]
    assert made_texts.answer_quality("reverse c a f =", "f a") == pytest.approx(2 / 3)
