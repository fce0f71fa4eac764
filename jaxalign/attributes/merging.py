"""Near-equal values of different classes become one value with several labels, for tasks with several labels."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

from jaxalign.attributes.task import OTHER, ClassAttribute


class MergedValue(NamedTuple):
    """Several values that became one.

    Attributes:
      value: the first of them, which stands for all.
      variants: all spellings that there were, in order, the first included.
      labels: the classes under which one of them stood, in order.
    """

    value: str
    variants: tuple[str, ...]
    labels: tuple[str, ...]


class Merged(NamedTuple):
    """An attribute after merging, and what became one value.

    Attributes:
      attribute: each value under all labels of those that it stands for; :func:`labels_of` reads them there.
      merged: the values that stand for several spellings or several classes.
    """

    attribute: ClassAttribute
    merged: tuple[MergedValue, ...]


def merge_values(attribute: ClassAttribute, *, threshold: float = 90.0) -> Merged:
    """Merges the values of all classes that are equal or nearly so, and joins their labels.

    Two values are near each other if rapidfuzz's ratio of them, without case and repeated blanks, is at least the
    threshold. Values that a chain of near ones connects become one, whatever their order, and keep the first spelling.
    A value that comes again only adds its label. ``"other"`` stays as it is in each list.

    Args:
      attribute: the values of each class.
      threshold: from 0 to 100, where 100 merges equal values only.

    Returns:
      The attribute with the merged values, and what was merged.

    Raises:
      ValueError: the threshold is out of range.

    Source: AttrPrompt (arXiv 2306.15895), where fuzzy matches of 90 among subtopics give several labels.

    >>> merge_values(ClassAttribute("t", "t", {"cs": ("Game theory", "logic"), "math": ("game theory",)})).merged
    (MergedValue(value='Game theory', variants=('Game theory', 'game theory'), labels=('cs', 'math')),)
    """
    if not 0 < threshold <= 100:
        raise ValueError(f"threshold: expected a number above 0, at most 100, got {threshold}; 90 is the paper's")
    stands = [(label, value) for label, values in attribute.values.items() for value in values if value != OTHER]
    distinct = list(dict.fromkeys(value for _, value in stands))
    roots = _groups(distinct, threshold)
    chosen = {value: distinct[root] for value, root in zip(distinct, roots, strict=True)}
    values = {
        label: tuple(dict.fromkeys(chosen.get(value, value) for value in each))
        for label, each in attribute.values.items()
    }
    variants: dict[str, dict[str, None]] = {}
    labels: dict[str, dict[str, None]] = {}
    for label, value in stands:
        variants.setdefault(chosen[value], {})[value] = None
        labels.setdefault(chosen[value], {})[label] = None
    merged = (MergedValue(value, tuple(variants[value]), tuple(labels[value])) for value in variants)
    return Merged(
        dataclasses.replace(attribute, values=values),
        tuple(each for each in merged if len(each.variants) > 1 or len(each.labels) > 1),
    )


def _groups(values: Sequence[str], threshold: float) -> list[int]:
    """For each value the place of the first one that a chain of near ones connects with it."""
    if not values:
        return []
    compared = [" ".join(value.casefold().split()) for value in values]
    ratios = process.cdist(compared, compared, scorer=fuzz.ratio, score_cutoff=threshold, dtype=np.float32)
    roots = list(range(len(values)))

    def root(place: int) -> int:
        while roots[place] != place:
            roots[place] = place = roots[roots[place]]
        return place

    for one, other in np.argwhere(np.triu(ratios >= threshold, k=1)).tolist():
        low, high = sorted((root(one), root(other)))
        roots[high] = low
    return [root(place) for place in range(len(values))]
