"""Scores of options from servers: exact where a server gives log-probabilities, by frequency otherwise.

There are three ways, in this order:

- ``echo``: log-probabilities of all tokens of a prompt and of an option, from ``/completions``: exact, for whole
  options. The texts are continued as they are, without a chat template, as a model in this process continues them. A
  chat cannot be sent so.
- ``first token``: the most likely first tokens of a chat's answer. Exact only where the first token names the option;
  only for options whose first characters differ.
- ``frequency``: how often a sampled answer names each option.

A server is tried with one request, the shortest; if it refuses it (status 400, say), or leaves out what was asked for,
the next way is taken. Other faults are errors as everywhere. What a server can do is said once, and kept in the cache,
so that a file has scores of one kind.
"""

import math
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxalign.data.answers import bare_option, check_options, make_frequency_scores, parse_option
from jaxalign.io.llm.echo import Echo, scores_of_echoes
from jaxalign.io.llm.generate import make_generate
from jaxalign.io.llm.http import RequestError
from jaxalign.io.llm.service import Service
from jaxalign.io.llm.wire import Answer, Asked, Request, hash_of
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
    known: dict[str, bool] = {}

    def score_options(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        for each in {tuple(each) for each in options}:
            check_options(each)
        pairs = list(zip(prompts, options, strict=True))
        scores: dict[int, list[OptionScore]] = {}
        for way in ways:
            places = [place for place, pair in enumerate(pairs) if place not in scores and way.fits(*pair)]
            if places and way.name not in known:
                shortest = min(places, key=lambda place: len(str(pairs[place][0])))  # least likely to be too long
                known[way.name] = _is_known(service, way, *pairs[shortest])
            if places and known[way.name]:
                service.ledger.ways[way.name] += len(places)
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
    return Way("frequency", lambda prompt, options: True, None, make_frequency_scores(make_generate(service)))


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
    and than what they leave of the probability. (Of -inf, certainty would follow.) An answer without any token names
    no option: all are -inf.
    """
    if not answer.logprobs[0]:
        return [OptionScore(-math.inf, 1) for _ in options]
    first = answer.logprobs[0][0]
    top = {each["token"]: float(each["logprob"]) for each in first.get("top_logprobs") or ()}
    tokens = {first["token"]: float(first["logprob"])} | top
    mass = [0.0] * len(options)
    for token, logp in tokens.items():
        if (place := _named(token, options)) is not None:
            mass[place] += math.exp(logp)
    rest = max(1 - sum(map(math.exp, tokens.values())), 0.0)
    bound = min(rest, math.exp(min(top.values(), default=0.0)))
    return [OptionScore(math.log(p) if p else -math.inf, 1) for p in (each or bound for each in mass)]


def _named(token: str, options: Sequence[str]) -> int | None:
    if (place := parse_option(token, options)) is not None:
        return place
    begun = bare_option(token)
    fitting = [n for n, option in enumerate(options) if begun and bare_option(option).startswith(begun)]
    return fitting[0] if len(fitting) == 1 else None


def _is_known(service: Service, way: Way, prompt: Prompt, options: Sequence[str]) -> bool:
    """As the file says, or else as one request shows; a file that was begun says it for good."""
    if way.request is None:
        reason = ""
    else:
        key = hash_of(["options", service.model, way.name])
        if (noted := service.cache.get(key)) is None:
            reason = _refusal(service, way.request(prompt, options))
            noted = service.cache.add(key, service.model, Answer((reason,), ("",), 0, 0, (None,)))
        reason = noted.text
    how = f"not by {way.name} ({reason})" if reason else f"by {way.name}"
    print(f"{service.model}: options are scored {how}", file=sys.stderr)
    return not reason


def _refusal(service: Service, request: Asked) -> str:
    """Why a server does not know a way; empty if it does."""
    before = service.ledger.asked
    try:
        (answer,) = service.ask([request])
    except RequestError as error:
        if not error.refused:
            raise
        return error.reason
    finally:
        service.ledger.asked = before  # the same run again does not try, and costs as much
    return "" if answer.logprobs[0] is not None else "its answer has no log-probabilities"
