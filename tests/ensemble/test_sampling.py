import math

import pytest

from jaxalign import ensemble, prompting
from jaxalign.data import Question
from jaxalign.ensemble import FewShot, Sample
from jaxalign.typing import OptionScore
from tests.ensemble import fakes

SHOTS = FewShot(fakes.DEMONSTRATIONS[:4])


def shown_order(prompt):
    """The demonstrations of a prompt by number, and the question it ends with."""
    blocks = [block for block in prompt.split("\n\n") if block.startswith("Question: ")]
    return tuple(int(block.split()[2].rstrip("?")) for block in blocks[:-1]), blocks[-1]


def test_one_shuffle_for_each_question():
    model = fakes.ByLot()
    samples = ensemble.draw_samples(model.generate, SHOTS, fakes.QUESTIONS, n=5)
    (asked,) = model.asked
    assert len(asked) == len(fakes.QUESTIONS) and [len(each) for each in samples] == [5] * 6
    for prompt, each in zip(asked, samples, strict=True):
        assert {sample.order for sample in each} == {shown_order(prompt)[0]}
        assert sorted(each[0].order) == [0, 1, 2, 3]
    assert len({each[0].order for each in samples}) > 1


def test_one_shuffle_for_each_sample():
    model = fakes.ByLot()
    samples = ensemble.draw_samples(model.generate, SHOTS, fakes.QUESTIONS, n=5, shuffle="each")
    assert [len(asked) for asked in model.asked] == [6] * 5
    for place, asked in enumerate(model.asked):
        assert [shown_order(prompt)[0] for prompt in asked] == [each[place].order for each in samples]
    assert all(len({sample.order for sample in each}) > 1 for each in samples)


def test_orders_that_come_again_get_texts_of_their_own():
    """One demonstration has one order: five samples of one prompt, no two of them equal."""
    samples = ensemble.draw_samples(fakes.ByLot().generate, SHOTS.take([0]), fakes.QUESTIONS[:1], n=5, shuffle="each")
    assert len({sample.text for sample in samples[0]}) == 5


def test_what_a_sample_rests_on():
    model = fakes.ByLot()
    samples = ensemble.draw_samples(model.generate, SHOTS, fakes.QUESTIONS, n=3, shuffle="each")
    samples = ensemble.score_samples(model.score_options, SHOTS, fakes.QUESTIONS, samples)
    *drawn, scored = model.asked
    asked = [prompt for of_question in zip(*drawn, strict=True) for prompt in of_question]
    flat = [sample for each in samples for sample in each]
    for sample, before, after in zip(flat, asked, scored, strict=True):
        # The prompt of the probabilities is the one of the explanation, with the explanation and without its answer.
        assert after == f"{before} {sample.explanation}\nAnswer:"
        assert sample.text == f" {sample.explanation}\nAnswer:{SHOTS.options(fakes.QUESTIONS[0])[sample.choice]}"
        assert sum(sample.probabilities) == pytest.approx(1)


def test_probabilities_do_not_echo_the_sampled_answer():
    """Two texts with one explanation and different answers have the same probabilities; so has one that says it."""
    texts = [" Because.\nAnswer: Yes", " Because.\nAnswer: No", " Because. So the answer is No.\nAnswer: No"]
    (samples,) = ensemble.draw_samples(lambda asked, **_: [texts], SHOTS, fakes.QUESTIONS[:1], n=3)
    (scored,) = ensemble.score_samples(fakes.ByLot().score_options, SHOTS, fakes.QUESTIONS[:1], [samples])
    assert [sample.choice for sample in scored] == [0, 2, 2]
    assert len({sample.probabilities for sample in scored}) == 1


def test_probabilities_are_those_at_temperature_one():
    """However the explanation was drawn: the same explanations at another temperature have the same probabilities."""

    def generate(asked, *, n, temperature, **_):
        return [[" Because.\nAnswer: Yes"] * n for _ in asked]

    def score_options(asked, options):
        return [[OptionScore(math.log(p), 1) for p in (0.5, 0.3, 0.1)] for _ in asked]

    for temperature in (0.1, 0.7, 2.0):
        samples = ensemble.draw_samples(generate, SHOTS, fakes.QUESTIONS[:1], n=2, temperature=temperature)
        ((first, _),) = ensemble.score_samples(score_options, SHOTS, fakes.QUESTIONS[:1], samples)
        assert first.probabilities == pytest.approx((5 / 9, 3 / 9, 1 / 9))


def test_without_token_probabilities_frequencies_serve():
    def generate(asked, *, n=1, temperature=1.0, **_):
        assert temperature == 1.0
        return [[" Yes", " No", " Yes", " Yes"][:n] for _ in asked]

    samples = [(Sample("", "why", 0, (0,)),)]
    score_options = prompting.make_frequency_scores(generate, n=4)
    ((scored,),) = ensemble.score_samples(score_options, SHOTS, fakes.QUESTIONS[:1], samples)
    assert scored.probabilities == pytest.approx((0.75, 0, 0.25))


def test_a_sample_without_an_explanation_has_no_probabilities_and_no_weight():
    samples = [(Sample("Answer: Yes", "", 0, ()), Sample(" a", "a", None, ())), ()]
    model = fakes.ByLot()
    questions = fakes.QUESTIONS[:2]
    (empty, real), none = ensemble.score_samples(model.score_options, SHOTS, questions, samples)
    assert empty.probabilities is None and real.probabilities and none == ()
    (empty, real), _ = ensemble.weigh_samples(ensemble.LEXICAL, questions, samples)
    assert empty.weight == 0 and real.weight == 0  # "a" is no word of the question


UNREAD = {
    "absent": lambda options: [OptionScore(-math.inf, 1) for _ in options],
    "NaN": lambda options: [OptionScore(math.nan, 1), *(OptionScore(-1.0, 1) for _ in options[1:])],
    "null": lambda options: [*(OptionScore(-1.0, 1) for _ in options[1:]), OptionScore(None, 1)],
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("gold", [0, 1, 2])
def test_without_any_score_there_is_no_answer(name, gold):
    """Wherever the right one stands: no share, no first option, and nothing to explain."""

    def score_options(asked, options):
        return [UNREAD[name](each) for each in options]

    model = fakes.ByLot()
    questions = [Question(f"test {n}?", ("Yes", "Maybe", "No"), gold) for n in range(4)]
    in_context = ensemble.predict_in_context(score_options, SHOTS, questions)
    explained = ensemble.predict_then_explain(score_options, SHOTS, questions, generate=model.generate)
    assert model.asked == []  # nobody is asked to explain no answer
    samples = ensemble.draw_samples(model.generate, SHOTS, questions, n=3)
    scored = ensemble.score_samples(score_options, SHOTS, questions, samples)
    weighed = ensemble.weigh_samples(ensemble.make_scorer(score_options), questions, scored)
    soft = ensemble.predict(questions, scored, ensemble.soft_aggregation)
    both = ensemble.predict(questions, weighed, ensemble.ease)
    for prediction in (*in_context, *explained, *soft, *both):
        assert prediction.shares is None and prediction.choice is None
    assert all(sample.probabilities is None and sample.weight is None for each in weighed for sample in each)
    # Votes rest on what was written.
    votes = ensemble.predict(questions, scored, ensemble.self_consistency)
    assert all(prediction.choice is not None for prediction in votes)


def test_one_score_that_could_not_be_read_is_left_out():
    def score_options(asked, options):
        known = [OptionScore(math.log(p), 1) for p in (0.1, 0.1, 0.6)]
        return [UNREAD["absent"](options[0]), known, UNREAD["NaN"](options[0])]

    samples = [(Sample("", "a", 0, (0,)), Sample("", "b", 0, (0,)), Sample("", "c", 1, (0,)))]
    scored = ensemble.score_samples(score_options, SHOTS, fakes.QUESTIONS[:1], samples)
    assert [sample.probabilities is None for sample in scored[0]] == [True, False, True]
    (prediction,) = ensemble.predict(fakes.QUESTIONS[:1], scored, ensemble.soft_aggregation)
    assert prediction.choice == 2 and prediction.shares == pytest.approx((0.125, 0.125, 0.75))


def test_a_sample_is_at_least_one():
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        ensemble.draw_samples(fakes.ByLot().generate, SHOTS, fakes.QUESTIONS, n=0)


def test_neighbours_in_a_batch_change_nothing():
    model = fakes.ByLot()

    def everything(questions):
        samples = ensemble.draw_samples(model.generate, SHOTS, questions, n=3, shuffle="each")
        samples = ensemble.score_samples(model.score_options, SHOTS, questions, samples)
        samples = ensemble.weigh_samples(ensemble.make_scorer(model.score_options), questions, samples)
        return ensemble.predict(questions, samples, ensemble.ease)

    assert everything(fakes.QUESTIONS)[2:4] == everything(fakes.QUESTIONS[2:4])
    assert everything([]) == []


def test_single_answers():
    model = fakes.ByLot()
    in_context = ensemble.predict_in_context(model.score_options, SHOTS, fakes.QUESTIONS)
    first = ensemble.predict_then_explain(model.score_options, SHOTS, fakes.QUESTIONS, generate=model.generate)
    assert [len(call) for call in model.asked] == [6, 6, 6]
    assert model.asked[0] == [ensemble.render_answer(SHOTS, question) for question in fakes.QUESTIONS]
    assert all("Explanation" not in prompt for prompt in model.asked[0])
    for question, prediction, asked in zip(fakes.QUESTIONS, first, model.asked[2], strict=True):
        assert asked == ensemble.render_justification(SHOTS, question, prediction.choice)
        assert prediction.samples[0].explanation.startswith("lot")
    assert in_context != first
    plain = ensemble.predict_then_explain(model.score_options, SHOTS, fakes.QUESTIONS)
    assert [each.shares for each in plain] == [each.shares for each in first] and plain[0].samples == ()


def test_predictions_carry_their_provenance():
    question = Question("q?", ("Yes", "No"))
    samples = ((Sample("t", "e", 1, (2, 0), (0.3, 0.7), 0.5), Sample("?", "f", None, (0, 2), (0.6, 0.4), 0.1)),)
    (prediction,) = ensemble.predict([question], samples, ensemble.ease, scorer="zero-shot")
    assert prediction.samples == samples[0] and prediction.scorer == "zero-shot" and prediction.unparsed == 1
    assert prediction.choice == 1 and sum(prediction.shares) == pytest.approx(1)
