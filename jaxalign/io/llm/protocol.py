"""What is asked of an OpenAI-compatible server, as JSON, and what it answers; here chat completions. No effects."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxalign.data.records.record import chat_messages
from jaxalign.io.llm.replies import Answer, parse_answer

_OWN_FIELDS = ("model", "messages", "stream", "n")


@runtime_checkable
class Asked(Protocol):
    """One thing to ask a server: :class:`Request`, or :class:`~jaxalign.io.llm.prompt_logprobs.Echo`.

    Attributes:
      path: the endpoint, behind the server's URL.
    """

    path: ClassVar[str]

    @property
    def n(self) -> int:
        """How many texts the answer has."""

    @property
    def sample(self) -> int:
        """The number of this draw."""

    @property
    def unsent(self) -> int:
        """What tells requests apart that are sent alike."""

    @property
    def ending(self) -> str:
        """The text at the end of the question, for errors."""

    @property
    def prompt(self) -> str:
        """All text of the question."""

    def body(self, model: str) -> dict[str, Any]:
        """Returns the JSON to send.

        Args:
          model: the server's name for the model.
        """

    def parse(self, reply: str) -> Answer:
        """Returns the answer in a server's reply.

        Args:
          reply: the text of the reply.

        Raises:
          MalformedError: it is not of the form that belongs to the endpoint.
          NotOfferedError: it is, without what was asked for.
          RejectedError: no other attempt will bring an answer.
        """


@dataclasses.dataclass(frozen=True)
class Request:
    """One question to a chat model. What is None or empty is not sent, and the server's default counts.

    Attributes:
      messages: a chat of texts to which the answer is the next turn; a text is one turn of the user.
      temperature: at least 0; 0 is greedy.
      top_p: the probability mass that is sampled from, in (0, 1].
      max_tokens: the longest answer, in tokens.
      n: answers to ask for at once. Many servers know only 1; other values of ``sample`` draw more everywhere.
      seed: for servers that sample reproducibly.
      stop: texts that end an answer.
      top_logprobs: ask for the log-probabilities of the answer's tokens, and of this many others at each place.
      sample: the number of this draw, never sent. Requests that differ in it alone are paid and kept apart.
      extra: other fields of the request's JSON, such as ``max_completion_tokens``.

    Raises:
      ValueError: naming the field that is out of range.
    """

    path: ClassVar[str] = "/chat/completions"

    messages: str | Sequence[Mapping[str, str]]
    temperature: float | None = 1.0
    top_p: float | None = None
    max_tokens: int | None = None
    n: int = 1
    seed: int | None = None
    stop: Sequence[str] = ()
    top_logprobs: int | None = None
    sample: int = 0
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        text = isinstance(self.messages, str)
        messages = ({"role": "user", "content": self.messages},) if text else chat_messages(self.messages)
        object.__setattr__(self, "messages", messages)
        if isinstance(self.stop, str):
            raise ValueError(f"stop: expected a list of texts, got the text {self.stop!r}; put it into a list")
        object.__setattr__(self, "stop", tuple(self.stop))
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature: expected a number of at least 0, got {self.temperature}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p: expected a number in (0, 1], got {self.top_p}")
        for name, least in {"max_tokens": 1, "n": 1, "top_logprobs": 0, "sample": 0}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: expected at least {least}, got {value}")
        clash = [name for name in self.extra if name in _OWN_FIELDS or self._fields().get(name) is not None]
        if clash:
            raise ValueError(f"extra: {clash[0]!r} is set by the request itself; leave it out")

    @property
    def unsent(self) -> int:
        """The number of this draw, which is not sent."""
        return self.sample

    @property
    def ending(self) -> str:
        """The end of the last message; long prompts begin alike."""
        return self.messages[-1]["content"]

    @property
    def prompt(self) -> str:
        """The texts of all messages."""
        return "\n".join(message["content"] for message in self.messages)

    def parse(self, reply: str) -> Answer:
        """Returns the answer in a server's reply.

        Args:
          reply: the text of the reply.

        Raises:
          MalformedError: it is not a chat completion.
          RejectedError: no other attempt will bring an answer.
        """
        return parse_answer(reply)

    def body(self, model: str) -> dict[str, Any]:
        """Returns the JSON to send.

        Args:
          model: the server's name for the model.
        """
        fields = {name: value for name, value in self._fields().items() if value is not None}
        return {"model": model, "messages": list(self.messages), **fields, **self.extra}

    def _fields(self) -> dict[str, Any]:
        return {
            "temperature": None if self.temperature is None else float(self.temperature),
            "top_p": None if self.top_p is None else float(self.top_p),
            "max_tokens": self.max_tokens,
            "n": self.n if self.n > 1 else None,
            "seed": self.seed,
            "stop": list(self.stop) or None,
            "logprobs": None if self.top_logprobs is None else True,
            "top_logprobs": self.top_logprobs or None,
        }


def request_key(model: str, request: Asked) -> str:
    """Returns a hash of all that changes an answer: model, messages, parameters and the number of the sample.

    Args:
      model: the server's name for the model.
      request: what is asked.
    """
    return hash_of([request.body(model), request.unsent])


def hash_of(value: Any) -> str:
    """Returns the hash of a value as JSON.

    Args:
      value: what JSON holds; the order of names does not count.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def describe(request: Asked) -> str:
    """Returns the end of a question, for errors.

    Args:
      request: the question.
    """
    return shorten(request.ending) + (f", sample {request.sample}" if request.sample else "")


def shorten(text: str) -> str:
    """Returns the end of a text in quotes; long prompts begin alike.

    Args:
      text: the text.
    """
    return repr(text if len(text) <= 60 else f"...{text[-60:]}")
