"""Versions of a policy on requests that they never saw: what each loses against the best choice, without learning."""

import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from experiments.common.report import Figures
from experiments.common.task import EstimatesFn
from experiments.echolm import arrivals, learner, world
from experiments.echolm.learner import Dials
from experiments.echolm.memory import Memory
from experiments.echolm.world import COSTS, World
from jaxalign import serving
from jaxalign.io import versions
from jaxalign.numerics import Ratio

LATER = 2000  # added to a seed, for requests after the traffic
REQUESTS = 512
REGRET = "regret on requests after the traffic, points"


class HeldOut(NamedTuple):
    """Requests, the candidates that a store has for them, and how many of those would help."""

    questions: Int[np.ndarray, "N"]
    queries: Float[np.ndarray, "N D"]
    hits: serving.Hits
    helping: np.ndarray  # [N, k], True for candidates that help


def keep_policy(folder: pathlib.Path, memory: Memory, served: int) -> None:
    """Saves what was learnt after so many requests."""
    versions.save_version(folder / "policies", memory.state.policy, note={"requests": served})


def keep_store(folder: pathlib.Path, memory: Memory) -> None:
    """Saves everything that a method keeps, in use from now on."""
    kept = {"state": memory.state, "questions": memory.questions, "good": memory.good}
    versions.choose_version(folder / "state", versions.save_version(folder / "state", kept))


def compare(folder: pathlib.Path, made: World, dials: Dials, seed: int, estimates: EstimatesFn) -> Figures:
    """Returns the regret of each saved version with the last store, and puts the version of the least into use."""
    memory = Memory(jax.random.key(0), made.questions.shape[1], dials)
    kept = {"state": memory.state, "questions": np.zeros(1, int), "good": np.zeros(1, bool)}
    kept = jax.tree.map(jnp.asarray, versions.load_version(folder / "state", kept))
    memory.restore(kept["state"], np.asarray(kept["questions"]), np.asarray(kept["good"]))
    held = _draw(memory, made, seed)
    saved = sorted(versions.list_versions(folder / "policies"), key=lambda each: each.note["requests"])
    lost = {}
    for each in saved:
        policy = versions.load_version(folder / "policies", memory.state.policy, each.name)
        lost[each.name] = 100 * regrets(memory.state._replace(policy=policy), held, made, dials)
    versions.choose_version(folder / "policies", min(lost, key=lambda name: lost[name].mean()))
    ratios = {name: Ratio(values.astype(np.float32), np.ones(len(values), np.float32)) for name, values in lost.items()}
    found = estimates(ratios)
    return {f"after {each.note['requests']:,} requests": {REGRET: found[each.name]} for each in saved}


def regrets(state: learner.State, held: HeldOut, made: World, dials: Dials) -> Float[np.ndarray, "N"]:
    """Returns what each request brings less than the best model with the best of the same candidates, at rest."""
    penalties = jnp.asarray(dials.cost_weight * COSTS)
    ids, models = learner.decide(
        state.policy, state.table, held.queries, held.hits, penalties, budget=dials.example_tokens
    )
    shown = np.asarray(ids)
    helps = (
        ((shown[:, :, None] == held.hits.ids[:, None]) & (shown >= 0)[:, :, None] & held.helping[:, None]).any(2).sum(1)
    )
    harms = (shown >= 0).sum(1) - helps
    most = np.minimum(held.helping.sum(1), learner.MOST_EXAMPLES)
    here, best = (world.qualities(made, held.questions, *each) for each in ((helps, harms), (most, 0 * most)))
    cost = dials.cost_weight * COSTS
    return (best - cost).max(1) - (here - cost)[np.arange(len(here)), np.asarray(models)]


def _draw(memory: Memory, made: World, seed: int) -> HeldOut:
    later = world.make_traffic(made, seed + LATER, np.ones(REQUESTS), *arrivals.poisson(seed + LATER, REQUESTS, 1.0))
    hits = memory.search(later.embeddings)
    questions, good = memory.look_up(hits.ids)
    same = made.topics[questions] == made.topics[later.questions][:, None]
    return HeldOut(later.questions, later.embeddings, hits, good & same & (hits.ids >= 0))
