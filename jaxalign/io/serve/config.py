"""The settings of a server, read from TOML: which models there are, who may ask, what is kept and learnt.

Keys of upstreams are read from environment variables and stand in no file; keys of tenants are kept as hashes.
"""

import dataclasses
import hashlib
import math
import pathlib
import tomllib
import typing
import urllib.parse
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class Upstream:
    """An OpenAI-compatible server."""

    name: str
    base_url: str  # up to and with /v1; "local:DIRECTORY" is a model that this machine serves, "local:simulated" a toy
    key_env: str = ""  # the environment variable with its API key; "" for none
    connect_seconds: float = 5.0
    silence_seconds: float = 120.0  # that it may take for the next bytes


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that clients may name, or that requests are sent to."""

    name: str
    upstream: str
    upstream_model: str = ""  # its name there; "" for the same
    prompt_price: float = 0.0  # for a million tokens
    answer_price: float = 0.0  # for a million tokens
    slots: int = 16  # requests that it serves at once from one machine's gateways, by which load is measured
    tools: bool = True  # whether it takes tools and pictures; the router sends such requests to no other
    examples: bool = False  # whether it is shown examples: as a rule the small ones
    teaches: bool = False  # whether its answers become examples: as a rule the large ones
    routed: bool = True  # whether the router may choose it; False for a judge, say


@dataclasses.dataclass(frozen=True)
class Tenant:
    """A group of users who may see each other's examples."""

    name: str
    key_sha256: tuple[str, ...] = ()  # hexadecimal hashes of its API keys
    shared: bool = False  # whether it sees the shared pool, and its examples go there
    learns: bool = True  # whether its traffic is kept and learnt from
    reuse: Literal["none", "deterministic", "all"] = "deterministic"  # which equal requests share an answer
    requests_per_second: float = math.inf
    burst: int = 100  # requests at once
    daily_requests: float = math.inf
    daily_cost: float = math.inf  # in the currency of the prices


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the server bears of a client."""

    body_bytes: int = 4 * 2**20
    header_bytes: int = 32 * 2**10
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    send_seconds: float = 30.0  # that a client may leave a part of its answer untaken
    keep_alive_seconds: float = 15.0
    connections: int = 1000
    drain_seconds: float = 0.0  # for which a gateway that is told to stop still takes requests, and is not ready


@dataclasses.dataclass(frozen=True)
class Routing:
    """How examples and models are chosen."""

    alias: str = "auto"  # the model's name with which a request asks to be routed
    fallback: str = ""  # the model that answers when nothing can be decided; "" for the dearest
    deadline_seconds: float = 0.1  # for the decision; after it the request goes to the fallback
    cost_weight: float = 0.1  # quality, from 0 to 1, that an answer of the dearest model has to bring
    load_weight: float = 1.0  # the most that a full load adds to it
    load_threshold: float = 0.8  # requests in service, divided by slots
    half_life_seconds: float = 10.0  # of the moving average of the load
    explored: float = 0.2  # share of the requests that try any threshold
    stray: float = 0.03  # share of the requests that go to any model
    example_tokens: int = 2000  # of all examples in a prompt
    flight_seconds: float = 3.0  # after which a silent leader of equal requests is taken for dead
    reuse_seconds: float = 0.0  # for which an answer that may be shared is kept after it is complete


@dataclasses.dataclass(frozen=True)
class Learning:
    """What is learnt, and when."""

    every_seconds: float = 10.0
    judge: str = ""  # the model that compares answers; "" for none
    judge_samples: int = 1  # of its words in each of both orders; more than one are drawn at temperature 1
    asked: float = 0.2  # share of the requests in doubt for which a second answer is compared, where there is a judge
    probed: float = 0.03  # share of the requests of which candidates are tried one by one, where there is a judge
    replays: int = 0  # examples that are replayed at a time, where there is a judge
    held_out: float = 0.2  # share of the feedback by which versions of the policy are compared
    example_bytes: float = 256e6  # of all examples' texts; those that bring least are deleted
    keep_hours: float = 24.0 * 7  # for which interactions and feedback are kept


@dataclasses.dataclass(frozen=True)
class Embedder:
    """What embeds texts."""

    kind: Literal["hash", "encoder", "server"] = "hash"
    source: str = ""  # the directory or hub id of an encoder; the base URL of a server's /embeddings
    model: str = ""  # its name at the server
    key_env: str = ""
    width: int = 384  # of hash and server
    max_tokens: int = 256  # that an encoder reads; longer requests get no examples, and are counted


@dataclasses.dataclass(frozen=True)
class ServeConfig:
    """Everything that a server is told."""

    folder: str = "runs/serve"
    host: str = "127.0.0.1"
    port: int = 8080
    store: str = "sqlite"  # or postgresql://USER@HOST/DATABASE; the password comes from PGPASSWORD
    admin_key_env: str = "JAXALIGN_ADMIN_KEY"  # the operators' page is closed while it is not set
    upstreams: tuple[Upstream, ...] = ()
    models: tuple[Model, ...] = ()
    tenants: tuple[Tenant, ...] = ()  # none: any key is its own tenant, on loopback addresses only
    limits: Limits = Limits()
    routing: Routing = Routing()
    learning: Learning = Learning()
    embedder: Embedder = Embedder()

    @property
    def routed(self) -> tuple[Model, ...]:
        """The models among which the router chooses."""
        return tuple(model for model in self.models if model.routed)

    @property
    def costs(self) -> dict[str, float]:
        """Prices of the routed models' answers over those of the dearest, 0 to 1; all 1 where none has a price."""
        prices = {model.name: model.prompt_price + model.answer_price for model in self.routed}
        most = max(prices.values(), default=0.0)
        return {name: price / most if most else 1.0 for name, price in prices.items()}

    @property
    def fallback(self) -> str:
        """The model that answers when nothing can be decided."""
        costs = self.costs
        return self.routing.fallback or max(costs, key=lambda name: costs[name])


def hash_key(key: str) -> str:
    """Returns the hash of an API key as configs have it.

    Args:
      key: the key.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def read_config(path: str | pathlib.Path) -> ServeConfig:
    """Reads settings from a TOML file.

    Args:
      path: the file. Its tables have the names of this module's fields: ``[[upstreams]]``, ``[[models]]``,
        ``[[tenants]]``, ``[limits]``, ``[routing]``, ``[learning]``, ``[embedder]``.

    Raises:
      ValueError: a name that is not known, a value of another type or out of range, or a reference that leads nowhere;
        names the file, the place and the remedy.
    """
    path = pathlib.Path(path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        return check_config(_build(ServeConfig, found, ""))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def check_config(config: ServeConfig) -> ServeConfig:
    """Returns the settings if they hold together.

    Args:
      config: the settings.

    Raises:
      ValueError: they do not; says where.
    """
    upstreams = _unique("upstreams", [each.name for each in config.upstreams])
    models = _unique("models", [each.name for each in config.models])
    _unique("tenants", [each.name for each in config.tenants])
    _unique("key_sha256 of all tenants", [key for each in config.tenants for key in each.key_sha256])
    if not config.routed:
        raise ValueError("models: expected at least one [[models]] table that is routed, got none")
    for model in config.models:
        if model.upstream not in upstreams:
            raise ValueError(f"models.{model.name}.upstream: {model.upstream!r} is none of {sorted(upstreams)}")
        _least(0, f"models.{model.name}", prompt_price=model.prompt_price, answer_price=model.answer_price)
        _least(1, f"models.{model.name}", slots=model.slots)
    routed = {model.name for model in config.routed}
    _known("routing.fallback", config.routing.fallback, routed)
    _known("learning.judge", config.learning.judge, models)
    if config.routing.alias in models:
        raise ValueError(f"routing.alias: {config.routing.alias!r} is also a model's name; choose another")
    for name in ("cost_weight", "explored", "stray"):
        _share(f"routing.{name}", getattr(config.routing, name))
    _least(1, "learning", judge_samples=config.learning.judge_samples)
    for name in ("asked", "probed", "held_out"):
        _share(f"learning.{name}", getattr(config.learning, name))
    for name, value in dataclasses.asdict(config.limits).items():
        if not (value >= 0 if name == "drain_seconds" else value > 0):
            raise ValueError(f"limits.{name}: expected a number above 0, got {value}")
    for upstream in config.upstreams:
        _check_upstream(upstream)
    if not config.tenants and config.host not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError(
            f"host: {config.host!r} is reachable from elsewhere and any key would be accepted; name [[tenants]] with "
            "key_sha256, or listen on 127.0.0.1"
        )
    if config.embedder.kind != "hash" and not config.embedder.source:
        raise ValueError(f"embedder.source: expected a directory, hub id or URL for kind {config.embedder.kind!r}")
    return config


def _unique(what: str, names: list[str]) -> set[str]:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{what}: {sorted(twice)} stand there more than once")
    return set(names)


def _check_upstream(upstream: Upstream) -> None:
    url = urllib.parse.urlsplit(upstream.base_url)
    if url.scheme == "local" and url.path:
        return
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password or url.query:
        raise ValueError(  # which is not shown: it may hold a secret
            f"upstreams.{upstream.name}.base_url: expected http://HOST/v1, https://HOST/v1 or local:DIRECTORY, without "
            "user name, password and query; a key goes into the variable that key_env names"
        )


def _known(where: str, name: str, names: set[str]) -> None:
    if name and name not in names:
        raise ValueError(f"{where}: {name!r} is none of the models {sorted(names)}")


def _least(least: float | int, where: str, **values: float | int) -> None:
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{where}.{name}: expected at least {least}, got {value}")


def _share(where: str, value: float | int) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{where}: expected a number from 0 to 1, got {value}")


def _build(kind: Any, found: Any, where: str) -> Any:
    """Makes a value of a type from what TOML has."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(found, dict):
            raise ValueError(f"{where}: expected a table, got {found!r}")
        kinds = typing.get_type_hints(kind)
        if unknown := sorted(found.keys() - kinds.keys()):
            raise ValueError(f"{where or 'top level'}: {unknown} are not known; expected some of {sorted(kinds)}")
        needed = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
        if missing := [name for name in needed if name not in found]:
            raise ValueError(f"{where}: {missing} are missing")
        return kind(
            **{name: _build(kinds[name], value, f"{where}.{name}".lstrip(".")) for name, value in found.items()}
        )
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(found, list):
            raise ValueError(f"{where}: expected a list, got {found!r}")
        inner = typing.get_args(kind)[0]
        return tuple(_build(inner, each, f"{where}[{place}]") for place, each in enumerate(found))
    if origin is Literal:
        if found not in typing.get_args(kind):
            raise ValueError(f"{where}: expected one of {list(typing.get_args(kind))}, got {found!r}")
        return found
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(found, allowed) or (isinstance(found, bool) and kind is not bool):
        raise ValueError(f"{where}: expected {getattr(kind, '__name__', kind)}, got {found!r}")
    return float(found) if kind is float else found
