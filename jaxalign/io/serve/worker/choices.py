"""Decisions of a few requests at once: embedded, their examples looked for in the partitions that they may see, routed.

Everything that JAX has to compile for them is compiled before, see :meth:`Choices.prepare`.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign import serving
from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.rows import Identity
from jaxalign.io.serve.worker.embedders import Embedder
from jaxalign.io.serve.worker.program import Batch, Load, Outcome, decide, dials_of
from jaxalign.io.serve.worker.view import View
from jaxalign.serving import Hits, VectorIndex
from jaxalign.serving.policy import CANDIDATES

MOST_ROWS = 16  # requests that are decided at once
PROBES = 4  # candidates of a request that are tried one by one


class Wanted(NamedTuple):
    """A request to decide."""

    interaction: str
    text: str
    identity: Identity | None
    shared: bool  # whether it sees the shared pool
    examples: bool  # whether it may be shown any
    allowed: tuple[int, ...]  # models that it may go to
    load: float  # of the dearest model: requests in service, divided by slots
    deadline: float  # by time.monotonic(); inf for none


class Decision(NamedTuple):
    """What was decided of a request."""

    model: int
    examples: tuple[int, ...]  # the store's ids, best last: what is shown
    owners: tuple[int, ...]  # the users whose examples the router saw
    context: np.ndarray  # [F]
    query: np.ndarray  # [D]
    cut: bool  # the embedder did not read the whole text
    version: str  # of the policy
    propensity: float
    threshold: int  # -1 where no candidate was there to be chosen
    doubtful: bool
    opponent: int  # a model to compare with; -1 for none
    probes: tuple[int, ...]  # the store's ids
    reason: str  # why there are no examples; "" where there are


class Choices:
    """Makes decisions, in one thread; what they need is compiled by :meth:`prepare`, in another.

    Args:
      config: the settings.
      embedder: of the requests.
      index: what finds examples.
      view: returns the view to decide with.
      rows: the most requests at once, a power of two: searches pad to one.
    """

    def __init__(
        self,
        config: ServeConfig,
        embedder: Embedder,
        index: VectorIndex,
        view: Callable[[], View],
        *,
        rows: int = MOST_ROWS,
    ):
        self._embedder, self._index, self._view = embedder, index, view
        self._dials, self._shown = dials_of(config), [model.examples for model in config.routed]
        self._probed = config.learning.probed if config.learning.judge else 0.0
        self.sizes = sorted({min(4**power, rows) for power in range(rows.bit_length())})  # few programs to compile
        self._average, self._observed = np.float32(0), time.monotonic()
        self._prepared: set[Any] = set()

    def prepare(self, view: View) -> None:
        """Compiles what deciding with a view needs, in the thread that calls.

        Args:
          view: one that is to be exchanged.
        """
        width = self._embedder.width
        for state in (self._index.init(), *view.states.values()):
            if self._is_new(state):
                for size in self.sizes:
                    queries = np.ones((size, width), np.float32)
                    jax.block_until_ready(
                        serving.search_partitions(self._index, {0: state, 1: state}, (0, 1), queries, CANDIDATES)
                    )
        if self._is_new((view.policy, view.table)):
            for size in self.sizes:
                jax.block_until_ready(self._call(view, _idle_batch(size, width, len(self._dials.costs)), 0.0))

    def decide(self, wanted: Sequence[Wanted]) -> list[Decision]:
        """Decides requests at once, each as it would be decided alone.

        Args:
          wanted: at most as many as the decider takes at once.

        Raises:
          EmbedderError: they could not be embedded.
        """
        view = self._view()
        vectors, cut = self._embedder.embed([each.text for each in wanted])
        searched = [each.examples and each.identity is not None and not cut[row] for row, each in enumerate(wanted)]
        partitions = np.array(
            [_seen(each) if there else (-1, -1) for each, there in zip(wanted, searched, strict=True)]
        )
        hits = self._search(view, vectors, partitions)
        size = self._padded(len(wanted))
        batch = Batch(
            np.array([_seed(each.interaction) for each in wanted], np.uint32),
            vectors,
            hits,
            partitions.astype(np.int32),
            np.array([[model in each.allowed for model in range(len(self._shown))] for each in wanted]),
        )
        batch = jax.tree.map(lambda each: each[np.arange(size) % len(wanted)], batch)
        outcome = jax.tree.map(np.asarray, self._call(view, batch, max(each.load for each in wanted)))
        self._average = outcome.average
        return [self._read(view, each, row, outcome, hits, vectors, cut) for row, each in enumerate(wanted)]

    def _call(self, view: View, batch: Batch, observed: float) -> Outcome:
        now = time.monotonic()
        load = Load(np.float32(self._average), np.float32(observed), np.float32(now - self._observed))
        self._observed = now
        return decide(view.policy, view.table, batch, load, dials=self._dials)

    def _search(self, view: View, vectors: np.ndarray, partitions: np.ndarray) -> Hits:
        """The candidates of each request, those of one caller in one search."""
        ids = np.full((len(vectors), CANDIDATES), -1, np.int32)
        similarities = np.full((len(vectors), CANDIDATES), -np.inf, np.float32)
        for caller in {tuple(each) for each in partitions.tolist()}:
            named = [each for each in caller if each in view.states]
            if not named:
                continue
            rows = np.flatnonzero((partitions == caller).all(1))
            queries = vectors[rows[np.arange(self._padded(len(rows))) % len(rows)]]
            found = serving.search_partitions(self._index, view.states, named, queries, CANDIDATES)
            ids[rows], similarities[rows] = (np.asarray(each)[: len(rows)] for each in found)
        return Hits(ids, similarities)

    def _padded(self, count: int) -> int:
        return next(size for size in self.sizes if size >= count)

    def _read(self, view: View, wanted: Wanted, row: int, outcome: Outcome, hits: Hits, vectors, cut) -> Decision:
        model = int(outcome.models[row])
        places = outcome.examples[row][outcome.examples[row] >= 0]
        candidates = hits.ids[row][hits.ids[row] >= 0]
        shown = view.ids[places] if self._shown[model] else places[:0]
        opponent = int(outcome.opponents[row])
        choice = len(wanted.allowed) > 1
        asked = choice and outcome.asked[row] and opponent in wanted.allowed and opponent != model
        return Decision(
            model=model,
            examples=tuple(shown.tolist()),
            owners=tuple(view.users[places].tolist()),
            context=outcome.contexts[row],
            query=vectors[row],
            cut=bool(cut[row]),
            version=view.version,
            propensity=float(outcome.propensities[row, model]),
            threshold=int(outcome.tried[row]) if len(candidates) else -1,
            doubtful=bool(choice and outcome.doubtful[row]),
            opponent=opponent if asked else -1,
            probes=self._draw_probes(wanted, view.ids[candidates]),
            reason="" if len(shown) else _reason(wanted, bool(cut[row]), len(candidates), len(places)),
        )

    def _draw_probes(self, wanted: Wanted, candidates: np.ndarray) -> tuple[int, ...]:
        rng = np.random.default_rng([_seed(wanted.interaction), 1])
        if not len(candidates) or rng.random() >= self._probed:
            return ()
        return tuple(rng.choice(candidates, min(PROBES, len(candidates)), replace=False).tolist())

    def _is_new(self, tree: Any) -> bool:
        """Says whether a pytree has shapes that nothing was compiled for yet."""
        leaves = jax.tree.leaves(tree)
        shapes = tuple((each.shape, each.dtype, getattr(each, "weak_type", False)) for each in leaves)
        known = (shapes, jax.tree.structure(tree))
        if known in self._prepared:
            return False
        self._prepared.add(known)
        return True


def _seen(wanted: Wanted) -> tuple[int, int]:
    return wanted.identity.partition, wanted.identity.shared if wanted.shared else -1


def _seed(interaction: str) -> int:
    return int.from_bytes(hashlib.blake2b(interaction.encode(errors="replace"), digest_size=4).digest(), "big")


def _reason(wanted: Wanted, cut: bool, candidates: int, chosen: int) -> str:
    """Why no examples are shown; one of few texts, as they are counted."""
    if wanted.identity is None:
        return "no identity"
    if not wanted.examples:
        return "not wanted"
    if cut:
        return "too long for the embedder"
    if not candidates:
        return "no candidates"
    return "the model is shown none" if chosen else "none useful enough"


def _idle_batch(size: int, width: int, models: int) -> Batch:
    hits = Hits(np.full((size, CANDIDATES), -1, np.int32), np.full((size, CANDIDATES), -np.inf, np.float32))
    queries = np.full((size, width), width**-0.5, np.float32)
    partitions, allowed = np.full((size, 2), -1, np.int32), np.ones((size, models), bool)
    return Batch(np.zeros(size, np.uint32), queries, hits, partitions, allowed)
