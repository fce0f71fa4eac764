"""The development part of labelled texts: some of each class, by a seed."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Split(NamedTuple):
    """Which texts are learnt from and which choose the weights, by their places in rising order."""

    train: Int[np.ndarray, "T"]
    dev: Int[np.ndarray, "V"]


def split_rows(strata: Sequence[Hashable], share: float, seed: int) -> Split:
    """Holds out a share of the rows, as equally from all strata as their sizes allow.

    Each stratum gives its quota rounded down, and those with the largest remainders one more, larger strata first.
    A stratum gives its last row only when there is nothing else to hold out.

    Raises:
      ValueError: there are fewer than two rows.

    >>> [part.tolist() for part in split_rows("aaaabbc", 3 / 7, seed=0)]
    [[0, 1, 5, 6], [2, 3, 4]]
    """
    if len(strata) < 2:
        raise ValueError(f"expected at least 2 texts, one to learn from and one to choose by, got {len(strata)}")
    size = min(max(round(share * len(strata)), 1), len(strata) - 1)
    sizes = Counter(strata)
    quotas = _quotas(sizes, size)
    order = np.random.default_rng(seed).permutation(len(strata))
    dev = []
    for place in order:
        if quotas[strata[place]]:
            quotas[strata[place]] -= 1
            dev.append(place)
    return Split(np.setdiff1d(np.arange(len(strata)), dev), np.sort(np.asarray(dev, int)))


def rarest(labels: Sequence[Sequence[str]]) -> list[str | None]:
    """Returns the stratum of texts with several labels: a text's rarest label, None for a text without any."""
    counts = Counter(label for of_text in labels for label in of_text)
    return [min(of_text, key=lambda label: (counts[label], label), default=None) for of_text in labels]


def _quotas(sizes: Counter, size: int) -> dict[Hashable, int]:
    total = sizes.total()
    exact = {stratum: size * count / total for stratum, count in sizes.items()}
    quotas = {stratum: min(int(quota), sizes[stratum] - 1) for stratum, quota in exact.items()}
    while missing := size - sum(quotas.values()):
        spare = [stratum for stratum in quotas if quotas[stratum] < sizes[stratum] - 1]
        spare = spare or [stratum for stratum in quotas if quotas[stratum] < sizes[stratum]]
        spare.sort(key=lambda stratum: (quotas[stratum] - exact[stratum], -sizes[stratum]))
        for stratum in spare[:missing]:
            quotas[stratum] += 1
    return quotas
