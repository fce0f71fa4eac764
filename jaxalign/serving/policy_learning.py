"""How a policy learns: what is kept of feedback, and steps of learning on it.

Letters in shapes: B rows of feedback, N pairs of a request and an example.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.serving import pair_buffer, replay_buffer
from jaxalign.serving.feedback import update_posterior
from jaxalign.serving.learning import make_router_update
from jaxalign.serving.pair_buffer import PairBuffer
from jaxalign.serving.policy import OPTIMIZER, Policy
from jaxalign.serving.proxy import collect_feedback, make_proxy_loss
from jaxalign.serving.replay_buffer import ReplayBuffer, RouterFeedback
from jaxalign.serving.table import ExampleTable

FEEDBACK = 4096  # rows that are kept for the router
PAIRS = 2048  # of a request and an example, that are kept for the proxy model
_UPDATE_ROUTER = make_router_update(OPTIMIZER, batch_size=256, steps=2, alpha=0.3)
_PROXY_STEPS = 4
_PROXY_LOSS = make_proxy_loss()


def learn(policy: Policy, buffer: ReplayBuffer, pairs: PairBuffer, key: PRNGKeyArray) -> tuple[Policy, ReplayBuffer]:
    """Returns a policy after a few steps of the router and of the proxy model, and the buffer with new priorities.

    Args:
      policy: what was learnt before.
      buffer: feedback for the router.
      pairs: what the proxy model learns from.
      key: consumed.
    """
    router, buffer, _ = _UPDATE_ROUTER(policy.router, buffer, key)
    proxy, opt_state = policy.proxy

    def loss(params):
        return _PROXY_LOSS(params, pairs.pairs, key)[0].value

    for _ in range(_PROXY_STEPS):
        updates, opt_state = OPTIMIZER.update(jax.grad(loss)(proxy), opt_state, proxy)
        proxy = optax.apply_updates(proxy, updates)
    return policy._replace(router=router, proxy=(proxy, opt_state)), buffer


def add_feedback(
    policy: Policy, buffer: ReplayBuffer, feedback: RouterFeedback, where: Bool[Array, "B"], key: PRNGKeyArray
) -> tuple[Policy, ReplayBuffer]:
    """Keeps feedback for the router, and counts the comparisons in it.

    Args:
      policy: what was learnt before.
      buffer: where feedback is kept.
      feedback: B rows.
      where: ``[B]``, True for real rows.
      key: consumed.
    """
    first = feedback.outcomes > 0.5
    winners = jnp.where(first, feedback.models, feedback.opponents)
    losers = jnp.where(first, feedback.opponents, feedback.models)
    compared = where & (feedback.opponents >= 0)
    posterior = update_posterior(policy.posterior, winners, losers, compared)
    return policy._replace(posterior=posterior), replay_buffer.add_feedback(buffer, feedback, where, key)


def add_pairs(
    table: ExampleTable,
    pairs: PairBuffer,
    queries: Float[Array, "N D"],
    ids: Int[Array, "N"],
    labels: Float[Array, "N"],
    users: Int[Array, "N"],
) -> PairBuffer:
    """Keeps whether examples helped with requests.

    Args:
      table: the examples.
      pairs: where they are kept.
      queries: ``[N, D]``, the requests' embeddings.
      ids: ``[N]``, the example of each; -1 for none.
      labels: ``[N]``, 0 to 1: 1 where the example helped.
      users: ``[N]``, who sent the request.
    """
    return pair_buffer.add_pairs(pairs, collect_feedback(table, queries, ids, labels, users))
