"""Answers with a known set of options: what a language model's scores of them mean, and which one a text names.

An option is a continuation of a prompt and brings its own blank: after ``Answer:`` the options are ``" A"`` and
``" B"``. A model's probabilities of options are those of whole texts, so no option may begin with another one.
"""

import math
import re
from collections.abc import Callable, Sequence

from jaxalign.typing import GenerateFn, OptionScore, ScoreOptionsFn

FREQUENCY_SAMPLES = 8  # answers to a prompt, where frequencies stand in for probabilities

NormaliseFn = Callable[[Sequence[OptionScore]], tuple[float, ...]]
"""``normalise_fn(scores)``: the probability of each option, as :func:`option_probabilities` gives it."""


def option_probabilities(scores: Sequence[OptionScore]) -> tuple[float, ...]:
    """The probability of each option, given that the answer is one of them; equal ones if the model knows none.

    The probabilities of two options add up to 1 exactly, not only within rounding.

    >>> [round(p, 3) for p in option_probabilities([OptionScore(math.log(0.3), 1), OptionScore(math.log(0.1), 2)])]
    [0.75, 0.25]
    """
    return softmax([score.logp for score in scores])


def per_token_probabilities(scores: Sequence[OptionScore]) -> tuple[float, ...]:
    """:func:`option_probabilities` of the mean log-probability of an option's tokens, which does not prefer short ones.

    >>> per_token_probabilities([OptionScore(math.log(0.3), 1), OptionScore(math.log(0.09), 2)])
    (0.5, 0.5)
    """
    return softmax([score.logp / max(score.tokens, 1) for score in scores])


def softmax(logits: Sequence[float]) -> tuple[float, ...]:
    """On the host, in float64: -inf everywhere gives equal shares, and two shares are exactly complementary."""
    largest = max(logits)
    if largest == -math.inf:
        return (1 / len(logits),) * len(logits)
    shares = [math.exp(logit - largest) for logit in logits]
    total = sum(shares)
    if len(logits) != 2:
        return tuple(share / total for share in shares)
    # 1 - p is exact for p in [0.5, 1] only, so the larger one decides.
    larger = 1 / total
    return (larger, 1 - larger) if logits[0] == largest else (1 - larger, larger)


def check_options(options: Sequence[str]) -> None:
    """Raises ValueError if there are fewer than two options, or one begins with another one or equals it."""
    if len(options) < 2:
        raise ValueError(f"expected two options or more, got {list(options)}")
    for n, option in enumerate(options):
        for m, other in enumerate(options):
            if n != m and option.startswith(other):
                raise ValueError(
                    f"option {option!r} begins with option {other!r}, so that a model's probability of the one "
                    "contains that of the other; end options with a mark such as '.', or answer by letter"
                )


def parse_option(text: str, options: Sequence[str]) -> int | None:
    """The place of the option with which a text begins, or None if it begins with none.

    Case, blanks, quotes and brackets around the answer do not count, nor does what follows it after a word's end. Where
    several options fit, the longest one is meant.

    >>> parse_option(" (b) because it is longer", (" A", " B"))
    1
    >>> parse_option("Both are fine", (" A", " B")) is None
    True
    """
    said = bare_option(text)
    fitting = [
        (len(option), n)
        for n, option in enumerate(map(bare_option, options))
        if option and re.match(re.escape(option) + r"(?!\w)", said)
    ]
    return max(fitting)[1] if fitting else None


def make_frequency_scores(
    generate: GenerateFn, *, n: int = FREQUENCY_SAMPLES, max_tokens: int = 8, seed: int = 0
) -> ScoreOptionsFn:
    """How often a model answers with each option: for servers that give no probabilities.

    Each prompt is continued ``n`` times at temperature 1. An option's ``logp`` is the logarithm of its share of the
    answers that name an option, -inf if none names it, and ``tokens`` is 1: a frequency is no product over tokens.
    """

    def score_options(prompts, options) -> list[list[OptionScore]]:
        answers = generate(prompts, n=n, temperature=1.0, max_tokens=max_tokens, seed=seed)
        return [_frequencies(texts, each) for texts, each in zip(answers, options, strict=True)]

    return score_options


def _frequencies(texts: Sequence[str], options: Sequence[str]) -> list[OptionScore]:
    named = [choice for text in texts if (choice := parse_option(text, options)) is not None]
    return [
        OptionScore(math.log(named.count(n) / len(named)) if n in named else -math.inf, 1) for n in range(len(options))
    ]


def bare_option(text: str) -> str:
    """An answer without what does not count in it, see :func:`parse_option`."""
    return text.strip(" \t\n\r\"'*([{").rstrip(".,;:!?)]}\"'* ").casefold()
