"""The simulated models do what their rates say, read from real prompts."""

import dataclasses

import numpy as np
import pytest

from experiments.common.judging import reports_world
from experiments.common.judging.simulated_judge import SimulatedJudge
from experiments.ease import puzzles_world
from experiments.ease.simulated_answerer import SimulatedAnswerer
from jaxalign import ensemble, judge, prompting
from jaxalign.io.llm import Usage
from jaxalign.io.llm.service import Ledger
from jaxalign.judge import SampledContrast, parse_contrast, prompts

PERFECT = SimulatedJudge(
    focus=1, spread=1, glance=1, blind=0, slip=0, contradiction=0, malformed=0, first=0, length=0, sharpness=3
)
PAIRS = reports_world.make_pairs(0, 40)
QUESTIONS = puzzles_world.make_questions(0, 60)
SHOTS = ensemble.FewShot(tuple(QUESTIONS[:12]))


def accuracy(judgements, pairs=PAIRS):
    said = [(judgement.probability, pair.target) for judgement, pair in zip(judgements, pairs, strict=True)]
    return float(np.mean([(p > 0.5) == (target == 1) for p, target in said if p is not None]))


def structured(model, **options):
    engine = model.open(Ledger())
    return judge.make_structured_judge(engine.generate, engine.score_options, judge.RATING, **options)


def test_the_truth_of_reports():
    for pair in PAIRS:
        first, second = (reports_world.true_quality(pair.prompt, text) for text in (pair.first, pair.second))
        assert first != second and pair.target == float(first > second)
    assert PAIRS == reports_world.make_pairs(0, 40) != reports_world.make_pairs(1, 40)
    assert 0.35 < np.mean([pair.target for pair in PAIRS]) < 0.65


def test_a_perfect_reader_is_always_right():
    direct = judge.make_direct_judge(PERFECT.score_options, judge.RATING)
    thinking = judge.make_reasoning_judge(PERFECT.generate, judge.RATING)
    for judge_fn in (direct, thinking, structured(PERFECT), structured(PERFECT, select=judge.round_robin)):
        judgements = judge_fn(PAIRS)
        assert accuracy(judgements) == 1
        assert all(each.verdict.value in ("first", "second") and each.unparsed == 0 for each in judgements)


def test_a_perfect_table_is_the_truth():
    (judgement,) = structured(PERFECT)(PAIRS[:1])
    first, second = (reports_world.read_report(text).points for text in (PAIRS[0].first, PAIRS[0].second))
    for column in judgement.table:
        own = {p for p in first - second if p[0] == column.aspect}
        assert set().union(*(reports_world.read_report(s).points for s in column.contrast.only_first)) == own


def test_a_reader_who_sees_only_the_first_is_inconsistent():
    biased = dataclasses.replace(PERFECT, sharpness=0.0, first=2.0)
    judgements = judge.make_direct_judge(biased.score_options, judge.RATING)(PAIRS)
    assert all(each.verdict is prompting.Verdict.INCONSISTENT and each.probability == 0.5 for each in judgements)
    assert judgements[0].orders.shown_first == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_malformed_texts_come_at_their_rate_and_are_no_loss():
    judgements = structured(dataclasses.replace(PERFECT, malformed=0.2), select=judge.first)(PAIRS)
    share = sum(each.unparsed for each in judgements) / sum(each.asked for each in judgements)
    assert 0.15 < share < 0.25
    assert accuracy(judgements) > 0.9  # what is left of the tables is true


def test_the_model_itself_finds_a_statement_out_of_place():
    """Also where no rule does: one that stands in the wrong part, but in no second one."""
    pair = PAIRS[0]
    aspect = reports_world.asked_for(pair.prompt)[0]
    prompt = prompts.render_contrast(judge.RATING, pair, aspect)
    true = parse_contrast(PERFECT.generate([prompt])[0][0])
    false = true.swapped()
    assert true != false and not false.contradictions
    critic = judge.make_critic(PERFECT.score_options, judge.RATING)
    (q,) = critic.prefer([(SampledContrast(pair, aspect, true), SampledContrast(pair, aspect, false))])
    assert q > 0.9
    ratings = critic.rate([SampledContrast(pair, aspect, each) for each in (true, false)])
    assert ratings[0] > ratings[1]


def test_care_pays():
    """The order that the rates put in: one subject at a time, then all; chosen contrasts, then any."""
    pairs = reports_world.make_pairs(5, 100)
    whole = judge.StructuredConfig(num_aspects=0)
    judges = {"chosen": {}, "any": {"select": judge.first}, "whole": {"config": whole}}
    found = {name: accuracy(structured(SimulatedJudge(), **options)(pairs), pairs) for name, options in judges.items()}
    assert found["chosen"] > found["any"] > found["whole"]


def test_the_same_call_gives_the_same_texts():
    engine = SimulatedJudge()
    asked = [prompts.render_reasoning(judge.RATING, pair) for pair in PAIRS[:5]]
    texts = engine.generate(asked, n=3, temperature=0.7, seed=1)
    assert texts == engine.generate(asked, n=3, temperature=0.7, seed=1) != engine.generate(asked, n=3, seed=2)
    assert texts[2:3] == engine.generate(asked[2:3], n=3, temperature=0.7, seed=1)
    with pytest.raises(ValueError, match="a simulated model knows prompts that end with Aspects:"):
        engine.generate([asked[0] + "Hm"])


def test_prompts_count_once_for_each_text():
    engine = PERFECT.open(Ledger())
    asked = [prompts.render_verdict(judge.RATING, PAIRS[0])]
    engine.score_options(asked, [prompts.TEXT_OPTIONS])
    words = len(asked[0].split())
    assert engine.ledger.asked == Usage(1, words, 2)
    asked = [prompts.render_aspects(judge.RATING, PAIRS[0], 2)]
    texts = engine.generate(asked, n=3)
    written = sum(len(text.split()) for text in texts[0])
    assert engine.ledger.asked == Usage(4, words + 3 * len(asked[0].split()), 2 + written)


def test_explanations_are_valid_at_their_rate():
    model = SimulatedAnswerer(malformed=0)
    samples = ensemble.draw_samples(model.generate, SHOTS, QUESTIONS[12:], n=9)
    valid = [
        puzzles_world.is_valid(puzzles_world.read_claim(sample.explanation), puzzles_world.read_facts(question.text))
        for question, each in zip(QUESTIONS[12:], samples, strict=True)
        for sample in each
    ]
    assert len(valid) == 48 * 9 and 0.35 < np.mean(valid) < 0.55


@pytest.mark.parametrize("style", [ensemble.BY_TEXT, ensemble.BY_LETTER])
def test_an_explanation_pulls_to_its_claim(style):
    """With the strength that is known: no belief of its own, so the odds are those of the pull."""
    model = SimulatedAnswerer(knowledge=0, doubt=0, order=0, pull=1.5, insight=0.5)
    shots, question = dataclasses.replace(SHOTS, style=style), QUESTIONS[20]
    facts = puzzles_world.read_facts(question.text)
    for name, number in facts.items():
        explanation = puzzles_world.explain(puzzles_world.Claim(name, number))
        prompt = ensemble.render_explained_answer(shots, question, explanation)
        (scores,) = model.score_options([prompt], [shots.options(question)])
        place = list(facts).index(name)
        others = [score.logp for n, score in enumerate(scores) if n != place]
        lead = scores[place].logp - others[0]
        assert lead == pytest.approx(2.0 if place == question.answer else 1.5)


def test_a_scorer_learns_from_examples():
    model = SimulatedAnswerer(vanity=0, noise=0)
    found = ensemble.justified_shots(model.generate, SHOTS)
    question = QUESTIONS[30]
    best, other = question.options[question.answer], question.options[question.answer - 1]
    most = max(puzzles_world.read_facts(question.text).values())
    group = [
        ensemble.Explained(question, puzzles_world.explain(puzzles_world.Claim(*claim)), None)
        for claim in ((best, most), (other, most + 1))
    ]

    def weights(scorer):
        return scorer.weigh([group])[0]

    untaught = weights(ensemble.make_scorer(model.score_options))
    taught = weights(ensemble.make_bootstrapped_scorer(model.score_options, found))
    assert taught[0] - taught[1] > 2 * (untaught[0] - untaught[1]) > 0
    masked = ensemble.with_masked_labels(ensemble.make_bootstrapped_scorer(model.score_options, found))
    assert weights(masked) == pytest.approx(taught)  # it goes by what is claimed, not by whose name stands there
