"""What a method keeps, as a server would: the state of the policies, and beside it what examples are."""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.echolm import learner
from experiments.echolm.learner import CANDIDATES, Dials
from jaxalign import serving

SIZE, SIZE_SPREAD = 1200.0, 0.6  # bytes of an example's texts: median, and standard deviation of the logarithm


class Memory:
    """The state of a method, and the questions and goodness of its examples, which policies do not see."""

    def __init__(self, key: jax.Array, width: int, dials: Dials):
        self._key, start = jax.random.split(key)
        self.dials = dials
        self.index = serving.exact_index(width, capacity=1024)
        self.state = learner.init_state(start, width, self.index)
        self.questions, self.good = np.full(1, -1), np.zeros(1, bool)
        self.rng = np.random.default_rng(0)
        self.tried = np.int32(-1)  # the threshold of each request of the latest batch

    def next_key(self) -> jax.Array:
        self._key, key = jax.random.split(self._key)
        return key

    def restore(self, state: learner.State, questions: Int[np.ndarray, "C"], good: Bool[np.ndarray, "C"]) -> None:
        """Takes over what another one kept."""
        self.state, self.questions, self.good = state, questions, good

    def look_up(self, ids: Int[np.ndarray, "*batch"]) -> tuple[Int[np.ndarray, "*batch"], Bool[np.ndarray, "*batch"]]:
        """Returns questions, -1 where an id is, and goodness."""
        there = ids >= 0
        rows = np.where(there, ids, 0)
        return np.where(there, self.questions[rows], -1), there & self.good[rows]

    def search(self, queries: Float[np.ndarray, "B D"]) -> serving.Hits:
        """Stage one: the most similar examples, on the host."""
        return jax.tree.map(np.asarray, self.index.search(self.state.index, queries, CANDIDATES))

    def choose(self, queries: Float[np.ndarray, "B D"], hits: serving.Hits) -> serving.Chosen:
        """The later stages: which candidates are shown."""
        policy, table = self.state.policy, self.state.table
        tried, chosen = learner.choose(policy, table, self.next_key(), queries, hits, budget=self.dials.example_tokens)
        self.tried = np.asarray(tried)
        return jax.tree.map(np.asarray, chosen)

    def route(self, queries: Float[np.ndarray, "B D"], chosen: serving.Chosen, penalties) -> learner.Routed:
        """What the router saw, which models it chose, and how good it thinks each would be."""
        decided = learner.route(self.state.policy, self.state.table, self.next_key(), queries, chosen, penalties)
        return jax.tree.map(np.asarray, decided)

    def random_ids(self, rng: np.random.Generator, batch: int) -> Int[np.ndarray, "B M"]:
        """Any examples."""
        return rng.choice(np.flatnonzero(np.asarray(self.state.table.live)), (batch, learner.MOST_EXAMPLES)).astype(
            np.int32
        )

    def admit(self, requests, responses, questions, good, hours: float) -> None:
        """Keeps answers as examples."""
        count = len(questions)
        sizes = SIZE * np.exp(SIZE_SPREAD * self.rng.normal(size=count))
        rows = serving.NewExamples(
            partition=np.zeros(count, np.int32),
            user=np.zeros(count, np.int32),
            size=sizes,
            tokens=(sizes / 4).astype(np.int32),
            quality=np.full(count, 0.5),  # nobody has judged it
            cost=np.ones(count),
            hours=np.full(count, hours),
            requests=requests,
            responses=responses,
        )
        table, ids = serving.insert_examples(self.state.table, rows)
        index = self.index.insert(self.state.index, ids, requests)
        self.state = self.state._replace(table=table, index=index)
        if (short := int(ids.max()) + 1 - len(self.questions)) > 0:
            extra = max(short, len(self.questions))
            self.questions, self.good = (np.pad(each, (0, extra)) for each in (self.questions, self.good))
        self.questions[ids], self.good[ids] = questions, good

    def evict(self, hours: float) -> int:
        """Forgets the examples that bring least, until the others fit, and returns how many."""
        ids = serving.evict_examples(self.state.table, self.dials.store_bytes, hours)
        if len(ids):
            table = serving.forget_examples(self.state.table, ids)
            self.state = self.state._replace(table=table, index=self.index.delete(self.state.index, ids))
        return len(ids)

    def learn(self) -> None:
        """A few steps on the feedback so far."""
        policy, buffer = learner.learn(self.state.policy, self.state.buffer, self.state.pairs, self.next_key())
        self.state = self.state._replace(policy=policy, buffer=buffer)

    def doubt(self, models: Int[np.ndarray, "B"], confidences: Float[np.ndarray, "B m"]):
        """Which requests are asked about, and whose answers are compared with the chosen ones'."""
        posterior, key = self.state.policy.posterior, self.next_key()
        found = learner.doubt(posterior, models, confidences, key, share=self.dials.asked)
        return jax.tree.map(np.asarray, found)

    def add_feedback(self, routed: learner.Routed, models, opponents, outcomes, where) -> None:
        """Keeps ratings, whose opponent is -1, and comparisons."""
        batch = len(models)
        feedback = serving.RouterFeedback(
            contexts=routed.contexts,
            models=models.astype(np.int32),
            opponents=opponents.astype(np.int32),
            outcomes=outcomes.astype(np.float32),
            users=np.zeros(batch, np.int32),  # the one user of this world
            owners=np.zeros((batch, learner.MOST_EXAMPLES), np.int32),
        )
        policy, buffer = learner.add_feedback(self.state.policy, self.state.buffer, feedback, where, self.next_key())
        self.state = self.state._replace(policy=policy, buffer=buffer)

    def add_pairs(self, queries, ids, labels) -> None:
        """Keeps whether examples helped with requests."""
        pairs = learner.add_pairs(self.state.table, self.state.pairs, queries, ids, labels.astype(np.float32))
        self.state = self.state._replace(pairs=pairs)

    def record(self, ids, said, rated, costs, offloaded, hours: float) -> None:
        """Counts the uses of examples ``[B, M]``, and what the thresholds brought where answers were rated."""
        qualities = np.where(rated, said, 1).astype(np.float32)  # what nobody judged adds nothing to a gain
        each = (np.broadcast_to(one[:, None], ids.shape).reshape(-1) for one in (qualities, costs, offloaded))
        table = serving.record_uses(self.state.table, ids.reshape(-1), *each, np.float32(hours))
        gains = np.where(rated, said - self.dials.cost_weight * costs, 0).astype(np.float32)
        tried = np.where(rated, self.tried, -1).astype(np.int32)
        thresholds = serving.record_gains(self.state.policy.thresholds, tried, gains)
        self.state = self.state._replace(table=table, policy=self.state.policy._replace(thresholds=thresholds))

    def plan_replays(self, hours: float, *, at_random: bool) -> Int[np.ndarray, "R"]:
        """Which examples to replay; fewer than there is time for where no other may be."""
        table, budget = self.state.table, self.dials.replays
        if at_random:
            plan = serving.plan_random_replays(self.next_key(), table, budget=budget)
        else:
            plan = serving.plan_replays(table, np.float32(hours), budget=budget)
        return np.asarray(plan.ids)[np.asarray(plan.where)]

    def record_replays(self, ids, qualities, answers, good) -> None:
        """Keeps the best new answer of each example where it is better than the old one."""
        if not len(ids):
            return
        spare = self.dials.replays - len(ids)
        rows = np.pad(ids, (0, spare), constant_values=-1)
        sizes = np.tile(np.asarray(self.state.table.size)[np.maximum(rows, 0)][:, None], qualities.shape[1])
        padded = (
            np.pad(each, [(0, spare)] + [(0, 0)] * (each.ndim - 1)) for each in (qualities.astype(np.float32), answers)
        )
        judged, vectors = padded
        replays = serving.Replays(rows, judged, sizes, (sizes / 4).astype(np.int32), vectors)
        table, kept = serving.record_replays(self.state.table, replays)
        kept = np.asarray(kept)[: len(ids)]
        self.good[ids] = np.where(
            kept >= 0, np.take_along_axis(good, np.maximum(kept, 0)[:, None], 1)[:, 0], self.good[ids]
        )
        self.state = self.state._replace(table=table)
