"""A model as the writer of documents: a failed request is there as a Failure, and what each text took is known.

    ask = llm.service.make_attempt(service)  # a server; of a model in this process, llm.record.record(...).ask
    writer = llm.metering.metered(ask, "some/model", llm.Price(prompt=0.15, completion=0.6))
    jobs.write_document_file(path, writer.generate, requests, usage_fn=writer.usage_fn, settings=settings)

What a text took is found by its prompt and the seed that it was asked for with: text k of a call has ``seed + k``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxalign.attributes.documents import Failure
from jaxalign.io.llm.accounting import Price, cost_of, is_unreported, usage_of
from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.service import AskTextsFn
from jaxalign.typing import GenerateFn


class Metered(NamedTuple):
    """A writer of documents.

    Attributes:
      generate: writes texts; a :class:`~jaxalign.attributes.Failure` stands in the place of one whose request failed.
      usage_fn: ``usage_fn(prompt, seed)``: what the latest text of a prompt and a seed took, as ``model``,
        ``prompt_tokens``, ``completion_tokens``, ``tokens`` (both) and ``cost`` (US dollars). None is unknown: what
        a server does not report, a cost without a price, and all that a request took which failed.
    """

    generate: GenerateFn
    usage_fn: Callable[[str, int], dict[str, Any]]


def metered(ask: AskTextsFn, model: str, price: Price | None = None) -> Metered:
    """Returns a writer that remembers what each text took.

    Args:
      ask: gives all answers to each prompt, a text; one without a text has an ``error``.
      model: the name of the model.
      price: what it costs; None if that is unknown.
    """
    taken: dict[tuple[str, int], Answer] = {}

    def generate(prompts: Sequence[str], *, n: int = 1, seed: int | None = None, **options: Any) -> list[list[str]]:
        answers = ask(prompts, n=n, seed=seed, **options)
        if seed is not None:
            for prompt, each in zip(prompts, answers, strict=True):
                bare = (answer._replace(texts=(), logprobs=()) for answer in each)  # texts are many and long
                taken.update({(prompt, seed + k): answer for k, answer in enumerate(bare)})
        return [[Failure(answer.error) if answer.error else answer.text for answer in each] for each in answers]

    def usage_fn(prompt: str, seed: int) -> dict[str, Any]:
        answer = taken.get((prompt, seed), Answer((), ()))
        complete = not is_unreported(answer)
        return {
            "model": model,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "tokens": answer.tokens if complete else None,
            "cost": cost_of(price, usage_of([answer])),
        }

    return Metered(generate, usage_fn)
