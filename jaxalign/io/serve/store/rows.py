"""What the store keeps, row by row. Times are seconds since 1970; ids are given once and never again."""

from typing import Any, Literal, NamedTuple

import numpy as np

SHARED = 0
"""The tenant of the shared pool, whose examples every tenant sees that opted in."""


class Identity(NamedTuple):
    """Who asks, in numbers of the store."""

    tenant: int  # 1 or more
    user: int  # 1 or more, unique among all tenants
    partition: int  # of the tenant's examples with this scope
    shared: int  # the partition of the shared pool's examples with this scope


class NewExample(NamedTuple):
    """A request with its response, to be shown with later requests."""

    tenant: int  # SHARED for the pool
    partition: int
    user: int
    request: str
    response: str
    model: str
    tokens: int  # that it adds to a prompt
    quality: float  # of its response, 0 to 1
    cost: float  # of the model that wrote it, over that of the dearest


class Example(NamedTuple):
    """What is kept of an example."""

    id: int
    tenant: int
    partition: int
    user: int
    request: str
    response: str
    model: str
    tokens: int
    quality: float
    cost: float
    gain: float  # as it was at `updated`
    offloads: float  # likewise
    updated: float
    replays: int
    created: float


class Vectors(NamedTuple):
    """Embeddings of an example by one embedder, [D] float32 each."""

    request: np.ndarray
    response: np.ndarray


class ExampleUpdate(NamedTuple):
    """What changes of an example as it is used and replayed; None leaves the texts and vectors."""

    id: int
    quality: float
    gain: float
    offloads: float
    updated: float
    replays: int
    response: str | None = None
    tokens: int | None = None


class Change(NamedTuple):
    """One entry of the feed by which indices follow the store."""

    seq: int
    kind: Literal["put", "delete", "user", "policy"]
    subject: int  # the id of the example or user; 0 for a policy: ask for the one in use


class Interaction(NamedTuple):
    """A request that was answered, and what was decided: what feedback is about."""

    id: str  # the one that the client has in the header x-jaxalign-id
    tenant: int
    user: int
    partition: int
    model: str
    request: str | None  # None where admission refused the texts
    response: str | None
    examples: tuple[int, ...]  # ids of the examples shown
    owners: tuple[int, ...]  # the users whose they are
    context: bytes  # [F] float32, what the router saw
    query: bytes  # [D] float32, the request's embedding
    embedder: str
    policy: str  # the version that decided
    propensity: float  # with which it chose the model
    threshold: int  # the index of the threshold that was tried
    opponent: str | None  # a model whose answer is to be compared, where the router was in doubt
    probes: tuple[int, ...]  # examples to be tried one by one
    cost: float  # of the model, normalised
    created: float


class Feedback(NamedTuple):
    """What a user or a judge said of an interaction."""

    interaction: str
    tenant: int
    kind: Literal["rating", "comparison", "probe"]
    outcome: float  # 0 to 1; of a comparison the chance that the answer given is the better one
    subject: str  # the opponent of a comparison, the example's id of a probe, else ""
    created: float


class Told(NamedTuple):
    """Feedback with what it is about."""

    seq: int
    feedback: Feedback
    interaction: Interaction


class Flight(NamedTuple):
    """One upstream call for equal requests."""

    state: Literal["lead", "wait", "done"]  # lead: the caller makes it
    body: bytes | None = None  # of the answer, where it is done


class Traffic(NamedTuple):
    """Counts of a minute, a tenant and a model."""

    minute: int  # since 1970
    tenant: int
    model: str
    requests: int = 0
    errors: int = 0
    cached: int = 0
    with_examples: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float = 0.0  # in the currency of the prices
    seconds: float = 0.0  # all latencies together
    rated: int = 0
    rating: float = 0.0  # all ratings together


class PolicyVersion(NamedTuple):
    """A saved policy."""

    name: str
    note: dict[str, Any]
    created: float
    current: bool


class Deleted(NamedTuple):
    """How much of a user was deleted."""

    examples: int
    interactions: int
    feedback: int
    answers: int
