"""Calibration by one number: probabilities are made less sure, or surer, without changing any order."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.numerics import masked

_RANGE = 1e-3, 1e3


@jax.jit
def fit_temperature(
    logits: Float[Array, "N K"], labels: Int[Array, "N"], *, where: Bool[Array, "N"] | None = None
) -> Float[Array, ""]:
    """Returns the temperature T that makes ``softmax(logits / T)`` likeliest, between 0.001 and 1000.

    It is fitted on validation data and applied to others. The cross-entropy is convex in 1/T, so its slope there, the
    mean of ``E_p[logit] - logit of the label``, has one root; it is found by bisection. Logits may be
    log-probabilities, those of impossible options finite: a probability of exactly 0 cannot be calibrated.

    Args:
      logits: ``[N, K]``, of K options for each of N questions; log-probabilities will do.
      labels: ``[N]``, the place of the right option, 0 to K - 1.
      where: ``[N]``, True for questions that count, None for all; masked ones may hold anything, NaN included.

    Source: Guo et al. (arXiv 1706.04599), section 4.2.
    """
    where = jnp.ones(labels.shape, bool) if where is None else where
    _, logits = masked(jnp.broadcast_to(where[:, None], logits.shape), logits)
    right = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]

    def slope(inverse):
        return jnp.sum(jnp.where(where, jnp.sum(jax.nn.softmax(logits * inverse) * logits, axis=1) - right, 0))

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        above = slope(jnp.exp(middle)) > 0
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    ends = jnp.log(jnp.asarray(_RANGE, logits.dtype))
    low, high = jax.lax.fori_loop(0, 50, halve, (ends[0], ends[1]))
    return jnp.exp(-(low + high) / 2)
