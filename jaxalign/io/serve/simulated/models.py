"""Simulated models: how long they take, what they say. Equal messages and seeds get equal answers."""

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import math
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxalign.io.serve.simulated.faults import parse_faults
from jaxalign.io.serve.simulated.tools import call_parts, chosen_tool
from jaxalign.io.serve.upstream import requests, wire
from jaxalign.io.serve.upstream.backend import Answer, Body, Piece, Refused

AnswerFn = Callable[[Sequence[Mapping[str, Any]], Body], str]
"""``answer(messages, body)`` is the text of an answer; it is quick, for it is called in the event loop.
The first of several choices has the request's seed, each other one a seed of its own."""

CREATED = 1_700_000_000
WORDS = (
    "the answer lies in small steps and each of them can be checked by hand before a next one is taken so we begin "
    "with what is known then write down what follows from it and keep only what holds for every case that was asked"
).split()
_TOKEN = re.compile(r"\s*\S+|\s+$")


def made_text(messages: Sequence[Mapping[str, Any]], body: Body) -> str:
    """Returns words that depend on the messages and the request's seed, and on nothing else.

    Args:
      messages: of the request.
      body: the request.
    """
    draw = random.Random(answer_id(messages, body.get("seed")))
    return " ".join(draw.choices(WORDS, k=draw.randint(8, 40))).capitalize() + "."


def null_text(messages: Sequence[Mapping[str, Any]], body: Body) -> str:
    """Returns the text of a model that costs nothing to ask.

    Args:
      messages: of the request.
      body: the request.
    """
    return "Yes."


@dataclasses.dataclass(frozen=True)
class SimulatedModel:
    """A model that is none.

    Attributes:
      name: by which it is asked for.
      latency: seconds before its first token.
      rate: tokens a second.
      slots: requests that it serves at once; others wait for one of these to end.
      answer: what it says.
      tools: whether it calls a tool where the request offers one and no tool has answered yet.
      width: numbers in its embeddings; 0 for a model that only chats.
      embed: the embedding of a text, of so many numbers.
      faults: those of each of its answers, see :mod:`jaxalign.io.serve.simulated.faults`.
    """

    name: str
    latency: float | int = 0.0
    rate: float | int = math.inf
    slots: float | int = math.inf
    answer: AnswerFn = made_text
    tools: bool = False
    width: int = 0
    embed: Callable[[str, int], np.ndarray] | None = None  # None: by the words in it
    faults: str = ""

    def __post_init__(self):
        parse_faults(self.faults)
        if not (self.latency >= 0 and self.rate > 0 and self.slots >= 1 and self.width >= 0):
            raise ValueError(
                f"{self.name}: expected latency of at least 0 seconds, rate above 0, slots of at least 1 and width of "
                f"at least 0, got {self.latency}, {self.rate}, {self.slots} and {self.width}"
            )


MODELS = (
    SimulatedModel("small", latency=0.02, rate=400),
    SimulatedModel("large", latency=0.1, rate=100, tools=True),
    SimulatedModel("null", answer=null_text),
    SimulatedModel("embedding", width=64),
)
"""The models of a server that is told of no others."""


class SimulatedBackend:
    """Simulated models as a :class:`~jaxalign.io.serve.upstream.backend.ChatBackend`.

    Args:
      models: with names that differ.

    Raises:
      ValueError: two models have one name.
    """

    def __init__(self, models: Sequence[SimulatedModel] = MODELS):
        self.by_name = {model.name: model for model in models}
        if len(self.by_name) < len(models):
            raise ValueError(f"expected models of different names, got {[model.name for model in models]}")
        self._slots = {m.name: asyncio.Semaphore(int(m.slots)) for m in models if m.slots < math.inf}

    def models(self) -> Sequence[str]:
        """Returns the names of the models."""
        return list(self.by_name)

    async def answer(self, body: Body) -> Answer:
        """Begins an answer.

        Args:
          body: the request.

        Raises:
          Refused: a field is out of range.
        """
        model, messages = self.by_name[body["model"]], body["messages"]
        choices = requests.whole(body, "n", 1, 1, requests.MOST_CHOICES)
        written = [self._choice(model, messages, body, choice) for choice in range(choices)]
        prompt_tokens = sum(len(split_tokens(text_of(message))) for message in messages)
        pieces = self._paced(model, itertools.chain.from_iterable(written))
        return Answer(answer_id(messages, body.get("seed")), CREATED, prompt_tokens, pieces)

    async def embed(self, body: Body) -> tuple[list[np.ndarray], int]:
        """Returns a vector for each text: by the words in it, unless the model's settings say otherwise.

        Args:
          body: the request.

        Raises:
          Refused: the model only chats, or other ``dimensions`` than its own are asked for.
        """
        model = self.by_name[body["model"]]
        if not model.width:
            raise Refused(400, f"model: {model.name!r} has no embeddings; ask another one", param="model")
        requests.whole(body, "dimensions", model.width, model.width, model.width)
        await asyncio.sleep(model.latency)
        tokens = sum(len(split_tokens(text)) for text in body["input"])
        embed = model.embed or word_vector
        return [embed(text, model.width) for text in body["input"]], tokens

    def _choice(
        self, model: SimulatedModel, messages: Sequence[Mapping[str, Any]], body: Body, choice: int
    ) -> list[Piece]:
        tool = chosen_tool(body) if model.tools else None
        if tool is not None:
            return call_parts(tool, answer_id(messages, body.get("seed")), choice)
        seed = body.get("seed")
        return text_pieces(
            model.answer(messages, body | {"seed": f"{seed}/{choice}"} if choice else body), body, choice
        )

    async def _paced(self, model: SimulatedModel, pieces: Iterable[Piece]) -> AsyncIterator[Piece]:
        async with self._slots.get(model.name) or contextlib.nullcontext():
            begun, tokens = time.monotonic(), 0
            for piece in pieces:
                tokens += piece.tokens
                wait = begun + model.latency + tokens / model.rate - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                yield piece


def text_pieces(text: str, body: Body, choice: int) -> list[Piece]:
    """Returns a text token by token, ended by the request's stop texts and its number of tokens.

    Args:
      text: what a model says.
      body: the request.
      choice: the number of the choice.

    Raises:
      Refused: a field of the request is out of range.
    """
    for stop in requests.stop_texts(body):
        text = text.partition(stop)[0]
    tokens = split_tokens(text)
    most = requests.most_tokens(body, max(len(tokens), 1), 2**31)
    pieces = [Piece(choice, text=token, tokens=1) for token in tokens[:most]]
    return [*pieces, Piece(choice, finish="length" if most < len(tokens) else "stop")]


def split_tokens(text: str) -> list[str]:
    """Returns a text's tokens, which are its words, each with the space before it.

    Args:
      text: any text.

    >>> split_tokens("One word, two ")
    ['One', ' word,', ' two', ' ']
    """
    return _TOKEN.findall(text)


def text_of(message: Mapping[str, Any]) -> str:
    """Returns the text of a message, which may have parts.

    Args:
      message: of a request.
    """
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(str(part.get("text", "")) for part in content)


def answer_id(messages: Sequence[Mapping[str, Any]], seed: Any) -> str:
    """Returns an answer's id, which depends on the messages and the seed alone.

    Args:
      messages: of the request.
      seed: of the request, None for none.
    """
    return f"chatcmpl-{hashlib.sha256(wire.encode([messages, seed])).hexdigest()[:24]}"


def word_vector(text: str, width: int) -> np.ndarray:
    """Returns the sum of a text's word vectors, scaled to length 1, ``[width]`` float32; zeros without a word.

    Args:
      text: any text.
      width: numbers in the vector.
    """
    total = np.zeros(width, np.float32)
    for word in re.findall(r"\w+", text.lower()):
        digest = hashlib.shake_128(word.encode()).digest(width)
        total += np.frombuffer(digest, np.uint8).astype(np.float32) - 127.5
    return total / max(float(np.linalg.norm(total)), 1e-9)
