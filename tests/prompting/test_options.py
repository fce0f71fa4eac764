import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign import prompting
from jaxalign.prompting import options as answers
from jaxalign.typing import OptionScore


def scores(*logps, tokens=1):
    return [OptionScore(logp, tokens) for logp in logps]


def test_probabilities_by_hand():
    # exp(-1), exp(-2), exp(-3) over their sum.
    expected = [math.exp(-n) / sum(math.exp(-m) for m in (1, 2, 3)) for n in (1, 2, 3)]
    assert prompting.option_probabilities(scores(-1.0, -2.0, -3.0)) == pytest.approx(expected)
    assert prompting.option_probabilities(scores(-1e9, -1e9 - 1)) == pytest.approx((1 / (1 + math.exp(-1)), 0.2689414))


def test_normalised_by_length_a_long_option_does_not_lose_for_its_length():
    both = [OptionScore(-2.0, 1), OptionScore(-6.0, 3)]
    assert prompting.per_token_probabilities(both) == (0.5, 0.5)
    assert prompting.option_probabilities(both)[0] > 0.98


@pytest.mark.parametrize("normalise_fn", [prompting.option_probabilities, prompting.per_token_probabilities])
@pytest.mark.parametrize(
    "logps",
    [
        (-math.inf, -math.inf, -math.inf),
        (-math.inf, -math.inf),
        (math.nan, -1.0),
        (-1.0, math.nan, -2.0),
        (-1.0, None),
        (None, None, None),
        (math.nan, math.nan),
        (math.inf, -1.0),
        (-math.inf, math.nan),
    ],
)
def test_scores_that_could_not_be_read_are_no_shares(normalise_fn, logps):
    assert normalise_fn(scores(*logps)) is None


def test_an_option_that_cannot_be_has_no_share():
    assert prompting.option_probabilities(scores(-math.inf, -3.0)) == (0.0, 1.0)


@given(st.floats(-50, 0), st.floats(-50, 0))
def test_two_options_are_complementary_to_the_last_bit(first, second):
    p, q = prompting.option_probabilities(scores(first, second))
    assert p + q == 1 and 1 - p == q and 1 - q == p
    assert prompting.option_probabilities(scores(second, first)) == (q, p)


@pytest.mark.parametrize("options", [(" Yes", " Yes"), (" bank", " bank account"), ("a",), ("", "b")])
def test_options_must_differ_from_their_beginning_on(options):
    with pytest.raises(ValueError, match="begins with option|two options or more"):
        answers.check_options(options)


@pytest.mark.parametrize("options", [(" Yes", "Yes"), (" bank.", " bank account."), (" A", " B", " C")])
def test_options_that_serve(options):
    answers.check_options(options)


@pytest.mark.parametrize(
    "text, expected",
    [
        (" A", 0),
        ("(B).", 1),
        ("**b** because", 1),
        ("a", 0),
        ("'A', clearly", 0),
        ("Aspects differ", None),
        ("neither A nor B", None),
        ("", None),
        ("...", None),
    ],
)
def test_the_option_that_a_text_names(text, expected):
    assert prompting.parse_option(text, (" A", " B")) == expected


def test_the_longest_option_is_meant():
    assert prompting.parse_option("bank account.", (" bank", " bank account")) == 1
    assert prompting.parse_option("bank.", (" bank", " bank account")) == 0


def test_frequencies_without_probabilities():
    asked = []

    def generate(prompts, *, n, temperature, max_tokens, seed):
        asked.append((list(prompts), n, temperature))
        return [["Yes.", "no", "yes", "Perhaps"], ["hm"] * 4]

    score_options = prompting.make_frequency_scores(generate, n=4)
    first, second = score_options(["p", "q"], [(" Yes", " No")] * 2)
    # Two of the three answers that name an option; "Perhaps" is no answer.
    assert prompting.option_probabilities(first) == pytest.approx((2 / 3, 1 / 3))
    assert prompting.option_probabilities(second) is None
    assert asked == [(["p", "q"], 4, 1.0)]
