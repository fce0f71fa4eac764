"""What a client asks: the fields of a chat request that the gateway looks at, and the client's wishes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from jaxalign.io.serve.gateway.errors import ApiError
from jaxalign.serving.rendering import SYSTEM, ShownExample, render_examples

WISHES = ("learn", "examples", "route", "cache")
PREFIX = "x-jaxalign-"
METADATA = "jaxalign_"  # before a wish in the request's metadata
LONGEST_TEXT = 32_000  # characters of a conversation for which examples are looked for
LONGEST_NAME = 256
_SYSTEM_ROLES = ("system", "developer")


class Wishes(NamedTuple):
    """What a request wants or refuses; None leaves it to the settings."""

    learn: bool | None = None
    examples: bool | None = None
    route: bool | None = None
    cache: bool | None = None


class Asked(NamedTuple):
    """A chat request."""

    body: dict[str, Any]
    model: str
    stream: bool
    user: str
    wishes: Wishes
    text: str | None  # of the conversation without system texts; None where it is not text alone, or too long
    scope: str  # a hash of what sets the form of answers: requests of another scope are no examples
    plain: bool  # no tools, pictures or other parts than text


def read_chat(raw: bytes, headers: Mapping[str, str]) -> Asked:
    """Reads a request for ``/v1/chat/completions``.

    Args:
      raw: the body.
      headers: names in lower case.

    Raises:
      ApiError: it is no such request, with the field at fault.
    """
    body = read_json(raw)
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model:
        raise ApiError(400, f"model: expected the name of a model, got {model!r}; GET /v1/models lists them")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise ApiError(400, "messages: expected a list of at least one object with role and content")
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise ApiError(400, f"stream: expected true or false, got {stream!r}")
    user = headers.get(f"{PREFIX}user") or body.get("user") or body.get("safety_identifier") or ""
    if not isinstance(user, str) or not is_name(user):
        raise ApiError(400, f"user: expected a text of at most {LONGEST_NAME} printable characters")
    plain = not (body.get("tools") or body.get("functions")) and all(map(_is_text, messages))
    text = conversation_text(messages) if plain else None
    text = text if text and len(text) <= LONGEST_TEXT else None
    return Asked(body, model, stream, user, _wishes(body, headers), text, _scope(body, messages), plain)


def is_name(text: str) -> bool:
    """Says whether a text can name a user in every store.

    Args:
      text: the name; it may be empty.
    """
    return len(text) <= LONGEST_NAME and (text.isprintable() or not text)


def conversation_text(messages: list[dict[str, Any]]) -> str:
    """Returns a conversation as one text, system texts left out; a single user's turn is its text as it is.

    Args:
      messages: turns of text.

    >>> conversation_text([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}])
    'Why?'
    """
    turns = [(each.get("role"), text_of(each)) for each in messages if each.get("role") not in _SYSTEM_ROLES]
    if [role for role, _ in turns] == ["user"]:
        return turns[0][1]
    return "\n".join(f"{str(role).capitalize()}: {text}" for role, text in turns)


def with_examples(body: Mapping[str, Any], examples: list[ShownExample]) -> dict[str, Any]:
    """Returns a request whose last user's turn shows examples; other turns and fields stay.

    Args:
      body: a request whose messages are text, the last of them a user's.
      examples: at least one, the most helpful one last.
    """
    messages = [dict(each) for each in body["messages"]]
    rendered = render_examples(text_of(messages[-1]), examples)
    messages[-1]["content"] = rendered[-1]["content"]
    first = messages[0]
    if first.get("role") in _SYSTEM_ROLES:
        first["content"] = f"{text_of(first)}\n\n{SYSTEM}"
    else:
        messages.insert(0, {"role": "system", "content": SYSTEM})
    return {**body, "messages": messages}


def takes_examples(asked: Asked) -> bool:
    """Says whether examples can be shown in a request: it is text, and a user's turn is the last.

    Args:
      asked: the request.
    """
    return asked.text is not None and asked.body["messages"][-1].get("role") == "user"


def is_deterministic(body: Mapping[str, Any]) -> bool:
    """Says whether a client that sends a request again expects the same answer: temperature 0, or a seed.

    Args:
      body: the request.
    """
    return body.get("temperature") == 0 or body.get("seed") is not None


def answer_key(tenant: str, body: Mapping[str, Any], served: Any) -> str:
    """Returns a hash that two requests share if they may share an answer.

    Everything that can change the answer is in it, all turns included, and the tenant; who of the tenant asks is not.
    The order of fields does not count.

    Args:
      tenant: the tenant's name.
      body: the request.
      served: JSON that says who answers which model's requests, so that other settings share no answers with these.
    """
    counted = {name: value for name, value in body.items() if name not in ("user", "safety_identifier", "metadata")}
    return hashlib.sha256(json.dumps([tenant, counted, served], sort_keys=True).encode()).hexdigest()


def for_upstream(body: Mapping[str, Any], model: str) -> bytes:
    """Returns the body that an upstream gets: the model's name there, all other fields as they came.

    Args:
      body: the request.
      model: the name.
    """
    sent = {**body, "model": model}
    if isinstance(metadata := body.get("metadata"), dict):
        kept = {name: value for name, value in metadata.items() if not name.startswith(METADATA)}
        sent = {**sent, "metadata": kept} if kept else {name: sent[name] for name in sent if name != "metadata"}
    return json.dumps(sent).encode()


def text_of(message: Mapping[str, Any]) -> str:
    """Returns the text of a turn, whose content is a text or a list of parts of text.

    Args:
      message: the turn.
    """
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""


def read_json(raw: bytes) -> dict[str, Any]:
    """Reads a body that is a JSON object.

    Args:
      raw: the body.

    Raises:
      ApiError: it is none.
    """
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is no JSON ({error})") from None
    if not isinstance(body, dict):
        raise ApiError(400, f"the body: expected a JSON object, got {type(body).__name__}")
    return body


def _no_constant(name: str):
    raise ValueError(f"{name} is no number of JSON")


def _is_text(message: Mapping[str, Any]) -> bool:
    if message.get("tool_calls") or message.get("function_call") or message.get("role") in ("tool", "function"):
        return False
    content = message.get("content")
    if isinstance(content, list):
        return all(isinstance(each, dict) and isinstance(each.get("text"), str) for each in content)
    return isinstance(content, str) or content is None


def _scope(body: Mapping[str, Any], messages: list[dict[str, Any]]) -> str:
    system = [each.get("content") for each in messages if each.get("role") in _SYSTEM_ROLES]
    parts = [system, body.get("response_format")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32] if any(parts) else ""


def _wishes(body: Mapping[str, Any], headers: Mapping[str, str]) -> Wishes:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    found = {name: headers.get(PREFIX + name) or metadata.get(METADATA + name) for name in WISHES}
    return Wishes(**{name: _switch(name, value) for name, value in found.items()})


def _switch(name: str, value: Any) -> bool | None:
    known: dict[Any, Literal[True, False] | None] = {None: None, "on": True, "off": False}
    if not isinstance(value, str | None) or value not in known:
        raise ApiError(400, f"{PREFIX}{name}: expected on or off, got {value!r}")
    return known[value]
