"""A model in this process, with the memory that servers have here: what it said is in a file and is not computed again.

    recorder = llm.record.Recorder(llm.record.identify("my model", config, params, tokenizer), llm.Cache(path), ...)
    generate = llm.record.recorded_generate(recorder, local.make_generate(model, params, tokenizer))
    score_options = llm.record.recorded_scores(recorder, local.make_score_options(model, params, tokenizer))

Prompts go to the model in chunks, and a chunk is written when it has ended: a kill costs one chunk. Where chunks begin
depends on the prompts of a call and not on what is missing, so that the model sees the batches again that it would have
seen without a break. :func:`find_replay` gives the same functions from the file alone.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxalign.data.labelling.reference import fingerprint
from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.tokenizer_files import tokenizer_fingerprint
from jaxalign.data.text.turns import encode_continued
from jaxalign.io.llm.protocol import hash_of, shorten
from jaxalign.io.llm.runs import Answer, Cache, NotRecordedError, Usage, usage_of
from jaxalign.io.llm.service import AskTextsFn, Ledger
from jaxalign.io.run.progress import Progress
from jaxalign.typing import GenerateFn, OptionScore, Params, Prompt, ScoreOptionsFn

_FORMAT = 2  # of what is kept; higher where the same prompt becomes other tokens, or a score another number


class Recorder(NamedTuple):
    """Keeps the answers of a model in this process, in a file and under a name.

    Attributes:
      model: what tells models apart, see :func:`identify`.
      cache: the file of answers.
      count_tokens: the number of tokens of a prompt, or of a text that was written.
      ledger: counts; when its budget is spent, or it is told to stop, calls raise
        :class:`~jaxalign.io.llm.service.StoppedError`.
      chunk: prompts that are asked about at once.
      show: whether to show the progress.
    """

    model: str
    cache: Cache
    count_tokens: Callable[[Prompt], int]
    ledger: Ledger
    chunk: int = 64
    show: bool = True


class Recorded(NamedTuple):
    """A model that remembers, as the callables that judges and ensembles are given.

    Attributes:
      generate: writes texts.
      score_options: scores options.
      count_tokens: the number of tokens of a prompt.
      ask: called like ``generate``: all answers to each prompt, with their tokens.
    """

    generate: GenerateFn
    score_options: ScoreOptionsFn
    count_tokens: Callable[[Prompt], int]
    ask: AskTextsFn


def identify(name: str, config: Any, params: Params, tokenizer: Tokenizer) -> str:
    """Returns a name with a hash of what a model's answers depend on: config, parameters, tokenizer and chat template.

    Files of an earlier format are computed anew here, and :func:`find_replay` still takes them.

    Args:
      name: a name for people. What else is special about the model's functions belongs into it, for instance that
        options are scored with their ends.
      config: the model's config.
      params: its parameters.
      tokenizer: its tokenizer.
    """
    parts = [_FORMAT, repr(config), fingerprint(params), tokenizer_fingerprint(tokenizer)]
    return f"{name}@{hash_of(parts)[:16]}"


def make_count_tokens(tokenizer: Tokenizer) -> Callable[[Prompt], int]:
    """Makes a function that counts the tokens which a model reads of a prompt.

    Args:
      tokenizer: the model's tokenizer.
    """
    return lambda prompt: len(encode_continued(prompt, "", tokenizer))


def record(recorder: Recorder, generate: GenerateFn, score_options: ScoreOptionsFn) -> Recorded:
    """Returns a model that remembers.

    Args:
      recorder: where its answers are kept.
      generate: writes texts.
      score_options: scores options.
    """
    ask = recorded_ask(recorder, generate)
    return Recorded(_texts(ask), recorded_scores(recorder, score_options), _recorded_count(recorder), ask)


def find_replay(name: str, cache: Cache, ledger: Ledger) -> Recorded:
    """Returns an earlier run of a model in this process, from its file alone.

    Args:
      name: the name that :func:`identify` was given, or the one that it returned.
      cache: the file of answers.
      ledger: counts what is asked for.

    Raises:
      ValueError: the file has answers of no such model, or of several.
      NotRecordedError: (when called) the file lacks an answer.
    """
    models = [model for model in cache.models if name in (model, model.rpartition("@")[0])]
    if servers := cache.servers(name):
        where = ", ".join(sorted(servers))
        raise ValueError(
            f"{cache.path} has answers of {name!r} by a server, {where}: name that URL as well to replay them"
        )
    if len(models) != 1:
        remedy = f"; name one of them, with what follows its {'@'!r}" if models else ""
        raise ValueError(f"expected answers of one model {name!r} in {cache.path}, got {sorted(cache.models)}{remedy}")

    def missing(prompt: Prompt) -> NotRecordedError:
        ending = prompt if isinstance(prompt, str) else prompt[-1]["content"]
        return NotRecordedError(
            f"{cache.path} has no answer of {models[0]!r} to {shorten(ending)}. Prompts, options and settings must be "
            "those of the run that wrote it"
        )

    def generate(prompts, **options):
        raise missing(prompts[0])

    def score_options(prompts, options):
        raise missing(prompts[0])

    def count_tokens(prompt):
        raise missing(prompt)

    return record(Recorder(models[0], cache, count_tokens, ledger, show=False), generate, score_options)


def recorded_generate(recorder: Recorder, generate: GenerateFn) -> GenerateFn:
    """Returns a generator that remembers; prompts that lack one of their texts are given all of them again.

    Args:
      recorder: where its texts are kept.
      generate: writes texts.
    """
    return _texts(recorded_ask(recorder, generate))


def recorded_ask(recorder: Recorder, generate: GenerateFn) -> AskTextsFn:
    """Returns what :func:`recorded_generate` does, as answers with their tokens.

    Args:
      recorder: where its texts are kept.
      generate: writes texts.
    """

    def recorded(
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[Answer]]:
        options = {"temperature": float(temperature), "max_tokens": max_tokens, "seed": seed, "stop": list(stop)}
        keys = [
            [hash_of(["text", recorder.model, prompt, sample, options]) for sample in range(n)]
            for prompt in map(_plain, prompts)
        ]

        def ask(places: Sequence[int]) -> list[list[Answer]]:
            chosen = [prompts[place] for place in places]
            texts = generate(chosen, n=n, **options)
            return [[_text(recorder, p, text) for text in each] for p, each in zip(chosen, texts, strict=True)]

        return _answer(recorder, keys, ask)

    return recorded


def recorded_scores(recorder: Recorder, score_options: ScoreOptionsFn) -> ScoreOptionsFn:
    """Returns a scorer that remembers; all options of a prompt are one answer.

    Args:
      recorder: where its scores are kept.
      score_options: scores options.
    """

    def recorded(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        keys = [
            [hash_of(["options", recorder.model, _plain(prompt), list(each)])]
            for prompt, each in zip(prompts, options, strict=True)
        ]

        def ask(places: Sequence[int]) -> list[list[Answer]]:
            chosen, asked = [prompts[place] for place in places], [options[place] for place in places]
            scores = score_options(chosen, asked)
            return [[_scores(recorder, *each)] for each in zip(chosen, asked, scores, strict=True)]

        return [
            [OptionScore(entry["logprob"], entry["tokens"]) for (entry,) in answer.logprobs]
            for (answer,) in _answer(recorder, keys, ask)
        ]

    return recorded


def _recorded_count(recorder: Recorder) -> Callable[[Prompt], int]:
    """Counts decide how many demonstrations a prompt has, so that a replay needs them."""

    def count(prompt: Prompt) -> int:
        key = hash_of(["tokens", recorder.model, _plain(prompt)])
        if (noted := recorder.cache.get(key)) is None:
            answer = Answer((str(recorder.count_tokens(prompt)),), ("",), 0, 0, (None,))  # nobody was asked
            noted = recorder.cache.add(key, recorder.model, answer)
        return int(noted.text)

    return count


def _answer(
    recorder: Recorder, keys: Sequence[list[str]], ask: Callable[[Sequence[int]], list[list[Answer]]]
) -> list[list[Answer]]:
    """The answers to each prompt by their keys, after ``ask(places)`` about those that lack one."""
    cache, ledger = recorder.cache, recorder.ledger
    cache.flush()
    lacking = {tuple(each): place for place, each in reversed(list(enumerate(keys))) if not all(map(cache.get, each))}
    todo = sorted(lacking.values())
    done = len(keys) - len(todo)
    with Progress(f"asking {recorder.model}", len(keys), start=done, show=recorder.show and bool(todo)) as progress:
        for _, group in itertools.groupby(todo, lambda place: place // recorder.chunk):
            places = list(group)
            if ledger.ended:
                raise ledger.stopped(cache.path, len(keys) - done, len(keys))
            began = time.monotonic()
            answers = ask(places)
            seconds = time.monotonic() - began
            new = _write(recorder, [keys[place] for place in places], answers, seconds)
            ledger.add(Usage(), usage_of(new), seconds=seconds)
            done += len(places)
            progress.update(done, {}, float(usage_of(new).tokens))
    found = [[cache.get(key) for key in each] for each in keys]
    ledger.add(usage_of(itertools.chain.from_iterable(found)), Usage())
    return found


def _write(recorder: Recorder, keys: Sequence[list[str]], answers: Sequence[list[Answer]], seconds: float):
    """Keeps what is new of a chunk, and returns it."""
    pairs = [pair for each in zip(keys, answers, strict=True) for pair in zip(*each, strict=True)]
    new = {key: answer._replace(seconds=seconds / len(pairs)) for key, answer in pairs if not recorder.cache.get(key)}
    for key, answer in new.items():
        recorder.cache.add(key, recorder.model, answer)
    return list(new.values())


def _texts(ask: AskTextsFn) -> GenerateFn:
    return lambda prompts, **options: [[answer.text for answer in each] for each in ask(prompts, **options)]


def _text(recorder: Recorder, prompt: Prompt, text: str) -> Answer:
    return Answer((text,), ("",), recorder.count_tokens(prompt), recorder.count_tokens(text), (None,))


def _scores(recorder: Recorder, prompt: Prompt, options: Sequence[str], scores: Sequence[OptionScore]) -> Answer:
    """Each option is one entry, the sum over its ``tokens``."""
    entries = tuple([{"token": o, "logprob": s.logp, "tokens": s.tokens}] for o, s in zip(options, scores, strict=True))
    written = sum(score.tokens for score in scores)
    return Answer(tuple(options), ("",) * len(options), recorder.count_tokens(prompt), written, entries)


def _plain(prompt: Prompt) -> Any:
    """Returns a prompt as JSON has it; a text and a chat of one turn are different prompts."""
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
