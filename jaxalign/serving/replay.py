"""Off-peak replay: which examples get new responses, the best of which is kept, and when to stop.

A replay samples n responses to an example's request (n = 4, ours) and keeps the best, where it is better than what the
example has. Examples are ranked by gain (:mod:`jaxalign.serving.gain`) and replayed at most 5 times each. Replay stops
where it no longer brings offloads: how that is measured is ours, see :class:`ReplayRule`.
Source: IC-Cache (arXiv 2501.12689), the example manager.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray

from jaxalign.serving import inputs
from jaxalign.serving.gain import gains_at
from jaxalign.serving.table import NONE, ExampleTable

SAMPLES = 4  # n of best of n (ours)
MOST_REPLAYS = 5  # of one example
BOUND = 0.05  # offloads per replay under which replay has stopped to pay (ours)
MEMORY = 0.9  # what one replay leaves of the weight of those before it (ours)
RECOVERY = 0.99  # what an hour leaves of the knowledge that replay does not pay (ours)
_CHANGED = ("quality", "size", "tokens", "responses", "gain", "replays")  # by a replay


class ReplayPlan(NamedTuple):
    """Examples to replay once each, most wanted first."""

    ids: Int[Array, "R"]  # -1 where fewer than R examples may be replayed
    where: Bool[Array, "R"]


class ReplayRule(NamedTuple):
    """A running mean of the offloads that a replay gained, which recovers to 1 with time.

    A new rule says 1: replay pays until it is seen not to. From a mean of 0 it takes about 5 hours to rise above the
    bound of 0.05, after which replay is tried again.
    """

    mean: Float[Array, ""]  # offloads per replay, as they were at the time `updated`
    updated: Float[Array, ""]  # hours


class Replays(NamedTuple):
    """N replays: the n responses that were sampled for each example, and what a table holds of each."""

    ids: Int[Array, "N"] | Int[np.ndarray, "N"]  # -1 for none
    qualities: Float[Array, "N n"] | Float[np.ndarray, "N n"]  # 0 to 1, NaN where nobody judged it
    sizes: Float[Array, "N n"] | Float[np.ndarray, "N n"]  # bytes of the example with this response
    tokens: Int[Array, "N n"] | Int[np.ndarray, "N n"]  # of request and response
    responses: Float[Array, "N n D"] | Float[np.ndarray, "N n D"]  # embeddings, of any length above 0


@functools.partial(jax.jit, static_argnames=("budget", "most"))
def plan_replays(table: ExampleTable, time: ArrayLike, *, budget: int, most: int = MOST_REPLAYS) -> ReplayPlan:
    """Plans one replay of each of the examples with the highest gains, of those above 0.

    Args:
      table: the examples.
      time: when, in hours; gains are decayed to it.
      budget: R, how many replays there is time for; a replay costs n responses of the model.
      most: how often one example may be replayed at all.

    Returns:
      At most ``budget`` examples, or as many as the table has rows.
    """
    gains = gains_at(table, time)
    return _first(jnp.where(table.live & (table.replays < most) & (gains > 0), gains, -jnp.inf), budget)


@functools.partial(jax.jit, static_argnames=("budget", "most"))
def plan_random_replays(key: PRNGKeyArray, table: ExampleTable, *, budget: int, most: int = MOST_REPLAYS) -> ReplayPlan:
    """Plans one replay of each of some examples that are drawn with equal chances: the baseline of equal budget.

    Args:
      key: draws the examples; consumed.
      table: the examples.
      budget: R, how many replays there is time for.
      most: how often one example may be replayed at all.

    Returns:
      At most ``budget`` examples, or as many as the table has rows.
    """
    draws = jax.random.uniform(key, table.live.shape)
    return _first(jnp.where(table.live & (table.replays < most), draws, -jnp.inf), budget)


def record_replays(table: ExampleTable, replays: Replays) -> tuple[ExampleTable, Int[Array, "N"]]:
    """Keeps the best response of each replay where it is better than the example's, so that quality only grows.

    A replay sets the gain to 0 (ours): the uses so far spoke for the old response. The model that replays is the one
    that wrote the example, so its cost stays. Replays of one example in a batch count one after the other. It is
    compiled once for each N, n and capacity.

    Args:
      table: the examples.
      replays: what was sampled; -1, and examples that were forgotten meanwhile, are passed over.

    Returns:
      The table, and ``[N]`` int32: which of its n responses each replay brought into the table, whose text the caller's
      store must take over; -1 where the old one stays.
    """
    fields = {name: getattr(table, name) for name in _CHANGED}
    fields, kept = _record_replays(table.live, fields, Replays(*map(jnp.asarray, replays)))
    return table._replace(**fields), kept


@jax.jit
def _record_replays(live, fields, replays: Replays):
    def record(fields, replay: Replays):
        row = jnp.maximum(replay.ids, 0)
        known = (replay.ids >= 0) & live.at[row].get(mode="fill", fill_value=False)
        qualities = jnp.where(jnp.isnan(replay.qualities), -jnp.inf, jnp.minimum(replay.qualities, 1))
        best = jnp.argmax(qualities).astype(jnp.int32)
        better = known & (qualities[best] > fields["quality"].at[row].get(mode="clip"))
        new = {
            "quality": qualities[best],
            "size": replay.sizes[best],
            "tokens": replay.tokens[best],
            "responses": inputs.unit(replay.responses[best]),
        }
        behind = live.shape[0]  # where writes are dropped
        changed, seen = jnp.where(better, row, behind), jnp.where(known, row, behind)
        fields = fields | {name: fields[name].at[changed].set(value, mode="drop") for name, value in new.items()}
        fields["gain"] = fields["gain"].at[seen].set(0.0, mode="drop")
        fields["replays"] = fields["replays"].at[seen].add(1, mode="drop")
        return fields, jnp.where(better, best, NONE)

    return jax.lax.scan(record, fields, replays)


def init_replay_rule(time: ArrayLike) -> ReplayRule:
    """Returns a stop rule that has seen no replay and lets them begin.

    Args:
      time: when, in hours.
    """
    return ReplayRule(jnp.ones(()), jnp.float32(time))


@jax.jit
def observe_replays(rule: ReplayRule, gained: ArrayLike, replays: ArrayLike, time: ArrayLike) -> ReplayRule:
    """Adds what a batch of replays gained to the running mean.

    Args:
      rule: what is known so far.
      gained: by how many offloads the replayed examples brought more than before; below 0 for fewer.
      replays: how many replays there were; 0 changes nothing.
      time: when, in hours.
    """
    replays = jnp.float32(replays)
    stays = MEMORY**replays
    batch = jnp.float32(gained) / jnp.maximum(replays, 1)
    return ReplayRule(stays * _mean_at(rule, time) + (1 - stays) * batch, jnp.float32(time))


@jax.jit
def replay_pays(rule: ReplayRule, time: ArrayLike, *, bound: ArrayLike = BOUND) -> Bool[Array, ""]:
    """Says whether to replay at all: while a replay brings at least ``bound`` offloads in the running mean.

    Args:
      rule: what is known so far.
      time: when, in hours.
      bound: offloads per replay; the paper stops where replay no longer brings offloads and gives no number (ours).

    >>> rule = observe_replays(init_replay_rule(0.0), 0.0, 64, 1.0)  # 64 replays, of which none brought anything
    >>> bool(replay_pays(rule, 1.0)), bool(replay_pays(rule, 9.0))
    (False, True)
    """
    return _mean_at(rule, time) >= bound


def _mean_at(rule: ReplayRule, time: ArrayLike) -> Float[Array, ""]:
    return 1 - (1 - rule.mean) * RECOVERY ** jnp.maximum(jnp.float32(time) - rule.updated, 0)


def _first(scores: Float[Array, "C"], budget: int) -> ReplayPlan:
    best, ids = jax.lax.top_k(scores, min(budget, len(scores)))
    where = jnp.isfinite(best)
    return ReplayPlan(jnp.where(where, ids, NONE), where)
