"""What the engine is asked for, from the JSON of a request; what it cannot do is refused, not left out."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.turns import encode_continued
from jaxalign.io.serve.upstream import requests
from jaxalign.io.serve.upstream.backend import Body, Refused

# What each of these fields may be for nothing to be asked of the engine; None is always allowed.
_NOTHING: Mapping[str, Sequence[Any]] = {
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "audio": (),
}


class Draw(NamedTuple):
    """Samples that a request asks for."""

    prompt: tuple[int, ...]
    samples: int
    temperature: float
    top_p: float
    max_tokens: int  # of each sample, the one that ends it included
    seed: int  # 0 to 2^32 - 1
    stops: tuple[str, ...]  # ordinary texts
    stop_ids: frozenset[int]  # special tokens that the request names as stop texts


class Room(NamedTuple):
    """What a slot holds."""

    prompt_tokens: int
    new_tokens: int


def read_draw(body: Body, tokenizer: Tokenizer, room: Room, most_samples: int) -> Draw:
    """Returns what a request asks for. It tokenises, which takes a while for a long text.

    Args:
      body: the request.
      tokenizer: of the model.
      room: tokens at most.
      most_samples: choices at most.

    Raises:
      Refused: it asks for something that the engine cannot do, or for too much; says what to change.
    """
    for name, allowed in _NOTHING.items():
        if body.get(name) is not None and body[name] not in allowed:
            raise Refused(
                400, f"{name}: this server does not do that, got {body[name]!r:.80}; leave it out", param=name
            )
    stops, special = requests.stop_texts(body), getattr(tokenizer, "special_ids", {})
    ordinary = [stop for stop in stops if stop not in special]
    for stop in ordinary:
        if found := sorted(name for name in special if name in stop):
            message = f"stop: {stop!r} has the special token {found[0]!r} beside ordinary text; name one or the other"
            raise Refused(400, message, param="stop")
    seed = requests.whole(body, "seed", secrets.randbits(32), -(2**63), 2**63 - 1)
    return Draw(
        prompt=_prompt(body["messages"], tokenizer, room),
        samples=requests.whole(body, "n", 1, 1, most_samples),
        temperature=float(requests.number(body, "temperature", 1.0, 0, 2)),
        top_p=float(requests.number(body, "top_p", 1.0, 1e-6, 1)),
        max_tokens=requests.most_tokens(body, room.new_tokens, room.new_tokens),
        seed=seed % 2**32,
        stops=tuple(ordinary),
        stop_ids=frozenset(special[stop] for stop in stops if stop in special),
    )


def _prompt(messages: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, room: Room) -> tuple[int, ...]:
    chat = [{"role": message["role"], "content": _content(message)} for message in messages]
    for message in messages:
        if message["role"] == "tool" or message.get("tool_calls"):
            raise Refused(400, "messages: this server does not do tools; leave out what they said", param="messages")
    try:
        tokens = tuple(encode_continued(chat, "", tokenizer))
    except ValueError as error:
        raise Refused(400, f"messages: the model's chat template refuses them: {error}", param="messages") from error
    if len(tokens) > room.prompt_tokens:
        message = f"messages: {len(tokens)} tokens, and there is room for {room.prompt_tokens}; shorten them"
        raise Refused(400, message, param="messages", code="context_length_exceeded")
    return tokens


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise Refused(400, f"messages: this server reads texts alone, got the part {part!r:.80}", param="messages")
    return "".join(part["text"] for part in parts)
