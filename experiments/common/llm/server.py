"""How an experiment asks a server: flags, what of them belongs to a run's settings, and the client that they make."""

import dataclasses
from typing import Any, Literal

from experiments.common.fields import Count, CountOrNone, Positive, is_url
from jaxalign.io import llm
from jaxalign.io.llm.http import check_base_url
from jaxalign.io.llm.service import Ledger


@dataclasses.dataclass(frozen=True)
class Server:
    """Flags of every experiment that asks a server; the API key comes from an environment variable."""

    timeout: Positive = 120.0  # seconds that a server may be silent, and that its reply may take
    max_retries: CountOrNone = 6  # of a request, after its first attempt
    concurrency: Count = 8  # requests under way at once
    thinking_tokens: CountOrNone = 0  # added to every limit of tokens, for models that think before they answer
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # what the server calls this limit
    key_variable: str = "OPENAI_API_KEY"  # the environment variable with the API key
    known_as: str = ""  # the URL at which the answers in the folder were asked, if the same model has moved


def open_client(endpoint: str, model: str, server: Server) -> llm.Client:
    """The client of a server's base URL."""
    fields = {name: getattr(server, name) for name in ("timeout", "max_retries", "token_limit", "key_variable")}
    return llm.Client(endpoint, model, known_as=server.known_as, **fields)


def open_service(
    endpoint: str, model: str, server: Server, cache: llm.Cache, *, ledger: Ledger | None = None
) -> llm.service.Service:
    """A server that is asked, with a file of what it answers."""
    options = {"concurrency": server.concurrency, "thinking_tokens": server.thinking_tokens}
    return llm.service.asking(open_client(endpoint, model, server), cache, ledger=ledger, **options)


def settings(config: Any) -> Any:
    """A config as its run folder keeps it: without what changes no answer, and with the server's name in the files.

    Raises:
      ValueError: a URL of another form, or with a user name, a password or a query, so that no secret is written.
    """
    changes = {name: None for name in ("budget_tokens", "replay") if hasattr(config, name)}
    kept = Server(thinking_tokens=config.server.thinking_tokens)
    for name in ("endpoint", "teacher"):
        url = getattr(config, name, "")
        if name == "endpoint" and url or is_url(url):
            check_base_url(url)
            changes[name] = config.server.known_as or url
    return dataclasses.replace(config, server=kept, **changes)
