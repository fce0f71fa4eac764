"""The language model of an experiment, wherever it runs: asked, remembered, counted, or replayed from a file."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.common.llm.counting import Count, counted
from experiments.common.llm.server import LanguageModel, open_client, open_service, prices_of
from jaxalign import data, models
from jaxalign.attributes import Failure
from jaxalign.io import hf, llm
from jaxalign.io.llm.metering import Metered, metered
from jaxalign.io.llm.service import Ledger, StoppedError
from jaxalign.prompting import guess_tokens
from jaxalign.prompting.options import FREQUENCY_SAMPLES
from jaxalign.typing import GenerateFn, ScoreOptionsFn

_HERE_IN_TURNS = (
    "by the log-probability of each whole option as the assistant's answer, computed in this process; each prompt is a "
    "turn of the user"
)
_WAYS = {
    "echo": "the log-probability of each whole option, as the server gives it",
    "first token": "the server's most likely first tokens of an answer",
    "frequency": f"how often {FREQUENCY_SAMPLES} sampled answers name each option",
}


@dataclasses.dataclass(frozen=True)
class Engine:
    """A model as the callables that judges and ensembles are given, and the counts of what they take."""

    name: str
    generate: GenerateFn
    score_options: ScoreOptionsFn
    count_tokens: Callable[[str], int]
    ledger: Ledger
    known: Callable[[], list[llm.Answer]] = list  # what is in the file of this model and server, and not paid again
    paid: Callable[[], list[llm.Answer]] = list  # everything in the file, whoever asked for it and when
    requests_of_options: Callable[[Sequence[str]], int] = lambda options: 1  # at most, to score them
    count: Count = dataclasses.field(default_factory=Count)  # of scores, if the engine is one that counts
    left_out: llm.fitting.LeftOut = dataclasses.field(default_factory=llm.fitting.LeftOut)  # prompts that were too long
    scored_by: Callable[[], str] = lambda: "by the log-probability of each whole option, computed in this process"
    cost: Callable[[], float | None] = lambda: None  # US dollars of everything in the file; None if nobody knows
    documents: Metered | None = None  # the model as a writer: a request that fails is a Failure, and ends no run


def open_engine(flags: LanguageModel, folder: pathlib.Path, ledger: Ledger) -> Engine:
    """Opens the model that the flags name; what it says is kept in ``answers.jsonl``.

    With ``flags.replay`` its file is read instead, and no model and no server is asked. A prompt that is too long for
    the model is left out: its texts are empty, and its options have no scores.

    Args:
      flags: which model, and how it is asked.
      folder: the run's, where ``answers.jsonl`` is.
      ledger: what counts the tokens.

    Raises:
      ValueError: if there is neither; a file to replay that is not there, or has answers of another model.
    """
    if not flags.model:
        raise ValueError("expected --model DIR, or --endpoint URL with --model NAME, to ask about real texts; got none")
    if flags.replay is not None and not flags.replay.is_file():
        raise ValueError(f"--replay: expected the answers.jsonl of an earlier run, and {flags.replay} is no file")
    cache = llm.Cache(flags.replay or folder / "answers.jsonl")
    cost = functools.partial(_cost, cache, prices_of(flags))
    paid, left_out = functools.partial(_paid, cache), llm.fitting.LeftOut()
    if flags.endpoint:
        service = _open_service(flags, cache, ledger)
        score_options = llm.options.make_score_options(service, left_out)
        generate = llm.service.make_generate(llm.fitting.tolerant(service, left_out))
        known = functools.partial(_paid, cache, flags.model, service.server)
        asked = Engine(flags.model, generate, score_options, guess_tokens, ledger, known, paid, _most_requests)
        documents = metered(llm.service.make_attempt(service), flags.model, ledger.price)
        ways = functools.partial(_ways, ledger)
        return dataclasses.replace(asked, left_out=left_out, scored_by=ways, cost=cost, documents=documents)
    remembered = _replay if flags.replay else _load
    recorded, is_chat = remembered(flags.model, cache, ledger, left_out)
    documents = metered(llm.turns.in_turns(recorded).ask, flags.model, ledger.price)
    *asked, _ = llm.turns.in_turns(recorded) if is_chat else recorded
    engine = Engine(flags.model, *asked, ledger, paid, paid, left_out=left_out, cost=cost, documents=documents)
    return dataclasses.replace(engine, scored_by=lambda: _HERE_IN_TURNS) if is_chat else engine


def _open_service(flags: LanguageModel, cache: llm.Cache, ledger: Ledger) -> llm.service.Service:
    if flags.replay is None:
        return open_service(flags.endpoint, flags.model, flags.server, cache, ledger=ledger)
    name = open_client(flags.endpoint, flags.model, flags.server).known_as
    return llm.service.replaying(
        flags.model, cache, ledger=ledger, server=name, thinking_tokens=flags.server.thinking_tokens
    )


def counting(engine: Engine) -> Engine:
    """Returns the engine that counts the scores of options which could not be read."""
    count = Count()
    return dataclasses.replace(engine, score_options=counted(engine.score_options, count), count=count)


def _most_requests(options: Sequence[str]) -> int:
    """Counts the requests that score options at most: the prompt with each and alone, or sampled answers."""
    return max(len(options) + 1, FREQUENCY_SAMPLES)


def _ways(ledger: Ledger) -> str:
    """Says how a server scored options; :mod:`jaxalign.io.llm.options` says what each way is."""
    said = (f"by {_WAYS.get(way, way)} for {count:,} prompts" for way, count in ledger.ways.items())
    return "; ".join(said) or "no options were scored"


def _paid(cache: llm.Cache, model: str | None = None, server: str = "") -> list[llm.Answer]:
    """Returns the answers in a file, or those of one server, without its notes."""
    return _without_notes(cache.answers(model, server))


def _cost(cache: llm.Cache, prices: Mapping[str, llm.Price]) -> float | None:
    """Adds up what the answers of all models in a file cost, which is unknown if it is unknown of one of them."""
    costs = [
        llm.cost_of(llm.prices.price_of(prices, model), llm.usage_of(paid))
        for model, answers in cache.by_model().items()
        if (paid := _without_notes(answers))
    ]
    return None if None in costs or not prices else sum(costs, 0.0)


def _without_notes(answers: Sequence[llm.Answer]) -> list[llm.Answer]:
    """Leaves out what no token was sent for."""
    return [answer for answer in answers if answer.prompt_tokens != 0]


def _replay(
    model: str, cache: llm.Cache, ledger: Ledger, left_out: llm.fitting.LeftOut
) -> tuple[llm.record.Recorded, bool]:
    """Returns what answers from the file alone, and whether the model was asked in turns."""
    recorded = llm.record.find_replay(model, cache, ledger)
    (name,) = (name for name in cache.models if model in (name, name.rpartition("@")[0]))
    return llm.fitting.fitting(recorded, name, cache, None, left_out), llm.turns.noted(cache, name)


def _load(
    model: str, cache: llm.Cache, ledger: Ledger, left_out: llm.fitting.LeftOut
) -> tuple[llm.record.Recorded, bool]:
    """Returns a model in this process, and whether it is to be asked in turns: it has a chat template."""
    folder = hf.resolve(model)
    config, params = hf.load_pretrained(folder)
    network, tokenizer = models.build(config), data.load_tokenizer(folder)
    name = llm.record.identify(model, config, params, tokenizer)
    recorder = llm.record.Recorder(name, cache, llm.record.make_count_tokens(tokenizer), ledger)
    generate = llm.local.make_generate(network, params, tokenizer)
    recorded = llm.record.record(recorder, generate, llm.local.make_score_options(network, params, tokenizer))
    room = llm.fitting.room(tokenizer, network.config.max_length)
    if tokenizer.has_chat_template:
        llm.turns.note(cache, name)
    return llm.fitting.fitting(recorded, name, cache, room, left_out), tokenizer.has_chat_template


def count_words(prompt: str) -> int:
    """Counts the tokens of simulated models."""
    return len(prompt.split())


def simulated(name: str, generate: GenerateFn, score_options: ScoreOptionsFn, ledger: Ledger) -> Engine:
    """Returns the engine of a simulated model, whose tokens are words; nothing of it is kept, and it can be stopped."""

    def ask(prompts: Sequence[str], **options: Any) -> list[list[llm.Answer]]:
        _check(ledger)
        texts = generate(prompts, **options)
        answers = [
            [_simulated_answer(prompt, text) for text in each] for prompt, each in zip(prompts, texts, strict=True)
        ]
        ledger.add(llm.usage_of(answer for each in answers for answer in each if not answer.error), llm.Usage())
        ledger.failed += sum(bool(answer.error) for each in answers for answer in each)
        return answers

    def counted_generate(prompts: Sequence[str], **options: Any) -> list[list[str]]:
        return [["" if answer.error else answer.text for answer in each] for each in ask(prompts, **options)]

    def counted_scores(prompts: Sequence[str], options: Sequence[Sequence[str]]):
        _check(ledger)
        scores = score_options(prompts, options)
        written = [sum(score.tokens for score in each) for each in scores]
        asked = (
            llm.Answer(("",), ("",), count_words(prompt), tokens)
            for prompt, tokens in zip(prompts, written, strict=True)
        )
        ledger.add(llm.usage_of(asked), llm.Usage())
        return scores

    scored_by = "by the simulated model, which tells its probabilities"
    documents = metered(ask, name)
    engine = Engine(name, counted_generate, counted_scores, count_words, ledger, documents=documents)
    return dataclasses.replace(engine, scored_by=lambda: scored_by)


def _check(ledger: Ledger) -> None:
    if ledger.stop():
        raise StoppedError("the run was stopped; of a simulated model nothing is kept, the same command begins anew")


def _simulated_answer(prompt: str, text: str) -> llm.Answer:
    if isinstance(text, Failure):
        return llm.Answer((), (), error=text.reason)
    return llm.Answer((text,), ("",), count_words(prompt), count_words(text), (None,))
