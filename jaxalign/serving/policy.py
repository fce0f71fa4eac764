"""All that a server learns as one value, and what it decides with it: the examples of a request, and its model.

The functions are pure and made of arrays: compile them with ``jax.jit`` where they are called, with ``budget`` static.
Letters in shapes: B requests, m models, M examples at most, k candidates, P partitions that a request may see.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PRNGKeyArray

from jaxalign.serving.combination import MOST_EXAMPLES
from jaxalign.serving.contexts import context_width, router_contexts
from jaxalign.serving.feedback import BetaPosterior, confidence_spread, init_posterior, sample_opponents, wants_feedback
from jaxalign.serving.index import Hits
from jaxalign.serving.learning import RouterState, init_router_state
from jaxalign.serving.proxy import init_proxy
from jaxalign.serving.router import RouterConfig, best_models, choose_models, init_router, router_logits
from jaxalign.serving.selector import Chosen, choose_examples
from jaxalign.serving.table import ExampleTable
from jaxalign.serving.threshold import Thresholds, best_threshold, init_thresholds, try_threshold

CANDIDATES = 64  # of the first stage
THRESHOLDS = (0.0, 0.3, 0.45, 0.6, 0.75)
OPTIMIZER = optax.adamw(1e-3, weight_decay=0.1)  # of the router and of the proxy model


class Policy(NamedTuple):
    """All that is learnt: what is saved, exchanged and compared."""

    router: RouterState
    proxy: tuple[Any, Any]  # parameters and the optimizer's state
    thresholds: Thresholds
    posterior: BetaPosterior


class Routed(NamedTuple):
    """What the router made of a batch of requests."""

    contexts: Float[Array, "B F"]
    models: Int[Array, "B"]
    confidences: Float[Array, "B m"]  # that each model's answer would be good, the ensemble's mean
    propensities: Float[Array, "B m"]  # the chance that the request would go to each model; rows sum to 1


def init_policy(key: PRNGKeyArray, width: int, num_models: int, *, thresholds: Sequence[float] = THRESHOLDS) -> Policy:
    """Returns a policy that has learnt nothing; equal arguments give equal ones on every machine.

    Args:
      key: draws the weights; consumed.
      width: D, the dimension of the embeddings.
      num_models: m, how many models there are to choose from, at least 1.
      thresholds: the least utilities of an example that are tried.

    Raises:
      ValueError: no model or no threshold.
    """
    if num_models < 1:
        raise ValueError(f"num_models: expected at least 1 to choose from, got {num_models}")
    router_key, proxy_key = jax.random.split(key)
    params = init_router(router_key, RouterConfig(num_models), context_width(width))
    proxy = init_proxy(proxy_key, width)
    return Policy(
        init_router_state(params, OPTIMIZER),
        (proxy, OPTIMIZER.init(proxy)),
        init_thresholds(thresholds),
        init_posterior(num_models),
    )


def choose(
    policy: Policy,
    table: ExampleTable,
    keys: Key[Array, "B"],
    queries: Float[Array, "B D"],
    hits: Hits,
    *,
    partitions: Int[Array, "B P"],
    explored: ArrayLike,
    budget: int,
) -> tuple[Int[Array, "B"], Chosen]:
    """Chooses the examples of requests, now and then with another threshold than the best one.

    Args:
      policy: what was learnt.
      table: the examples.
      keys: ``[B]``, one for each request, so that a request is decided alike in every batch; consumed.
      queries: ``[B, D]``, the requests' embeddings.
      hits: the candidates, ``[B, k]``.
      partitions: ``[B, P]``, those whose examples a request may see; -1 for none.
      explored: the share of the requests that try any threshold.
      budget: the most tokens of a request's examples together.

    Returns:
      ``[B]``, the index of the threshold of each request, and its examples.
    """
    tried, threshold = jax.vmap(try_threshold, (None, 0, None))(policy.thresholds, keys, explored)
    limits = {"threshold": threshold, "budget": budget, "max_examples": MOST_EXAMPLES}
    return tried, choose_examples(policy.proxy[0], table, queries, hits, partitions=partitions, **limits)


def route(
    policy: Policy,
    table: ExampleTable,
    key: PRNGKeyArray,
    queries: Float[Array, "B D"],
    chosen: Chosen,
    penalties: Float[Array, "m"] | Float[Array, "B m"],
    *,
    stray: float,
    allowed: Bool[Array, "B m"] | None = None,
) -> Routed:
    """Chooses a model for each of a batch of requests with their examples, and explores as it does.

    Args:
      policy: what was learnt.
      table: the examples.
      key: consumed.
      queries: ``[B, D]``, the requests' embeddings.
      chosen: their examples.
      penalties: ``[m]`` or ``[B, m]``, what cost and load take off a model, on the scale of quality.
      stray: the share of the requests that go to any of the models that they may go to.
      allowed: ``[B, m]``, True for those, at least one of each row; None for all.
    """
    contexts = _contexts(table, queries, chosen)
    logits = router_logits(policy.router.params, contexts)
    decision = choose_models(key, logits, penalties, least=stray, where=allowed)
    return Routed(contexts, decision.models, jax.nn.sigmoid(logits).mean(0), decision.propensities)


def decide(
    policy: Policy,
    table: ExampleTable,
    queries: Float[Array, "B D"],
    hits: Hits,
    penalties: Float[Array, "m"],
    *,
    partitions: Int[Array, "B P"],
    budget: int,
) -> tuple[Int[Array, "B M"], Int[Array, "B"]]:
    """Chooses examples and models as a policy would if it neither explored nor learnt.

    Args:
      policy: what was learnt.
      table: the examples.
      queries: ``[B, D]``, the requests' embeddings.
      hits: the candidates, ``[B, k]``.
      penalties: ``[m]``, what cost and load take off a model, on the scale of quality.
      partitions: ``[B, P]``, those whose examples a request may see; -1 for none.
      budget: the most tokens of a request's examples together.

    Returns:
      The examples' ids, -1 for none, and the models.
    """
    limits = {"threshold": best_threshold(policy.thresholds), "budget": budget, "max_examples": MOST_EXAMPLES}
    chosen = choose_examples(policy.proxy[0], table, queries, hits, partitions=partitions, **limits)
    contexts = _contexts(table, queries, chosen)
    return chosen.ids, best_models(router_logits(policy.router.params, contexts), penalties).models


def doubt(
    posterior: BetaPosterior,
    models: Int[Array, "B"],
    confidences: Float[Array, "B m"],
    key: PRNGKeyArray,
    *,
    share: ArrayLike,
) -> tuple[Bool[Array, "B"], Int[Array, "B"]]:
    """Says which requests are asked about, because models look alike, and draws the models to compare with.

    Args:
      posterior: what is believed of each model's chance to win a comparison.
      models: ``[B]``, the chosen ones.
      confidences: ``[B, m]``, that each model's answer would be good.
      key: consumed.
      share: of the requests in doubt, those that are asked about.

    Returns:
      ``[B]``, True for requests that are asked about, and ``[B]``, another model for every request.
    """
    ask_key, draw_key = jax.random.split(key)
    asked = wants_feedback(ask_key, confidence_spread(confidences), share=share)
    return asked, sample_opponents(draw_key, posterior, models)


def _contexts(table: ExampleTable, queries, chosen: Chosen):
    examples = table.requests[jnp.maximum(chosen.ids, 0)]
    return router_contexts(queries, examples, chosen.utilities, chosen.where)
