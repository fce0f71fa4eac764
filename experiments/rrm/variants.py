"""What each variant is trained on, and for how long: pairs with a planted artifact, and triplets that RM filters."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.common.rewards.task import Artifact
from jaxalign import augment, data
from jaxalign.augment import Triplets
from jaxalign.data import PreferencePair

ProbabilitiesFn = Callable[[Sequence[PreferencePair]], np.ndarray]
"""The chance ``[N]`` that the first response of each pair wins."""


class Variant(NamedTuple):
    """A kind of training pairs, and the kind of which one pass takes as many steps."""

    sees: str
    as_long_as: str


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "RM": Variant("originals", "originals"),
        "RRM": Variant("RRM", "RRM"),
        "RRM in RM's steps": Variant("RRM", "originals"),
        "RM in RRM's steps": Variant("originals", "RRM"),
        "no filter": Variant("no filter", "no filter"),
        "no neutral": Variant("no neutral", "no neutral"),
        "filter only": Variant("filter only", "filter only"),
    }
)
"""A variant that takes as long as its own pairs sees the originals as often as RM, in more steps the more it adds."""


def with_artifact(
    pairs: Sequence[PreferencePair], artifact: Artifact, key: Array, *, base_rate: float, rate: float
) -> list[PreferencePair]:
    """Plants the artifact: in a share of all responses, and in a share of the chosen ones that have none yet.

    Args:
      pairs: those without it; ties get no more than the base rate.
      artifact: what is planted, and where.
      key: consumed.
      base_rate: the chance of each response, good or bad, which shows that the artifact says nothing.
      rate: the share of chosen responses, which seems to show that it does.
    """
    base_key, rate_key = jax.random.split(key)
    anyway = np.asarray(jax.random.bernoulli(base_key, base_rate, (len(pairs), 2)))
    pairs = [artifact.put(pair, "first") if first else pair for pair, (first, _) in zip(pairs, anyway, strict=True)]
    pairs = [artifact.put(pair, "second") if second else pair for pair, (_, second) in zip(pairs, anyway, strict=True)]
    free = jnp.array([not pair.is_tie and not artifact.is_in(pair.chosen) for pair in pairs])
    marked = np.asarray(augment.random_share(rate_key, free, rate))
    return [artifact.put(pair, "chosen") if mark else pair for pair, mark in zip(pairs, marked, strict=True)]


def training_pairs(
    kind: str,
    pairs: list[PreferencePair],
    probabilities_fn: ProbabilitiesFn,
    *,
    share: float,
    threshold: float,
    seed: int,
) -> grain.MapDataset[PreferencePair]:
    """Returns what a variant sees: the originals, and what it adds.

    Args:
      kind: what a variant in ``VARIANTS`` sees.
      pairs: the originals.
      probabilities_fn: what the plain reward model says of pairs; for ``originals`` nobody is asked.
      share: of the triplets that are scored.
      threshold: a triplet is kept if the probability is off its target by as much.
      seed: of the order, and of the triplets.
    """
    if kind == "originals":
        return data.training_pairs(pairs, [], seed=seed)
    if kind == "filter only":
        targets = np.array([pair.target for pair in pairs], np.float32)
        kept = augment.keep_informative(probabilities_fn(pairs), targets, threshold=threshold)
        again = [pair for pair, keep in zip(pairs, np.asarray(kept), strict=True) if keep]
        return data.training_pairs(pairs + again, [], seed=seed)
    chunks = data.TripletChunks(pairs, seed=seed, share=share)
    kept = [keep_triplets(kind, pairs, chunk.triplets, probabilities_fn, threshold=threshold) for chunk in chunks]
    print(f"{kind}: {len(pairs)} pairs and {sum(len(triplets.prompt) for triplets in kept)} triplets")
    return data.training_pairs(pairs, kept, seed=seed)


def keep_triplets(
    kind: str,
    pairs: Sequence[PreferencePair],
    triplets: Triplets,
    probabilities_fn: ProbabilitiesFn,
    *,
    threshold: float,
) -> Triplets:
    """Keeps those that the plain RM gets wrong or is unsure of, save for the variant without a filter."""
    if kind == "no neutral":
        triplets = triplets.take(triplets.target != 0.5)
    if kind == "no filter":
        return triplets
    chances = probabilities_fn(data.TripletPairs(pairs, triplets))
    return triplets.take(np.asarray(augment.keep_informative(chances, triplets.target, threshold=threshold)))
