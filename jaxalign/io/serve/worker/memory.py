"""What a process with JAX keeps of the store: a view of its examples and of the policy in use, which follows the feed.

One thread follows; any thread reads ``view``, which is exchanged at once. An example that this embedder has not
embedded joins when it is (:meth:`Memory.embed_missing`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.store.rows import Change, Example, Vectors
from jaxalign.io.serve.worker.embedders import Embedder
from jaxalign.io.serve.worker.policies import INITIAL, Ground, first_policy, unpack_policy
from jaxalign.io.serve.worker.view import (
    PUT_AT_ONCE,
    Clock,
    Known,
    Row,
    View,
    empty_view,
    forget_places,
    put_examples,
)
from jaxalign.serving import exact_index

EMBED_AT_ONCE = 64


class Followed(NamedTuple):
    """What a round of following brought."""

    changes: int
    users: tuple[int, ...]  # who were deleted
    anew: bool  # everything was read again: deletions in between are not known one by one


class Memory:
    """A view that follows the store.

    Args:
      store: what is followed; it need not be there yet.
      embedder: of the examples.
      models: names of the models that the policy knows, in their order.
      prepare: called with each new view before it is exchanged, by the thread that follows.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        models: Sequence[str],
        prepare: Callable[[View], None] = lambda view: None,
    ):
        self._store, self._embedder, self._prepare = store, embedder, prepare
        self.ground = Ground(tuple(models), embedder.id, embedder.width)
        self.index = exact_index(embedder.width)
        self._first = first_policy(self.ground)
        self.view = empty_view(self.index, embedder.width, self._first, INITIAL)
        self.position: int | None = None  # on the feed
        self.refused = ""  # why the policy in use could not be read
        self.unread = 0  # examples whose requests are too long for the embedder
        self._known: dict[int, Known] = {}
        self._missing: dict[int, None] = {}  # examples without vectors, in order
        self._clock: Clock | None = None

    @property
    def clock(self) -> Clock:
        """The time of the table."""
        if self._clock is None:
            self._clock = Clock(self._store.born())
        return self._clock

    @property
    def missing(self) -> int:
        """How many examples wait for their vectors."""
        return len(self._missing)

    def __len__(self) -> int:
        return len(self._known)

    def place(self, example: int) -> int:
        """Returns the row of an example; -1 where it is not in the table.

        Args:
          example: the store's id.
        """
        known = self._known.get(example)
        return -1 if known is None else known.row

    def warm_up(self) -> None:
        """Compiles what following needs for few changes, as long as the tables do not grow."""
        vector = np.ones(self._embedder.width, np.float32)
        known: dict[int, Known] = {}
        view = self.view
        for replays in (0, 1):  # inserted, then brought up to date
            row = Example(1, 1, 1, 1, "", "", "", 0, 0.0, 0.0, 0.0, 0.0, 0.0, replays, 0.0), Vectors(vector, vector)
            view, known = put_examples(self.index, view, known, [row], Clock(0.0))
        forget_places(self.index, view, known.values())

    def follow(self) -> Followed:
        """Brings the view up to date with the store, as of now or later.

        Raises:
          StoreError: the store is not there; the view stays, and the next call goes on.
        """
        changes, users, anew = 0, [], False
        while True:
            found = None if self.position is None else self._store.changes(self.position, PUT_AT_ONCE)
            if found is None:
                self._read_all()
                anew = True
                continue
            if not found:
                return Followed(changes, tuple(users), anew)
            try:
                self._apply(found)
            except BaseException:
                self.position = None  # half of it may have been done: read everything again
                raise
            users += [each.subject for each in found if each.kind == "user"]
            changes += len(found)

    def embed_missing(self) -> int:
        """Embeds some examples that have no vectors, lets them join, and says how many it looked at.

        Raises:
          StoreError: the store is not there.
          EmbedderError: the embedder is not.
        """
        ids = list(self._missing)[:EMBED_AT_ONCE]
        if not ids:
            return 0
        rows = self._store.with_vectors(ids, self._embedder.id)
        bare = [example for example, vectors in rows if vectors is None]
        made, cut = self._embed(bare)
        if made:
            self._store.add_vectors(self._embedder.id, made)
        ready = [(example, vectors or made.get(example.id)) for example, vectors in rows]
        self._exchange(self._put(self.view, [row for row in ready if row[1] is not None]))
        self.unread += cut
        for each in ids:
            self._missing.pop(each, None)
        return len(ids)

    def _embed(self, examples: Sequence[Example]) -> tuple[dict[int, Vectors], int]:
        """Vectors of those whose requests can be read whole, and how many cannot."""
        requests, cut = self._embedder.embed([each.request for each in examples])
        responses, _ = self._embedder.embed([each.response for each in examples])
        made = {each.id: Vectors(requests[row], responses[row]) for row, each in enumerate(examples) if not cut[row]}
        return made, int(cut.sum())

    def _read_all(self) -> None:
        position, batches = self._store.snapshot(self._embedder.id)
        rows, missing = [], {}
        for batch in batches:
            rows += [row for row in batch if row[1] is not None]
            missing |= {example.id: None for example, vectors in batch if vectors is None}
        policy, version = self._policy()
        view = empty_view(self.index, self._embedder.width, policy, version, rows=len(rows))
        known: dict[int, Known] = {}
        if rows:
            view, known = put_examples(self.index, view, known, rows, self.clock)
        self._exchange(view)
        self._known, self._missing, self.position = known, missing, position

    def _apply(self, changes: Sequence[Change]) -> None:
        last = {each.subject: each.kind for each in changes if each.kind in ("put", "delete")}
        put = [subject for subject, kind in last.items() if kind == "put"]
        rows = self._store.with_vectors(put, self._embedder.id) if put else []
        bare = [example.id for example, vectors in rows if vectors is None]
        there = {example.id for example, _ in rows}
        gone = [subject for subject in last if subject not in there] + bare
        view = forget_places(self.index, self.view, [self._known[each] for each in gone if each in self._known])
        if any(each.kind == "policy" for each in changes):
            policy, version = self._policy()
            view = view._replace(policy=policy, version=version)
        for each in gone:
            self._known.pop(each, None)
            self._missing.pop(each, None)
        self._missing |= dict.fromkeys(bare)
        view = self._put(view, [row for row in rows if row[1] is not None])
        self._exchange(view)
        self.position = changes[-1].seq

    def _put(self, view: View, rows: Sequence[Row]) -> View:
        if rows:
            view, placed = put_examples(self.index, view, self._known, rows, self.clock)
            self._known |= placed
            for example, _ in rows:
                self._missing.pop(example.id, None)
        return view

    def _exchange(self, view: View) -> None:
        if view is not self.view:
            self._prepare(view)
            self.view = view

    def _policy(self):
        """The policy in use; the one before stays where it cannot be read."""
        found = self._store.current_policy()
        if found is None:
            return self._first, INITIAL
        version, data = found
        try:
            policy, _ = unpack_policy(data, version, self._first, self.ground)
        except ValueError as error:
            self.refused = str(error)
            return self.view.policy, self.view.version
        self.refused = ""
        return policy, version
