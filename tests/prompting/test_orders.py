"""Two things compared in both orders."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign.prompting import Orders, Verdict, both_orders, option_probabilities
from jaxalign.typing import OptionScore

probabilities = st.floats(0, 1)


def test_probability_is_the_mean_of_both_orders():
    assert Orders(0.9, 0.4).probability == pytest.approx(0.65)
    assert Orders(0.1, 0.2).probability == pytest.approx(0.15)
    assert Orders(1.0, 0.0).probability == 0.5
    assert Orders(None, 0.3).probability is None


@given(probabilities, probabilities)
def test_exchanged_texts_give_exactly_the_complement(shown_first, shown_second):
    orders = Orders(shown_first, shown_second)
    assert orders.swapped().probability == 1 - orders.probability
    assert orders.probability == 1 - orders.swapped().probability
    assert orders.probability == pytest.approx((shown_first + shown_second) / 2, abs=1e-15)


@pytest.mark.parametrize(
    "shown_first, shown_second, expected",
    [
        (0.6, 0.9, Verdict.FIRST),
        (0.4, 0.1, Verdict.SECOND),
        (0.9, 0.4, Verdict.INCONSISTENT),
        (1.0, 0.0, Verdict.INCONSISTENT),
        (0.5, 0.5, Verdict.TIE),
        (0.5, 0.9, Verdict.TIE),
        (0.2, 0.5, Verdict.TIE),
        (None, 0.9, Verdict.UNPARSED),
        (0.9, None, Verdict.UNPARSED),
        (math.nan, 0.9, Verdict.UNPARSED),
        (0.9, math.nan, Verdict.UNPARSED),
        (None, math.nan, Verdict.UNPARSED),
    ],
)
def test_the_rule_of_two_orders(shown_first, shown_second, expected):
    mirrored = {Verdict.FIRST: Verdict.SECOND, Verdict.SECOND: Verdict.FIRST}
    assert Orders(shown_first, shown_second).verdict is expected
    assert Orders(shown_first, shown_second).swapped().verdict is mirrored.get(expected, expected)


def test_all_questions_are_asked_in_one_call():
    calls = []

    def score_options(prompts, options):
        calls.append(list(prompts))
        assert list(options) == [(" A", " B")] * len(prompts)
        chances = {"1 2": 0.75, "2 1": 0.5, "3 4": math.nan, "4 3": 0.25}
        return [[OptionScore(math.log(p), 1) for p in (chances[prompt], 1 - chances[prompt])] for prompt in prompts]

    orders = both_orders(score_options, ["1 2", "3 4"], ["2 1", "4 3"], (" A", " B"), option_probabilities)
    assert orders == [pytest.approx(Orders(0.75, 0.5)), (None, pytest.approx(0.75))]
    assert calls == [["1 2", "3 4", "2 1", "4 3"]]
    assert both_orders(score_options, [], [], (" A", " B"), option_probabilities) == [] and len(calls) == 1
