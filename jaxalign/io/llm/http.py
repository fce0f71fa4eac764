"""One answer from a server, with patience: what may pass is tried again, what will not is an error at once.

The API key is read from an environment variable when a request is sent, and stands nowhere but in that request.
"""

import dataclasses
import datetime
import email.utils
import functools
import json
import math
import os
import random
import re
import sys
import time
import urllib.parse
from collections.abc import Callable

from jaxalign.io.llm import transport
from jaxalign.io.llm.protocol import Asked
from jaxalign.io.llm.refusals import Refusal, refusal_of
from jaxalign.io.llm.replies import Answer, MalformedError, NotOfferedError, RejectedError, is_page, server_message

_SECRET_LENGTH = 8  # shorter keys are fillers for servers that want none, and words such as "EMPTY" occur in texts
_ENDPOINTS = ("/chat/completions", "/completions", "/models")  # which belong behind a base URL
_VERSION = re.compile(r"/v\d+[a-z0-9]*(/|$)")
_JITTER = random.Random()  # not the global generator, which the user may have seeded


@dataclasses.dataclass(frozen=True)
class Client:
    """An OpenAI-compatible server and one of its models.

    Attributes:
      base_url: what stands before ``/chat/completions`` and ``/completions``, for instance ``http://127.0.0.1:8000/v1``.
        Without a version in its path, ``/v1`` behind it is tried as well. It is kept without a slash or an endpoint at
        its end.
      model: the server's name for the model.
      key_variable: the environment variable with the API key, which goes to ``base_url`` whatever that is; unset for
        servers that need none.
      timeout: seconds that a server may be silent, and that the text of its reply may take.
      max_retries: attempts after the first one.
      first_delay: seconds before the first retry; each later one waits twice as long, less up to half by chance.
      max_delay: the longest wait, in seconds. A server that asks for more (Retry-After) is not asked again.
      token_limit: the name under which the server takes ``max_tokens``; newer models of OpenAI want
        ``max_completion_tokens``.
      known_as: the base URL that files of answers know the server by, where it has moved; by default ``base_url``.

    Raises:
      ValueError: a URL of another form, or a number out of range.
    """

    base_url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    max_retries: int = 6
    first_delay: float = 1.0
    max_delay: float = 120.0
    token_limit: str = "max_tokens"
    known_as: str = ""
    _found: dict[str, str] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "base_url", check_base_url(self.base_url))
        object.__setattr__(self, "known_as", check_base_url(self.known_as) if self.known_as else self.base_url)
        if not 0 < self.timeout < math.inf:
            raise ValueError(f"timeout: expected seconds above 0, got {self.timeout}")
        if not (self.max_retries >= 0 and self.first_delay >= 0 and self.max_delay >= 0):
            raise ValueError("max_retries, first_delay, max_delay: expected numbers of at least 0")

    def bases(self) -> list[str]:
        """The base URLs under which the endpoints may be, in the order in which they are tried."""
        if found := self._found.get("base"):
            return [found]
        path = urllib.parse.urlsplit(self.base_url).path
        if _VERSION.search(path):
            return [self.base_url]
        guesses = [self.base_url, f"{self.base_url}/v1"]
        return guesses if path else guesses[::-1]  # at the root some servers have endpoints of another kind

    def url(self, request: Asked) -> str:
        """Says where a request goes, as far as is known.

        Args:
          request: the request.
        """
        return self.bases()[0] + request.path

    def settle(self, base: str) -> None:
        """Notes that the endpoints are there, and tells the user if that is not the URL that was given.

        Args:
          base: the base URL.
        """
        self._found["base"] = base
        if base != self.base_url:
            self.tell(f"{self.base_url} has its endpoints under {base}, which is used")

    def tell(self, text: str) -> None:
        """Prints a remark once.

        Args:
          text: the remark.
        """
        if text not in self._found:
            self._found[text] = ""
            print(text, file=sys.stderr)


def check_base_url(given: str) -> str:
    """Returns a base URL as it is kept: no blanks around it, no slash and no endpoint at its end.

    Args:
      given: the URL as a user gives it.

    Raises:
      ValueError: it is of another form. Where it may hold a secret it is not shown.

    >>> check_base_url(" HTTP://LocalHost:8000/v1/chat/completions/ ")
    'http://localhost:8000/v1'
    """
    text = given.strip()
    url = urllib.parse.urlsplit(text)
    if url.username is not None or url.password is not None or url.query or url.fragment or "@" in url.netloc:
        # The URL is not shown: such places hold secrets.
        raise ValueError(
            "base_url: expected a URL without user name, password, query and fragment, which may be secrets; an API "
            "key goes into the environment"
        )
    broken = any(character.isspace() or not character.isprintable() for character in text)
    if url.scheme not in ("http", "https") or not url.hostname or broken:
        raise ValueError(f"base_url: expected http://HOST or https://HOST with a path, got {given!r}")
    _ = url.port  # a ValueError of its own, if it is no number
    path = url.path.rstrip("/")
    for endpoint in _ENDPOINTS:
        path = path.removesuffix(endpoint).rstrip("/")
    return urllib.parse.urlunsplit((url.scheme, url.netloc.lower(), path, "", ""))


class RequestError(Exception):
    """A server gave no answer.

    Args:
      message: what happened, and where.
      retries: attempts after the first one.
      refused: how the server turned the request down, if it did.
      reason: the message without what callers add to it; by default ``message``.
    """

    def __init__(self, message: str, retries: int = 0, *, refused: Refusal | None = None, reason: str = ""):
        super().__init__(message)
        self.retries, self.refused, self.reason = retries, refused, reason or message


class _PassingError(Exception):
    """Worth another attempt, not before ``wait`` seconds."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


def ask(client: Client, request: Asked, *, pause: Callable[[float], object] = time.sleep) -> Answer:
    """Returns a server's answer, after at most ``client.max_retries`` retries.

    Retried are status 408, 429 and 5xx, time-outs, connections that fail or break, and replies of another
    form. A reply that was lost may have been paid: its tokens are in no count.

    Args:
      client: the server and its model.
      request: what to ask.
      pause: waits for so many seconds.

    Raises:
      RequestError: with the last reason, or at once with the server's message for any other status.
    """
    began, delay, reason = time.monotonic(), 0.0, ""
    for retries in range(client.max_retries + 1):
        if retries:
            pause(delay)
        try:
            return _attempt(client, request)._replace(seconds=time.monotonic() - began, retries=retries)
        except RequestError as error:
            raise RequestError(str(error), retries, refused=error.refused) from None
        except _PassingError as error:
            reason, delay = str(error), max(error.wait, _backoff(client, retries))
            if error.wait > client.max_delay:
                asked = f"the server asks to wait {error.wait:.0f} s, longer than max_delay={client.max_delay:g}"
                raise RequestError(f"{client.url(request)}: {reason}; {asked}", retries) from None
    attempts = client.max_retries + 1
    reason = f"no answer in {attempts} attempts; the last: {reason}"
    raise RequestError(f"{client.url(request)}: {reason}", client.max_retries)


def _attempt(client: Client, request: Asked) -> Answer:
    """One answer from the first base URL that has the endpoint."""
    missing: list[str] = []
    for base in client.bases():
        try:
            answer = _answer(client, request, base + request.path)
        except RequestError as error:
            if error.refused is not Refusal.NO_ENDPOINT:
                raise
            missing.append(str(error))
        else:
            client.settle(base)
            return answer
    remedy = f"Expected a base URL such as http://HOST:8000/v1, and the name of a model there, got {client.model!r}"
    raise RequestError(f"{'; '.join(missing)}. {remedy}", refused=Refusal.NO_ENDPOINT)


def _answer(client: Client, request: Asked, url: str) -> Answer:
    text = _post(client, url, _body(client, request))
    try:
        answer = request.parse(text)
    except MalformedError as error:
        if is_page(text) and len(client.bases()) > 1:
            raise RequestError(f"{url}: {error}", refused=Refusal.NO_ENDPOINT) from None
        raise _PassingError(str(error)) from None
    except NotOfferedError as error:
        raise RequestError(f"{url}: {error}", refused=Refusal.CANNOT) from None
    except RejectedError as error:
        raise RequestError(f"{url}: {error}") from None
    if len(answer.texts) < request.n:
        raise RequestError(
            f"{url}: asked for n={request.n} answers, got {len(answer.texts)}; use sample=0, 1, ... instead of n"
        )
    if len(answer.texts) > request.n:
        client.tell(
            f"{url}: asked for n={request.n} answers, got {len(answer.texts)}; the first are taken, all are paid"
        )
    n = request.n
    return answer._replace(texts=answer.texts[:n], finish=answer.finish[:n], logprobs=answer.logprobs[:n])


def _body(client: Client, request: Asked) -> bytes:
    body = request.body(client.model)
    if "max_tokens" in body and request.path == "/chat/completions":
        body = {client.token_limit if name == "max_tokens" else name: value for name, value in body.items()}
    return json.dumps(body).encode()


def _post(client: Client, url: str, body: bytes) -> str:
    key = _read_key(client)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "jaxalign"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = transport.post(url, body, headers, client.timeout)
    except transport.UnusableError as error:
        raise RequestError(f"{url}: {_without(key, client, str(error))}") from None
    except OSError as error:
        raise _PassingError(_without(key, client, str(error))) from None
    text = _without(key, client, reply.text)
    if 200 <= reply.status < 300:
        return text
    said = f"status {reply.status}, {server_message(text)}{reply.proxy}"
    if "max_completion_tokens" in said and client.token_limit == "max_tokens":
        said += " (the client's token_limit names this field)"
    if reply.status in (401, 403) and not key:
        said += f" (the environment variable {client.key_variable} holds no API key)"
    refused = refusal_of(reply.status, server_message(text))
    if refused is None and (reply.status in (408, 429) or reply.status >= 500):
        raise _PassingError(said, _retry_after(reply.retry_after))
    raise RequestError(f"{transport.shown(reply.url)}: {said}", refused=refused)


def _read_key(client: Client) -> str:
    key = os.environ.get(client.key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise RequestError(f"the environment variable {client.key_variable} holds characters that no API key has")
    return key


def _without(key: str, client: Client, text: str) -> str:
    """Servers repeat a key that they refuse, and logging proxies repeat headers."""
    return _spellings(key).sub(f"[{client.key_variable}]", text) if len(key) >= _SECRET_LENGTH else text


@functools.lru_cache(maxsize=8)
def _spellings(key: str) -> re.Pattern[str]:
    """A key as it is, quoted for JSON or for a URL."""
    forms = (rf"(?:\\?{re.escape(each)}|%{ord(each):02x}|\\u00{ord(each):02x})" for each in key)
    return re.compile("".join(forms), re.IGNORECASE)


def _retry_after(value: str) -> float:
    """Seconds that a server asks to wait, given as a number or as a date; 0 if it does not."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        until = until if until.tzinfo else until.replace(tzinfo=datetime.UTC)
        seconds = (until - datetime.datetime.now(datetime.UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def _backoff(client: Client, retries: int) -> float:
    """Seconds; by chance between a half and all, so that many clients do not come back at one moment."""
    return min(client.max_delay, client.first_delay * 2.0 ** min(retries, 60)) * _JITTER.uniform(0.5, 1.0)
