"""The compiled part of a decision: examples, model and doubt of a batch of requests in one program.

Letters in shapes: B requests, m models, M examples at most, k candidates, P = 2 partitions, D and F as everywhere.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt

from jaxalign import serving
from jaxalign.io.serve.config import ServeConfig
from jaxalign.serving import Chosen, ExampleTable, Hits, Policy
from jaxalign.serving import policy as policies


class Dials(NamedTuple):
    """What the settings say of decisions; a program is compiled for each."""

    costs: tuple[float, ...]  # of each model, over that of the dearest
    cost_weight: float
    load_weight: float
    load_threshold: float
    half_life: float  # seconds
    explored: float
    stray: float
    budget: int  # tokens
    asked: float


class Batch(NamedTuple):
    """B requests."""

    seeds: UInt[Array, "B"]  # from the interactions' ids: what is drawn does not depend on the batch
    queries: Float[Array, "B D"]
    hits: Hits  # [B, k]
    partitions: Int[Array, "B P"]  # -1 for none
    allowed: Bool[Array, "B m"]


class Load(NamedTuple):
    """What is known of the dearest model's load."""

    average: Float[Array, ""]
    observed: Float[Array, ""]  # requests in service, divided by slots
    elapsed: Float[Array, ""]  # seconds since the last observation


class Outcome(NamedTuple):
    """What was decided."""

    average: Float[Array, ""]  # of the load, now
    tried: Int[Array, "B"]  # index of the threshold
    examples: Int[Array, "B M"]  # rows of the table, -1 for none
    contexts: Float[Array, "B F"]
    models: Int[Array, "B"]
    propensities: Float[Array, "B m"]
    doubtful: Bool[Array, "B"]  # the router tells the models hardly apart
    asked: Bool[Array, "B"]  # those of them for which a second answer is to be had
    opponents: Int[Array, "B"]


def dials_of(config: ServeConfig) -> Dials:
    """Returns what the settings say of decisions.

    Args:
      config: the settings.
    """
    routing, costs = config.routing, config.costs
    return Dials(
        costs=tuple(costs[model.name] for model in config.routed),
        cost_weight=routing.cost_weight,
        load_weight=routing.load_weight,
        load_threshold=routing.load_threshold,
        half_life=routing.half_life_seconds,
        explored=routing.explored,
        stray=routing.stray,
        budget=routing.example_tokens,
        asked=config.learning.asked if config.learning.judge else 0.0,
    )


@functools.partial(jax.jit, static_argnames="dials")
def decide(policy: Policy, table: ExampleTable, batch: Batch, load: Load, *, dials: Dials) -> Outcome:
    """Decides a batch of requests, each as it would be decided alone.

    Args:
      policy: what was learnt.
      table: the examples.
      batch: the requests with their candidates.
      load: of the dearest model.
      dials: the settings.
    """
    average = serving.update_load(load.average, load.observed, load.elapsed, half_life=dials.half_life)
    penalties = serving.cost_penalties(
        jnp.array(dials.costs, jnp.float32),
        average,
        cost_weight=dials.cost_weight,
        load_weight=dials.load_weight,
        threshold=dials.load_threshold,
    )
    keys = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), 3))(batch.seeds)
    limits = {"partitions": batch.partitions, "explored": dials.explored, "budget": dials.budget}
    tried, chosen = policies.choose(policy, table, keys[:, 0], batch.queries, batch.hits, **limits)

    def one(route_key, doubt_key, query, chosen: Chosen, allowed):
        alone = jax.tree.map(lambda each: each[None], chosen)
        routed = policies.route(
            policy, table, route_key, query[None], alone, penalties, stray=dials.stray, allowed=allowed[None]
        )
        doubtful = serving.wants_feedback(doubt_key, serving.confidence_spread(routed.confidences))
        asked, opponents = jnp.zeros(1, bool), jnp.full(1, -1, jnp.int32)
        if dials.asked:  # compiling the draw of opponents takes seconds
            doubted = routed.models, routed.confidences, doubt_key
            asked, opponents = policies.doubt(policy.posterior, *doubted, share=dials.asked)
        return routed.contexts[0], routed.models[0], routed.propensities[0], doubtful[0], asked[0], opponents[0]

    routed = jax.vmap(one)(keys[:, 1], keys[:, 2], batch.queries, chosen, batch.allowed)
    return Outcome(average, tried, chosen.ids, *routed)
