"""One POST over HTTP: through which proxy, where a redirection may lead, and the text of the reply.

The standard library's client does the rest. What is decided here would be decided here with any other: a key goes to
no other host, a proxy that fails is named, and a reply is read within a time and a size.
"""

import base64
import functools
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from typing import NamedTuple

from jaxalign.io.llm.replies import server_message

_MAX_BYTES = 2**26  # of a reply; what is longer is no answer
_HOPS = 5  # redirections that are followed
_REDIRECTS = (301, 302, 303, 307, 308)
_KEPT = (307, 308)  # after which a POST stays one
_PORTS = {"http": 80, "https": 443}


class Reply(NamedTuple):
    """A server's reply.

    Attributes:
      status: the HTTP status.
      text: what it says.
      url: the URL that gave it, after redirections.
      retry_after: when to come again: seconds, a date, or nothing.
      proxy: words that name the proxy, if there was one.
    """

    status: int
    text: str
    url: str
    retry_after: str = ""
    proxy: str = ""


class UnusableError(OSError):
    """No attempt will do better: a redirection that is not followed, a proxy or an encoding that is not known."""


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> Reply:
    """Returns the reply to a POST, whatever its status; redirections that keep it are followed on the same host.

    Args:
      url: where it goes.
      body: what is sent.
      headers: the HTTP headers by name.
      timeout: seconds that a server may be silent, and that its reply may take.

    Raises:
      UnusableError: another attempt would end alike.
      OSError: the connection failed or broke, or the reply did not end in time; the message names the proxy, if any.
    """
    for _ in range(_HOPS + 1):
        reply, location = _send(url, body, headers, timeout)
        if reply.status not in _REDIRECTS:
            return reply
        url = _next(url, reply, location)
    raise UnusableError(f"more than {_HOPS} redirections, the last to {shown(url)}")


def shown(url: str) -> str:
    """Returns a URL without the parts that may hold secrets.

    Args:
      url: the URL.
    """
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _send(url: str, body: bytes, headers: dict[str, str], timeout: float) -> tuple[Reply, str]:
    """The reply and the place to which it points."""
    message = urllib.request.Request(url, data=body, headers=headers, method="POST")
    proxy = _set_proxy(message, url)
    try:
        with _opener().open(message, timeout=timeout) as response:
            return Reply(response.status, _read(response, time.monotonic() + timeout), url), ""
    except urllib.error.HTTPError as error:
        with error:
            reply = Reply(error.code, _read_error(error), url, error.headers.get("Retry-After", ""), proxy)
            return reply, error.headers.get("Location", "")
    except UnusableError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise UnusableError(f"{reason}{proxy}; SSL_CERT_FILE names certificates to trust") from None
        raise OSError(f"{type(error).__name__}: {reason}{proxy}") from None


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Follows no redirection and takes no proxy by itself."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def http_error_302(self, *_):
            return None

        http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context())  # reads certificates, so only once
    return urllib.request.build_opener(Stay, secure, urllib.request.ProxyHandler({}))


def _next(url: str, reply: Reply, location: str) -> str:
    """Says where a redirection leads, if the request may go there with its key and its body."""
    if not location.strip():
        raise UnusableError(f"status {reply.status}, a redirection that does not say where to (no Location)")
    try:
        target = urllib.parse.urljoin(url, "".join(location.split()))
        shown(target)
    except ValueError as error:
        raise UnusableError(f"status {reply.status}, a redirection to no URL: {error}") from None
    if reply.status in _KEPT and _same_host(url, target):
        return target
    why = "there, the POST would become a GET" if _same_host(url, target) else "that is another host"
    said = f"status {reply.status}, {server_message(reply.text)}{reply.proxy}"
    raise UnusableError(
        f"{said}; it points to {shown(target)}, which is not followed, since {why}. If that is the server you mean, "
        "give its base URL"
    )


def _same_host(url: str, target: str) -> bool:
    """Also from http to https, each at its usual port."""
    try:
        old, new = urllib.parse.urlsplit(url), urllib.parse.urlsplit(target)
        places = [(each.hostname, each.port or _PORTS.get(each.scheme)) for each in (old, new)]
    except ValueError:
        return False
    if new.username or new.password or new.scheme not in _PORTS:
        return False
    safer = (old.scheme, new.scheme) == ("http", "https") and [port for _, port in places] == [80, 443]
    return old.hostname == new.hostname and (safer or (old.scheme == new.scheme and places[0] == places[1]))


def _set_proxy(message: urllib.request.Request, url: str) -> str:
    """Sends a message through the proxy that the environment names for its URL; words that name it, for errors."""
    parts = urllib.parse.urlsplit(url)
    proxies = urllib.request.getproxies()
    name = parts.scheme if proxies.get(parts.scheme) else "all"
    if not (proxy := proxies.get(name)) or urllib.request.proxy_bypass(parts.netloc):
        return ""
    found = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    where, variable = shown(found.geturl()), f"{name.upper()}_PROXY"
    remedy = f"NO_PROXY={parts.hostname} goes around it"
    if found.scheme != "http" or not found.hostname or not _has_port(found):
        raise UnusableError(f"{variable} names the proxy {where}, and only http://HOST:PORT can be used; {remedy}")
    if found.username:
        secret = f"{urllib.parse.unquote(found.username)}:{urllib.parse.unquote(found.password or '')}"
        message.add_header("Proxy-Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    message.set_proxy(found.netloc.rpartition("@")[2], "http")
    return f" (through the proxy {where} of {variable}; {remedy})"


def _has_port(parts: urllib.parse.SplitResult) -> bool:
    """Says whether the port is a number, or none."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _read(response: http.client.HTTPResponse, deadline: float) -> str:
    chunks, size = [], 0
    while chunk := response.read1(2**16):
        chunks.append(chunk)
        size += len(chunk)
        if time.monotonic() > deadline:
            raise TimeoutError("the reply did not end in time")
        if size > _MAX_BYTES:
            raise OSError(f"the reply is longer than {_MAX_BYTES} bytes")
    return _decode(b"".join(chunks), response.headers.get("Content-Encoding", ""), errors="strict")


def _read_error(error: urllib.error.HTTPError) -> str:
    try:
        text = _decode(error.read(2**16), error.headers.get("Content-Encoding", ""), errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    return text.strip() or str(error.reason)


def _decode(data: bytes, encoding: str, *, errors: str) -> str:
    """The text of a reply, which some servers compress unasked; JSON is UTF-8, or UTF-16 with its mark.

    Raises:
      OSError: the bytes are not what they say.
    """
    encoding = encoding.strip().lower()
    try:
        if encoding in ("gzip", "x-gzip", "deflate"):
            data = _inflate(data)
        elif encoding not in ("", "identity"):
            raise UnusableError(
                f"the reply is encoded as {encoding!r}, which was not asked for; expected none, or gzip"
            )
        return data.decode(json.detect_encoding(data), errors)
    except zlib.error as error:
        raise OSError(f"the reply is said to be {encoding}, and is not: {error}") from None
    except UnicodeDecodeError as error:
        raise OSError(f"the reply is not UTF-8: {data[max(error.start - 20, 0) : error.end + 20]!r}") from None


def _inflate(data: bytes) -> bytes:
    for form in (47, -15):  # gzip or zlib by their heads; deflate without one
        inflater = zlib.decompressobj(form)
        try:
            plain = inflater.decompress(data, _MAX_BYTES + 1)
        except zlib.error:
            if form < 0:
                raise
            continue
        if len(plain) > _MAX_BYTES:
            raise OSError(f"the reply is longer than {_MAX_BYTES} bytes")
        if not inflater.eof:
            raise OSError("the compressed reply is cut off")
        return plain
    raise AssertionError("unreachable")
