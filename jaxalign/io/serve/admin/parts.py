"""What all pages for operators share."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from jaxalign.io.serve.admin.access import Session
from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.protocol import Store

CallStore = Callable[..., Awaitable[Any]]
"""``await call_store(method, *args, **named)`` calls a method of the store in a thread."""

Form = dict[str, list[str]]
Handle = Callable[[Request, Session, Form], Awaitable[Response]]


class Parts(NamedTuple):
    """The store and the settings."""

    store: Store
    call: CallStore
    config: ServeConfig

    def tenant_of(self, request: Request) -> int | None:
        """Returns the tenant that a page is about, None for all.

        Args:
          request: with ``tenant``, a number, in its query.

        Raises:
          ValueError: it is no number.
        """
        found = request.query_params.get("tenant", "")
        if not found:
            return None
        if not (found.isascii() and found.isdigit() and len(found) < 16):
            raise ValueError(f"tenant: expected a number, got {found!r}")
        return int(found)
