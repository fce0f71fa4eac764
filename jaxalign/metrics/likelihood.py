"""Whether a model finds its better outputs likelier: the calibration of sequence likelihoods.

Within a prompt, rank correlation tells: :func:`jaxalign.metrics.kendall_tau_metric` or
:func:`jaxalign.metrics.spearman_rho_metric`, with log-probabilities ``[prompts, K]`` as scores and qualities as labels.
Across prompts, :func:`likelihood_table` shows the mean quality of outputs of like likelihood; ``jaxalign.losses.
average_logps`` gives log-probabilities per token, because sums rank by length first.

Shared arguments: ``average_logps`` ``[...]``, nats per token, at most 0; ``where`` ``[...]``, True where an output is
real. Masked outputs may hold anything, NaN included.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign.metrics.calibration import ReliabilityTable, tabulate
from jaxalign.numerics import masked


def likelihood_edges(
    average_logps: Num[Array, "..."], *, num_bins: int = 10, where: Bool[Array, "..."] | None = None
) -> Float[Array, "inner"]:
    """The inner edges of bins that hold equally many of these outputs, in nats per token.

    Likelihoods crowd in a small part of [0, 1], so that bins of equal width would be empty or full. Tables add up, and
    curves compare, only over one set of edges: take them once, from the whole of a sample.

    Raises:
      ValueError: if there is no bin, or no real output.

    >>> print(likelihood_edges(jnp.array([-1.0, -2.0, -3.0]), num_bins=2))
    [-2.]

    Source: equal-mass bins of Nguyen and O'Connor (arXiv 1508.05154).
    """
    if num_bins < 1:
        raise ValueError(f"expected one bin or more, got num_bins={num_bins}")
    where, average_logps = masked(where, average_logps)
    real = average_logps[where]
    if not real.size:
        raise ValueError(f"expected one output or more to place edges by, got {where.size}, none of which is real")
    return jnp.quantile(real, jnp.linspace(0, 1, num_bins + 1)[1:-1])


def likelihood_table(
    average_logps: Num[Array, "..."],
    qualities: Num[Array, "..."],
    *,
    edges: Float[Array, "inner"],
    where: Bool[Array, "..."] | None = None,
) -> ReliabilityTable:
    """Counts, likelihoods and qualities in the bins between ``edges``: a reliability curve of likelihood.

    ``mean_probability`` is the mean of ``exp(average_logps)``, the geometric mean of an output's token probabilities,
    and ``mean_outcome`` the mean quality, which rises from bin to bin where likelihood is a good guide. Only where
    quality means the probability to be right is it meant to lie on the diagonal.

    Args:
      average_logps: as in the module, like ``where``.
      qualities: on any scale, higher is better.
      edges: increasing, in nats per token, for instance from :func:`likelihood_edges`; an output on an edge belongs to
        the bin above it.

    Raises:
      ValueError: if shapes differ.

    >>> table = likelihood_table(jnp.array([-1.0, -2.0, -4.0]), jnp.array([1.0, 0.5, 0.0]), edges=jnp.array([-3.0]))
    >>> print(table.count, table.mean_outcome)
    [1. 2.] [0.   0.75]
    """
    where, average_logps, qualities = masked(where, average_logps, qualities)
    likelihoods = jnp.where(where, jnp.exp(average_logps), 0)
    return tabulate(average_logps, edges, where, likelihoods, qualities)
