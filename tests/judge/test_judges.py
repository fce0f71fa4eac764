"""Judges around scripted models: values by hand, antisymmetry to the last bit, what is counted and what is asked."""

import math

import jax
import jax.numpy as jnp
import pytest

from jaxalign import data, judge, metrics, prompting
from jaxalign.data import PreferencePair
from jaxalign.judge import Contrast, StructuredConfig, prompts
from jaxalign.prompting import Orders, Verdict
from jaxalign.typing import OptionScore
from tests.judge import fakes

PAIRS = [PreferencePair(f"q{n}", f"text {n % 7}", f"text {(3 * n + 1) % 11}", 1.0) for n in range(25)]
PAIR = PreferencePair("q", "left", "right", 1.0)  # sorted already: shown as it stands
CLEAN, BROKEN = Contrast(("x",), ("y",), ("z",)), Contrast(("x",), ("y",), ("X.",))


def scores(*probabilities):
    return [OptionScore(math.log(p), 1) for p in probabilities]


def judges():
    yield "length", judge.judge_by_length
    yield "direct", judge.make_direct_judge(fakes.score_by_lot, judge.RATING)
    yield (
        "direct by token",
        judge.make_direct_judge(fakes.score_by_lot, judge.RATING, normalise_fn=prompting.per_token_probabilities),
    )
    for n in (1, 3, 5):
        yield f"{n} chains", judge.make_reasoning_judge(fakes.write_by_lot, judge.RATING, n=n, temperature=0.7)
    yield "calibrated", judge.with_temperature(judge.make_direct_judge(fakes.score_by_lot, judge.RATING), 2.7)
    for select in (judge.knockout, judge.round_robin, judge.pointwise, judge.make_random(3), judge.first):
        for config in (StructuredConfig(num_candidates=3), StructuredConfig(joint=True), StructuredConfig(0, 5)):
            structured = judge.make_structured_judge(
                fakes.write_by_lot, fakes.score_by_lot, judge.RATING, config, select=select
            )
            yield f"{getattr(select, '__name__', select)} {config}", structured


@pytest.mark.parametrize("judge_fn", [pytest.param(fn, id=name) for name, fn in judges()])
def test_exchanged_texts_give_exactly_the_complement(judge_fn):
    plain, swapped = judge_fn(PAIRS), judge_fn([pair.swapped() for pair in PAIRS])
    assert [each.probability is None for each in plain] == [each.probability is None for each in swapped]
    for pair, a, b in zip(PAIRS, plain, swapped, strict=True):
        if a.probability is not None:
            assert a.probability == 1 - b.probability and b.probability == 1 - a.probability
            assert tuple(a.orders.swapped()) == pytest.approx(tuple(b.orders))
        if pair.first == pair.second:
            assert a.probability == 0.5
        assert a.table == b.swapped().table
    assert judge_fn([]) == []


def test_direct_by_hand():
    shown = []

    def score_options(asked, options):
        shown.extend(asked)
        return [scores(0.6, 0.2), scores(0.1, 0.3)]  # normalised 0.75 for A, and 0.75 for B, the first text

    (judgement,) = judge.make_direct_judge(score_options, judge.RATING)([PAIR])
    assert judgement.orders == pytest.approx(Orders(0.75, 0.75))
    assert judgement.probability == pytest.approx(0.75) and judgement.verdict is Verdict.FIRST
    assert shown == [prompts.render_verdict(judge.RATING, each) for each in (PAIR, PAIR.swapped())]


UNREAD = {
    "absent": [OptionScore(-math.inf, 1)] * 2,
    "NaN": [OptionScore(math.nan, 1), OptionScore(-1.0, 1)],
    "null": [OptionScore(-1.0, 1), OptionScore(None, 1)],
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("unread", [(0,), (1,), (0, 1)])
def test_scores_that_could_not_be_read_are_no_verdict(name, unread):
    """Scores are missing in either order or in both; the pair that could be read keeps its own."""

    def score_options(asked, options):
        found = [scores(0.6, 0.2), scores(0.9, 0.1), scores(0.1, 0.3), scores(0.2, 0.8)]
        return [UNREAD[name] if place in [2 * order for order in unread] else each for place, each in enumerate(found)]

    pairs = [PAIR, PreferencePair("r", "left", "right", 0.0)]
    first, second = judge.make_direct_judge(score_options, judge.RATING)(pairs)
    assert first.probability is None and first.verdict is Verdict.UNPARSED
    assert [p is None for p in first.orders] == [order in unread for order in (0, 1)]
    assert second.verdict is Verdict.FIRST and second.probability == pytest.approx(0.85)


@pytest.mark.parametrize("name", UNREAD)
def test_a_structured_judge_without_any_score(name):
    """Contrasts are there, and nothing is known of them: no verdict, and no candidate has won."""

    def score_options(asked, options):
        return [UNREAD[name]] * len(asked)

    critic = judge.make_critic(score_options, judge.RATING)
    clean, other, broken = candidate(CLEAN), candidate(Contrast(("w",), (), ())), candidate(BROKEN)
    assert critic.prefer([(clean, other), (broken, clean)]) == [None, 0.0]
    assert critic.rate([clean, broken]) == [None, None]
    for select in (judge.knockout, judge.round_robin, judge.pointwise):
        structured = judge.make_structured_judge(fakes.write_by_lot, score_options, judge.RATING, select=select)
        assert all(each.verdict is Verdict.UNPARSED and each.table for each in structured(PAIRS[:1]))


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_candidates": 0}, "num_candidates: expected at least 1, got 0"),
        ({"num_candidates": -3}, "num_candidates: expected at least 1, got -3"),
        ({"num_aspects": -1}, "num_aspects: expected at least 0, got -1"),
        ({"max_tokens": 0}, "max_tokens: expected at least 1, got 0"),
        ({"temperature": math.nan}, "temperature: expected a number of at least 0, got nan"),
        ({"temperature": -0.5}, "temperature: expected a number of at least 0"),
    ],
)
def test_sizes_that_make_no_judge(fields, message):
    with pytest.raises(ValueError, match=message):
        StructuredConfig(**fields)


def test_a_chain_of_thought_is_at_least_one():
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        judge.make_reasoning_judge(fakes.write_by_lot, judge.RATING, n=0)


def test_votes_by_hand():
    def answers(first, second):
        texts = [[f"Answer: {word}" for word in words.split()] for words in (first, second)]
        return judge.make_reasoning_judge(lambda asked, **_: texts, judge.RATING, n=4)([PAIR])[0]

    # Shown first: A, A, tie, B gives 2.5 of 4. Shown second: B, B, B of three that can be read give 3 of 3.
    judgement = answers("A A tie B", "B B ? B")
    assert judgement.orders == Orders(0.625, 1.0) and judgement.probability == 0.8125
    assert (judgement.asked, judgement.unparsed, judgement.verdict) == (8, 1, Verdict.FIRST)
    assert answers("A A A A", "A A A A").verdict is Verdict.INCONSISTENT
    unparsed = answers("A A A A", "? ? ? ?")
    assert unparsed.verdict is Verdict.UNPARSED and unparsed.probability is None and unparsed.unparsed == 4


def test_longer_wins_on_llmbar(shared_data):
    """The figure is the published one; pairs of equal length are not counted."""
    pairs = data.read_parquet(shared_data / "llmbar" / "pairs.parquet", data.LLMBAR).records
    judgements = judge.judge_by_length(pairs)
    decided = jnp.array([judgement.verdict is not Verdict.TIE for judgement in judgements])
    chances, targets = jnp.array([j.probability for j in judgements]), jnp.array([pair.target for pair in pairs])
    right = jax.vmap(metrics.preference_accuracy_metric)(chances, 1 - chances, targets)
    accuracies = metrics.subset_accuracies(right.numerator, [pair.source for pair in pairs], where=decided)
    facts = {"Natural": 56.6, "Neighbor": 11.9, "GPTInst": 13.0, "GPTOut": 44.7, "Manual": 17.8}
    assert {name: round(100 * float(accuracies[name].value), 1) for name in facts} == facts


def candidate(contrast):
    return judge.SampledContrast(PAIR, "tone", contrast)


def test_a_planted_contradiction_loses_to_anything():
    def asked_in_vain(asked, options):
        return [scores(0.999, 0.001) for _ in asked]  # prefers whatever it sees, if it is asked

    critic = judge.make_critic(asked_in_vain, judge.RATING)
    clean, broken = candidate(CLEAN), candidate(BROKEN)
    assert critic.prefer([(broken, clean), (clean, broken)]) == [0.0, 1.0]
    for select in (judge.knockout, judge.round_robin, judge.pointwise):
        assert select([[broken, clean], [broken, broken, clean]], critic) == [1, 2]


def test_the_comparator_averages_both_orders():
    other = candidate(Contrast(("w",), (), ()))
    asked = []

    def score_options(prompts, options):
        asked.append(list(prompts))
        return [scores(0.9, 0.1), scores(0.6, 0.4)]

    critic = judge.make_critic(score_options, judge.RATING)
    # The first is preferred with 0.9 where it is shown first, with 0.4 where second.
    assert critic.prefer([(candidate(CLEAN), other)]) == [pytest.approx(0.65)]
    assert asked[0][0].index("- x") < asked[0][0].index("- w") and asked[0][1].index("- w") < asked[0][1].index("- x")
    by_lot = judge.make_critic(fakes.score_by_lot, judge.RATING)
    (q,), (p,) = by_lot.prefer([(candidate(CLEAN), other)]), by_lot.prefer([(other, candidate(CLEAN))])
    assert q == 1 - p and q != 0.5


def counting(calls):
    def generate(asked, **options):
        calls.append(("write", len(asked), options["n"] if "n" in options else 1, options["temperature"]))
        return fakes.write_by_lot(asked, **options)

    def score_options(asked, options):
        calls.append(("score", len(asked), options[0]))
        return fakes.score_by_lot(asked, options)

    return generate, score_options


def test_each_stage_is_one_call_for_all_pairs():
    calls = []
    config = StructuredConfig(num_aspects=2, num_candidates=3, temperature=0.6)
    structured = judge.make_structured_judge(*counting(calls), judge.RATING, config)
    judgements = structured(PAIRS[:4])
    assert calls == [
        ("write", 4, 1, 0.0),
        ("write", 8, 2, 0.6),
        ("write", 8, 1, 0.6),
        ("score", 16, prompts.MATCH_OPTIONS),  # two rounds of a knockout of three, in both orders
        ("score", 16, prompts.MATCH_OPTIONS),
        ("score", 8, prompts.TEXT_OPTIONS),
    ]
    assert all(len(each.table) == 2 and each.asked == 1 + 6 and each.unparsed == 0 for each in judgements)
    calls.clear()
    whole = judge.make_structured_judge(
        *counting(calls), judge.RATING, StructuredConfig(num_aspects=0, num_candidates=1), select=judge.first
    )
    assert [column.aspect for column in whole(PAIRS[:4])[0].table] == [prompts.WHOLE]
    assert calls == [("write", 4, 1, 0.7), ("score", 8, prompts.TEXT_OPTIONS)]


def test_neighbours_in_a_batch_change_nothing():
    structured = judge.make_structured_judge(fakes.write_by_lot, fakes.score_by_lot, judge.RATING)
    assert structured(PAIRS)[3:5] == structured(PAIRS[3:5])


def test_malformed_texts_are_counted_and_left_out():
    def generate(asked, *, n=1, **_):
        good = "Only A:\n- x\nOnly B:\n- y\nBoth:\n- none"
        if "Aspects:" in asked[0]:
            return [["- tone\n- length"], ["I cannot say."]]
        # In each order one of two can be read of tone, none of length; of the whole all.
        texts = {"tone": [good, "?"], "length": ["?", "??"], prompts.WHOLE: [good] * n}
        return [texts[prompt.split("Aspect: ")[1].strip()] for prompt in asked]

    structured = judge.make_structured_judge(generate, fakes.score_by_lot, judge.RATING, StructuredConfig(2, 4))
    first, second = structured(PAIRS[:2])
    assert [column.aspect for column in first.table] == ["tone"] and (first.asked, first.unparsed) == (9, 6)
    assert [column.aspect for column in second.table] == [prompts.WHOLE] and (second.asked, second.unparsed) == (5, 1)


def test_without_any_table_the_question_is_asked_outright():
    broken = judge.make_structured_judge(
        lambda asked, *, n=1, **_: [["?"] * n for _ in asked], fakes.score_by_lot, judge.RATING
    )
    direct, pairs = judge.make_direct_judge(fakes.score_by_lot, judge.RATING), PAIRS[:3]
    assert [each.probability for each in broken(pairs)] == [each.probability for each in direct(pairs)]
    assert all(each.unparsed == each.asked == 5 and each.table == () for each in broken(pairs))


def test_a_contrast_of_exchanged_texts_is_turned_back():
    def generate(asked, *, n=1, **_):
        left_is_a = ["left" in p.partition("[RESPONSE B]")[0] for p in asked]
        return [[f"Only A:\n- {'l' if a else 'r'}\nOnly B:\n- {'r' if a else 'l'}\nBoth:\n"] * n for a in left_is_a]

    structured = judge.make_structured_judge(
        generate, fakes.score_by_lot, judge.RATING, StructuredConfig(0, 2), select=lambda groups, critic: [1]
    )
    assert structured([PAIR])[0].table[0].contrast == Contrast(("l",), ("r",), ())
