"""Servers, and files of recorded answers, as the text generators that judges and ensembles are given."""

from collections.abc import Sequence

from jaxalign.io.llm.service import Service
from jaxalign.io.llm.wire import Request
from jaxalign.typing import GenerateFn, Prompt


def make_generate(service: Service) -> GenerateFn:
    """A generator that asks for chat completions; a text is one turn of the user.

    The ``n`` texts of a prompt are ``n`` requests, which every server knows. With a ``seed``, sample ``k`` is asked for
    with ``seed + k``. The generator raises what ``service.ask`` raises.
    """

    def generate(
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[str]]:
        shared = {"temperature": temperature, "max_tokens": max_tokens, "stop": stop}
        requests = [
            Request(prompt, seed=None if seed is None else seed + sample, sample=sample, **shared)
            for prompt in prompts
            for sample in range(n)
        ]
        texts = [answer.text for answer in service.ask(requests)]
        return [texts[start : start + n] for start in range(0, len(texts), n)]

    return generate
