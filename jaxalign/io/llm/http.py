"""One answer from a server, with patience: what may pass is tried again, what will not is an error at once.

The API key is read from an environment variable when a request is sent, and stands nowhere but in that request.
"""

import dataclasses
import datetime
import email.utils
import functools
import http.client
import json
import math
import os
import random
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

from jaxalign.io.llm.wire import Answer, Asked, MalformedError, NotOfferedError, server_message

_MAX_BYTES = 2**26  # of a reply; what is longer is no answer
_SECRET_LENGTH = 8  # shorter keys are fillers for servers that want none, and words such as "EMPTY" occur in texts
_REFUSALS = (400, 404, 405, 422, 501)  # statuses that say "I do not take this": a field, a form, the endpoint
_JITTER = random.Random()  # not the global generator, which the user may have seeded


@dataclasses.dataclass(frozen=True)
class Client:
    """An OpenAI-compatible server and one of its models.

    Attributes:
      base_url: what stands before ``/chat/completions`` and ``/completions``, for instance ``http://127.0.0.1:8000/v1``.
      model: the server's name for the model.
      key_variable: the environment variable with the API key, which goes to ``base_url`` whatever that is; unset for
        servers that need none.
      timeout: seconds that a server may be silent, and that the text of its reply may take.
      max_retries: attempts after the first one.
      first_delay: seconds before the first retry; each later one waits twice as long, less up to half by chance.
      max_delay: the longest wait, in seconds. A server that asks for more (Retry-After) is not asked again.

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

    def __post_init__(self):
        url = urllib.parse.urlsplit(self.base_url)
        if url.username or url.password or url.query or url.fragment:
            # The URL is not shown: such places hold secrets.
            raise ValueError("base_url: expected no user name, query or fragment; an API key goes into the environment")
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"base_url: expected http://HOST or https://HOST with a path, got {self.base_url!r}")
        _ = url.port  # a ValueError of its own, if it is no number
        if not 0 < self.timeout < math.inf:
            raise ValueError(f"timeout: expected seconds above 0, got {self.timeout}")
        if self.max_retries < 0 or self.first_delay < 0 or self.max_delay < 0:
            raise ValueError("max_retries, first_delay, max_delay: expected numbers of at least 0")

    def url(self, request: Asked) -> str:
        """Where a request goes."""
        return self.base_url.rstrip("/") + request.path


class RequestError(Exception):
    """No answer, after ``retries`` retries; ``refused`` if the server does not take such requests.

    ``reason`` is the message without what callers add to it.
    """

    def __init__(self, message: str, retries: int = 0, *, refused: bool = False, reason: str = ""):
        super().__init__(message)
        self.retries, self.refused, self.reason = retries, refused, reason or message


class _PassingError(Exception):
    """Worth another attempt, not before ``wait`` seconds."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


def ask(client: Client, request: Asked, *, pause: Callable[[float], object] = time.sleep) -> Answer:
    """The server's answer, after at most ``client.max_retries`` retries.

    Retried are status 408, 429 and 5xx, time-outs, connections that fail or break, and replies of another
    form. A reply that was lost may have been paid: its tokens are in no count.

    Args:
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
    url = client.url(request)
    text = _post(client, url, json.dumps(request.body(client.model)).encode())
    try:
        answer = request.parse(text)
    except MalformedError as error:
        raise _PassingError(str(error)) from None
    except NotOfferedError as error:
        raise RequestError(f"{url}: {error}", refused=True) from None
    if len(answer.texts) != request.n:
        raise RequestError(
            f"{url}: asked for n={request.n} answers, got {len(answer.texts)}; use sample=0, 1, ... instead of n"
        )
    return answer


def _post(client: Client, url: str, body: bytes) -> str:
    key = _read_key(client)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "jaxalign"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    message = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with _opener().open(message, timeout=client.timeout) as response:
            return _without(key, client, _read(response, time.monotonic() + client.timeout))
    except urllib.error.HTTPError as error:
        with error:
            said = f"status {error.code}, {server_message(_without(key, client, _read_error(error)))}"
            wait = _retry_after(error.headers.get("Retry-After", ""))
        # llama.cpp's server has status 500 for what it has not learnt ("Only no echo is supported").
        refused = error.code in _REFUSALS or (error.code == 500 and "support" in said)
        if refused or not (error.code in (408, 429) or error.code >= 500):
            raise RequestError(f"{url}: {said}", refused=refused) from None
        raise _PassingError(said, wait) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _PassingError(_without(key, client, f"{type(error).__name__}: {reason}")) from None


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Follows no redirection: the key would travel to wherever it points."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context())  # reads certificates, so only once
    return urllib.request.build_opener(Stay, secure)


def _read_key(client: Client) -> str:
    key = os.environ.get(client.key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise RequestError(f"the environment variable {client.key_variable} holds characters that no API key has")
    return key


def _without(key: str, client: Client, text: str) -> str:
    """Servers repeat a key that they refuse, and logging proxies repeat headers."""
    return text.replace(key, f"[{client.key_variable}]") if len(key) >= _SECRET_LENGTH else text


def _read(response: http.client.HTTPResponse, deadline: float) -> str:
    chunks, size = [], 0
    while chunk := response.read1(2**16):
        chunks.append(chunk)
        size += len(chunk)
        if time.monotonic() > deadline:
            raise TimeoutError("the reply did not end in time")
        if size > _MAX_BYTES:
            raise OSError(f"the reply is longer than {_MAX_BYTES} bytes")
    return b"".join(chunks).decode(errors="replace")


def _read_error(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(2**16).decode(errors="replace") or str(error.reason)
    except (OSError, http.client.HTTPException):
        return str(error.reason)


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
