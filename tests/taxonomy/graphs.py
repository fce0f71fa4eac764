"""Random taxonomies, with classes of several parents at any level above them."""

import numpy as np

from jaxalign.taxonomy import Taxonomy


def random_taxonomy(seed, classes=30, roots=4, most_parents=3):
    """Parents come from anywhere in a random order of the classes, so that ways down have different lengths."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(classes)
    parents = [()] * classes
    for place in range(roots, classes):
        count = min(place, 1 + rng.choice(most_parents, p=_falling(most_parents)))
        # Mostly near ones, for depth.
        weights = np.exp(-(place - np.arange(place)) / 8)
        chosen = rng.choice(place, size=count, replace=False, p=weights / weights.sum())
        parents[order[place]] = tuple(int(order[each]) for each in chosen)
    return Taxonomy(tuple(f"class {number}" for number in range(classes)), tuple(parents))


def layered_taxonomy(seed, sizes=(6, 63, 455, 7), several=25):
    """A tree with classes of several parents on the level above: the form, and nearly the size, of Amazon-531."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *sizes])
    parents = [()] * sizes[0]
    for level in range(1, len(sizes)):
        above = np.arange(starts[level - 1], starts[level])
        parents += [(int(rng.choice(above)),) for _ in range(sizes[level])]
    for number in rng.choice(np.arange(starts[1], starts[-1]), several, replace=False):
        level = np.searchsorted(starts, number, side="right") - 1
        above = np.arange(starts[level - 1], starts[level])
        count = min(len(above), int(rng.integers(2, 5)))
        parents[number] = tuple(rng.choice(above, count, replace=False).tolist())
    return Taxonomy(tuple(f"class {number}" for number in range(starts[-1])), tuple(parents))


def _falling(length):
    weights = 0.4 ** np.arange(length)
    return weights / weights.sum()
