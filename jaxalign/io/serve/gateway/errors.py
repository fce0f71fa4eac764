"""Errors as OpenAI's clients know them."""

import json
from typing import Any


class ApiError(Exception):
    """A request that is turned down by the gateway itself.

    Args:
      status: the HTTP status.
      message: what was expected, what came, and the remedy.
      kind: the error's type in the OpenAI API, such as "invalid_request_error".
      retry_after: seconds after which to come again; 0 for nothing.
    """

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", retry_after: float = 0.0):
        super().__init__(message)
        self.status, self.kind, self.retry_after = status, kind, retry_after

    def body(self) -> bytes:
        """Returns the error as JSON."""
        return json.dumps(error_object(str(self), self.kind)).encode()


def error_object(message: str, kind: str) -> dict[str, Any]:
    """Returns an error in the form of the OpenAI API.

    Args:
      message: for the reader.
      kind: for the program, such as "upstream_error".
    """
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
