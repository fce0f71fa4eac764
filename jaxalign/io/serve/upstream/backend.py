"""What writes the answers behind an OpenAI-compatible server, as a protocol."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

Body = Mapping[str, Any]
"""The JSON object of a request, whose ``model`` and ``messages`` were found to be a name and a list of messages."""


class Refused(Exception):
    """A request that gets an error instead of an answer.

    Args:
      status: the HTTP status, 400 to 599.
      message: what was expected, what came, and the remedy.
      param: the field that it is about, None for none.
      code: a word by which programs know the error, None for none.
      headers: HTTP headers that go with it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.headers = (
            status,
            message,
            param,
            code,
            dict(headers or {}),
        )

    def error(self) -> dict[str, Any]:
        """Returns the JSON object with which OpenAI's servers say so."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class Piece(NamedTuple):
    """A part of one choice, as it is written."""

    choice: int  # 0 to n - 1
    text: str = ""
    tokens: int = 0  # that were written for it
    tool_calls: tuple[Mapping[str, Any], ...] = ()  # whole calls or their parts, as a stream's ``delta`` has them
    finish: str | None = None  # stop, length or tool_calls with a choice's last piece


class Answer(NamedTuple):
    """An answer that is being written."""

    id: str
    created: int  # seconds since 1970
    prompt_tokens: int
    pieces: AsyncIterator[Piece]  # closed where the client leaves before its end


@runtime_checkable
class ChatBackend(Protocol):
    """What writes answers."""

    def models(self) -> Sequence[str]:
        """Returns the names of the models."""

    async def answer(self, body: Body) -> Answer:
        """Begins an answer.

        Args:
          body: the request; its model is one of :meth:`models`.

        Raises:
          Refused: the request asks for what is not possible.
        """

    async def embed(self, body: Body) -> tuple[Sequence[np.ndarray], int]:
        """Returns a vector [D] for each text of ``input``, and how many tokens they have.

        Args:
          body: the request; its model is one of :meth:`models`, and its ``input`` a list of texts.

        Raises:
          Refused: the model has no embeddings, or the request asks for what is not possible.
        """
