"""The language model of an experiment, wherever it runs, and what it is asked to do in tokens."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxalign import data, models
from jaxalign.io import engine, hf, llm, llm_generate
from jaxalign.typing import GenerateFn, ScoreOptionsFn


class Engine(NamedTuple):
    """A model as the callables that judges and ensembles are given."""

    name: str
    generate: GenerateFn
    score_options: ScoreOptionsFn
    count_tokens: Callable[[str], int]


@dataclasses.dataclass
class Meter:
    """What an engine was asked for since it was made; a prompt counts for each text or option that follows it."""

    requests: int = 0
    prompt_tokens: int = 0
    written_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.prompt_tokens + self.written_tokens


def open_engine(model: str, endpoint: str, cache: pathlib.Path) -> Engine:
    """The engine of a model directory, or of a server; what a server says is kept in ``cache``.

    Args:
      model: a Hugging Face directory or hub id, or the server's name for its model.
      endpoint: an OpenAI-compatible server, for instance ``http://127.0.0.1:8000/v1``; empty for none.

    Raises:
      ValueError: if there is neither.
    """
    if not model:
        raise ValueError("expected --model DIR, or --endpoint URL with --model NAME, to ask about real texts; got none")
    if endpoint:
        generate = llm_generate.make_generate(llm.Client(endpoint, model), cache=llm.Cache(cache))
        return Engine(model, generate, data.make_frequency_scores(generate), count_words)
    folder = hf.resolve(model)
    config, params = hf.load_pretrained(folder)
    network, tokenizer = models.build(config), data.load_tokenizer(folder)
    return Engine(
        model,
        engine.make_generate(network, params, tokenizer),
        engine.make_score_options(network, params, tokenizer),
        lambda text: len(tokenizer.encode(text)),
    )


def count_words(text: str) -> int:
    """Tokens, where the tokenizer is the server's: words, which are fewer."""
    return len(text.split())


def metered(engine: Engine) -> tuple[Engine, Meter]:
    """The engine with a meter of its own."""
    meter = Meter()

    def generate(prompts, *, n: int = 1, **options) -> list[list[str]]:
        texts = engine.generate(prompts, n=n, **options)
        _count(engine, meter, prompts, texts)
        return texts

    def score_options(prompts, options: Sequence[Sequence[str]]):
        scores = engine.score_options(prompts, options)
        meter.requests += len(prompts)
        meter.prompt_tokens += sum(engine.count_tokens(prompt) for prompt in prompts)
        meter.written_tokens += sum(score.tokens for each in scores for score in each)
        return scores

    return engine._replace(generate=generate, score_options=score_options), meter


def _count(engine: Engine, meter: Meter, prompts, texts: Sequence[Sequence[str]]) -> None:
    for prompt, each in zip(prompts, texts, strict=True):
        meter.requests += len(each)
        meter.prompt_tokens += engine.count_tokens(prompt) * len(each)
        meter.written_tokens += sum(map(engine.count_tokens, each))
