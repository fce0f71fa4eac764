"""What a method keeps and learns, compiled for one tenant and two models: :mod:`jaxalign.serving.policy` has it all."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from jaxalign import serving
from jaxalign.serving import Policy, Routed, RouterFeedback, policy, policy_learning
from jaxalign.serving.combination import MOST_EXAMPLES
from jaxalign.serving.policy import CANDIDATES

__all__ = ["CANDIDATES", "MOST_EXAMPLES", "Dials", "Policy", "Routed", "State"]

EXPLORED = 0.2  # share of the requests that try any threshold
STRAY = 0.03  # share of the requests that go to any model
NUM_MODELS = 2


class Dials(NamedTuple):
    """What the config of a run sets."""

    cost_weight: float  # quality, in [0, 1], that an answer of the large model has to bring
    load_weight: float
    load_threshold: float
    half_life: float  # seconds, of the moving average of the load
    rated: float  # share of the answers that users rate
    asked: float  # share of the requests in doubt for which a second answer is had
    probed: float  # share of the requests of which some candidates are tried one by one
    learn_every: int  # requests
    example_tokens: int  # of all examples in a prompt
    replays: int  # examples that are replayed at a time, where a method does
    store_bytes: float  # of all examples


class State(NamedTuple):
    """Everything that a method keeps; equal states decide alike."""

    policy: Policy
    buffer: serving.ReplayBuffer
    pairs: serving.PairBuffer
    table: serving.ExampleTable
    index: serving.ExactState


def init_state(key, width: int, index: serving.VectorIndex) -> State:
    """Returns the state before the first request, without examples."""
    contexts = serving.context_width(width)
    return State(
        serving.init_policy(key, width, NUM_MODELS),
        serving.init_buffer(policy_learning.FEEDBACK, contexts, serving.RouterConfig().members),
        serving.init_pairs(policy_learning.PAIRS, width),
        serving.init_table(width, capacity=1024),
        index.init(),
    )


@functools.partial(jax.jit, static_argnames="budget")
def choose(state: Policy, table, key, queries, hits, *, budget: int):
    """Chooses examples for a batch of requests."""
    keys = jax.random.split(key, len(queries))
    return policy.choose(
        state, table, keys, queries, hits, partitions=_everyone(queries), explored=EXPLORED, budget=budget
    )


def with_examples(ids: Int[np.ndarray, "B M"]) -> serving.Chosen:
    """Returns examples that no proxy model chose, with a utility of one half each."""
    return serving.Chosen(ids.astype(np.int32), ids >= 0, np.where(ids >= 0, 0.5, 0).astype(np.float32))


@jax.jit
def route(state: Policy, table, key, queries, chosen, penalties):
    """Chooses a model for each of a batch of requests with their examples."""
    return policy.route(state, table, key, queries, chosen, penalties, stray=STRAY)


@functools.partial(jax.jit, static_argnames="budget")
def decide(state: Policy, table, queries, hits, penalties, *, budget: int):
    """Chooses examples and models as a policy would if it neither explored nor learnt."""
    return policy.decide(state, table, queries, hits, penalties, partitions=_everyone(queries), budget=budget)


@jax.jit
def learn(state: Policy, buffer, pairs, key):
    """A few steps of the router and of the proxy model."""
    return policy_learning.learn(state, buffer, pairs, key)


@jax.jit
def add_feedback(state: Policy, buffer, feedback: RouterFeedback, where, key):
    """Keeps feedback, and counts the comparisons in it."""
    return policy_learning.add_feedback(state, buffer, feedback, where, key)


@functools.partial(jax.jit, static_argnames="share")
def doubt(posterior, models, confidences, key, *, share: float):
    """Says which requests are asked about, because models look alike, and draws the models to compare with."""
    return policy.doubt(posterior, models, confidences, key, share=share)


@jax.jit
def add_pairs(table, pairs: serving.PairBuffer, queries, ids, labels):
    """Keeps whether examples helped with requests."""
    users = jnp.zeros(len(ids), jnp.int32)  # the one user of this world
    return policy_learning.add_pairs(table, pairs, queries, ids, labels, users)


def _everyone(queries):
    return jnp.zeros((len(queries), 1), jnp.int32)  # the one tenant of this world
