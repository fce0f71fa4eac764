"""A server, or the file of what one answered, as one function from requests to answers.

service = llm.service.asking(llm.Client("http://127.0.0.1:8000/v1", "some/model"), llm.Cache("runs/answers.jsonl"))
generate = llm.generate.make_generate(service)
score_options = llm.options.make_score_options(service)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.http import Client
from jaxalign.io.llm.ledger import Ledger
from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.runs import Usage, complete, replay, usage_of
from jaxalign.io.llm.wire import Asked, guess_tokens

AskFn = Callable[[Sequence[Asked]], list[Answer]]
"""``ask(requests)``: an answer to each, in their order."""


class Service(NamedTuple):
    """Answers of one model, the file that has them, and the counts of what is asked.

    Attributes:
      server: whose answers they are in the file.
      replayed: nobody is asked, the file has all there is.
      thinking_tokens: added to every limit of an answer's tokens, for models that think before they answer.
    """

    model: str
    cache: Cache
    ledger: Ledger
    ask: AskFn
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
    """A server, as :func:`jaxalign.io.llm.complete` asks it; ``ask`` raises what that raises.

    Args:
      ledger: counts what is asked; when its budget is spent, or it is told to stop, ``ask`` raises
        :class:`~jaxalign.io.llm.ledger.StoppedError`.
    """
    ledger = Ledger() if ledger is None else ledger
    options = {"cache": cache, "concurrency": concurrency, "stop": lambda: ledger.stop(), "show": show}

    def ask(requests: Sequence[Asked]) -> list[Answer]:
        run = complete(client, requests, budget_tokens=ledger.left, **options)
        ledger.add(_usage(requests, run.answers), run.paid, seconds=run.seconds, retries=run.retries)
        if run.unsent:
            raise ledger.stopped(cache.path, run.unsent, len(requests))
        return run.answers

    return Service(client.model, cache, ledger, ask, client.known_as, thinking_tokens=thinking_tokens)


def replaying(
    model: str, cache: Cache, *, ledger: Ledger | None = None, server: str = "", thinking_tokens: int = 0
) -> Service:
    """An earlier run again, from its file alone; anything else is a :class:`~jaxalign.io.llm.NotRecordedError`.

    Args:
      server: whose answers are meant, where the file has those of several; see :func:`jaxalign.io.llm.replay`.
      thinking_tokens: those of the earlier run.
    """
    ledger = Ledger() if ledger is None else ledger
    server = cache.server_to_replay(model, server)

    def ask(requests: Sequence[Asked]) -> list[Answer]:
        answers = replay(model, requests, cache=cache, server=server)
        ledger.add(_usage(requests, answers), Usage())
        return answers

    return Service(model, cache, ledger, ask, server, replayed=True, thinking_tokens=thinking_tokens)


def _usage(requests: Sequence[Asked], answers: Sequence[Answer]) -> Usage:
    """As the server reports it; where it does not, by a guess, and counted as unreported."""
    pairs = [(request, answer) for request, answer in zip(requests, answers, strict=True) if not answer.error]
    unreported = usage_of(answer for _, answer in pairs).unreported
    return usage_of(_guessed(*pair) for pair in pairs)._replace(unreported=unreported)


def _guessed(request: Asked, answer: Answer) -> Answer:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    return answer._replace(
        prompt_tokens=guess_tokens(request.prompt) if prompt is None else prompt,
        completion_tokens=sum(map(guess_tokens, answer.texts)) if completion is None else completion,
    )
