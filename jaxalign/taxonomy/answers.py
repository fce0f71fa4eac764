"""What to tell of one text's set of classes: ids by level, the ways down to where they end, and how deep they go."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxalign.taxonomy.readers import render_path
from jaxalign.taxonomy.taxonomy import Classes, Taxonomy


class Answer(NamedTuple):
    """What is told of the classes of one text.

    Attributes:
      labels: their ids, by level, those of a level in the order of the taxonomy.
      names: the ways down to where they end, such as ``"pets > dogs > food"``, those with the likeliest ends first.
      probabilities: of these classes by id, in the order of ``labels``.
      depth: how many classes the longest way has; 0 where there is no class.
      coarse: whether a way ends at a class that has children, or there is no class: more could be known.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: dict[str, float]
    depth: int
    coarse: bool


def describe_paths(taxonomy: Taxonomy, probabilities: Float[np.ndarray, "C"], paths: Sequence[Classes]) -> Answer:
    """Describes the classes along some ways down, for instance :func:`set_paths` of a set that is closed upwards.

    Args:
      taxonomy: the classes.
      probabilities: ``[C]``, the probability of each class.
      paths: numbers of classes, each from the top down; none where a text has no class.

    Raises:
      ValueError: probabilities of another number of classes.

    >>> pets = Taxonomy(("pets", "dogs", "food"), ((), (0,), (1,)))
    >>> describe_paths(pets, np.array([0.75, 0.5, 0.25]), [(0, 1)])[1:]
    (('pets > dogs',), {'pets': 0.75, 'dogs': 0.5}, 2, True)
    """
    if len(probabilities) != len(taxonomy):
        raise ValueError(
            f"expected probabilities of {len(taxonomy)} classes as the taxonomy has, got {len(probabilities)}"
        )
    paths = sorted(paths, key=lambda path: -probabilities[path[-1]])
    numbers = _by_level(taxonomy, {number for path in paths for number in path})
    return Answer(
        labels=tuple(taxonomy.ids[number] for number in numbers),
        names=tuple(render_path(taxonomy, path) for path in paths),
        probabilities={taxonomy.ids[number]: float(probabilities[number]) for number in numbers},
        depth=max(map(len, paths), default=0),
        coarse=not paths or any(taxonomy.children[path[-1]] for path in paths),
    )


def set_paths(taxonomy: Taxonomy, labels: Bool[np.ndarray, "C"]) -> tuple[Classes, ...]:
    """Returns every way down within a set, from a class without a parent in it to one without a child in it.

    Args:
      taxonomy: the classes.
      labels: ``[C]``, True for the classes of the set.

    Returns:
      Ways in the order of a walk that takes children in ascending order; of all classes they are the taxonomy's paths.
      A class below two parents of the set is on two ways or more.
    """
    inside = set(np.flatnonzero(labels).tolist())
    tops = [number for number in sorted(inside) if inside.isdisjoint(taxonomy.parents[number])]
    waiting: list[Classes] = [(top,) for top in reversed(tops)]
    found = []
    while waiting:
        path = waiting.pop()
        below = [child for child in taxonomy.children[path[-1]] if child in inside]
        waiting += [(*path, child) for child in reversed(below)]
        found += [] if below else [path]
    return tuple(found)


def one_path(taxonomy: Taxonomy, labels: Bool[np.ndarray, "C"]) -> tuple[Classes, ...]:
    """Returns the classes of a single way down in their order, as the only way of a set; none of an empty set.

    Args:
      taxonomy: the classes.
      labels: ``[C]``, True for the classes of the way, as :func:`sure_path` gives them. Where a class of it has two
        parents among them, as at a shortcut, :func:`set_paths` would find two ways.
    """
    path = _by_level(taxonomy, np.flatnonzero(labels).tolist())
    return (path,) if path else ()


def _by_level(taxonomy: Taxonomy, numbers: Sequence[int] | set[int]) -> Classes:
    return tuple(sorted(numbers, key=lambda number: (taxonomy.levels[number], number)))
