"""Scores of options from servers: exact where a server gives log-probabilities, by frequency otherwise.

There are three ways, in this order:

- ``echo``: log-probabilities of all tokens of a prompt and of an option, from ``/completions``: exact, for whole
  options. The texts are continued as they are, without a chat template, as a model in this process continues them. A
  chat cannot be sent so.
- ``first token``: the most likely first tokens of a chat's answer. Exact only where the first token names the option;
  only for options whose first characters differ.
- ``frequency``: how often a sampled answer names each option.

A server is tried with one request, the shortest; if it says that it cannot do this, or leaves out what was asked for,
the next way is taken. Other faults are errors as everywhere. What a server can do is said once, and kept in the cache,
so that a file has scores of one kind; :mod:`jaxalign.io.llm.abilities` says what counts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.data.answers import bare_option, check_options, make_frequency_scores, parse_option
from jaxalign.io.llm.abilities import Abilities
from jaxalign.io.llm.echo import Echo, scores_of_echoes
from jaxalign.io.llm.generate import make_short_generate
from jaxalign.io.llm.replies import Answer, logprob
from jaxalign.io.llm.service import Service
from jaxalign.io.llm.wire import Asked, Request
from jaxalign.typing import OptionScore, Prompt, ScoreOptionsFn

TOP_TOKENS = 20  # what most servers give at most


class Way(NamedTuple):
    """One way to score options."""

    name: str
    fits: Callable[[Prompt, Sequence[str]], bool]  # whether it can score these options of this prompt
    request: Callable[[Prompt, Sequence[str]], Asked] | None  # that shows whether a server knows the way; None: all do
    score: ScoreOptionsFn


def make_score_options(service: Service) -> ScoreOptionsFn:
    """The first way that fits and that the server knows, for each prompt by itself.

    Raises:
      ValueError: (when called) options that do not exclude one another.
      RequestError, StoppedError, NotRecordedError: (when called) as ``service.ask`` raises them.
    """
    ways = echo_way(service), first_token_way(service), frequency_way(service)
    abilities = Abilities(service)

    def score_options(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        for each in {tuple(each) for each in options}:
            check_options(each)
        pairs = list(zip(prompts, options, strict=True))
        scores: dict[int, list[OptionScore]] = {}
        _find_out(abilities, ways, pairs)
        for way in ways:
            places = [place for place, pair in enumerate(pairs) if place not in scores and way.fits(*pair)]
            if places:
                abilities.tell(way.name)
            if places and abilities.known[way.name]:
                found = way.score([prompts[place] for place in places], [options[place] for place in places])
                scores |= dict(zip(places, found, strict=True))
        return [scores[place] for place in range(len(pairs))]

    return score_options


def echo_way(service: Service) -> Way:
    """Whole options, exactly, as :mod:`jaxalign.data.options` defines their scores; K options take K + 1 requests."""

    def score(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        requests = [Echo(prompt, o) for prompt, each in zip(prompts, options, strict=True) for o in ("", *each)]
        answers = iter(service.ask(requests))
        return [scores_of_echoes(next(answers), [next(answers) for _ in each]) for each in options]

    return Way("echo", lambda prompt, options: isinstance(prompt, str), lambda prompt, options: Echo(prompt), score)


def first_token_way(service: Service) -> Way:
    """The mass of the most likely first tokens that name an option, or begin to; see :func:`scores_of_first_token`."""

    def request(prompt: Prompt, options: Sequence[str]) -> Request:
        # At temperature 1, since some servers give the probabilities that they sample with.
        return Request(prompt, temperature=1.0, max_tokens=1, top_logprobs=TOP_TOKENS)

    def score(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        answers = service.ask([request(*pair) for pair in zip(prompts, options, strict=True)])
        return [scores_of_first_token(answer, each) for answer, each in zip(answers, options, strict=True)]

    return Way("first token", differ_at_once, request, score)


def frequency_way(service: Service) -> Way:
    """See :func:`jaxalign.data.make_frequency_scores`; every server knows it."""
    return Way("frequency", lambda prompt, options: True, None, make_frequency_scores(make_short_generate(service)))


def differ_at_once(prompt: Prompt, options: Sequence[str]) -> bool:
    """Whether the first characters of options, blanks and case aside, tell them apart.

    >>> differ_at_once("", (" Yes", " No")), differ_at_once("", (" entailment", " else"))
    (True, False)
    """
    first = [bare_option(option)[:1] for option in options]
    return all(first) and len(set(first)) == len(first)


def scores_of_first_token(answer: Answer, options: Sequence[str]) -> list[OptionScore]:
    """The logarithm of the probability that an answer's first token names an option, or is its beginning.

    A token names what :func:`jaxalign.data.parse_option` reads in it: "A", " a" and "(A" are one. An option that none
    of the most likely tokens names gets an upper bound instead: another token is no likelier than the last of these,
    and than what they leave of the probability. (Of -inf, certainty would follow.) An answer without any token, or
    without a log-probability (null or NaN), names no option: all are -inf.
    """
    if not answer.logprobs[0]:
        return [OptionScore(-math.inf, 1) for _ in options]
    first = answer.logprobs[0][0]
    top = _known(first.get("top_logprobs") or ())
    tokens = _known([first]) | top
    if not tokens:
        return [OptionScore(-math.inf, 1) for _ in options]
    mass = [0.0] * len(options)
    for token, logp in tokens.items():
        if (place := _named(token, options)) is not None:
            mass[place] += math.exp(logp)
    rest = max(1 - sum(map(math.exp, tokens.values())), 0.0)
    bound = min(rest, math.exp(min(top.values(), default=0.0)))
    return [OptionScore(math.log(p) if p else -math.inf, 1) for p in (each or bound for each in mass)]


def _known(entries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Log-probabilities by their tokens, where there are any."""
    pairs = [(each["token"], logprob(each["logprob"])) for each in entries]
    return {token: logp for token, logp in pairs if logp is not None}


def _named(token: str, options: Sequence[str]) -> int | None:
    if (place := parse_option(token, options)) is not None:
        return place
    begun = bare_option(token)
    fitting = [n for n, option in enumerate(options) if begun and bare_option(option).startswith(begun)]
    return fitting[0] if len(fitting) == 1 else None


def _find_out(abilities: Abilities, ways: Sequence[Way], pairs: Sequence[tuple[Prompt, Sequence[str]]]) -> None:
    """Whether the server knows the ways that are needed for these options."""
    left = pairs
    for way in ways:
        if fitting := [pair for pair in left if way.fits(*pair)]:
            prompt, options = min(fitting, key=lambda pair: len(str(pair[0])))  # least likely to be too long
            request = None if way.request is None else way.request(prompt, options)
            if abilities.can(way.name, request, Request(prompt, temperature=1.0, max_tokens=1)):
                left = [pair for pair in left if not way.fits(*pair)]
