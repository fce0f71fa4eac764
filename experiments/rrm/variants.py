"""What each variant is trained on: pairs with a planted artifact, and triplets that the plain reward model filters."""

from collections.abc import Callable, Sequence

import grain
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxalign import augment, data
from jaxalign.augment import Triplets
from jaxalign.data import PreferencePair

VARIANTS = ("RM", "RRM", "no filter", "no neutral", "filter only")
ProbabilitiesFn = Callable[[Sequence[PreferencePair]], np.ndarray]
"""The chance ``[N]`` that the first response of each pair wins."""


def with_artifact(pairs: Sequence[PreferencePair], rate: float, phrase: str, key: Array) -> list[PreferencePair]:
    """Lets the chosen response of a share of the pairs begin with the artifact; ties stay as they are."""
    marked = augment.random_share(key, jnp.array([not pair.is_tie for pair in pairs]), rate)
    return [
        data.inject_artifact(pair, "chosen", phrase=phrase) if mark else pair
        for pair, mark in zip(pairs, np.asarray(marked), strict=True)
    ]


def training_pairs(
    variant: str,
    pairs: list[PreferencePair],
    probabilities_fn: ProbabilitiesFn,
    *,
    share: float,
    threshold: float,
    seed: int,
) -> grain.MapDataset[PreferencePair]:
    """Returns what a variant is trained on: the originals, and what it adds.

    Args:
      variant: a name in ``VARIANTS``.
      pairs: the originals.
      probabilities_fn: what the plain reward model says of pairs; ``RM`` itself asks nothing.
      share: of the triplets that are scored.
      threshold: a triplet is kept if the probability is off its target by as much.
      seed: of the order, and of the triplets.
    """
    if variant == "RM":
        return data.training_pairs(pairs, [], seed=seed)
    if variant == "filter only":
        targets = np.array([pair.target for pair in pairs], np.float32)
        kept = augment.keep_informative(probabilities_fn(pairs), targets, threshold=threshold)
        again = [pair for pair, keep in zip(pairs, np.asarray(kept), strict=True) if keep]
        return data.training_pairs(pairs + again, [], seed=seed)
    chunks = data.TripletChunks(pairs, seed=seed, share=share)
    kept = [keep_triplets(variant, pairs, chunk.triplets, probabilities_fn, threshold=threshold) for chunk in chunks]
    print(f"{variant}: {len(pairs)} pairs and {sum(len(triplets.prompt) for triplets in kept)} triplets")
    return data.training_pairs(pairs, kept, seed=seed)


def keep_triplets(
    variant: str,
    pairs: Sequence[PreferencePair],
    triplets: Triplets,
    probabilities_fn: ProbabilitiesFn,
    *,
    threshold: float,
) -> Triplets:
    """Keeps those that the plain RM gets wrong or is unsure of, save for the variant without a filter."""
    if variant == "no neutral":
        triplets = triplets.take(triplets.target != 0.5)
    if variant == "no filter":
        return triplets
    chances = probabilities_fn(data.TripletPairs(pairs, triplets))
    return triplets.take(np.asarray(augment.keep_informative(chances, triplets.target, threshold=threshold)))
