"""A server, or the file of what one answered: asked for anything, counted, and as the generator that judges are given.

ledger = llm.service.Ledger(budget_tokens=1_000_000)
client = llm.Client("http://127.0.0.1:8000/v1", "some/model")
service = llm.service.asking(client, llm.Cache("runs/answers.jsonl"), ledger=ledger)
generate = llm.service.make_generate(service)
score_options = llm.options.make_score_options(service)
...
print(ledger.paid.tokens, "tokens paid,", ledger.seconds, "seconds")
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxalign.io.llm import failures
from jaxalign.io.llm.accounting import Usage, usage_of
from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.http import Client, RequestError
from jaxalign.io.llm.ledger import Ledger, StoppedError
from jaxalign.io.llm.protocol import Asked, Request
from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.runs import complete, replay
from jaxalign.prompting import guess_tokens
from jaxalign.typing import GenerateFn, Prompt

__all__ = ["AskFn", "AskTextsFn", "Ledger", "Service", "StoppedError", "asking", "make_ask", "make_attempt"]
__all__ += ["make_generate", "make_short_generate", "replaying"]

AskFn = Callable[[Sequence[Asked]], list[Answer]]
"""``ask(requests)``: an answer to each, in their order."""
AskTextsFn = Callable[..., list[list[Answer]]]
"""``ask(prompts, ...)``, called like a :class:`~jaxalign.typing.GenerateFn`: all answers to each prompt."""


class Service(NamedTuple):
    """Answers of one model, the file that has them, and the counts of what is asked.

    Attributes:
      model: the name of the model.
      cache: the file of answers.
      ledger: the counts.
      ask: answers requests; one that fails is an error.
      attempt: answers requests; the answer to one that fails has no text, and an ``error``.
      server: the base URL under which the file knows the server.
      replayed: whether nobody is asked, and the file has all there is.
      thinking_tokens: added to every limit of an answer's tokens, for models that think before they answer.
    """

    model: str
    cache: Cache
    ledger: Ledger
    ask: AskFn
    attempt: AskFn
    server: str = ""
    replayed: bool = False
    thinking_tokens: int = 0


def asking(
    client: Client,
    cache: Cache,
    *,
    ledger: Ledger | None = None,
    concurrency: int = 8,
    thinking_tokens: int = 0,
    show: bool = True,
) -> Service:
    """Returns a service that asks a server.

    Its ``ask`` raises what :func:`jaxalign.io.llm.complete` raises, and :class:`StoppedError` when the budget of the
    ledger is spent, or it is told to stop. Its ``attempt`` raises RequestError only where each of several requests was
    tried in vain until its retries were used up: to go on so through thousands of documents would take days.

    Args:
      client: the server and its model.
      cache: the file of answers.
      ledger: counts what is asked; by default one without a budget.
      concurrency: requests under way at once.
      thinking_tokens: added to every limit of an answer's tokens, for models that think before they answer.
      show: whether to show the progress.
    """
    ledger = Ledger() if ledger is None else ledger
    options = {"cache": cache, "concurrency": concurrency, "stop": lambda: ledger.stop(), "show": show}

    def answers(requests: Sequence[Asked], *, skip_failed: bool) -> list[Answer]:
        left = ledger.budget.minus(ledger.paid)
        budget = {"budget_tokens": left.tokens, "budget_cost": left.cost, "price": left.price}
        run = complete(client, requests, skip_failed=skip_failed, **budget, **options)
        ledger.add(_usage(requests, run.answers), run.paid, seconds=run.seconds, retries=run.retries)
        if run.unsent:
            raise ledger.stopped(cache.path, run.unsent, len(requests))
        return run.answers

    def attempt(requests: Sequence[Asked]) -> list[Answer]:
        found = answers(requests, skip_failed=True)
        failed = [pair for pair in zip(requests, found, strict=True) if pair[1].error]
        if len(failed) == len(requests) > 1 and all(answer.retries >= client.max_retries > 0 for answer in found):
            raise RequestError(
                f"none of {len(requests)} requests was answered, so that the server seems to be gone; the first: "
                f"{found[0].error}. What was answered is in {cache.path}; the same command goes on from there"
            )
        if failed and not ledger.failed:
            client.tell(f"A request failed, and the run goes on without its text: {failed[0][1].error}")
        ledger.failed += len(failed)
        for request, answer in failed:
            failures.note(cache, client.model, client.known_as, request, answer.error)
        return found

    ask = functools.partial(answers, skip_failed=False)
    return Service(client.model, cache, ledger, ask, attempt, client.known_as, thinking_tokens=thinking_tokens)


def replaying(
    model: str, cache: Cache, *, ledger: Ledger | None = None, server: str = "", thinking_tokens: int = 0
) -> Service:
    """Returns a service that gives an earlier run again, from its file alone.

    Its ``ask`` raises :class:`~jaxalign.io.llm.NotRecordedError` for anything else.

    Args:
      model: the name of the model.
      cache: the file of answers.
      ledger: counts what is asked; by default one without a budget.
      server: the base URL of the server, where the file has answers of several.
      thinking_tokens: those of the earlier run.

    Raises:
      ValueError: the file has answers of several servers, and ``server`` names none of them.
    """
    ledger = Ledger() if ledger is None else ledger
    server = cache.server_to_replay(model, server)

    def ask(requests: Sequence[Asked]) -> list[Answer]:
        answers = replay(model, requests, cache=cache, server=server)
        ledger.add(_usage(requests, answers), Usage())
        return answers

    def attempt(requests: Sequence[Asked]) -> list[Answer]:
        noted = [failures.find(cache, model, server, request) for request in requests]
        rest = iter(ask([request for request, failed in zip(requests, noted, strict=True) if failed is None]))
        ledger.failed += sum(failed is not None for failed in noted)
        return [next(rest) if failed is None else failed for failed in noted]

    return Service(model, cache, ledger, ask, attempt, server, replayed=True, thinking_tokens=thinking_tokens)


def make_generate(service: Service) -> GenerateFn:
    """Makes a generator that asks for chat completions; a text is one turn of the user.

    The ``n`` texts of a prompt are ``n`` requests, which every server knows. With a ``seed``, sample ``k`` is asked for
    with ``seed + k``. Texts that were cut at ``max_tokens``, and empty ones, are counted in the service's ledger. The
    generator raises what ``service.ask`` raises.

    Args:
      service: the server.
    """
    ask = _counting(service, make_ask(service))
    return lambda prompts, **options: _texts(ask(prompts, **options))


def make_attempt(service: Service) -> AskTextsFn:
    """Makes what :func:`make_ask` makes, where an answer without a text says in its ``error`` why its request failed.

    Texts that were cut at ``max_tokens``, and empty ones, are counted in the service's ledger.

    Args:
      service: the server.
    """
    return _counting(service, make_ask(service._replace(ask=service.attempt)))


def make_short_generate(service: Service) -> GenerateFn:
    """Makes a generator for answers of which the beginning is enough: none is counted as cut.

    Args:
      service: the server.
    """
    ask = make_ask(service)
    return lambda prompts, **options: _texts(ask(prompts, **options))


def make_ask(service: Service) -> AskTextsFn:
    """Makes ``ask(prompts, ...)``, called like a :class:`~jaxalign.typing.GenerateFn`: all answers to each prompt.

    Args:
      service: the server.
    """

    def ask(
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[Answer]]:
        shared = {"temperature": temperature, "max_tokens": max_tokens + service.thinking_tokens, "stop": stop}
        requests = [
            Request(prompt, seed=None if seed is None else seed + sample, sample=sample, **shared)
            for prompt in prompts
            for sample in range(n)
        ]
        answers = service.ask(requests)
        return [answers[start : start + n] for start in range(0, len(answers), n)]

    return ask


def _counting(service: Service, ask: AskTextsFn) -> AskTextsFn:
    """The same, where texts that were cut and empty ones are counted in the service's ledger."""

    def counted(prompts: Sequence[Prompt], **options: Any) -> list[list[Answer]]:
        answers = ask(prompts, **options)
        service.ledger.add_texts(itertools.chain.from_iterable(answers))
        return answers

    return counted


def _usage(requests: Sequence[Asked], answers: Sequence[Answer]) -> Usage:
    """Adds up what the server reports; where it does not, a guess, which is counted as unreported."""
    pairs = [(request, answer) for request, answer in zip(requests, answers, strict=True) if not answer.error]
    unreported = usage_of(answer for _, answer in pairs).unreported
    return usage_of(_guessed(*pair) for pair in pairs)._replace(unreported=unreported)


def _guessed(request: Asked, answer: Answer) -> Answer:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    return answer._replace(
        prompt_tokens=guess_tokens(request.prompt) if prompt is None else prompt,
        completion_tokens=sum(map(guess_tokens, answer.texts)) if completion is None else completion,
    )


def _texts(answers: Sequence[Sequence[Answer]]) -> list[list[str]]:
    return [[answer.text for answer in each] for each in answers]
