"""Which rows to take: random shares, and the filter of RRM (arXiv 2409.13156)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

AnyArray = Array | np.ndarray


def random_share(key: PRNGKeyArray, where: Bool[Array, "*rows"], share: float) -> Bool[Array, "*rows"]:
    """Chooses at random exactly this share of the rows where ``where`` is True, halves rounded up.

    This takes, for instance, the half of the augmented triplets that is scored, or the chosen responses that get an
    artifact.

    Args:
      key: consumed.
      where: ``[...]``, True for rows that may be chosen.
      share: in [0, 1].

    Returns:
      ``[...]``, True for the chosen rows.

    Raises:
      ValueError: if the share is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a number in [0, 1], got {share}")
    flat = where.reshape(-1)
    order = jax.random.permutation(key, flat.size)
    shuffled = flat[order]
    count = jnp.floor(share * jnp.sum(flat) + 0.5)
    taken = shuffled & (jnp.cumsum(shuffled) <= count)
    return jnp.zeros_like(flat).at[order].set(taken).reshape(where.shape)


def keep_informative(
    probabilities: Float[AnyArray, "*rows"],
    targets: Float[AnyArray, "*rows"],
    *,
    threshold: float = 0.2,
    where: Bool[AnyArray, "*rows"] | None = None,
) -> Bool[Array, "*rows"]:
    """Returns True where a reward model is wrong or unsure, that is off the target by at least the threshold.

    It is for augmented triplets. Originals are never filtered: they are no rows here, and are all trained on, see
    :func:`jaxalign.data.training_pairs`.

    Args:
      probabilities: ``[...]``, in [0, 1], that the first response wins, of a reward model that was trained on the
        originals. A row where it is NaN is kept: nothing shows that the model knows it.
      targets: ``[...]``, the probability that should be, in [0, 1].
      threshold: compared in the precision of the arguments.
      where: ``[...]``, False for rows that are not kept in any case; these may hold anything. None takes all.

    >>> print(keep_informative(jnp.array([0.9, 0.6, 0.9]), jnp.array([1.0, 0.5, 0.5])))
    [False False  True]
    """
    if where is None:
        where = jnp.ones(probabilities.shape, bool)
    gaps = jnp.abs(jnp.where(where, probabilities, 0) - jnp.where(where, targets, 0))
    return where & ~(gaps < threshold)
