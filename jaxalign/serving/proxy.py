"""Stage 2 of the selector: a small network that says how likely an example helps with a request.

Similarity says little of it (a correlation of .04 to .22 in the paper). The network sees the embeddings of the request,
of the candidate's request and of its response, compared with each other, and what the table knows of the candidate. It
learns from requests whose answers were judged with and without their examples, about 1 % of all. The paper names its
inputs; its form is ours. Source: IC-Cache (arXiv 2501.12689), the example selector.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.numerics import Ratio, ratio
from jaxalign.serving import inputs
from jaxalign.serving.index import Hits
from jaxalign.serving.table import NONE, ExampleTable
from jaxalign.typing import Params

HIDDEN = 64  # units of the first layer; the second has half as many (ours)
STEEPNESS = 4.0  # of the utility in the cosine, at the start (ours)
FACTS = 4  # numbers that the table knows of a candidate
_TOKENS = 10.0  # log(1 + tokens) is below it up to 22,000 tokens


class ProxyFeedback(NamedTuple):
    """N pairs of a request and an example, and whether the example helped: what the proxy is trained on."""

    queries: Float[Array, "N D"]  # unit vectors
    requests: Float[Array, "N D"]  # of the examples
    responses: Float[Array, "N D"]
    facts: Float[Array, "N F"]
    labels: Float[Array, "N"]  # 0 to 1: 1 where the answer was better with the example
    where: Bool[Array, "N"]  # True for pairs that count
    users: Int[Array, "N"]  # who sent the request, and
    owners: Int[Array, "N"]  # whose example it is, so that both can be forgotten; -1 in pairs that do not count


class Proxy(nn.Module):
    """Two hidden layers over comparisons of three embeddings, and one logit."""

    hidden: int = HIDDEN

    @nn.compact
    def __call__(
        self,
        queries: Float[Array, "*batch D"],
        requests: Float[Array, "*batch D"],
        responses: Float[Array, "*batch D"],
        facts: Float[Array, "*batch F"],
    ) -> Float[Array, "*batch"]:
        # A unit vector of D entries has entries of about D^-1/2: scaled to 1, so that a layer sees numbers of one size.
        scale = queries.shape[-1] ** 0.5
        pairs = ((queries, requests), (queries, responses), (requests, responses))
        cosines = [jnp.sum(a * b, axis=-1, keepdims=True) for a, b in pairs]
        entries = [scale**2 * a * b for a, b in pairs[:2]] + [scale * jnp.abs(a - b) for a, b in pairs[:2]]
        state = jnp.concatenate([*entries, *cosines, facts], axis=-1)
        state = nn.gelu(nn.Dense(self.hidden, name="first")(state))
        state = nn.gelu(nn.Dense(self.hidden // 2, name="second")(state))
        # Before it has learnt anything it says what similarity says: 1/2 at a cosine of 1/2.
        similarity = nn.Dense(
            1, kernel_init=nn.initializers.constant(STEEPNESS), bias_init=nn.initializers.constant(-STEEPNESS / 2),
            name="similarity",
        )  # fmt: skip
        learnt = nn.Dense(1, kernel_init=nn.initializers.zeros, name="logit")
        return (learnt(state) + similarity(cosines[0]))[..., 0]


def init_proxy(key: PRNGKeyArray, width: int, *, hidden: int = HIDDEN) -> Params:
    """Returns the parameters of a proxy that has learnt nothing.

    Args:
      key: draws the weights; consumed.
      width: D, the dimension of the embeddings.
      hidden: units of the first layer, at least 2; the second has half as many. With 64 and D = 384 there are about
        100,000 parameters.
    """
    vector = jnp.zeros((1, width))
    return jax.jit(Proxy(hidden).init)(key, vector, vector, vector, jnp.zeros((1, FACTS)))["params"]


@jax.jit
def proxy_utilities(
    params: Params, queries: Float[Array, "B D"], hits: Hits, table: ExampleTable
) -> Float[Array, "B k"]:
    """Computes how likely each candidate helps with its request, 0 to 1; 0 for no candidate.

    Args:
      params: what :func:`init_proxy` made, or training of it.
      queries: ``[B, D]``, the requests' embeddings, of any length above 0.
      hits: the candidates of stage 1, ``[B, k]``.
      table: the examples.
    """
    rows = jnp.maximum(hits.ids, 0)
    queries = jnp.broadcast_to(inputs.unit(queries)[:, None], (*rows.shape, queries.shape[-1]))
    logits = _logits(params, queries, table.requests[rows], table.responses[rows], _facts(table, rows))
    known = (hits.ids >= 0) & table.live.at[rows].get(mode="fill", fill_value=False)
    return jnp.where(known, jax.nn.sigmoid(logits), 0)


@jax.jit
def collect_feedback(
    table: ExampleTable,
    queries: Float[Array, "N D"] | Float[np.ndarray, "N D"],
    ids: Int[Array, "N"] | Int[np.ndarray, "N"],
    labels: Float[Array, "N"] | Float[np.ndarray, "N"],
    users: Int[Array, "N"] | Int[np.ndarray, "N"],
) -> ProxyFeedback:
    """Returns pairs for training with the examples as they are now; the table may change before they are used.

    Args:
      table: the examples.
      queries: ``[N, D]``, the requests' embeddings, of any length above 0.
      ids: ``[N]``, the example of each pair; -1, and one that was forgotten meanwhile, does not count.
      labels: ``[N]``, 0 to 1: 1 where the example helped.
      users: ``[N]``, who sent the request.
    """
    rows = jnp.maximum(ids, 0)
    where = (ids >= 0) & table.live.at[rows].get(mode="fill", fill_value=False)
    vectors = inputs.unit(queries), table.requests[rows], table.responses[rows]
    people = (jnp.where(where, each, NONE).astype(jnp.int32) for each in (users, table.user[rows]))
    return ProxyFeedback(*vectors, _facts(table, rows), jnp.float32(labels), where, *people)


def make_proxy_loss() -> Callable[[Params, ProxyFeedback, Array], tuple[Ratio, dict[str, Ratio]]]:
    """Makes the loss that trains the proxy, the binary cross-entropy of its logits, for ``training.make_train_step``.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``: ``batch`` is :class:`ProxyFeedback` and ``key`` is not used.
      The loss is in nats a pair; ``accuracy`` is the share of pairs on the label's side of one half.
    """

    def loss_fn(params, batch: ProxyFeedback, key):
        logits = _logits(params, batch.queries, batch.requests, batch.responses, batch.facts)
        losses = optax.sigmoid_binary_cross_entropy(logits, batch.labels)
        right = ((logits > 0) == (batch.labels > 0.5)).astype(jnp.float32)
        return ratio(losses, where=batch.where), {"accuracy": ratio(right, where=batch.where)}

    return loss_fn


def _logits(params: Params, *inputs: Float[Array, "..."]) -> Float[Array, "..."]:
    return Proxy(params["first"]["bias"].shape[-1]).apply({"params": params}, *inputs)


def _facts(table: ExampleTable, rows: Int[Array, "..."]) -> Float[Array, "... F"]:
    """Numbers from 0 to about 1; offloads as they were at the last use, which needs no clock."""
    uses = table.offloads[rows]
    facts = table.quality[rows], table.cost[rows], jnp.log1p(table.tokens[rows]) / _TOKENS, uses / (1 + uses)
    return jnp.stack(facts, axis=-1)
