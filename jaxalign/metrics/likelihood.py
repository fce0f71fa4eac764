"""Whether a model finds its better outputs likelier: the calibration of sequence likelihoods.

Within a prompt, rank correlation tells: :func:`jaxalign.metrics.kendall_tau_metric` or
:func:`jaxalign.metrics.spearman_rho_metric`, with log-probabilities ``[prompts, K]`` as scores and qualities as labels.
Across prompts, :func:`likelihood_table` shows the mean quality of outputs of like likelihood; ``jaxalign.losses.
average_logps`` gives log-probabilities per token, because sums rank by length first.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign.metrics.calibration import ReliabilityTable, tabulate
from jaxalign.numerics import masked


def likelihood_edges(
    average_logps: Num[Array, "..."], *, num_bins: int = 10, where: Bool[Array, "..."] | None = None
) -> Float[Array, "inner"]:
    """Returns the inner edges of bins that hold equally many of these outputs, ``[num_bins - 1]``, in nats per token.

    Likelihoods crowd in a small part of [0, 1], so that bins of equal width would be empty or full. Tables add up, and
    curves compare, only over one set of edges: take them once, from a complete sample.

    Args:
      average_logps: ``[...]``, log-probability of each output in nats per token, at most 0; sums would rank by length
        first.
      num_bins: 1 or more.
      where: ``[...]``, True for real outputs, None for all; masked ones may hold anything, NaN included.

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
    """Counts outputs and sums likelihoods and qualities in bins of likelihood: a reliability curve.

    ``mean_probability`` is the mean of ``exp(average_logps)``, the geometric mean of an output's token probabilities,
    and ``mean_outcome`` the mean quality, which rises from bin to bin where likelihood is a good guide. It should lie
    on the diagonal only where quality is the probability to be right.

    Args:
      average_logps: ``[...]``, log-probability of each output in nats per token, at most 0; sums would rank by length
        first.
      qualities: ``[...]``, on any scale, higher is better.
      edges: ``[inner]``, increasing, in nats per token, for instance from :func:`likelihood_edges`; an output on an
        edge belongs to the bin above it.
      where: ``[...]``, True for real outputs, None for all; masked ones may hold anything, NaN included.

    Returns:
      Sums per bin, ``[inner + 1]``, which add up over shards and batches that use the same edges.

    Raises:
      ValueError: if shapes differ.

    >>> table = likelihood_table(jnp.array([-1.0, -2.0, -4.0]), jnp.array([1.0, 0.5, 0.0]), edges=jnp.array([-3.0]))
    >>> print(table.count, table.mean_outcome)
    [1. 2.] [0.   0.75]
    """
    where, average_logps, qualities = masked(where, average_logps, qualities)
    likelihoods = jnp.where(where, jnp.exp(average_logps), 0)
    return tabulate(average_logps, edges, where, likelihoods, qualities)
