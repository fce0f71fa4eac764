"""Servers, and files of recorded answers, as the text generators that judges and ensembles are given."""

from collections.abc import Sequence

from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.service import Service
from jaxalign.io.llm.wire import Request
from jaxalign.typing import GenerateFn, Prompt


def make_generate(service: Service) -> GenerateFn:
    """A generator that asks for chat completions; a text is one turn of the user.

    The ``n`` texts of a prompt are ``n`` requests, which every server knows. With a ``seed``, sample ``k`` is asked for
    with ``seed + k``. Texts that were cut at ``max_tokens``, and empty ones, are counted in the service's ledger. The
    generator raises what ``service.ask`` raises.
    """
    ask = make_ask(service)

    def generate(prompts: Sequence[Prompt], *, n: int = 1, **options) -> list[list[str]]:
        answers = ask(prompts, n=n, **options)
        service.ledger.add_texts(answer for each in answers for answer in each)
        return _texts(answers)

    return generate


def make_short_generate(service: Service) -> GenerateFn:
    """:func:`make_generate` for answers of which the beginning is enough: none is counted as cut."""
    ask = make_ask(service)
    return lambda prompts, **options: _texts(ask(prompts, **options))


def make_ask(service: Service):
    """``ask(prompts, ...)``, with the arguments of a :class:`~jaxalign.typing.GenerateFn`: all answers to each."""

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


def _texts(answers: Sequence[Sequence[Answer]]) -> list[list[str]]:
    return [[answer.text for answer in each] for each in answers]
