"""One learner's work: feedback becomes versions of the policy, and examples are valued, replayed and deleted.

What was learnt is in versions, and all else is rebuilt from the store, so that a learner that was killed anywhere is
replaced by another one.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxalign import serving
from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.learner.asking import Asker, Upstreams
from jaxalign.io.serve.learner.buffers import Buffers, is_held_out
from jaxalign.io.serve.learner.comparing import Dials
from jaxalign.io.serve.learner.lineage import Lineage
from jaxalign.io.serve.learner.replaying import replay
from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.store.rows import ExampleUpdate, Told
from jaxalign.io.serve.worker.embedders import Embedder
from jaxalign.io.serve.worker.memory import Memory
from jaxalign.serving import ExampleTable, Policy, policy_learning
from jaxalign.serving.combination import MOST_EXAMPLES

AT_ONCE = 256  # pieces of feedback
ROWS_A_STEP = 40  # new pieces of feedback for each call of learn: more calls learn few pairs by heart
MOST_STEPS = 64
ROWS_A_VERSION = 32  # new pieces of feedback after which a version is saved,
SECONDS_A_VERSION = 60.0  # or, if there are fewer, so long after the last one
ASKED_AT_ONCE = 64  # interactions, of which as many are asked as there is time for in a round
COMPACT_SECONDS = 60.0
GOOD = 0.5  # the rating from which an answer was good enough


class Learnt(NamedTuple):
    """What a round did."""

    told: int = 0  # pieces of feedback
    skipped: int = 0  # of them, of another embedder or of models that are there no more
    steps: int = 0
    version: str = ""  # that was put into use
    refused: int = 0  # versions that were worse than the one in use
    taken_back: str = ""  # the version that is in use again, under a name of its own
    asked: int = 0  # interactions of which something was asked
    replayed: int = 0
    evicted: int = 0


class Learner:
    """Learns in rounds.

    Args:
      config: the settings.
      store: where all of it is.
      embedder: of the examples.
      upstreams: the models; asked only where the settings name a judge.
      renew: called between pieces of work that take long; raises where another learner has taken over.
    """

    def __init__(
        self,
        config: ServeConfig,
        store: Store,
        embedder: Embedder,
        upstreams: Upstreams | None = None,
        renew: Callable[[], None] = lambda: None,
    ):
        self._config, self._store, self._embedder, self._renew = config, store, embedder, renew
        self.memory = Memory(store, embedder, [model.name for model in config.routed])
        costs = config.costs
        dials = Dials(
            tuple(costs[model.name] for model in config.routed), config.routing.cost_weight, config.routing.stray
        )
        self.lineage = Lineage(store, self.memory.ground, dials)
        self.buffers: Buffers | None = None
        judged = config.learning.judge and upstreams is not None
        self.asker = Asker(config, store, upstreams) if judged else None
        self._table = self.memory.view.table  # with the uses that were heard of in this round
        self._policy = self.lineage.policy  # with what was learnt since the last version
        self._fresh = 0  # pieces of feedback since
        self._saved = self._compacted = time.monotonic()

    def round(self) -> Learnt:
        """Does what there is to do.

        Raises:
          StoreError: the store is not there; the next round goes on.
        """
        self._follow()
        learnt = self._learn(self._listen())
        learnt = self._offer(learnt)
        if self.lineage.take_back(self._held_out()) is not None:
            learnt = learnt._replace(taken_back=self.lineage.version)
            self._go_on_from_version()
        if self.asker is not None:
            learnt = learnt._replace(asked=self._ask(), replayed=self._replay())
        learnt = learnt._replace(evicted=self._evict())
        if time.monotonic() - self._compacted > COMPACT_SECONDS:
            self._compact()
        return learnt

    def _compact(self) -> None:
        self._store.compact(keep_seconds=3600 * self._config.learning.keep_hours)
        self._compacted = time.monotonic()

    def _follow(self) -> None:
        followed = self.memory.follow()
        while self.memory.embed_missing():
            self._renew()
        if followed.anew:  # who was deleted in between is not known one by one, and the store has nothing of them
            self.buffers = None
        if self.buffers is None:
            self.buffers = self._rebuilt()
        for user in followed.users:
            self.buffers.forget_user(user)
        view = self.memory.view
        if self.lineage.follow(view.version, view.policy):
            self._go_on_from_version()

    def _rebuilt(self) -> Buffers:
        buffers = Buffers(self.memory.ground, self._config.learning.held_out)
        told = self._store.latest_told(policy_learning.FEEDBACK + policy_learning.PAIRS)
        # Their comparisons are counted in the policy already.
        buffers.add(self.lineage.policy, buffers.sort(told), self.memory.view.table, self.memory.place)
        return buffers

    def _go_on_from_version(self) -> None:
        self._policy, self._fresh, self._saved = self.lineage.policy, 0, time.monotonic()

    def _held_out(self):
        return list(self.buffers.held_out.values())

    def _listen(self) -> Learnt:
        """Takes in all feedback that there is."""
        learnt, table = Learnt(), self.memory.view.table
        while told := self._store.untold(AT_ONCE):
            found = self.buffers.sort(told)
            table = self._value_examples(table, told)
            # From here on it counts as learnt: a learner that takes over finds it in what buffers are rebuilt from.
            self._store.mark_learnt([each.seq for each in told])
            self._policy = self.buffers.add(self._policy, found, table, self.memory.place)
            self._policy = self._record_thresholds(self._policy, found.training)
            self._fresh += len(found.training) + len(found.probes)
            learnt = learnt._replace(told=learnt.told + len(told), skipped=learnt.skipped + found.skipped)
            self._renew()
        self._table = table
        return learnt

    def _learn(self, learnt: Learnt) -> Learnt:
        heard = learnt.told - learnt.skipped
        steps = min(-(-heard // ROWS_A_STEP), MOST_STEPS)
        for step in range(steps):
            key = jax.random.fold_in(jax.random.key(1), int(self._policy.router.steps) + step)
            self._policy, self.buffers.router = _learn(self._policy, self.buffers.router, self.buffers.pairs, key)
        return learnt._replace(steps=steps)

    def _offer(self, learnt: Learnt) -> Learnt:
        waited = time.monotonic() - self._saved > SECONDS_A_VERSION
        if not self._fresh or (self._fresh < ROWS_A_VERSION and not waited):
            return learnt
        note = {"feedback": self._fresh, "steps": int(self._policy.router.steps)}
        chosen = self.lineage.offer(self._policy, self._held_out(), note)
        self._go_on_from_version()
        return learnt._replace(version=self.lineage.version) if chosen else learnt._replace(refused=1)

    def _record_thresholds(self, policy: Policy, told: Sequence[Told]) -> Policy:
        rated = [each for each in told if each.feedback.kind == "rating" and each.interaction.threshold >= 0]
        if not rated:
            return policy
        weight = self._config.routing.cost_weight
        indices, gains = np.full(AT_ONCE, -1, np.int32), np.zeros(AT_ONCE, np.float32)
        indices[: len(rated)] = [each.interaction.threshold for each in rated]
        gains[: len(rated)] = [each.feedback.outcome - weight * each.interaction.cost for each in rated]
        return policy._replace(thresholds=serving.record_gains(policy.thresholds, indices, gains))

    def _value_examples(self, table: ExampleTable, told: Sequence[Told]) -> ExampleTable:
        """Counts rated uses of examples, in the store too."""
        rated = [each for each in told if each.feedback.kind == "rating" and each.interaction.examples]
        for one in rated:
            table = serving.record_uses(table, *self._uses(one))
        ids = sorted({example for each in rated for example in each.interaction.examples})
        ids = [each for each in ids if self.memory.place(each) >= 0]
        if ids:
            self._store.update_examples(self._updates(table, ids))
        return table

    def _uses(self, told: Told):
        """The arguments of ``record_uses`` for the examples of one rated answer."""
        places = [self.memory.place(each) for each in told.interaction.examples]
        ids = np.array([*places, *[-1] * MOST_EXAMPLES][:MOST_EXAMPLES], np.int32)
        rating, cost = told.feedback.outcome, told.interaction.cost
        offloaded = rating >= GOOD and cost < 1  # by a model that is not the dearest
        hours = np.float32(self.memory.clock.hours(told.feedback.created))
        qualities, costs = (np.full(MOST_EXAMPLES, each, np.float32) for each in (rating, cost))
        return ids, qualities, costs, np.full(MOST_EXAMPLES, offloaded), hours

    def _updates(self, table: ExampleTable, ids: Sequence[int]) -> list[ExampleUpdate]:
        fields = {
            name: np.asarray(getattr(table, name)) for name in ("quality", "gain", "offloads", "updated", "replays")
        }
        rows = [self.memory.place(each) for each in ids]
        return [
            ExampleUpdate(
                id=example,
                quality=float(fields["quality"][row]),
                gain=float(fields["gain"][row]),
                offloads=float(fields["offloads"][row]),
                updated=self.memory.clock.seconds(float(fields["updated"][row])),
                replays=int(fields["replays"][row]),
            )
            for example, row in zip(ids, rows, strict=True)
        ]

    def _ask(self) -> int:
        found = self._store.interactions(pending=True, limit=ASKED_AT_ONCE)
        until = time.monotonic() + self._config.learning.every_seconds
        asked = 0
        for about in found:
            asked += 1
            held_out = is_held_out(about.id, self._config.learning.held_out)  # nothing would learn of it
            self.asker.settle(about, second=not held_out)
            self._renew()
            if time.monotonic() > until:
                break
        return asked

    def _replay(self) -> int:
        budget = self._config.learning.replays
        if not budget:
            return 0
        return replay(self._store, self.memory, self._table, self._embedder, self.asker, budget, self._renew)

    def _evict(self) -> int:
        hours = self.memory.clock.hours(time.time())
        rows = serving.evict_examples(self._table, self._config.learning.example_bytes, np.float32(hours))
        return self._store.delete_examples(self.memory.view.ids[rows].tolist()) if len(rows) else 0


_learn = jax.jit(policy_learning.learn)
