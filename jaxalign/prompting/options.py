"""Answers with a known set of options: what a language model's scores of them mean, and which one a text names.

An option is a continuation of a prompt and brings its own blank: after ``Answer:`` the options are ``" A"`` and
``" B"``. A model's probabilities of options are those of whole texts, so no option may begin with another one.
"""

import functools
import math
from collections.abc import Callable, Sequence

from jaxalign.prompting import names_of_options, read_choice
from jaxalign.typing import GenerateFn, OptionScore, ScoreOptionsFn

FREQUENCY_SAMPLES = 8  # answers to a prompt, where frequencies stand in for probabilities

Shares = tuple[float, ...]
NormaliseFn = Callable[[Sequence[OptionScore]], Shares | None]
"""``normalise_fn(scores)``: the probability of each option, as :func:`option_probabilities` gives it; or None."""


def option_probabilities(scores: Sequence[OptionScore]) -> Shares | None:
    """Returns the probability of each option, given that the answer is one of them: a softmax of log-probabilities.

    The probabilities of two options add up to 1 exactly, not only within rounding.

    Args:
      scores: one for each option: its log-probability in nats, as a whole text, and its number of tokens.

    Returns:
      One share for each option, summing to 1; None if a score is no number (NaN, None, +inf) or none is above -inf:
      nobody knows then which option the model prefers, and equal shares would say that it prefers none.

    >>> [round(p, 3) for p in option_probabilities([OptionScore(math.log(0.3), 1), OptionScore(math.log(0.1), 2)])]
    [0.75, 0.25]
    """
    return softmax(list(map(_logp, scores)))


def per_token_probabilities(scores: Sequence[OptionScore]) -> Shares | None:
    """Returns probabilities of options from the mean log-probability of their tokens, which does not prefer short ones.

    Args:
      scores: one for each option: its log-probability in nats, as a whole text, and its number of tokens.

    Returns:
      One share for each option, summing to 1; None if a score is no number (NaN, None, +inf) or none is above -inf.

    >>> per_token_probabilities([OptionScore(math.log(0.3), 1), OptionScore(math.log(0.09), 2)])
    (0.5, 0.5)
    """
    return softmax([_logp(score) / max(score.tokens, 1) for score in scores])


def softmax(logits: Sequence[float]) -> Shares | None:
    """Computes a softmax on the host, in float64, in which two shares are exactly complementary.

    Args:
      logits: one or more numbers, in nats.

    Returns:
      One share for each logit, summing to 1; None if a logit is NaN or +inf, or all are -inf.
    """
    largest = max(logits)
    if not all(logit < math.inf for logit in logits) or largest == -math.inf:
        return None
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
    """Reads which option a text gives as its answer.

    That is the option behind the last ``Answer:`` or the like, or else the one with which the text begins. Case,
    blanks, quotes and brackets around it do not count. Where several options fit, it is the longest one.

    Args:
      text: as a model wrote it; thinking before the answer is not read.
      options: the possible answers, such as ``(" A", " B")``.

    Returns:
      The option's place, from 0; None if it is not clear that the text gives one option.

    >>> parse_option(" (b) because it is longer", (" A", " B"))
    1
    >>> [parse_option(text, (" A", " B")) for text in ("Both are fine", "A and B", "A is worse", "A's tone")]
    [None, None, None, None]
    """
    return read_choice(text, _names(tuple(options)))


def make_frequency_scores(
    generate: GenerateFn, *, n: int = FREQUENCY_SAMPLES, max_tokens: int = 8, seed: int = 0
) -> ScoreOptionsFn:
    """Makes scores of options from how often a model answers with each, for servers that give no probabilities.

    Each prompt is continued ``n`` times at temperature 1. An option's ``logp`` is the logarithm of its share of the
    answers that name an option, -inf if none names it, and ``tokens`` is 1: a frequency is no product over tokens.
    Where no answer can be read all are -inf, which :func:`option_probabilities` takes for unread.

    Args:
      generate: continues prompts with texts.
      n: answers to each prompt, at least 1.
      max_tokens: the longest answer, at least 1.
      seed: of the sampling.

    Raises:
      ValueError: if ``n`` or ``max_tokens`` is below 1.
    """
    check_counts(n=n, max_tokens=max_tokens)

    def score_options(prompts, options) -> list[list[OptionScore]]:
        answers = generate(prompts, n=n, temperature=1.0, max_tokens=max_tokens, seed=seed)
        return [_frequencies(texts, each) for texts, each in zip(answers, options, strict=True)]

    return score_options


def _frequencies(texts: Sequence[str], options: Sequence[str]) -> list[OptionScore]:
    named = [choice for text in texts if (choice := parse_option(text, options)) is not None]
    return [
        OptionScore(math.log(named.count(n) / len(named)) if n in named else -math.inf, 1) for n in range(len(options))
    ]


def check_counts(**counts: int) -> None:
    """Raises ValueError, with the name, for a count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: expected at least 1, got {count}")


def check_temperature(temperature: float) -> None:
    """Raises ValueError for a temperature that is negative or no number."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature: expected a number of at least 0, got {temperature}")


def _logp(score: OptionScore) -> float:
    return math.nan if score.logp is None else score.logp


_names = functools.lru_cache(maxsize=4096)(names_of_options)
