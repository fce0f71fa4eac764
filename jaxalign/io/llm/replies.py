"""What a server's reply says: texts, log-probabilities, counts of tokens, or an error, whatever its shape. No effects.

The answer of a chat is its ``content``, a text or a list of parts. What a model thought (``reasoning_content``, parts
of type "thinking") is never taken for it, and a log-probability that is null, NaN or no number is None, never 0.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.io.llm.refusals import Refusal

_TEXT_PARTS = ("text", "output_text")
_SILENT_PARTS = ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "refusal")  # they hold no answer
_NO_CONTENT = ("refusal", "reasoning_content", "reasoning", "tool_calls")  # where these stand, content may be left out
_ROUNDING = 1e-3  # nats above 0 that the logarithm of a probability may have
_LEAST = -1e300  # a whole number below has no float
_TOLD = ("message", "error_description", "error_message", "detail", "msg", "error", "errors", "reason", "title")
_PASSING = (408, 409, 425, 429)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)


class Answer(NamedTuple):
    """What came of a request.

    Attributes:
      texts: the answers, n of them.
      finish: the server's reason for the end of each: "stop", "length", "refusal", ...
      prompt_tokens: tokens of the prompt, as the server counts; None where it does not say.
      completion_tokens: tokens of all n answers.
      logprobs: for each text a list of {"token", "logprob" (nats, None where it is missing), "top_logprobs"}, or None.
      seconds: from the first attempt to the answer.
      retries: attempts after the first.
      cached: whether it comes from a file.
      error: why there is no answer; empty if there is one.
      refused: how the server turned the request down, if it did.
    """

    texts: tuple[str, ...]
    finish: tuple[str, ...]
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    logprobs: tuple[list[dict[str, Any]] | None, ...] = ()
    seconds: float = 0.0
    retries: int = 0
    cached: bool = False
    error: str = ""
    refused: Refusal | None = None

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
        """The tokens of prompt and answer, as far as the server reports them."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


class MalformedError(ValueError):
    """A server's reply that has not the form of its endpoint; another attempt may bring a better one."""


class NotOfferedError(ValueError):
    """A reply of the right form without what was asked for: the server does not know the field that asks for it."""


class RejectedError(ValueError):
    """A reply that every attempt would bring: a stream, say, or an error whose status is in the text of the reply."""


def parse_answer(text: str) -> Answer:
    """Returns the answer in a server's reply to a chat, its choices in the order of their ``index``.

    Args:
      text: the text of the reply.

    Raises:
      MalformedError: it is not JSON, or not of the form of a chat completion.
      RejectedError: no other attempt will bring an answer.
    """
    choices, usage = parse_reply(text)
    if not all(_is_choice(choice) for choice in choices):
        raise MalformedError(f"a choice of the reply has no message with a text: {_excerpt(text)}")
    if all(_count(choice.get("index")) is not None for choice in choices):
        choices = sorted(choices, key=lambda choice: choice["index"])
    texts = tuple(_content(choice["message"].get("content")) for choice in choices)
    return Answer(
        texts=texts,
        finish=tuple(_finish(choice, text) for choice, text in zip(choices, texts, strict=True)),
        **usage,
        logprobs=tuple(_logprobs(choice.get("logprobs")) for choice in choices),
    )


def parse_reply(text: str) -> tuple[list[Any], dict[str, int | None]]:
    """Returns the choices of a reply, at least one of whatever form, and its counts of tokens for an :class:`Answer`.

    Args:
      text: the text of the reply.

    Raises:
      MalformedError: it is not JSON, or has no choices.
      RejectedError: no other attempt will bring an answer.
    """
    reply = _load(text)
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices or reply.get("error"):
        wrong = "no choices" if not choices else "an error beside its choices"
        said = f"the reply has {wrong}: {server_message(text)}"
        code = _error_code(reply)
        raise RejectedError(f"{said} (error {code})") if _is_final(code) else MalformedError(said)
    if broken := [each for each in choices if isinstance(each, dict) and each.get("finish_reason") == "error"]:
        raise MalformedError(f"the server broke off: {server_message(json.dumps(broken[0]))}")
    usage = reply.get("usage") if isinstance(reply.get("usage"), dict) else {}
    return choices, {name: _count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")}


def logprob(value: Any) -> float | None:
    """Returns a log-probability in nats, or None for null, NaN, and whatever is none; -inf is one.

    Args:
      value: what a reply has in its place.

    >>> logprob(-0.5), logprob(None), logprob(float("nan")), logprob("-1"), logprob(2.0)
    (-0.5, None, None, None, None)
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and (value == -math.inf or _LEAST <= value <= _ROUNDING) else None


def server_message(text: str) -> str:
    """Returns what a server's error says, in any of the forms that are in use; else the beginning of the reply.

    Args:
      text: the text of the reply.

    >>> server_message('{"detail": [{"loc": ["body", "n"], "msg": "Input should be 1"}]}')
    'body.n: Input should be 1'
    """
    try:
        reply = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return _page_text(text) if is_page(text) else _excerpt(text)
    return next((said for said in _told(reply, 0) if said.strip()), _excerpt(text))[:500]


def _load(text: str) -> Any:
    if text.lstrip("\ufeff \r\n").startswith(("data:", "event:", "id:", "retry:")):
        raise RejectedError(
            "the server streams its reply (text/event-stream), which was not asked for; expected one JSON object. "
            f"Switch streaming off at the server, or at the proxy before it: {_excerpt(text)}"
        )
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        if is_page(text):
            raise MalformedError(f"the reply is not JSON, but a web page: {_page_text(text)}") from None
        where = (
            f" ({error.msg.removesuffix(' at')} at character {error.pos})"
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
        raise MalformedError(f"the reply is not JSON: {_excerpt(text)}{where}") from None


def _told(value: Any, depth: int) -> Iterator[str]:
    """Texts of an error from the outside in, those first that servers put their reasons into."""
    if depth > 4:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _told(each, depth + 1)
    elif isinstance(value, dict):
        place = value.get("loc")
        before = f"{'.'.join(map(str, place))}: " if isinstance(place, list) and place else ""
        for name in sorted(_TOLD, key=lambda name: isinstance(value.get(name), dict | list)):
            yield from (before + said for said in _told(value.get(name), depth + 1) if said)


def _error_code(reply: Any) -> int | None:
    """The status that stands in the text of a reply."""
    error = reply.get("error") if isinstance(reply, dict) else None
    for place in (error, reply):
        for name in ("code", "status", "status_code"):
            code = place.get(name) if isinstance(place, dict) else None
            if isinstance(code, int | str) and re.fullmatch(r"[45]\d\d", str(code)):
                return int(code)
    return None


def _is_final(code: int | None) -> bool:
    return code is not None and 400 <= code < 500 and code not in _PASSING


def is_page(text: str) -> bool:
    """Says whether a reply is a web page, such as a proxy sends, or an address that is not the endpoint's.

    Args:
      text: the text of the reply.
    """
    return re.match(r"\s*(<!doctype html|<html|<\?xml|<head|<body)", text, re.IGNORECASE) is not None


def _page_text(text: str) -> str:
    """A short page as it is, of a long one what a reader sees."""
    seen = " ".join(_TAGS.sub(" ", text).split())
    return _excerpt(text if len(text) <= 200 or not seen else seen)


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}...")


def _is_choice(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return False
    if "content" not in message:
        return any(message.get(name) for name in _NO_CONTENT)
    return isinstance(message["content"], str | list | dict | None)


def _content(content: str | Sequence[Any] | Mapping[str, Any] | None) -> str:
    """null stands for "no text", as after a refusal or where thinking used up all tokens; ``finish`` tells."""
    if isinstance(content, dict):
        return _part(content)
    if isinstance(content, list):
        return "".join(map(_part, content))
    return content or ""


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text") if isinstance(part, dict) else type(part).__name__
    if kind in _SILENT_PARTS:
        return ""
    text = part.get("text") if kind in _TEXT_PARTS else None
    if not isinstance(text, str):
        raise RejectedError(
            f"the reply has a part of type {kind!r} without a text, expected texts: {_excerpt(str(part))}"
        )
    return text


def _finish(choice: dict[str, Any], text: str) -> str:
    if not text and choice["message"].get("refusal"):
        return "refusal"
    return str(choice.get("finish_reason") or "")


def _count(value: Any) -> int | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 0 <= value < 2**53 and value == int(value) else None


def _logprobs(value: Any) -> list[dict[str, Any]] | None:
    content = value.get("content") if isinstance(value, dict) else None
    complete = isinstance(content, list) and all(_is_named(each) and "logprob" in each for each in content)
    return [_entry(each) for each in content] if complete else None


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry and its competitors, with numbers or None."""
    entry = {**entry, "logprob": logprob(entry["logprob"])}
    if entry.get("top_logprobs") is not None:
        top = entry["top_logprobs"]
        if isinstance(top, dict):  # by token, as of completions
            top = [{"token": token, "logprob": value} for token, value in top.items()]
        named = [each for each in top if _is_named(each)] if isinstance(top, list) else []
        entry["top_logprobs"] = [{**each, "logprob": logprob(each.get("logprob"))} for each in named]
    return entry


def _is_named(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("token"), str)
