"""Index-level data augmentation for reward models. Pure functions of arrays; the texts are :mod:`jaxalign.data`'s."""

from jaxalign.augment.selection import keep_informative, random_share
from jaxalign.augment.triplets import COLUMNS, NEUTRAL, Triplets, rrm_triplets

__all__ = [
    "COLUMNS",
    "NEUTRAL",
    "Triplets",
    "keep_informative",
    "random_share",
    "rrm_triplets",
]
