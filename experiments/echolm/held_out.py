"""Versions of a policy on requests that they never saw: what each loses against the best choice, without learning."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.echolm import learner, world
from experiments.echolm.world import COSTS
from jaxalign import serving


class HeldOut(NamedTuple):
    """Requests with what the store held when they were asked, and which of its examples would help."""

    queries: np.ndarray  # [N, D]
    questions: np.ndarray  # [N]
    hits: serving.Hits
    helps: np.ndarray  # [N, k], of the candidates


def regrets(state: learner.State, held: HeldOut, made: world.World, cost_weight: float, budget: int) -> np.ndarray:
    """Returns the regret of each request if this state's policies served it at rest and without exploring.

    The best choice is that of the best model with the best of the same candidates.
    """
    threshold = serving.best_threshold(state.policy.thresholds)
    everyone = jnp.zeros((len(held.queries), 1), jnp.int32)
    limits = {"threshold": threshold, "budget": budget, "max_examples": learner.MOST_EXAMPLES}
    chosen = serving.choose_examples(
        state.policy.proxy[0], state.table, held.queries, held.hits, partitions=everyone, **limits
    )
    contexts = serving.router_contexts(
        held.queries, state.table.requests[jnp.maximum(chosen.ids, 0)], chosen.utilities, chosen.where
    )
    penalties = jnp.asarray(cost_weight * COSTS)
    models = serving.best_models(serving.router_logits(state.policy.router.params, contexts), penalties).models
    shown = np.asarray(chosen.ids)
    helpful = np.where(held.helps, np.asarray(held.hits.ids), -2)
    helps = (shown[:, :, None] == helpful[:, None]).any(2).sum(1)
    harms = (shown >= 0).sum(1) - helps
    most = np.minimum(held.helps.sum(1), learner.MOST_EXAMPLES)
    here, best = (world.qualities(made, held.questions, *each) for each in ((helps, harms), (most, 0 * most)))
    reached = (here - cost_weight * COSTS)[np.arange(len(models)), np.asarray(models)]
    return (best - cost_weight * COSTS).max(1) - reached
