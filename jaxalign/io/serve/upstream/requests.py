"""Checks of what clients send: each fault of theirs is a 400 that names the field, what came, and the remedy."""

import json
import math
from collections.abc import Sequence
from typing import Any

from jaxalign.io.serve.upstream.backend import Body, Refused

MOST_CHOICES = 128


def read_object(data: bytes) -> dict[str, Any]:
    """Returns the JSON object of a request's body.

    Args:
      data: the body.

    Raises:
      Refused: it is no JSON object.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"expected a JSON object as the body: {error}") from error
    if not isinstance(found, dict):
        raise Refused(400, f"expected a JSON object as the body, got {type(found).__name__}")
    return found


def check_model(body: Body, models: Sequence[str]) -> None:
    """Raises if the request's model is none of these.

    Args:
      body: the request.
      models: names.

    Raises:
      Refused: with status 404 for an unknown name.
    """
    name = body.get("model")
    if not isinstance(name, str):
        raise Refused(400, f"model: expected a name, got {name!r}", param="model")
    if name not in models:
        message = f"model: {name!r} is not here; ask for one of {sorted(models)}"
        raise Refused(404, message, param="model", code="model_not_found")


def check_messages(body: Body) -> None:
    """Raises if the request's messages are no chat.

    Args:
      body: the request.

    Raises:
      Refused: naming the message.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, f"messages: expected a list of at least one message, got {messages!r:.80}", param="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            expected = 'an object such as {"role": "user", "content": "..."}'
            raise Refused(400, f"messages[{place}]: expected {expected}, got {message!r:.80}", param="messages")
        if not isinstance(message.get("content"), str | list | None):
            raise Refused(400, f"messages[{place}].content: expected a text or a list of parts", param="messages")


def number(
    body: Body, name: str, default: float | int, least: float | int, most: float | int = math.inf
) -> float | int:
    """Returns a field that is a number.

    Args:
      body: the request.
      name: the field.
      default: what counts where it is not there or null.
      least: the smallest value that is allowed.
      most: the largest one.

    Raises:
      Refused: it is no number, or out of range.
    """
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Refused(400, f"{name}: expected a number from {least} to {most}, got {value!r:.80}", param=name)
    return value


def whole(body: Body, name: str, default: int, least: int, most: int) -> int:
    """Returns a field that is a whole number.

    Args:
      body: the request.
      name: the field.
      default: what counts where it is not there or null.
      least: the smallest value that is allowed.
      most: the largest one.

    Raises:
      Refused: it is no whole number, or out of range.
    """
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Refused(400, f"{name}: expected a whole number from {least} to {most}, got {value!r:.80}", param=name)
    return value


def most_tokens(body: Body, default: int, most: int) -> int:
    """Returns how many tokens an answer may have, by ``max_completion_tokens`` or its older name ``max_tokens``.

    Args:
      body: the request.
      default: what counts where neither is there.
      most: the largest number that is allowed.

    Raises:
      Refused: it is no whole number from 1 to ``most``.
    """
    older = whole(body, "max_tokens", default, 1, most)
    return whole(body, "max_completion_tokens", older, 1, most)


def stop_texts(body: Body) -> list[str]:
    """Returns the texts that end an answer.

    Args:
      body: the request; its ``stop`` is a text, a list of texts, or null.

    Raises:
      Refused: it is something else, or a text is empty.
    """
    found = body.get("stop")
    texts = [] if found is None else [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise Refused(400, f"stop: expected texts that are not empty, got {found!r:.80}", param="stop")
    return texts


def wants_usage(body: Body) -> bool:
    """Returns whether the stream is to end with the counts of tokens.

    Args:
      body: the request; its ``stream_options`` are an object or null.

    Raises:
      Refused: they are something else.
    """
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise Refused(400, f"stream_options: expected an object, got {options!r:.80}", param="stream_options")
    return bool(options.get("include_usage"))


def text_inputs(body: Body) -> list[str]:
    """Returns the texts of a request for embeddings.

    Args:
      body: the request; its ``input`` is a text or a list of texts.

    Raises:
      Refused: it is something else, such as tokens.
    """
    found = body.get("input")
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise Refused(400, f"input: expected a text or a list of texts, got {found!r:.80}", param="input")
    return texts
