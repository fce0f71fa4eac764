"""The JSON of chat completions, whole and in chunks, and of embeddings, as OpenAI's servers write them."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxalign.io.serve.upstream.backend import Answer, Piece

DONE = b"data: [DONE]\n\n"


def encode(value: Any) -> bytes:
    """Returns a value as compact JSON in UTF-8.

    Args:
      value: what JSON holds.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(value: Any) -> bytes:
    """Returns a value as one server-sent event.

    Args:
      value: what JSON holds.
    """
    return b"data: " + encode(value) + b"\n\n"


class Chunks:
    """Events of one streamed chat completion.

    Args:
      answer: the answer that is being written.
      model: the model's name, as the client gave it.
      usage: whether the client asked for an event with the counts of tokens.
    """

    def __init__(self, answer: Answer, model: str, *, usage: bool):
        self._answer, self._model, self._usage = answer, model, usage
        self._begun: set[int] = set()
        self._tokens = 0

    def of(self, piece: Piece) -> list[bytes]:
        """Returns a piece's events: a choice begins with its role, and a finish reason comes by itself.

        Args:
          piece: the next piece.
        """
        events = []
        if piece.choice not in self._begun:
            self._begun.add(piece.choice)
            events.append(self._event(piece.choice, {"role": "assistant", "content": "", "refusal": None}))
        self._tokens += piece.tokens
        if piece.text:
            events.append(self._event(piece.choice, {"content": piece.text}))
        if piece.tool_calls:
            events.append(self._event(piece.choice, {"tool_calls": list(piece.tool_calls)}))
        if piece.finish:
            events.append(self._event(piece.choice, {}, piece.finish))
        return events

    def end(self) -> list[bytes]:
        """Returns the events at the end of the stream."""
        if not self._usage:
            return [DONE]
        return [event(self._head() | {"choices": [], "usage": usage(self._answer.prompt_tokens, self._tokens)}), DONE]

    def _event(self, choice: int, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return event(self._head() | {"choices": choices} | ({"usage": None} if self._usage else {}))

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._answer.id,
            "object": "chat.completion.chunk",
            "created": self._answer.created,
            "model": self._model,
        }


def completion(answer: Answer, model: str, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Returns a whole chat completion.

    Args:
      answer: the answer that the pieces belong to.
      model: the model's name, as the client gave it.
      pieces: all pieces of all choices, each choice's in their order.
    """
    choices: dict[int, list[Piece]] = {}
    for piece in pieces:
        choices.setdefault(piece.choice, []).append(piece)
    return {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": model,
        "choices": [_choice(index, choices[index]) for index in sorted(choices)],
        "usage": usage(answer.prompt_tokens, sum(piece.tokens for piece in pieces)),
    }


def _choice(index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
    calls = _joined_calls([part for piece in pieces for part in piece.tool_calls])
    text = "".join(piece.text for piece in pieces)
    message = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    return {
        "index": index,
        "message": message | ({"tool_calls": calls} if calls else {}),
        "logprobs": None,
        "finish_reason": pieces[-1].finish,
    }


def _joined_calls(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Calls of tools from the parts that a stream has: the first of each names the function, arguments add up."""
    calls: dict[int, dict[str, Any]] = {}
    for part in parts:
        own = calls.setdefault(part["index"], {"function": {"arguments": ""}})
        own.update({name: value for name, value in part.items() if name not in ("index", "function")})
        function = part["function"]
        arguments = own["function"]["arguments"] + function.get("arguments", "")
        own["function"] = own["function"] | dict(function) | {"arguments": arguments}
    return [calls[index] for index in sorted(calls)]


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Returns the counts of tokens of a request.

    Args:
      prompt_tokens: those of its messages.
      completion_tokens: those of all its choices.
    """
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}


def embeddings(model: str, vectors: Sequence[np.ndarray], tokens: int, *, base_64: bool) -> dict[str, Any]:
    """Returns the reply with embeddings.

    Args:
      model: the model's name, as the client gave it.
      vectors: one for each text, [D] each.
      tokens: how many tokens the texts have.
      base_64: whether vectors are written as the base64 of little-endian float32, else as lists of numbers.
    """
    rows = [np.asarray(vector, "<f4") for vector in vectors]
    written = [base64.b64encode(row.tobytes()).decode() if base_64 else row.tolist() for row in rows]
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(written)]
    counts = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": counts}


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """Returns the reply with the models that there are.

    Args:
      names: of the models.
    """
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "jaxalign"} for name in names]
    return {"object": "list", "data": data}
