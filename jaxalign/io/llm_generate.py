"""Servers, and files of recorded answers, as the text generators that judges and ensembles are given."""

from collections.abc import Callable, Mapping, Sequence

from jaxalign.io.llm import complete, replay
from jaxalign.io.llm_cache import Cache
from jaxalign.io.llm_http import Client
from jaxalign.io.llm_wire import Answer, Request
from jaxalign.typing import GenerateFn


def make_generate(client: Client, *, cache: Cache, concurrency: int = 8, show: bool = True) -> GenerateFn:
    """A generator that asks a server; the ``n`` texts of a prompt are ``n`` requests, which every server knows.

    With a ``seed``, sample ``k`` is asked for with ``seed + k``. The generator raises what
    :func:`jaxalign.io.llm.complete` raises.
    """
    return _generate_with(
        lambda requests: complete(client, requests, cache=cache, concurrency=concurrency, show=show).answers
    )


def make_replay(model: str, *, cache: Cache) -> GenerateFn:
    """The generator of an earlier run again, from its file alone; another prompt or parameter is a NotRecordedError."""
    return _generate_with(lambda requests: replay(model, requests, cache=cache))


def _generate_with(answer_fn: Callable[[list[Request]], list[Answer]]) -> GenerateFn:
    def generate(
        prompts: Sequence[str | Sequence[Mapping[str, str]]],
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
        texts = [answer.text for answer in answer_fn(requests)]
        return [texts[start : start + n] for start in range(0, len(texts), n)]

    return generate
