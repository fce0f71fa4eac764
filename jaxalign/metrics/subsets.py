"""Figures per subset and per section, as RewardBench reports them.

A benchmark has sections, a section has subsets, a subset has prompts. RewardBench's section score is the mean over all
prompts of the section, not the mean of its subsets' accuracies, and the overall score is the unweighted mean of the
sections. One subset counts more than its prompts there: math-prm has 447 of them and the weight 984, so that
mathematics weighs as much as code. Such numbers are passed as ``weights``.

Source: Lambert et al., RewardBench (arXiv 2403.13787), section 4.
"""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from jaxalign.numerics import Ratio, masked, ratio


def subset_accuracies(
    correct: Num[Array, "N"], subsets: Sequence[str], *, where: Bool[Array, "N"] | None = None
) -> dict[str, Ratio]:
    """Computes the mean of ``correct`` within each subset, in order of first appearance.

    Args:
      correct: ``[N]``, 1 where a prompt is judged right, 0 where wrong, 0.5 for a tie; for instance the numerators of
        ``jax.vmap(preference_accuracy_metric)``.
      subsets: the subset of each of the N prompts.
      where: ``[N]``, False for prompts that do not count, None counts all.

    Returns:
      The accuracy of each subset as a :class:`~jaxalign.numerics.Ratio` over prompts.

    Raises:
      ValueError: if there is not one subset per prompt.
    """
    if len(subsets) != len(correct):
        raise ValueError(f"expected one subset per prompt, got {len(subsets)} subsets and {len(correct)} prompts")
    where, correct = masked(where, correct)
    names = np.asarray(subsets, dtype=object)
    return {name: ratio(correct, where=where & jnp.asarray(names == name)) for name in dict.fromkeys(subsets)}


def section_accuracies(
    accuracies: Mapping[str, Ratio],
    sections: Mapping[str, Sequence[str]],
    *,
    weights: Mapping[str, float | int] | None = None,
) -> dict[str, Ratio]:
    """Computes the mean over each section's prompts, as RewardBench does.

    Args:
      accuracies: the accuracy of each subset, from :func:`subset_accuracies`.
      sections: the names of the subsets of each section.
      weights: how much a subset counts in its section, in prompts, where that is not their number. With equal weights
        for all of them a section's score is the unweighted mean of its subsets.

    Returns:
      The accuracy of each section, over its weight in prompts.

    Raises:
      ValueError: if a section names a subset that ``accuracies`` lacks, or that holds no prompt: leaving it out would
        give another benchmark's score. RewardBench's own code leaves it out.
    """
    return {section: _pooled(section, accuracies, names, weights or {}) for section, names in sections.items()}


def overall_accuracy(sections: Mapping[str, Ratio]) -> Float[Array, ""]:
    """Computes the unweighted mean of the sections' accuracies.

    Args:
      sections: the accuracy of each section, from :func:`section_accuracies`.

    Returns:
      A scalar in [0, 1].

    Raises:
      ValueError: if there is no section.

    Source: Lambert et al., RewardBench (arXiv 2403.13787), section 4.
    """
    if not sections:
        raise ValueError("expected one section or more, got none")
    return jnp.mean(jnp.stack([accuracy.value for accuracy in sections.values()]))


def _pooled(section: str, accuracies, names, weights) -> Ratio:
    missing = [name for name in names if name not in accuracies or not accuracies[name].denominator]
    if missing or not names:
        raise ValueError(
            f"section {section!r} wants the subsets {list(names)}, of which {missing} have no prompt; subsets with an "
            f"accuracy are {list(accuracies)}; drop them from sections if that is intended"
        )
    total = Ratio(jnp.zeros(()), jnp.zeros(()))
    for name in names:
        weight = jnp.asarray(weights.get(name, accuracies[name].denominator), jnp.float32)
        total += Ratio(weight * accuracies[name].value, weight)
    return total
