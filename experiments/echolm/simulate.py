"""One method serves the traffic: batches of requests in order, what it decides, what comes of it, what it learns."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.echolm import learner, world
from experiments.echolm.learner import Dials
from experiments.echolm.memory import Memory
from experiments.echolm.methods import Method
from experiments.echolm.queueing import SPEEDS, Server
from experiments.echolm.world import COSTS, LARGE, SMALL, Traffic, World
from jaxalign import serving

Rows = Int[np.ndarray, "B"]
Ids = Int[np.ndarray, "B M"]

BATCH = 8  # requests that are decided at once
MAINTAIN_EVERY = 256  # requests
REUSE = 0.8  # the cosine from which the semantic cache gives the nearest answer
TRUTH = 0.9  # how often the word of a user or judge is true
REPLAY_SAMPLES = 4  # answers of which a replay keeps the best
VOTES = 16  # of a judge that tries one example: 8 samples, both orders
PROBES = 4  # candidates of a request that are tried, each alone
JUDGE_SCALE = 3.0  # of an effect on the log-odds, as a judge sees it
EXAMPLE_TOKENS = 300
EXAMPLE_COST = 0.08  # of each example in the prompt, the small model's plain answer being 1: prompts cost less


class Ground(NamedTuple):
    """What all methods of a seed share."""

    world: World
    history: Traffic  # earlier requests, which the large model answered: the first examples
    traffic: Traffic
    classified: Float[np.ndarray, "N m"]  # a classifier's chance that each model's answer is good, without examples


class Served(NamedTuple):
    """What came of each of N requests."""

    models: Int[np.ndarray, "N"]  # the one that answered; -1 for an answer that was reused
    quality: Float[np.ndarray, "N"]  # the chance that the answer was good
    costs: Float[np.ndarray, "N"]  # of all answers that were had for it, in answers of the large model
    latencies: Float[np.ndarray, "N"]  # seconds
    rewards: Float[np.ndarray, "N"]  # quality less what the model's cost takes off
    regrets: Float[np.ndarray, "N"]  # against the best examples and model with the same store
    loads: Float[np.ndarray, "N"]  # moving average of the large model's load
    helping: Float[np.ndarray, "N"]  # how many of its examples help
    shown: Float[np.ndarray, "N"]  # how many examples there were


class Outcome(NamedTuple):
    """What could come of a batch of requests with the examples that were chosen, and what did."""

    possible: Float[np.ndarray, "B m"]  # the chance that each model's answer is good
    models: Int[np.ndarray, "B"]
    good: Bool[np.ndarray, "B"]


class Simulation:
    """A method in a world; ``run`` serves all of the traffic."""

    def __init__(self, method: Method, ground: Ground, dials: Dials, seed: int):
        self.method, self.ground, self.dials = method, ground, dials
        self.rng = np.random.default_rng([seed, 3])
        self.servers = [Server(speed) for speed in SPEEDS]
        self.memory = Memory(jax.random.key(seed), ground.world.questions.shape[1], dials)
        self.load, self.last = jnp.float32(0), 0.0
        self.uses_store = method.examples != "none" or method.reuses
        everything = np.arange(len(ground.history.questions))
        for start in range(0, len(everything), 256):
            self._admit(ground.history, everything[start : start + 256], 0.0)

    def run(self, at_fifth: Callable[[int], None] = lambda served: None) -> Served:
        """Serves all requests, in whole batches.

        Args:
          at_fifth: called with the number of requests so far at the start and after each fifth of all.
        """
        batches = []
        starts = range(0, len(self.ground.traffic.questions) // BATCH * BATCH, BATCH)
        fifth = max(1, len(starts) // 5)
        for number, start in enumerate(starts):
            if number % fifth == 0:
                at_fifth(start)
            batches.append(self._serve(np.arange(start, start + BATCH)))
            if self.method.learns and start % self.dials.learn_every == 0:
                self.memory.learn()
            if start % MAINTAIN_EVERY == 0:
                self._maintain()
        return Served(*map(np.concatenate, zip(*batches, strict=True)))

    def _serve(self, rows: Rows) -> Served:
        traffic, dials = self.ground.traffic, self.dials
        penalties = self._look_at_load(traffic.arrivals[rows[0]])
        hits = self.memory.search(traffic.embeddings[rows]) if self.uses_store else None
        chosen = self._examples(rows, hits)
        possible, helping = self._qualities(rows, chosen.ids)
        routed, models = self._route(rows, chosen, possible, penalties)
        quality = possible[np.arange(BATCH), models]
        good = traffic.luck[rows, models] < quality
        answered = models
        if self.method.reuses:
            answered, quality = self._reuse(rows, hits, models, quality)
        costs, latencies = self._pay(rows, answered, chosen.ids)
        if self.method.learns:
            costs = costs + self._learn(rows, hits, chosen, routed, Outcome(possible, models, good))
        self._admit(traffic, rows[answered == LARGE], self.last / 3600)
        rewards = quality - np.where(answered < 0, 0, dials.cost_weight * COSTS[models])
        best = (self._qualities(rows, self._helpful(rows, hits))[0] - dials.cost_weight * COSTS).max(1)
        shown, loads = (chosen.ids >= 0).sum(1), np.full(BATCH, float(self.load))
        return Served(answered, quality, costs, latencies, rewards, best - rewards, loads, helping, shown)

    def _look_at_load(self, now: float):
        """Updates the average of the load and returns what it and costs take off each model."""
        load, elapsed = self.servers[LARGE].load(now), now - self.last
        self.load, self.last = serving.update_load(self.load, load, elapsed, half_life=self.dials.half_life), now
        return serving.cost_penalties(
            jnp.asarray(COSTS),
            self.load,
            cost_weight=self.dials.cost_weight,
            load_weight=self.dials.load_weight if self.method.sees_load else 0.0,
            threshold=self.dials.load_threshold,
        )

    # What is shown, and who answers.

    def _examples(self, rows: Rows, hits) -> serving.Chosen:
        match self.method.examples:
            case "chosen":
                return self.memory.choose(self.ground.traffic.embeddings[rows], hits)
            case "nearest":
                return learner.with_examples(hits.ids[:, learner.MOST_EXAMPLES - 1 :: -1])
            case "random":
                return learner.with_examples(self.memory.random_ids(self.rng, BATCH))
            case "best":
                return learner.with_examples(self._helpful(rows, hits))
        return learner.with_examples(np.full((BATCH, learner.MOST_EXAMPLES), -1))

    def _helpful(self, rows: Rows, hits) -> Ids:
        """The candidates that truly help, at most as many as a prompt has room for; -1 for none."""
        if hits is None:
            return np.full((BATCH, learner.MOST_EXAMPLES), -1)
        questions, good = self.memory.look_up(hits.ids)
        helps = good & self._on_topic(rows, questions)
        order = np.argsort(~helps, axis=1, kind="stable")[:, : learner.MOST_EXAMPLES]
        return np.where(np.take_along_axis(helps, order, 1), np.take_along_axis(hits.ids, order, 1), -1)

    def _on_topic(self, rows: Rows, questions: Ids) -> Bool[np.ndarray, "B M"]:
        topics = self.ground.world.topics
        return (questions >= 0) & (topics[questions] == topics[self.ground.traffic.questions[rows]][:, None])

    def _qualities(self, rows: Rows, ids: Ids) -> tuple[np.ndarray, np.ndarray]:
        """The chance that each model's answer is good, and how many examples help."""
        questions, good = self.memory.look_up(ids)
        helps = (good & self._on_topic(rows, questions)).sum(1)
        harms = (questions >= 0).sum(1) - helps
        return world.qualities(self.ground.world, self.ground.traffic.questions[rows], helps, harms), helps

    def _route(self, rows: Rows, chosen, possible, penalties) -> tuple[learner.Routed | None, np.ndarray]:
        """What the router saw, where there is one, and the models that answer."""
        match self.method.route:
            case "router":
                routed = self.memory.route(self.ground.traffic.embeddings[rows], chosen, penalties)
                return routed, routed.models
            case "mix":
                return None, np.where(self.rng.random(BATCH) < self.method.small_share, SMALL, LARGE)
            case "small" | "large" as model:
                return None, np.full(BATCH, world.MODELS.index(model))
        believed = possible if self.method.route == "best" else self.ground.classified[rows]
        return None, (believed - self.dials.cost_weight * COSTS).argmax(1)

    def _reuse(self, rows: Rows, hits, models, quality) -> tuple[np.ndarray, np.ndarray]:
        """The nearest answer as it is, where it is near enough: good if it was, and an answer to this question."""
        questions, good = self.memory.look_up(hits.ids[:, 0])
        reused = hits.similarities[:, 0] >= REUSE
        same = questions == self.ground.traffic.questions[rows]
        return np.where(reused, -1, models), np.where(reused, np.where(same, good, world.REUSED_OTHER), quality)

    # What comes of it.

    def _pay(self, rows: Rows, models, ids: Ids) -> tuple[np.ndarray, np.ndarray]:
        """Costs and latencies; an answer that is reused has neither."""
        traffic, examples = self.ground.traffic, (ids >= 0).sum(1)
        costs = np.where(models == SMALL, COSTS[SMALL] * (1 + EXAMPLE_COST * examples), COSTS[LARGE])
        latencies = np.zeros(BATCH)
        for place in np.flatnonzero(models >= 0):
            row, model = rows[place], models[place]
            prompt = traffic.prompt_tokens[row] + (EXAMPLE_TOKENS * examples[place] if model == SMALL else 0)
            latencies[place] = self.servers[model].serve(traffic.arrivals[row], prompt, traffic.answer_tokens[row])
        return np.where(models < 0, 0, costs), latencies

    def _admit(self, traffic: Traffic, rows: Rows, hours: float) -> None:
        """The large model's answers become examples; whether they are good is for time to tell."""
        if not self.uses_store or not len(rows):
            return
        questions, none = traffic.questions[rows], np.zeros(len(rows))
        chances = world.qualities(self.ground.world, questions, none, none)[:, LARGE]
        good = traffic.luck[rows, LARGE] < chances
        answers = world.answer_embeddings(self.ground.world, questions, good, traffic.answers[rows])
        self.memory.admit(traffic.embeddings[rows], answers, questions, good, hours)

    # What is learnt of it.

    def _learn(self, rows: Rows, hits, chosen, routed, outcome: Outcome) -> Float[np.ndarray, "B"]:
        """Takes what users and judges say, and returns what it cost."""
        models, rated = outcome.models, self.rng.random(BATCH) < self.dials.rated
        said = self._told(outcome.good)
        cost = np.zeros(BATCH)
        if routed is not None:
            self.memory.add_feedback(routed, models, np.full(BATCH, -1), said, rated)
            cost += self._compare(rows, routed, outcome)
        if self.method.examples in ("nearest", "chosen"):
            shown = np.where(models[:, None] == SMALL, chosen.ids, -1)  # the large model answers without examples
            offloaded = said | ~rated
            self.memory.record(shown, said, rated, COSTS[models], offloaded, self.last / 3600)
        if self.method.examples == "chosen":
            cost += self._probe(rows, hits)
        return cost

    def _compare(self, rows: Rows, routed: learner.Routed, outcome: Outcome) -> Float[np.ndarray, "B"]:
        """Has a second answer where the router is in doubt, and a judge's word on which is better."""
        asked, others = self.memory.doubt(outcome.models, routed.confidences)
        second = self.ground.traffic.luck[rows, others] < outcome.possible[np.arange(BATCH), others]
        better = np.where(outcome.good == second, self.rng.random(BATCH) < 0.5, outcome.good)
        self.memory.add_feedback(routed, outcome.models, others, self._told(better), asked)
        return np.where(asked, COSTS[others], 0)

    def _probe(self, rows: Rows, hits) -> Float[np.ndarray, "B"]:
        """Has the small model answer some requests with and without one candidate, and a judge compare the two."""
        probed = self.rng.random(BATCH) < self.dials.probed
        ids = np.take_along_axis(hits.ids, self.rng.integers(0, hits.ids.shape[1], (BATCH, PROBES)), 1)
        ids = np.where(probed[:, None], ids, -1)
        questions, good = self.memory.look_up(ids)
        effect = np.where(good & self._on_topic(rows, questions), world.HELP, -world.HARM)
        chance = 1 / (1 + np.exp(-JUDGE_SCALE * effect))
        labels = self.rng.binomial(VOTES, chance) / VOTES
        queries = np.repeat(self.ground.traffic.embeddings[rows], PROBES, 0)
        self.memory.add_pairs(queries, ids.reshape(-1), labels.reshape(-1))
        return np.where(probed, (1 + PROBES) * COSTS[SMALL], 0)

    def _told(self, true: Bool[np.ndarray, "B"]) -> Bool[np.ndarray, "B"]:
        """What is said of what is true: now and then the opposite."""
        return np.where(self.rng.random(len(true)) < TRUTH, true, ~true)

    # What is done now and then.

    def _maintain(self) -> None:
        hours = self.last / 3600
        self.memory.evict(hours)
        if self.method.replays != "none":
            plan = self.memory.plan_replays(hours, at_random=self.method.replays == "random")
            self._replay(plan)

    def _replay(self, ids: Int[np.ndarray, "R"]) -> None:
        """Has the large model answer the examples' requests anew, four times each; the judge's best one is kept."""
        questions, _ = self.memory.look_up(ids)
        none = np.zeros(len(ids))
        chances = world.qualities(self.ground.world, questions, none, none)[:, LARGE]
        good = self.rng.random((len(ids), REPLAY_SAMPLES)) < chances[:, None]
        noise = world.unit(self.rng.normal(size=(*good.shape, self.ground.world.questions.shape[1])))
        answers = world.answer_embeddings(self.ground.world, questions[:, None], good, noise)
        judged = np.where(good, 0.8, 0.2) + self.rng.normal(0, 0.15, good.shape)
        self.memory.record_replays(ids, np.clip(judged, 0, 1), answers, good)
