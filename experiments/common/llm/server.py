"""How an experiment asks a language model: flags, which of them are a run's settings, and the client that they make."""

import dataclasses
import pathlib
from typing import Annotated, Any, Literal

from experiments.common import fields
from experiments.common.fields import Count, CountOrNone, Positive, Range, is_url
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


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """Flags of every experiment that asks a language model, in this process or on a server."""

    model: str = ""  # a Hugging Face directory or hub id, or the endpoint's name for its model; made: not needed
    endpoint: str = ""  # an OpenAI-compatible server, for instance http://127.0.0.1:8000/v1
    server: Server = Server()  # how it is asked
    budget_tokens: CountOrNone | None = None  # stop, and keep what was answered, once a run has paid so many
    budget_cost: Annotated[float, Range(0)] | None = None  # stop once a run has paid so many US dollars, by --prices
    prices: pathlib.Path | None = None  # TOML: ["model"] prompt = 0.15, completion = 0.6, US dollars a million tokens
    replay: pathlib.Path | None = None  # answers.jsonl of an earlier run, whose answers are taken; nobody is asked

    @property
    def files(self) -> tuple[str, ...]:
        """The flags that name a model whose files are read."""
        return () if self.endpoint or self.replay else ("model",)


def open_client(endpoint: str, model: str, server: Server) -> llm.Client:
    """Returns the client of a server's base URL."""
    fields = {name: getattr(server, name) for name in ("timeout", "max_retries", "token_limit", "key_variable")}
    return llm.Client(endpoint, model, known_as=server.known_as, **fields)


def open_service(
    endpoint: str, model: str, server: Server, cache: llm.Cache, *, ledger: Ledger | None = None
) -> llm.service.Service:
    """Returns a server that is asked, with a file of what it answers."""
    options = {"concurrency": server.concurrency, "thinking_tokens": server.thinking_tokens}
    return llm.service.asking(open_client(endpoint, model, server), cache, ledger=ledger, **options)


def prices_of(flags: LanguageModel) -> dict[str, llm.Price]:
    """Returns the prices that a person wrote down, by the name of the model.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is of another form.
    """
    return {} if flags.prices is None else llm.prices.read_prices(flags.prices)


def settings(config: Any) -> Any:
    """Returns the flags as a run folder keeps them: without what changes no answer, as the files name the server.

    Raises:
      ValueError: a URL of another form, or with a user name, a password or a query, so that no secret is written.
    """
    values, changes = fields.flat(config), fields.flat(Server())
    del changes["thinking_tokens"]
    changes |= {name: None for name in ("budget_tokens", "budget_cost", "prices", "replay") if name in values}
    for name in ("endpoint", "teacher"):
        url = values.get(name, "")
        if name == "endpoint" and url or is_url(url):
            check_base_url(url)
            changes[name] = values["known_as"] or url
    return fields.flattened(fields.replace(config, **changes))
