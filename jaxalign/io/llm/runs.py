"""Answers from OpenAI-compatible servers: many at once, paid once, replayed for nothing.

    client = llm.Client("http://127.0.0.1:8000/v1", "some/model")  # the key comes from OPENAI_API_KEY, if it is set
    cache = llm.Cache("runs/teacher.jsonl")
    requests = [llm.Request(text, max_tokens=64, sample=n) for text in texts for n in range(4)]
    print(len(llm.missing(client.model, requests, cache=cache)), "requests to pay")
    run = llm.complete(client, requests, cache=cache, budget_tokens=1_000_000)
    texts = [answer.text for answer in run.answers]

Every answer is in the cache before it is returned. After a kill the same call asks for the rest only; what was under
way at that moment, at most ``concurrency`` requests, is asked again. Models of one name on two servers are two models;
a server that moved keeps its answers if ``Client(..., known_as="http://old/v1")`` says where it was.
"""

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from jaxalign.io.llm.accounting import Budget, Price, Usage, is_unreported, usage_of
from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.http import Client, RequestError, ask
from jaxalign.io.llm.protocol import Asked, Request, describe, request_key
from jaxalign.io.llm.replies import Answer
from jaxalign.io.run.progress import Progress

__all__ = ["Answer", "Cache", "Client", "Completed", "NotRecordedError", "Request", "RequestError", "Usage"]
__all__ += ["complete", "missing", "replay", "usage_of"]

_GLANCE = 0.2  # seconds between two looks at ``stop``


class NotRecordedError(LookupError):
    """A replay was asked for an answer that its file does not hold."""


class Completed(NamedTuple):
    """Answers in the order of the requests, and what they cost. Equal requests count once.

    Attributes:
      answers: an answer to each request.
      paid: what this call paid.
      cached: what earlier calls paid.
      retries: attempts after the first ones.
      seconds: how long this call took.
      failed: requests without an answer after all retries; ``error`` of their answers says why.
      unsent: requests that the budget left out, or ``stop``.
    """

    answers: list[Answer]
    paid: Usage
    cached: Usage
    retries: int
    seconds: float
    failed: int
    unsent: int


def complete(
    client: Client,
    requests: Sequence[Asked],
    *,
    cache: Cache,
    concurrency: int = 8,
    budget_tokens: int | None = None,
    budget_cost: float | None = None,
    price: Price | None = None,
    skip_failed: bool = False,
    stop: Callable[[], bool] = lambda: False,
    show: bool = True,
) -> Completed:
    """Answers all requests, from the cache or from the server.

    Args:
      client: the server and its model.
      requests: what to ask.
      cache: the file of answers; each is there before it is returned.
      concurrency: requests under way at once.
      budget_tokens: send nothing more once this call paid so many tokens, of prompts and answers. What is under way
        then still ends, so up to ``concurrency`` answers come on top. Requests left out have an ``error``.
      budget_cost: the same in US dollars.
      price: of the model, for a budget in money.
      skip_failed: a request that fails is counted, and its answer has an ``error``, instead of being an error.
      stop: looked at several times a second. Once it is true nothing more is sent or tried again; what is under way
        still ends.
      show: whether to show the progress.

    Returns:
      The answers in the order of the requests, and what they cost.

    Raises:
      RequestError: naming the request, if one fails; the answers before it are in the cache.
      OSError: an answer could not be written; ``cache`` keeps it in memory, so that another call does not pay it again.
      ValueError: a budget for a server that does not report tokens, or in money for a model without a price; a cache
        file that holds something else.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency: expected at least 1, got {concurrency}")
    budget = Budget(budget_tokens, budget_cost, price)
    began = time.monotonic()
    keys = [request_key(client.model, request) for request in requests]
    cache.flush()
    server = client.known_as
    found = {key: answer for key in dict.fromkeys(keys) if (answer := cache.get(key, server))}
    _tell_servers(client, cache, len(found))
    todo = {key: request for key, request in _distinct(client.model, requests).items() if key not in found}
    results: dict[str, Answer] = {}
    total, name = len(found) + len(todo), f"asking {client.model}"
    asking = contextlib.closing(_ask_all(client, todo, cache, concurrency, budget, stop))
    with asking as answers, Progress(name, total, start=len(found), show=show) as progress:
        for key, answer in answers:
            if answer.error and not skip_failed:
                raise RequestError(
                    f"request {keys.index(key)}, counted from 0, {describe(todo[key])}: {answer.error}. What was "
                    f"answered is in {cache.path}; the same call goes on from there",
                    answer.retries,
                    refused=answer.refused,
                    reason=answer.error,
                )
            results[key] = answer
            progress.update(len(found) + len(results), {}, float(answer.completion_tokens or 0))
    reason = "the run was stopped" if stop() else f"the budget of {budget} is spent"
    left_out = Answer((), (), error=f"not sent: {reason}")
    everything = dict.fromkeys(todo, left_out) | found | results
    new = [answer for answer in results.values() if not answer.cached]
    return Completed(
        answers=[everything[key] for key in keys],
        paid=usage_of(answer for answer in new if not answer.error),
        cached=usage_of(answer for answer in everything.values() if answer.cached),
        retries=sum(answer.retries for answer in new),
        seconds=time.monotonic() - began,
        failed=sum(bool(answer.error) for answer in new),
        unsent=len(todo) - len(results),
    )


def _tell_servers(client: Client, cache: Cache, found: int) -> None:
    """Remarks on answers that do not say whose they are, or are of another server."""
    servers = cache.servers(client.model)
    if others := ", ".join(sorted(servers - {client.known_as})):
        client.tell(
            f"{cache.path} has answers of {client.model!r} by {others}. They are not taken for those of "
            f"{client.known_as}, which is asked anew; if the same model moved there, say so (known_as)"
        )
    elif found and not servers:
        client.tell(
            f"{cache.path} does not say which server gave its answers of {client.model!r}, as earlier versions wrote "
            f"it: they are taken for those of {client.known_as}"
        )


def replay(model: str, requests: Sequence[Asked], *, cache: Cache, server: str = "") -> list[Answer]:
    """Returns the answers of an earlier run, from its file alone.

    Args:
      model: the name of the model.
      requests: what was asked.
      cache: the file of answers.
      server: the base URL of the server, where the file has answers of several.

    Raises:
      NotRecordedError: naming the first request that the file has no answer to.
      ValueError: the file has answers of several servers, and ``server`` names none of them.
    """
    answers = []
    server = cache.server_to_replay(model, server)
    for index, request in enumerate(requests):
        key = request_key(model, request)
        answer = cache.get(key, server)
        if answer is None:
            raise NotRecordedError(
                f"{cache.path} has no answer of {model!r} to request {index}, counted from 0, {describe(request)} "
                f"(key {key[:16]}...). Messages, parameters and sample must be those of the run that wrote it"
            )
        answers.append(answer)
    return answers


def missing(model: str, requests: Sequence[Asked], *, cache: Cache, server: str = "") -> list[Asked]:
    """Returns the requests that :func:`complete` would send, equal ones once.

    Args:
      model: the name of the model.
      requests: what to ask.
      cache: the file of answers.
      server: the base URL of the server; by default the one whose answers are in the file.

    Raises:
      ValueError: the file has answers of several servers, and ``server`` names none of them.
    """
    server = server or cache.server_to_replay(model)
    return [request for key, request in _distinct(model, requests).items() if cache.get(key, server) is None]


def _distinct(model: str, requests: Sequence[Asked]) -> dict[str, Asked]:
    """Requests by their key, the first of equal ones."""
    distinct: dict[str, Asked] = {}
    for request in requests:
        distinct.setdefault(request_key(model, request), request)
    return distinct


def _ask_all(
    client: Client,
    todo: Mapping[str, Asked],
    cache: Cache,
    concurrency: int,
    budget: Budget,
    stop: Callable[[], bool],
) -> Iterator[tuple[str, Answer]]:
    """Keys and answers as they come; ends early when the budget is spent, or ``stop`` says so."""
    ended, spent, waiting = threading.Event(), Usage(), iter(todo.items())
    running: dict[concurrent.futures.Future, str] = {}
    with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
        try:
            while True:
                # Few are handed over at a time, so that nothing is sent after a budget is spent or a user interrupts.
                while len(running) < concurrency and not budget.spent(spent) and not stop():
                    if (item := next(waiting, None)) is None:
                        break
                    running[pool.submit(_pay, client, *item, cache, ended)] = item[0]
                if not running:
                    return
                for future in concurrent.futures.wait(running, _GLANCE, return_when="FIRST_COMPLETED").done:
                    answer = future.result()
                    paid = not (answer.cached or answer.error)
                    if budget.limits and paid and is_unreported(answer):
                        raise ValueError(
                            f"{client.base_url} does not report tokens, so a budget of {budget} cannot be kept"
                        )
                    spent = spent.plus(usage_of([answer] if paid else ()))
                    key = running.pop(future)
                    if not (answer.error and ended.is_set()):  # given up for ``stop`` is not failed
                        yield key, answer
                if stop():
                    ended.set()
        finally:
            ended.set()


def _pay(client: Client, key: str, request: Asked, cache: Cache, ended: threading.Event) -> Answer:
    """Runs in a thread, and writes to the cache there: an answer is kept even if nobody waits for it any more."""
    if (answer := cache.get(key, client.known_as)) is not None:  # another process was faster
        return answer
    try:
        answer = ask(client, request, pause=lambda seconds: _pause(seconds, ended))
    except RequestError as error:
        return Answer((), (), retries=error.retries, error=str(error), refused=error.refused)
    stored = cache.add(key, client.model, answer, server=client.known_as)
    return answer._replace(texts=stored.texts, finish=stored.finish, logprobs=stored.logprobs)


def _pause(seconds: float, ended: threading.Event):
    if ended.wait(seconds):
        raise RequestError("not asked again: the run was stopped")
