"""The example selector after retrieval: utilities by the proxy model, the threshold, and the combination."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxalign.serving.combination import MOST_EXAMPLES, TRADE_OFF, combine_examples
from jaxalign.serving.index import Hits
from jaxalign.serving.proxy import proxy_utilities
from jaxalign.serving.table import NONE, ExampleTable
from jaxalign.typing import Params


class Chosen(NamedTuple):
    """At most M examples for each of B requests, in the order in which a prompt shows them: the best one last."""

    ids: Int[Array, "B M"]  # -1 where there are fewer than M, behind the others
    where: Bool[Array, "B M"]
    utilities: Float[Array, "B M"]  # 0 to 1; 0 where there is none


@functools.partial(jax.jit, static_argnames="max_examples")
def choose_examples(
    proxy_params: Params,
    table: ExampleTable,
    queries: Float[Array, "B D"],
    hits: Hits,
    *,
    partitions: Int[Array, "B P"],
    threshold: ArrayLike,
    budget: ArrayLike,
    max_examples: int = MOST_EXAMPLES,
    trade_off: ArrayLike = TRADE_OFF,
) -> Chosen:
    """Chooses the examples of each request from the candidates of stage 1.

    A row that was forgotten after the search may hold another tenant's example by now, so the partition is compared
    again, with the table that is passed. The caller must read texts that belong to this table.

    Args:
      proxy_params: of :func:`init_proxy`.
      table: the examples.
      queries: ``[B, D]``, the requests' embeddings.
      hits: the candidates, ``[B, k]`` (k = 64, ours).
      partitions: ``[B, P]``, those whose examples a request may see: its own and, where it opted in, the shared one;
        -1 for none. A request without one gets no example.
      threshold: the least utility of an example, for all requests or ``[B]``; see :func:`best_threshold`.
      budget: the most tokens of all examples together, for all requests or ``[B]``.
      max_examples: M, the most examples for a request.
      trade_off: the weight of utility against that of being different, 0 to 1.

    Returns:
      The chosen examples. It compiles once for each B, k, P, M and capacity of the table.
    """
    rows = jnp.maximum(hits.ids, 0)
    utilities = proxy_utilities(proxy_params, queries, hits, table)
    seen = jnp.any((table.partition[rows][:, :, None] == partitions[:, None, :]), axis=-1)
    where = (hits.ids >= 0) & seen & table.live.at[rows].get(mode="fill", fill_value=False)
    limits = {"threshold": threshold, "budget": budget, "max_examples": max_examples, "trade_off": trade_off}
    chosen = combine_examples(utilities, table.requests[rows], table.tokens[rows], where, **limits)
    ids = jnp.take_along_axis(hits.ids, jnp.maximum(chosen.positions, 0), axis=1)
    return Chosen(jnp.where(chosen.where, ids, NONE), chosen.where, chosen.utilities)
