import collections
import math

import pytest

from jaxalign import ensemble
from jaxalign.data import Question
from jaxalign.ensemble import BootstrapConfig, Explained, FewShot, Shot
from jaxalign.typing import OptionScore
from tests.ensemble import fakes

ASKED = Question("Is the sun hot?", ("Yes", "No"), 0)
GROUPS = [[Explained(ASKED, "The sun is hot.", 0), Explained(ASKED, "Ice melts.", 1)], [Explained(ASKED, "Sun.", None)]]
SHOTS = FewShot(fakes.DEMONSTRATIONS)


def always(*probabilities):
    return lambda asked, options: [[OptionScore(math.log(p), 1) for p in probabilities] for _ in asked]


def test_weights_normalised_and_raw():
    scorer = ensemble.make_scorer(always(0.3, 0.1))
    assert scorer.name == "zero-shot"
    assert scorer.weigh(GROUPS) == [[pytest.approx(0.75)] * 2, [pytest.approx(0.75)]]
    raw = ensemble.make_scorer(always(0.3, 0.1), weight_fn=ensemble.raw_weight)
    assert raw.weigh(GROUPS)[1] == [pytest.approx(0.3)]
    assert scorer.weigh([[], []]) == [[], []]
    with pytest.raises(ValueError, match="begins with"):
        ensemble.make_scorer(always(0.3, 0.1), verbalizer=(" No", " Nothing"))


@pytest.mark.parametrize("logps", [(-math.inf, -math.inf), (math.nan, -1.0), (-1.0, None), (None, None)])
@pytest.mark.parametrize("weight_fn", [ensemble.normalised_weight, ensemble.raw_weight])
def test_weights_that_could_not_be_read(logps, weight_fn):
    unread = [OptionScore(logp, 1) for logp in logps]
    assert weight_fn(unread) is None
    scorer = ensemble.make_scorer(lambda asked, options: [unread for _ in asked], weight_fn=weight_fn)
    assert scorer.weigh(GROUPS) == [[None, None], [None]]


def test_comparisons_that_could_not_be_read():
    """One of both orders is left; without any the explanations have no weight, and one that is alone has one half."""
    known, unread = always(0.9, 0.1)([""], None)[0], [OptionScore(-math.inf, 1)] * 2

    def score_options(asked, options):
        return [known, unread][: len(asked)]

    assert ensemble.make_pairwise_scorer(score_options).weigh(GROUPS[:1]) == [pytest.approx([0.9, 0.1])]
    nothing = ensemble.make_pairwise_scorer(lambda asked, options: [unread for _ in asked])
    assert nothing.weigh(GROUPS) == [[None, None], [0.5]]
    entailed = ensemble.make_entailment_scorer(lambda premises, hypotheses: [math.nan, 0.25])
    assert entailed.weigh(GROUPS) == [[None, 0.25], [0.0]]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_shown": -1}, "num_shown: expected at least 0, got -1"),
        ({"num_samples": 0}, "num_samples: expected at least 1, got 0"),
        ({"max_shots": -2}, "max_shots: expected at least 0, got -2"),
        ({"max_tokens": 0}, "max_tokens: expected at least 1, got 0"),
        ({"temperature": math.inf}, "temperature: expected a number of at least 0, got inf"),
    ],
)
def test_sizes_that_make_no_bootstrap(fields, message):
    with pytest.raises(ValueError, match=message):
        BootstrapConfig(**fields)


@pytest.mark.parametrize("verbalizer", [ensemble.YES_NO, ensemble.TRUE_FALSE, ensemble.NONSENSE])
def test_the_verbalizer_is_what_is_scored(verbalizer):
    seen = []

    def score_options(asked, options):
        seen.extend(options)
        return always(0.5, 0.5)(asked, options)

    ensemble.make_scorer(score_options, [Shot(GROUPS[0][0], True)], verbalizer=verbalizer).weigh(GROUPS)
    assert seen == [verbalizer] * 3


def test_lexical_overlap_by_hand():
    # All of "the sun is hot" and "sun" are words of the question; of "ice melts" none is.
    assert ensemble.LEXICAL.weigh(GROUPS) == [[1.0, 0.0], [1.0]]
    assert ensemble.weigh_by_overlap([[Explained(ASKED, "Hot sun, cold moon", 0), Explained(ASKED, "", 0)]]) == [
        [0.5, 0]
    ]


def test_pairwise_by_hand():
    def score_options(asked, options):
        # Shown first: 0.9; the other one, shown first: 0.6. So the first wins with (0.9 + 0.4) / 2.
        return [[OptionScore(math.log(p), 1), OptionScore(math.log(1 - p), 1)] for p in (0.9, 0.6)]

    first, second = ensemble.make_pairwise_scorer(score_options).weigh(GROUPS[:1])[0]
    assert (first, second) == pytest.approx((0.65, 0.35))
    assert ensemble.make_pairwise_scorer(score_options).weigh(GROUPS[1:]) == [[0.5]]


def test_entailment_is_injected():
    seen = []

    def entail(premises, hypotheses):
        seen.extend(zip(premises, hypotheses, strict=True))
        return [0.8, 0.1]

    assert ensemble.make_entailment_scorer(entail).weigh(GROUPS) == [[0.8, 0.1], [0.0]]
    assert seen == [("The sun is hot.", "Is the sun hot? Yes"), ("Ice melts.", "Is the sun hot? No")]


def test_a_scorer_of_labels_is_found_out_by_masking():
    """It takes explanations that say Yes for good ones; masked, it cannot tell any from any."""

    def score_options(asked, options):
        good = ["Explanation: Yes" in prompt for prompt in asked]
        return [
            [OptionScore(math.log(p), 1), OptionScore(math.log(1 - p), 1)] for p in (0.9 if g else 0.2 for g in good)
        ]

    scorer = ensemble.make_scorer(score_options, template=ensemble.COHERENT)
    groups = [[Explained(ASKED, "Yes, it is.", 0), Explained(ASKED, "No, it is.", 1)]]
    assert scorer.weigh(groups)[0] == pytest.approx([0.9, 0.2])
    masked = ensemble.with_masked_labels(scorer)
    assert masked.name == "zero-shot, labels masked"
    assert len(set(masked.weigh(groups)[0])) == 1


def test_negatives_are_wrong_answers_and_positives_are_gold():
    model = fakes.ByLot()
    found = ensemble.bootstrap_shots(model.generate, SHOTS, BootstrapConfig(num_samples=2))
    good, bad = ([shot.explained for shot in found.shots if shot.good is good] for good in (True, False))
    assert len(good) == len(bad) > 0 and found.without_negative == 12 - len(good)
    assert sorted(each.question.id for each in good) == sorted(each.question.id for each in bad)
    assert all(each.explanation == each.question.explanations[0] for each in good)
    assert all(each.answer == each.question.answer for each in good)
    assert all(each.explanation.startswith("lot") and each.answer != each.question.answer for each in bad)
    assert all("Answer" not in each.explanation for each in bad)


def test_a_demonstration_is_never_its_own_exemplar():
    twice = FewShot((*fakes.DEMONSTRATIONS, fakes.DEMONSTRATIONS[3]))  # one is there twice
    for bootstrap in (ensemble.bootstrap_shots, ensemble.justified_shots):
        model = fakes.ByLot()
        bootstrap(model.generate, twice)
        (asked,) = model.asked
        assert len(asked) == 13
        for prompt, asked_about in zip(asked, twice.demonstrations, strict=True):
            texts = [block.splitlines()[0] for block in prompt.split("\n\n")[1:]]
            assert texts[-1] == f"Question: {asked_about.text}" and texts.count(texts[-1]) == 1
            assert (
                len(set(texts))
                == len(texts) - (texts.count("Question: demonstration 3?") == 2)
                == 9 - (texts.count("Question: demonstration 3?") == 2)
            )


def test_nothing_of_the_test_set_is_seen():
    """Every prompt of the whole method up to the scorer's shots, and the shots themselves, hold demonstrations only."""
    model = fakes.ByLot()
    found = ensemble.bootstrap_shots(model.generate, SHOTS)
    bootstrapped = [prompt for call in model.asked for prompt in call]
    scorer = ensemble.make_bootstrapped_scorer(model.score_options, found)
    samples = ensemble.draw_samples(model.generate, SHOTS, fakes.QUESTIONS, n=2)
    model.asked.clear()
    ensemble.weigh_samples(scorer, fakes.QUESTIONS, samples)
    assert not any("test" in prompt for prompt in bootstrapped)
    for prompt in model.asked[0]:
        *shots, asked = prompt.split("\n\n")
        assert len(shots) == len(found.shots) and not any("test" in shot for shot in shots) and "test" in asked


def test_without_negatives_the_scorer_is_zero_shot_and_says_so():
    class Right(fakes.ByLot):
        def generate(self, prompts, *, n=1, **_):
            answers = {each.text: each.options[each.answer] for each in fakes.DEMONSTRATIONS}
            return [[f" e\nAnswer: {answers[p.split('Question: ')[-1].splitlines()[0]]}"] * n for p in prompts]

    model = Right()
    found = ensemble.bootstrap_shots(model.generate, SHOTS)
    assert found == ensemble.Bootstrapped((), without_negative=12, unparsed=0)
    scorer = ensemble.make_bootstrapped_scorer(model.score_options, found)
    assert scorer.name == "zero-shot, for want of negatives"
    assert scorer.weigh(GROUPS) == ensemble.make_scorer(model.score_options).weigh(GROUPS)


def test_unreadable_texts_are_no_negatives():
    model = fakes.ByLot(answers=("well", "hm"))
    found = ensemble.bootstrap_shots(model.generate, SHOTS, BootstrapConfig(num_samples=3))
    assert found == ensemble.Bootstrapped((), without_negative=12, unparsed=36)


def test_justified_shots_explain_wrong_answers():
    model = fakes.ByLot()
    found = ensemble.justified_shots(model.generate, SHOTS)
    bad = [shot.explained for shot in found.shots if not shot.good]
    assert len(bad) == 12 and all(each.answer != each.question.answer for each in bad)
    for prompt, question in zip(model.asked[0], SHOTS.demonstrations, strict=True):
        given = prompt.splitlines()[-2]
        assert given.startswith("Answer: ") and given != f"Answer: {question.options[question.answer]}"


def test_masked_shots_and_gold_that_says_only_the_answer():
    shown = (
        Question("Rain?", ("Yes", "No"), 1, ("No, it is dry.",)),
        Question("Sun?", ("Yes", "No"), 0, ("The answer is Yes.",)),
    )
    found = ensemble.justified_shots(fakes.ByLot().generate, FewShot(shown))
    assert {shot.explained.question.text for shot in found.shots} == {"Rain?"}
    (good,) = (shot.explained for shot in found.masked().shots if shot.good)
    assert (good.explanation, good.answer) == ("..., it is dry.", None)


def test_how_many_shots():
    model = fakes.ByLot()
    found = ensemble.justified_shots(model.generate, SHOTS, BootstrapConfig(max_shots=8))
    assert collections.Counter(shot.good for shot in found.shots) == {True: 4, False: 4}
    scorer = ensemble.make_bootstrapped_scorer(model.score_options, found, template=ensemble.COHERENT)
    assert scorer.name == "bootstrapped, 8 shots"
