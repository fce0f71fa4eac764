"""What a method keeps and learns: examples, the policies that choose them and that route requests, and feedback."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxalign import serving
from jaxalign.serving import RouterFeedback

CANDIDATES = 64  # of the first stage
MOST_EXAMPLES = 5
NUM_MODELS = 2
THRESHOLDS = (0.0, 0.3, 0.45, 0.6, 0.75)
EXPLORED = 0.2  # share of the requests that try any threshold
STRAY = 0.03  # share of the requests that go to any model
FEEDBACK = 4096  # rows that are kept for the router
PAIRS = 2048  # of a request and an example, that are kept for the proxy model
OPTIMIZER = optax.adamw(1e-3, weight_decay=0.1)
UPDATE_ROUTER = serving.make_router_update(OPTIMIZER, batch_size=256, steps=2, alpha=0.3)
PROXY_LOSS = serving.make_proxy_loss()


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


class Policy(NamedTuple):
    """All that is learnt: what is saved, exchanged and compared."""

    router: serving.RouterState
    proxy: tuple  # parameters and the optimizer's state
    thresholds: serving.Thresholds
    posterior: serving.BetaPosterior


class State(NamedTuple):
    """Everything that a method keeps; equal states decide alike."""

    policy: Policy
    buffer: serving.ReplayBuffer
    pairs: serving.PairBuffer
    table: serving.ExampleTable
    index: serving.ExactState


def init_state(key, width: int, index: serving.VectorIndex) -> State:
    """Returns the state before the first request, without examples."""
    router_key, proxy_key = jax.random.split(key)
    contexts = serving.context_width(width)
    params = serving.init_router(router_key, serving.RouterConfig(NUM_MODELS), contexts)
    proxy = serving.init_proxy(proxy_key, width)
    table = serving.init_table(width, capacity=1024)
    return State(
        Policy(
            serving.init_router_state(params, OPTIMIZER),
            (proxy, OPTIMIZER.init(proxy)),
            serving.init_thresholds(THRESHOLDS),
            serving.init_posterior(NUM_MODELS),
        ),
        serving.init_buffer(FEEDBACK, contexts, serving.RouterConfig().members),
        serving.init_pairs(PAIRS, width),
        table,
        index.init(),
    )


class Routed(NamedTuple):
    """What the router made of a batch of requests."""

    contexts: Float[np.ndarray, "B F"]
    models: Int[np.ndarray, "B"]
    confidences: Float[np.ndarray, "B m"]  # that each model's answer would be good, the ensemble's mean


@functools.partial(jax.jit, static_argnames="budget")
def choose(policy: Policy, table, key, queries, hits, *, budget: int):
    """Chooses examples for a batch of requests."""
    keys = jax.random.split(key, len(queries))
    tried, threshold = jax.vmap(serving.try_threshold, (None, 0, None))(policy.thresholds, keys, EXPLORED)
    everyone = jnp.zeros((len(queries), 1), jnp.int32)  # the one tenant of this world
    limits = {"threshold": threshold, "budget": budget, "max_examples": MOST_EXAMPLES}
    return tried, serving.choose_examples(policy.proxy[0], table, queries, hits, partitions=everyone, **limits)


def with_examples(ids: Int[np.ndarray, "B M"]) -> serving.Chosen:
    """Returns examples that no proxy model chose, with a utility of one half each."""
    return serving.Chosen(ids.astype(np.int32), ids >= 0, np.where(ids >= 0, 0.5, 0).astype(np.float32))


@jax.jit
def route(policy: Policy, table, key, queries, chosen, penalties):
    """Chooses a model for each of a batch of requests with their examples."""
    contexts = _contexts(table, queries, chosen)
    logits = serving.router_logits(policy.router.params, contexts)
    decision = serving.choose_models(key, logits, penalties, least=STRAY)
    return Routed(contexts, decision.models, jax.nn.sigmoid(logits).mean(0))


@functools.partial(jax.jit, static_argnames="budget")
def decide(policy: Policy, table, queries, hits, penalties, *, budget: int):
    """Chooses examples and models as a policy would if it neither explored nor learnt."""
    everyone = jnp.zeros((len(queries), 1), jnp.int32)
    limits = {"threshold": serving.best_threshold(policy.thresholds), "budget": budget, "max_examples": MOST_EXAMPLES}
    chosen = serving.choose_examples(policy.proxy[0], table, queries, hits, partitions=everyone, **limits)
    contexts = _contexts(table, queries, chosen)
    return chosen.ids, serving.best_models(serving.router_logits(policy.router.params, contexts), penalties).models


def _contexts(table, queries, chosen: serving.Chosen):
    examples = table.requests[jnp.maximum(chosen.ids, 0)]
    return serving.router_contexts(queries, examples, chosen.utilities, chosen.where)


@jax.jit
def learn(policy: Policy, buffer, pairs, key):
    """A few steps of the router and of the proxy model."""
    router, buffer, _ = UPDATE_ROUTER(policy.router, buffer, key)
    proxy, opt_state = policy.proxy

    def loss(params):
        return PROXY_LOSS(params, pairs.pairs, key)[0].value

    for _ in range(4):
        updates, opt_state = OPTIMIZER.update(jax.grad(loss)(proxy), opt_state, proxy)
        proxy = optax.apply_updates(proxy, updates)
    return policy._replace(router=router, proxy=(proxy, opt_state)), buffer


@jax.jit
def add_feedback(policy: Policy, buffer, feedback: RouterFeedback, where, key):
    """Keeps feedback, and counts the comparisons in it."""
    first = feedback.outcomes > 0.5
    winners = jnp.where(first, feedback.models, feedback.opponents)
    losers = jnp.where(first, feedback.opponents, feedback.models)
    compared = where & (feedback.opponents >= 0)
    posterior = serving.update_posterior(policy.posterior, winners, losers, compared)
    return policy._replace(posterior=posterior), serving.add_feedback(buffer, feedback, where, key)


@functools.partial(jax.jit, static_argnames="share")
def doubt(posterior, models, confidences, key, *, share: float):
    """Says which requests are asked about, because models look alike, and draws the models to compare with."""
    ask_key, draw_key = jax.random.split(key)
    asked = serving.wants_feedback(ask_key, serving.confidence_spread(confidences), share=share)
    return asked, serving.sample_opponents(draw_key, posterior, models)


@jax.jit
def add_pairs(table, pairs: serving.PairBuffer, queries, ids, labels):
    """Keeps whether examples helped with requests."""
    users = jnp.zeros(len(ids), jnp.int32)  # the one user of this world
    return serving.add_pairs(pairs, serving.collect_feedback(table, queries, ids, labels, users))
