"""What is asked of an OpenAI-compatible server, as JSON, and what it answers; here chat completions. No effects."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from jaxalign.data.record import chat_messages

_OWN_FIELDS = ("model", "messages", "stream", "n")


@runtime_checkable
class Asked(Protocol):
    """One thing to ask a server: :class:`Request`, or :class:`~jaxalign.io.llm.echo.Echo`.

    Attributes:
      path: of the endpoint, behind the server's URL.
      n: texts that the answer has.
      sample: the number of this draw.
      unsent: what tells requests apart that are sent alike.
      ending: the text at the end of the question, for errors.
      prompt: all its text.
    """

    path: ClassVar[str]

    @property
    def n(self) -> int: ...

    @property
    def sample(self) -> int: ...

    @property
    def unsent(self) -> int: ...

    @property
    def ending(self) -> str: ...

    @property
    def prompt(self) -> str: ...

    def body(self, model: str) -> dict[str, Any]:
        """The JSON to send."""
        ...

    def parse(self, reply: str) -> "Answer":
        """The answer in a server's reply.

        Raises:
          MalformedError: it is not of the form that belongs to the endpoint.
          NotOfferedError: it is, without what was asked for.
        """
        ...


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
        return self.sample

    @property
    def ending(self) -> str:
        """The end of the last message; long prompts begin alike."""
        return self.messages[-1]["content"]

    @property
    def prompt(self) -> str:
        """All messages."""
        return "\n".join(message["content"] for message in self.messages)

    def parse(self, reply: str) -> "Answer":
        return parse_answer(reply)

    def body(self, model: str) -> dict[str, Any]:
        """The JSON to send."""
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


class Answer(NamedTuple):
    """What came of a request. ``error`` says why there is none, and is empty otherwise."""

    texts: tuple[str, ...]  # n of them
    finish: tuple[str, ...]  # the server's reason for the end of each: "stop", "length", ...
    prompt_tokens: int | None = None  # as the server counts; None where it does not say
    completion_tokens: int | None = None  # of all n
    # For each text the server's list of {"token", "logprob" (nats), "top_logprobs"}, or None where it gave none.
    logprobs: tuple[list[dict[str, Any]] | None, ...] = ()
    seconds: float = 0.0  # from the first attempt to the answer
    retries: int = 0
    cached: bool = False
    error: str = ""
    refused: bool = False  # the error is that the server does not take such requests

    @property
    def text(self) -> str:
        """The first text.

        Raises:
          ValueError: there is no answer; the message says why.
        """
        if self.error:
            raise ValueError(f"no answer: {self.error}")
        return self.texts[0]

    @property
    def tokens(self) -> int:
        """Tokens of prompt and answer, as far as the server reports them."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


class MalformedError(ValueError):
    """A server's reply that has not the form of its endpoint; another attempt may bring a better one."""


class NotOfferedError(ValueError):
    """A reply of the right form without what was asked for: the server does not know the field that asks for it."""


def request_key(model: str, request: Asked) -> str:
    """A hash of all that changes an answer: model, messages, parameters and the number of the sample."""
    return hash_of([request.body(model), request.unsent])


def hash_of(value: Any) -> str:
    """Of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def guess_tokens(text: str) -> int:
    """Of a text whose tokenizer is not at hand: one for four bytes, as of English prose; code and numbers have more.

    >>> guess_tokens("Is it so?")
    3
    """
    return -(-len(text.encode(errors="replace")) // 4)


def describe(request: Asked) -> str:
    """The end of a question, for errors."""
    return shorten(request.ending) + (f", sample {request.sample}" if request.sample else "")


def shorten(text: str) -> str:
    """The end of a text in quotes; long prompts begin alike."""
    return repr(text if len(text) <= 60 else f"...{text[-60:]}")


def parse_answer(text: str) -> Answer:
    """The answer in a server's reply.

    Raises:
      MalformedError: it is not JSON, or not of the form of a chat completion.
    """
    choices, usage = parse_reply(text)
    if not all(_is_choice(choice) for choice in choices):
        raise MalformedError(f"a choice of the reply has no message with a text: {_excerpt(text)}")
    return Answer(
        # null stands for "no text", as after a refusal or where thinking used up all tokens; ``finish`` tells.
        texts=tuple(choice["message"]["content"] or "" for choice in choices),
        finish=tuple(str(choice.get("finish_reason") or "") for choice in choices),
        **usage,
        logprobs=tuple(_logprobs(choice.get("logprobs")) for choice in choices),
    )


def parse_reply(text: str) -> tuple[list[Any], dict[str, int | None]]:
    """The choices of a reply, at least one of whatever form, and its counts of tokens, as an :class:`Answer` has them.

    Raises:
      MalformedError: it is not JSON, or has no choices.
    """
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError(f"the reply is not JSON: {_excerpt(text)}") from None
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        raise MalformedError(f"the reply has no choices: {server_message(text)}")
    usage = reply.get("usage") if isinstance(reply.get("usage"), dict) else {}
    return choices, {name: _count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")}


def server_message(text: str) -> str:
    """What a server's error says, in any of the forms that are in use; else the beginning of the reply."""
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        return _excerpt(text)
    for place in (("error", "message"), ("error",), ("message",), ("detail",)):
        found = reply
        for name in place:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str) and found:
            return found[:500]
    return _excerpt(text)


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}...")


def _is_choice(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    return isinstance(message, dict) and isinstance(message.get("content", 0), str | None)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _logprobs(value: Any) -> list[dict[str, Any]] | None:
    content = value.get("content") if isinstance(value, dict) else None
    whole = isinstance(content, list) and all(isinstance(each, dict) and "logprob" in each for each in content)
    return content if whole else None
