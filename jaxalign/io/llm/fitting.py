"""What is too long for a model's context is left out and counted, instead of ending a run of many.

    left_out = fitting.LeftOut()
    service = fitting.tolerant(service, left_out)  # a server: what it turns down as too long
    room = fitting.room(tokenizer, context)
    recorded = fitting.fitting(recorded, model, cache, room, left_out)  # a model in this process

A prompt that does not fit gets empty texts and scores of -inf, which nothing is read from. The file of answers notes
it, for replays; a run that can ask tries again, since another server may have more room.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.turns import encode_continued
from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.http import RequestError
from jaxalign.io.llm.protocol import Asked, hash_of
from jaxalign.io.llm.record import Recorded
from jaxalign.io.llm.refusals import Refusal
from jaxalign.io.llm.runs import Answer, NotRecordedError, Usage, usage_of
from jaxalign.io.llm.service import AskTextsFn, Service
from jaxalign.typing import OptionScore, Prompt, ScoreOptionsFn

RoomFn = Callable[[Prompt, Sequence[str], int], str]
"""``room_fn(prompt, options, max_tokens)``: why a prompt and what follows it do not fit; empty if they do."""


@dataclasses.dataclass
class LeftOut:
    """Prompts that did not fit, and why.

    Attributes:
      reasons: why a prompt did not fit, by its text.
    """

    reasons: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, prompt: str, reason: str) -> None:
        """Notes a prompt; the first reason stays.

        Args:
          prompt: its text.
          reason: why it did not fit.
        """
        self.reasons.setdefault(prompt, reason)


def tolerant(service: Service, left_out: LeftOut) -> Service:
    """Returns a service that answers what is too long with empty texts, without log-probabilities, and notes it.

    Args:
      service: the server.
      left_out: where prompts that are too long are noted.
    """

    def ask(requests: Sequence[Asked]) -> list[Answer]:
        return _ask(service, list(requests), left_out)

    return service._replace(ask=ask)


def room(tokenizer: Tokenizer, context: int) -> RoomFn:
    """Makes a function that says why a prompt and what follows it do not fit into a model's context.

    Args:
      tokenizer: the model's tokenizer.
      context: the length of its context, in tokens.
    """

    def room_fn(prompt: Prompt, options: Sequence[str], max_tokens: int) -> str:
        tokens = max(len(encode_continued(prompt, option, tokenizer)) for option in options or ("",)) + max_tokens
        follow = "with its options" if options else f"with {max_tokens} to follow"
        return f"{tokens} tokens {follow}, and the context has {context}" if tokens > context else ""

    return room_fn


def fitting(recorded: Recorded, model: str, cache: Cache, room_fn: RoomFn | None, left_out: LeftOut) -> Recorded:
    """Returns a model that is asked only about what fits; the rest gets empty texts and scores of -inf.

    Args:
      recorded: a model in this process; what does not fit has an ``error`` among the answers of its ``ask``.
      model: the name under which its answers are kept in the cache, where what does not fit is noted.
      cache: the file of answers.
      room_fn: says why something does not fit, see :func:`room`; None for a replay, which goes by the notes.
      left_out: where prompts that do not fit are noted.
    """

    def reason_of(prompt: Prompt, options: Sequence[str], max_tokens: int) -> str:
        key = hash_of(["too long", model, _plain(prompt), list(options), max_tokens])
        if room_fn is None:
            return noted.text if (noted := cache.get(key)) else ""
        if reason := room_fn(prompt, options, max_tokens):
            cache.add(key, model, _note(reason))
        return reason

    def ask(prompts: Sequence[Prompt], *, n: int = 1, max_tokens: int = 256, **options) -> list[list[Answer]]:
        reasons = [reason_of(prompt, (), max_tokens) for prompt in prompts]
        answers = _of_fitting(recorded.ask, prompts, (), reasons, n=n, max_tokens=max_tokens, **options)
        return _filled(prompts, reasons, answers, lambda place: [_unanswered(reasons[place])] * n)

    def generate(prompts: Sequence[Prompt], **options) -> list[list[str]]:
        return [["" if answer.error else answer.text for answer in each] for each in ask(prompts, **options)]

    def score_options(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        reasons = [reason_of(prompt, each, 0) for prompt, each in zip(prompts, options, strict=True)]
        scores = _of_fitting(recorded.score_options, prompts, (options,), reasons)
        return _filled(prompts, reasons, scores, lambda place: [OptionScore(-math.inf, 1) for _ in options[place]])

    def _filled(prompts: Sequence[Prompt], reasons: Sequence[str], found: list, stand_in: Callable) -> list:
        rest = iter(found)
        for prompt, reason in zip(prompts, reasons, strict=True):
            if reason:
                left_out.add(_text(prompt), reason)
        return [stand_in(place) if reason else next(rest) for place, reason in enumerate(reasons)]

    return recorded._replace(generate=generate, score_options=score_options, ask=ask)


def _of_fitting(
    call: AskTextsFn | ScoreOptionsFn, prompts: Sequence[Prompt], more: Sequence, reasons: Sequence[str], **options
) -> list:
    """What a call gives for the prompts that fit."""
    kept = [place for place, reason in enumerate(reasons) if not reason]
    if not kept and prompts:
        return []
    return call(*([each[place] for place in kept] for each in (prompts, *more)), **options)


def _ask(service: Service, requests: list[Asked], left_out: LeftOut) -> list[Answer]:
    """All answers; where one request is too long, those of each half, until it is found."""
    before = len(service.cache.answers())
    try:
        return service.ask(requests)
    except NotRecordedError:
        return _replay(service, requests, left_out)
    except RequestError as error:
        if error.refused is not Refusal.TOO_LONG:
            raise
        # What was answered before the error is in the file, and was paid by this run.
        service.ledger.add(Usage(), usage_of(service.cache.answers()[before:]))
        if len(requests) == 1:
            service.cache.add(_key(service, requests[0]), service.model, _note(error.reason))
            return [_stand_in(requests[0], error.reason, left_out)]
    half = len(requests) // 2
    return [*_ask(service, requests[:half], left_out), *_ask(service, requests[half:], left_out)]


def _replay(service: Service, requests: list[Asked], left_out: LeftOut) -> list[Answer]:
    """Answers from the file, where what was too long has a note instead of an answer."""
    notes = [service.cache.get(_key(service, request)) for request in requests]
    rest = iter(service.ask([request for request, note in zip(requests, notes, strict=True) if not note]))
    return [
        _noted(service, request, note.text, left_out) if note else next(rest)
        for request, note in zip(requests, notes, strict=True)
    ]


def _noted(service: Service, request: Asked, reason: str, left_out: LeftOut) -> Answer:
    """The answer to what was too long once: a later run may have had more room."""
    try:
        return service.ask([request])[0]
    except NotRecordedError:
        return _stand_in(request, reason, left_out)


def _stand_in(request: Asked, reason: str, left_out: LeftOut) -> Answer:
    left_out.add(request.prompt, reason)
    return Answer(("",) * request.n, ("too long",) * request.n, 0, 0, (None,) * request.n)


def _unanswered(reason: str) -> Answer:
    return Answer((), (), error=f"too long: {reason}", refused=Refusal.TOO_LONG)


def _key(service: Service, request: Asked) -> str:
    return hash_of(["too long", service.model, request.body(service.model), request.unsent])


def _note(reason: str) -> Answer:
    return Answer((reason,), ("",), 0, 0, (None,))


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(message["content"] for message in prompt)


def _plain(prompt: Prompt) -> Any:
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
