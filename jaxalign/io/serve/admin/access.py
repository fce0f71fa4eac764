"""Who may see the operators' page: a key from the environment, a signed cookie, and a token in every form.

A session is signed with the key itself, so that every gateway knows it, and none does once the key has changed.
"""

import hashlib
import hmac
import secrets
import urllib.parse
from typing import NamedTuple

from starlette.requests import Request

COOKIE = "jaxalign-admin"
LEAST_KEY = 16  # characters
SESSION_SECONDS = 12 * 3600
MOST_FORM_BYTES = 2**20


class Session(NamedTuple):
    """A browser whose user has shown the key."""

    token: str  # in every form of its pages


class FormError(Exception):
    """A form that does not come from a page of this session, or is too large."""


def begin_session(key: str, now: float) -> str:
    """Returns the cookie of a new session.

    Args:
      key: the admin key.
      now: seconds since 1970.
    """
    claim = f"{int(now) + SESSION_SECONDS}.{secrets.token_hex(16)}"
    return f"{claim}.{_sign(key, 'session', claim)}"


def read_session(cookie: str | None, key: str, now: float) -> Session | None:
    """Returns the session of a cookie, None where it has none that holds.

    Args:
      cookie: what the browser sent; None for nothing.
      key: the admin key.
      now: seconds since 1970.
    """
    claim, _, signature = (cookie or "").rpartition(".")
    if not equal(signature, _sign(key, "session", claim)):
        return None
    return Session(_sign(key, "form", claim)) if int(claim.partition(".")[0]) > now else None


def equal(one: str, other: str) -> bool:
    """Says whether two secrets are equal, in a time that does not tell where they differ.

    Args:
      one: a secret.
      other: another.
    """
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


async def read_form(request: Request) -> dict[str, list[str]]:
    """Returns the values of a form by their names.

    Args:
      request: a POST.

    Raises:
      FormError: it is no form, too large, or sent by a page of another site.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise FormError("it was sent by a page of another site")
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_FORM_BYTES:
            raise FormError(f"it has more than {MOST_FORM_BYTES} bytes")
    try:
        return urllib.parse.parse_qs(data.decode(), keep_blank_values=True, strict_parsing=bool(data))
    except ValueError as error:
        raise FormError("it is not written as forms are") from error


def check_token(form: dict[str, list[str]], session: Session) -> None:
    """Raises if a form was not made for this session.

    Args:
      form: from :func:`read_form`.
      session: of the browser that sent it.

    Raises:
      FormError: it was not.
    """
    if not equal(form.get("token", [""])[0], session.token):
        raise FormError("it was not made for this session")


def _sign(key: str, use: str, claim: str) -> str:
    return hmac.new(key.encode(), f"{use}.{claim}".encode(errors="replace"), hashlib.sha256).hexdigest()
