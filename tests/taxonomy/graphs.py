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


def renumber(taxonomy, seed):
    """The same graph under other numbers."""
    new = np.random.default_rng(seed).permutation(len(taxonomy))
    parents = [()] * len(taxonomy)
    for number, each in enumerate(taxonomy.parents):
        parents[new[number]] = tuple(int(new[parent]) for parent in each)
    return Taxonomy(taxonomy.names, tuple(parents))


def _falling(length):
    weights = 0.4 ** np.arange(length)
    return weights / weights.sum()
