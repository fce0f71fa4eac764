"""A server, or the file of what one answered: asked for anything, counted, and as the generator that judges are given.

ledger = llm.service.Ledger(budget_tokens=1_000_000)
client = llm.Client("http://127.0.0.1:8000/v1", "some/model")
service = llm.service.asking(client, llm.Cache("runs/answers.jsonl"), ledger=ledger)
generate = llm.service.make_generate(service)
score_options = llm.options.make_score_options(service)
...
print(ledger.paid.tokens, "tokens paid,", ledger.seconds, "seconds")
"""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.http import Client
from jaxalign.io.llm.protocol import Asked, Request
from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.runs import Usage, complete, replay, usage_of
from jaxalign.prompting import guess_tokens
from jaxalign.typing import GenerateFn, Prompt

AskFn = Callable[[Sequence[Asked]], list[Answer]]
"""``ask(requests)``: an answer to each, in their order."""
_CUT = ("length", "max_tokens", "model_length")  # what servers call the end at a limit of tokens


class StoppedError(Exception):
    """Not everything was asked, since the budget was spent or a signal came; what was answered is kept."""


@dataclasses.dataclass
class Ledger:
    """Counts of tokens, as servers and tokenizers report them, and two reasons to stop.

    Attributes:
      budget_tokens: ask for nothing more once so many tokens, of prompts and answers, were paid.
      stop: says whether the run is to end, see :func:`jaxalign.io.run.signals.termination`.
      asked: everything that was answered, from the file or not, as often as it was asked for: what a method costs by
        itself.
      paid: what was not in the file.
      seconds: how long a model was asked.
      retries: attempts after the first.
      texts, cut, empty: texts that were written, as often as they were asked for; those that end at their limit of
        tokens (finish reason "length"), and those without a character.
      ways: how many prompts had their options scored in which way.
    """

    budget_tokens: int | None = None
    stop: Callable[[], bool] = lambda: False
    asked: Usage = Usage()
    paid: Usage = Usage()
    seconds: float = 0.0
    retries: int = 0
    texts: int = 0
    cut: int = 0
    empty: int = 0
    ways: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def left(self) -> int | None:
        """How many tokens may still be paid; None without a budget."""
        return None if self.budget_tokens is None else max(self.budget_tokens - self.paid.tokens, 0)

    @property
    def ended(self) -> bool:
        """Whether nothing more may be asked."""
        return self.left == 0 or self.stop()

    def add(self, asked: Usage, paid: Usage, *, seconds: float = 0.0, retries: int = 0) -> None:
        """Counts one call.

        Args:
          asked: all that it was answered.
          paid: what of this was paid.
          seconds: how long it took.
          retries: attempts after the first.
        """
        self.asked = self.asked.plus(asked)
        self.paid = self.paid.plus(paid)
        self.seconds += seconds
        self.retries += retries

    def add_texts(self, answers: Iterable[Answer]) -> None:
        """Counts answers that are read as texts.

        Args:
          answers: the answers.
        """
        for answer in answers:
            self.texts += len(answer.texts)
            self.cut += sum(finish.casefold() in _CUT for finish in answer.finish)
            pairs = zip(answer.texts, answer.finish, strict=True)
            self.empty += sum(not text.strip() and finish != "too long" for text, finish in pairs)

    def shortcomings(self) -> str:
        """A sentence on texts that were cut or are empty; nothing if there are none."""
        if not (self.cut or self.empty):
            return ""
        return (
            f"Of {self.texts:,} texts, {self.cut:,} were cut at their limit of tokens and {self.empty:,} are empty "
            "(refused, or all tokens went to thinking); more tokens may help."
        )

    def stopped(self, path: pathlib.Path, unsent: int, total: int) -> StoppedError:
        """Returns what to raise when a call cannot ask for everything.

        Args:
          path: the file of answers.
          unsent: requests that were left out.
          total: requests of the call.
        """
        reason, remedy = "the run was stopped", "the same command goes on from there"
        if not self.stop():
            reason = f"the budget of {self.budget_tokens:,} tokens is spent"
            remedy += ", with a budget of its own"
        return StoppedError(
            f"{reason}, after {self.paid.requests} new answers of {self.paid.tokens:,} tokens: {unsent} of the "
            f"{total} requests of this step are left, and all later steps. What was answered is in {path}; {remedy}"
        )


class Service(NamedTuple):
    """Answers of one model, the file that has them, and the counts of what is asked.

    Attributes:
      model: the name of the model.
      cache: the file of answers.
      ledger: the counts.
      ask: answers requests.
      server: the base URL under which the file knows the server.
      replayed: whether nobody is asked, and the file has all there is.
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
    """Returns a service that asks a server.

    Its ``ask`` raises what :func:`jaxalign.io.llm.complete` raises, and :class:`StoppedError` when the budget of the
    ledger is spent, or it is told to stop.

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

    return Service(model, cache, ledger, ask, server, replayed=True, thinking_tokens=thinking_tokens)


def make_generate(service: Service) -> GenerateFn:
    """Makes a generator that asks for chat completions; a text is one turn of the user.

    The ``n`` texts of a prompt are ``n`` requests, which every server knows. With a ``seed``, sample ``k`` is asked for
    with ``seed + k``. Texts that were cut at ``max_tokens``, and empty ones, are counted in the service's ledger. The
    generator raises what ``service.ask`` raises.

    Args:
      service: the server.
    """
    ask = make_ask(service)

    def generate(prompts: Sequence[Prompt], *, n: int = 1, **options) -> list[list[str]]:
        answers = ask(prompts, n=n, **options)
        service.ledger.add_texts(answer for each in answers for answer in each)
        return _texts(answers)

    return generate


def make_short_generate(service: Service) -> GenerateFn:
    """Makes a generator for answers of which the beginning is enough: none is counted as cut.

    Args:
      service: the server.
    """
    ask = make_ask(service)
    return lambda prompts, **options: _texts(ask(prompts, **options))


def make_ask(service: Service):
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
