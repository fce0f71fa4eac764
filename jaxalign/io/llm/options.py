"""Scores of options from servers: exact where a server gives log-probabilities, by frequency otherwise.

There are three ways, in this order:

- ``echo``: log-probabilities of all tokens of a prompt and of an option, from ``/completions``: exact, for complete
  options. The texts are continued as they are, without a chat template, as a model without one in this process
  continues them. A chat cannot be sent so.
- ``first token``: the most likely first tokens of a chat's answer. Exact only where the first token names the option;
  only for options whose first characters differ.
- ``frequency``: how often a sampled answer names each option.

A server is tried with one request, the shortest; if it says that it cannot do this, or leaves out what was asked for,
the next way is taken. Other faults are errors as everywhere. What a server can do is said once, and kept in the cache,
so that a file has scores of one kind; :mod:`jaxalign.io.llm.abilities` says what counts.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxalign.io.llm.abilities import Abilities
from jaxalign.io.llm.fitting import LeftOut, tolerant
from jaxalign.io.llm.prompt_logprobs import Echo, scores_of_echoes
from jaxalign.io.llm.protocol import Asked, Request
from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.service import Service, make_short_generate
from jaxalign.prompting import bare
from jaxalign.prompting.options import check_options, make_frequency_scores
from jaxalign.typing import OptionScore, Prompt, ScoreOptionsFn

TOP_TOKENS = 20  # what most servers give at most
_ROUNDING = 1 + 1e-6


class Way(NamedTuple):
    """One way to score options.

    Attributes:
      name: its name, for the user and the file of answers.
      fits: whether it can score these options of this prompt.
      request: a request that shows whether a server knows the way; None if all do.
      score: scores options.
    """

    name: str
    fits: Callable[[Prompt, Sequence[str]], bool]  # whether it can score these options of this prompt
    request: Callable[[Prompt, Sequence[str]], Asked] | None  # that shows whether a server knows the way; None: all do
    score: ScoreOptionsFn


def make_score_options(service: Service, left_out: LeftOut | None = None) -> ScoreOptionsFn:
    """Makes a scorer that takes the first way that fits and that the server knows, for each prompt by itself.

    Args:
      service: the server.
      left_out: prompts that are too long for the server go there and have scores of -inf; None: they are an error.

    Raises:
      ValueError: (when called) options that do not exclude one another.
      RequestError, StoppedError, NotRecordedError: (when called) as ``service.ask`` raises them.
    """
    asked = service if left_out is None else tolerant(service, left_out)
    ways = echo_way(asked), first_token_way(asked), frequency_way(asked)
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
                service.ledger.ways[way.name] += len(places)
                found = way.score([prompts[place] for place in places], [options[place] for place in places])
                scores |= dict(zip(places, found, strict=True))
        return [scores[place] for place in range(len(pairs))]

    return score_options


def echo_way(service: Service) -> Way:
    """Returns the way that scores complete options exactly, as :mod:`jaxalign.data.text.options` has them.

    K options take K + 1 requests.

    Args:
      service: the server.
    """

    def score(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        requests = [Echo(prompt, o) for prompt, each in zip(prompts, options, strict=True) for o in ("", *each)]
        answers = iter(service.ask(requests))
        return [_scores_of_echoes(next(answers), [next(answers) for _ in each]) for each in options]

    return Way("echo", lambda prompt, options: isinstance(prompt, str), lambda prompt, options: Echo(prompt), score)


def first_token_way(service: Service) -> Way:
    """Returns the way that adds up the probabilities of the first tokens that name an option, or begin to.

    Args:
      service: the server.
    """

    def request(prompt: Prompt, options: Sequence[str]) -> Request:
        # At temperature 1, since some servers give the probabilities that they sample with.
        return Request(prompt, temperature=1.0, max_tokens=1, top_logprobs=TOP_TOKENS)

    def score(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        answers = service.ask([request(*pair) for pair in zip(prompts, options, strict=True)])
        return [scores_of_first_token(answer, each) for answer, each in zip(answers, options, strict=True)]

    return Way("first token", differ_at_once, request, score)


def frequency_way(service: Service) -> Way:
    """Returns the way that samples answers and counts how often each option is named; every server knows it.

    Args:
      service: the server.
    """
    return Way("frequency", lambda prompt, options: True, None, make_frequency_scores(make_short_generate(service)))


def _scores_of_echoes(alone: Answer, joint: Sequence[Answer]) -> list[OptionScore]:
    """Unread where one of the texts was too long."""
    if any(answer.logprobs[0] is None for answer in (alone, *joint)):
        return [OptionScore(-math.inf, 1) for _ in joint]
    return scores_of_echoes(alone, joint)


def differ_at_once(prompt: Prompt, options: Sequence[str]) -> bool:
    """Whether the first characters of options, blanks and case aside, tell them apart.

    Args:
      prompt: not looked at.
      options: the options' texts.

    >>> differ_at_once("", (" Yes", " No")), differ_at_once("", (" entailment", " else"))
    (True, False)
    """
    first = [bare(option).casefold()[:1] for option in options]
    return all(first) and len(set(first)) == len(first)


def scores_of_first_token(answer: Answer, options: Sequence[str]) -> list[OptionScore]:
    """Returns the logarithm of the probability that an answer's first token names an option, or is its beginning.

    A token names an option whatever its case, blanks and brackets: "A", " a" and "(A" are one. An option that none of
    the most likely tokens names gets an upper bound instead: another token is no likelier than the last of these, and
    than what they leave of the probability. (From -inf, certainty would follow.)

    All options are -inf, which stands for unread, where it is not known which one is the likeliest: no token came, a
    log-probability is no number, no token names an option, or none that does is above the bound of the others.

    Args:
      answer: a server's answer with the most likely first tokens.
      options: the options' texts.

    Returns:
      A score in nats for each option.
    """
    unread = [OptionScore(-math.inf, 1) for _ in options]
    tokens, least = _likeliest(answer)
    mass = [0.0] * len(options)
    for token, p in tokens.items():
        if (place := _named(token, options)) is not None:
            mass[place] += p
    bound = min(max(1 - sum(tokens.values()), 0.0), least)
    if not all(p >= 0 for p in tokens.values()) or not any(mass) or (0.0 in mass and max(mass) <= bound * _ROUNDING):
        return unread
    return [OptionScore(math.log(p) if p else -math.inf, 1) for p in (each or bound for each in mass)]


def _likeliest(answer: Answer) -> tuple[dict[str, float], float]:
    """The probabilities of the first tokens that are told, NaN for what is no number, and that of the last of them."""
    if not answer.logprobs or not answer.logprobs[0]:
        return {}, 1.0
    first = answer.logprobs[0][0]
    top = {str(each.get("token")): _probability(each.get("logprob")) for each in first.get("top_logprobs") or ()}
    return {str(first.get("token")): _probability(first.get("logprob"))} | top, min(top.values(), default=1.0)


def _probability(logp: Any) -> float:
    """NaN for what is no log-probability; a little above 0 is rounding."""
    return math.exp(logp) if isinstance(logp, int | float) and logp < 0.1 else math.nan


def _named(token: str, options: Sequence[str]) -> int | None:
    said = bare(token).casefold()
    names = [bare(option).casefold() for option in options]
    fitting = [n for n, name in enumerate(names) if said and name.startswith(said)]
    whole = [n for n in fitting if names[n] == said]
    return (whole or fitting)[0] if len(whole or fitting) == 1 else None


def _find_out(abilities: Abilities, ways: Sequence[Way], pairs: Sequence[tuple[Prompt, Sequence[str]]]) -> None:
    """Finds out whether the server knows the ways that are needed for these options."""
    left = pairs
    for way in ways:
        if fitting := [pair for pair in left if way.fits(*pair)]:
            prompt, options = min(fitting, key=lambda pair: len(str(pair[0])))  # least likely to be too long
            request = None if way.request is None else way.request(prompt, options)
            if abilities.can(way.name, request, Request(prompt, temperature=1.0, max_tokens=1)):
                left = [pair for pair in left if not way.fits(*pair)]
