"""Noise on the labels of lists: responses that change places."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jaxalign.data import EncodedLists


class Noisy(NamedTuple):
    """Lists with noise on their labels."""

    lists: EncodedLists
    swapped: float  # share of the couples whose labels changed places


def swap_labels(lists: EncodedLists, chance: float, rng: np.random.Generator) -> Noisy:
    """Lets the labels of two responses of a list change places, with this chance for each couple.

    The responses of a list form couples at random; in a list of odd length one is left over.

    Args:
      lists: labelled lists.
      chance: in [0, 1], of a couple.
      rng: draws the couples, and those that change places.
    """
    labels, couples, swapped = lists.labels.copy(), 0, 0
    for first, last in zip(lists.list_starts[:-1], lists.list_starts[1:], strict=True):
        order = first + rng.permutation(last - first)
        left, right = order[0 : len(order) // 2 * 2 : 2], order[1::2]
        moved = rng.random(len(left)) < chance
        labels[left[moved]], labels[right[moved]] = lists.labels[right[moved]], lists.labels[left[moved]]
        couples, swapped = couples + len(left), swapped + int(moved.sum())
    return Noisy(dataclasses.replace(lists, labels=labels), swapped / max(couples, 1))
