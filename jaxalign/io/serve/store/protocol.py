"""The store as a protocol: everything that outlives a process. SQLite for one machine, PostgreSQL for many.

Methods block, so the gateway calls them in threads. Each is one transaction: after it returns nothing of it is lost,
whatever is killed. They raise :class:`StoreError` where the store is gone, locked or full, and ValueError for a name
(of a tenant, user, interaction, lease ...) that has over 512 characters, NUL or half a surrogate pair; in texts such
characters become U+FFFD.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from jaxalign.io.serve.store.rows import (
    Change,
    Deleted,
    Example,
    ExampleUpdate,
    Feedback,
    Flight,
    Identity,
    Interaction,
    NewExample,
    PolicyVersion,
    Told,
    Traffic,
    Vectors,
)


class StoreError(Exception):
    """The store did not do what was asked: it is gone, locked, full, or of another format."""


@runtime_checkable
class Store(Protocol):
    """What gateways, workers and learners keep."""

    # Who asks.

    def identify(self, tenant: str, user: str, scope: str) -> Identity:
        """Returns the numbers of a tenant, its user and a scope (a hash of the system text); they are made if new."""

    def tenants(self) -> Mapping[int, str]:
        """Returns the names of tenants by their ids."""

    # Examples, and the feed by which indices follow.

    def add_examples(self, rows: Sequence[NewExample], embedder: str, vectors: Sequence[Vectors]) -> list[int]:
        """Keeps examples with their vectors, puts them on the feed, and returns their ids, 0 for one whose user was
        deleted in the meantime. All vectors of an embedder have one width and finite entries, else a ValueError."""

    def update_examples(
        self, rows: Sequence[ExampleUpdate], embedder: str = "", responses: Mapping[int, Any] | None = None
    ) -> None:
        """Changes examples that are still there and puts them on the feed; a new response replaces text and vector
        (``responses``: [D] arrays by id), and deletes vectors of other embedders."""

    def delete_examples(self, ids: Sequence[int]) -> int:
        """Deletes examples and says how many there were."""

    def texts(self, tenants: Sequence[int], ids: Sequence[int]) -> dict[int, tuple[str, str]]:
        """Returns request and response of those examples that belong to these tenants, by id."""

    def examples(self, ids: Sequence[int]) -> list[Example]:
        """Returns examples that are there, by rising id."""

    def find_examples(
        self, *, tenant: int | None = None, contains: str = "", order: str = "gain", limit: int = 50, offset: int = 0
    ) -> list[Example]:
        """Returns a page of examples for operators; ``order`` is gain, offloads, created or replays, falling. The case
        of letters does not matter in ``contains``, at least of those from a to z."""

    def snapshot(self, embedder: str, batch: int = 1000) -> tuple[int, Iterator[list[tuple[Example, Vectors | None]]]]:
        """Returns the feed's position and, as of that position or later, all examples with their vectors by this
        embedder, None where it has not embedded them, in batches. A change after the position may be seen or not: the
        feed will bring it again."""

    def with_vectors(self, ids: Sequence[int], embedder: str) -> list[tuple[Example, Vectors | None]]:
        """Returns examples that are there, with their vectors."""

    def add_vectors(self, embedder: str, vectors: Mapping[int, Vectors]) -> None:
        """Keeps vectors of examples that are still there and have none by this embedder; no entry on the feed."""

    def nearest(self, partitions: Sequence[int], embedder: str, query: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Returns ids and cosines of the ``k`` examples of these partitions whose requests are nearest to a query [D],
        the nearest first: for stores that are too large for one machine's memory."""

    def changes(self, after: int, limit: int = 1000) -> list[Change] | None:
        """Returns what followed a position, in order; None where the feed does not have it, so that a snapshot is
        needed: it no longer reaches back, or the position is of another store."""

    # What was asked and said.

    def add_interactions(self, rows: Sequence[Interaction]) -> None:
        """Keeps interactions. One with an id that is there is passed over, and one whose user, or the owner of an
        example that it was shown, was deleted in the meantime."""

    def interactions(self, *, pending: bool, limit: int) -> list[Interaction]:
        """Returns the latest interactions; if ``pending``, the oldest with an opponent or probes still to be asked."""

    def settle(self, interaction: str) -> None:
        """Notes that opponent and probes of an interaction need not be asked any more."""

    def add_feedback(self, rows: Sequence[Feedback]) -> None:
        """Keeps feedback, which may come before its interaction; the same kind and subject again replaces it."""

    def untold(self, limit: int) -> list[Told]:
        """Returns feedback that was not learnt from and whose interaction is there, the earliest first."""

    def mark_learnt(self, seqs: Sequence[int]) -> None:
        """Notes that feedback was learnt from."""

    def latest_told(self, limit: int) -> list[Told]:
        """Returns the latest feedback that was learnt from, the earliest of it first: what a buffer is rebuilt from."""

    # Policies.

    def save_policy(self, name: str, data: bytes, note: Mapping[str, Any]) -> None:
        """Keeps a version; one of this name that is there stays."""

    def choose_policy(self, name: str) -> None:
        """Puts a version into use, which the feed tells; an unknown one is a KeyError."""

    def current_policy(self) -> tuple[str, bytes] | None:
        """Returns name and data of the version in use."""

    def read_policy(self, name: str) -> bytes:
        """Returns the data of a version; KeyError if it is not there."""

    def list_policies(self) -> list[PolicyVersion]:
        """Returns all versions, the earliest first."""

    # One at a time.

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Takes or renews a lease, and says whether the holder has it now. Times are the store's clock's."""

    def release(self, name: str, holder: str) -> None:
        """Gives a lease back, if the holder has it."""

    def begin_flight(self, key: str, tenant: int, user: int, holder: str, seconds: float) -> Flight:
        """Says whether the caller makes the upstream call of this key, waits for it, or has its answer. Who leads has
        ``seconds`` to renew, finish or abandon; then another caller leads. A holder is one request. Tenants never share
        an answer, whatever the key. A user that was deleted leads, and nothing is kept."""

    def renew_flight(self, key: str, holder: str, seconds: float) -> bool:
        """Says whether the holder still leads, and if so extends its time."""

    def finish_flight(self, key: str, holder: str, body: bytes, seconds: float) -> bool:
        """Keeps the answer for so many seconds, if the holder still leads: long enough for those who wait."""

    def abandon_flight(self, key: str, holder: str) -> None:
        """Lets the next caller lead, if the holder leads."""

    # Counts, deletion, upkeep.

    def add_traffic(self, rows: Sequence[Traffic]) -> None:
        """Adds to the counts of their minutes."""

    def traffic(self, since: int, tenant: int | None = None) -> list[Traffic]:
        """Returns counts from a minute on, by minute, tenant and model."""

    def spent(self, tenant: int, since: int) -> tuple[int, float]:
        """Returns requests and cost of a tenant from a minute on."""

    def delete_user(self, tenant: str, user: str) -> Deleted:
        """Deletes all that is a user's: examples, vectors, interactions (also those of others that were shown its
        examples), feedback, kept answers, and the user's name. Two entries on the feed's kinds tell the indices:
        "delete" for each example and "user" for the user. In SQLite no byte stays in the store's files: they are
        written anew, in which time nobody else writes (5 seconds a gigabyte); if a full disk or another process's
        reading prevents that, it is a StoreError, and the same call again or ``compact`` makes up for it. In PostgreSQL
        no query sees the rows, and the server uses their space again (VACUUM FULL rewrites its files)."""

    def compact(self, *, keep_seconds: float, keep_policies: int = 20) -> dict[str, int]:
        """Deletes what is too old: interactions with their feedback, the feed, expired flights and leases, policies
        beyond the latest (never the one in use), vectors of embedders that nobody used for so long, while another was;
        says how many rows."""

    def counts(self) -> dict[str, int]:
        """Returns how many rows each table has."""

    def born(self) -> float:
        """Returns when the store was made."""

    def close(self) -> None:
        """Closes connections."""
