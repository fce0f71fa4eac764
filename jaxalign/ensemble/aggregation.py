"""Adds up the samples of one question to the shares of its options: pure arithmetic.

Source: EASE (arXiv 2311.07099), section 3.
"""

import math
from collections.abc import Callable, Sequence

from jaxalign.ensemble.records import Sample

Shares = tuple[float, ...]
AggregateFn = Callable[[Sequence[Sample], int], Shares | None]


def self_consistency(samples: Sequence[Sample], num_options: int) -> Shares | None:
    r"""Returns shares in proportion to votes, :math:`\sum_j 1[p_j = y]`: each answer that was read has one.

    Args:
      samples: the samples of one question; one whose answer could not be read has no vote.
      num_options: K, the options of the question.

    Returns:
      K shares that sum to 1; None if no answer was read.
    """
    return _add([(1.0, _vote(sample, num_options)) for sample in samples])


def soft_aggregation(samples: Sequence[Sample], num_options: int) -> Shares | None:
    r"""Returns the mean probabilities of samples (SPA), in proportion to :math:`\sum_j p(y \mid P, x, e_j)`.

    They are what explanations make of all options, not only of the sampled one.

    Args:
      samples: the samples of one question; one whose probabilities could not be read (None or NaN) has no vote.
      num_options: K, the options of the question.

    Returns:
      K shares that sum to 1; None if no sample has probabilities.

    >>> drawn = [Sample("", "e", 0, (), (0.6, 0.4)), Sample("", "f", 0, (), (0.1, 0.9))]
    >>> self_consistency(drawn, 2), soft_aggregation(drawn, 2)
    ((1.0, 0.0), (0.35, 0.65))
    """
    return _add([(1.0, sample.probabilities) for sample in samples])


def weighted_votes(samples: Sequence[Sample], num_options: int) -> Shares | None:
    r"""Returns shares in proportion to weighted votes, :math:`\sum_j w_j 1[p_j = y]`: EASE without soft aggregation.

    Args:
      samples: the samples of one question; one whose answer or weight could not be read (None or NaN) has no vote.
      num_options: K, the options of the question.

    Returns:
      K shares that sum to 1, of equal weights where all are 0; None if no sample has both.
    """
    return _add([(sample.weight, _vote(sample, num_options)) for sample in samples])


def ease(samples: Sequence[Sample], num_options: int) -> Shares | None:
    r"""Returns the weighted mean of probabilities (EASE), in proportion to :math:`\sum_j w_j\, p(y \mid P, x, e_j)`.

    Args:
      samples: the samples of one question; one whose probabilities or weight could not be read (None or NaN) has no
        vote.
      num_options: K, the options of the question.

    Returns:
      K shares that sum to 1, of equal weights where all are 0; None if no sample has both.
    """
    return _add([(sample.weight, sample.probabilities) for sample in samples])


def _vote(sample: Sample, num_options: int) -> Shares | None:
    return None if sample.choice is None else tuple(float(n == sample.choice) for n in range(num_options))


def _add(terms: Sequence[tuple[float | None, Shares | None]]) -> Shares | None:
    """The weighted mean; where all weights are 0, of which none is better than another, the plain one."""
    known = [
        (weight, shares)
        for weight, shares in terms
        if weight is not None and shares is not None and math.isfinite(weight) and all(map(math.isfinite, shares))
    ]
    if not known:
        return None
    if sum(weight for weight, _ in known) == 0:
        known = [(1.0, shares) for _, shares in known]
    total = sum(weight for weight, _ in known)
    return tuple(sum(weight * shares[n] for weight, shares in known) / total for n in range(len(known[0][1])))
