"""Masking, reductions that add up, ranks, and what DCG is made of: shared by losses and metrics.

``where`` is True where an entry counts, everywhere; masked entries may hold anything, NaN included.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, Shaped

__all__ = [
    "Ratio",
    "differences",
    "exponential_gain",
    "log2_discount",
    "log_discount",
    "masked",
    "masked_mean",
    "ranks",
    "ratio",
    "safe_divide",
]


class Ratio(NamedTuple):
    """A mean that has not been divided yet, so that parts of it from shards and microbatches add up.

    ``+`` adds numerators and denominators; ``.value`` divides.
    """

    numerator: Float[Array, "..."]
    denominator: Float[Array, "..."]

    def __add__(self, other: "Ratio") -> "Ratio":
        return Ratio(self.numerator + other.numerator, self.denominator + other.denominator)

    @property
    def value(self) -> Float[Array, "..."]:
        """The quotient; 0 where nothing was counted."""
        return safe_divide(self.numerator, self.denominator)


def safe_divide(numerator: Shaped[ArrayLike, "..."], denominator: Shaped[ArrayLike, "..."]) -> Shaped[Array, "..."]:
    """Returns ``numerator / denominator``, with value and gradient 0 where the denominator is 0.

    Args:
      numerator: ``[...]``, any numbers.
      denominator: ``[...]``, of a shape that broadcasts with the numerator's.
    """
    counted = denominator != 0
    return jnp.where(counted, numerator / jnp.where(counted, denominator, 1), 0)


def ratio(values: Float[Array, "..."], *, where: Bool[Array, "..."] | None = None) -> Ratio:
    """Returns the sum of the entries that count, over how many there are, as a :class:`Ratio` of two float32 scalars.

    Args:
      values: ``[...]``, any numbers.
      where: ``[...]``, True for entries that count, None for all; others may hold anything, NaN included.
    """
    if where is None:
        where = jnp.ones(values.shape, bool)
    numerator = jnp.sum(jnp.where(where, values, 0), dtype=jnp.float32)
    return Ratio(numerator, jnp.sum(where, dtype=jnp.float32))


def masked_mean(values: Float[Array, "..."], *, where: Bool[Array, "..."] | None = None) -> Float[Array, ""]:
    """Returns the mean of the entries that count; 0, with zero gradient, where none does (``jnp.mean`` gives NaN).

    Args:
      values: ``[...]``, any numbers.
      where: ``[...]``, True for entries that count, None for all; others may hold anything, NaN included.
    """
    return ratio(values, where=where).value


def masked(where: Bool[Array, "..."] | None, *arrays: Shaped[Array, "..."]) -> tuple[Array, ...]:
    """Prepares inputs for arithmetic: masked entries become 0, and numbers float32 or wider.

    The select comes before any arithmetic, so that NaN in padding reaches neither value nor gradient.

    Args:
      where: ``[...]``, True for entries that count, None for all.
      arrays: one or more arrays ``[...]``, all of the mask's shape.

    Returns:
      The mask (all True for None), then the arrays, all in the widest dtype among them and float32.

    Raises:
      ValueError: if the shapes differ; broadcasting would compare an item with those of another list.

    >>> where, values = masked(jnp.array([True, False]), jnp.array([1, 2]))
    >>> print(values)
    [1. 0.]
    """
    if where is None:
        where = jnp.ones(arrays[0].shape, bool)
    shapes = [array.shape for array in (*arrays, where)]
    if len(set(shapes)) > 1:
        raise ValueError(f"expected inputs and where of one shape, got {shapes}; broadcast them before the call")
    dtype = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    return where, *(jnp.where(where, array, 0).astype(dtype) for array in arrays)


def ranks(
    values: Float[Array, "*batch K"], where: Bool[Array, "*batch K"], key: PRNGKeyArray | None
) -> Float[Array, "*batch K"]:
    """Ranks the items of each list by value: 1 for the highest, masked items last.

    Counts the items ahead of each one: K is small, and a comparison of all pairs fuses where a sort does not.

    Args:
      values: ``[..., K]``, any scale, finite in masked items too.
      where: ``[..., K]``, True for real items.
      key: breaks ties at random; consumed. With None, the item that is stored first ranks higher.

    Returns:
      ``[..., K]``, ranks 1 to K, each once, in the dtype of ``values``.

    >>> print(ranks(jnp.array([0.2, 9.0, 0.7]), jnp.array([True, False, True]), None))
    [2. 3. 1.]
    """
    index = jnp.broadcast_to(jnp.arange(values.shape[-1]), values.shape)
    draw = index if key is None else jax.random.uniform(key, values.shape)
    ahead = jnp.zeros((*values.shape, values.shape[-1]), bool)
    # From the least to the most important criterion: each decides where it differs and leaves the rest as it was.
    for criterion in (-index, -draw, values, where):
        mine, other = criterion[..., :, None], criterion[..., None, :]
        ahead = jnp.where(other == mine, ahead, other > mine)
    return 1 + jnp.sum(ahead, axis=-1, dtype=values.dtype)


def differences(values: Float[Array, "*batch K"]) -> Float[Array, "*batch K K"]:
    """Returns ``values[i] - values[j]`` at ``[..., i, j]``, for all pairs of a list.

    Args:
      values: ``[..., K]``, any scale.
    """
    return values[..., :, None] - values[..., None, :]


def exponential_gain(labels: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Returns the gain of DCG: :math:`G(\psi) = 2^\psi - 1`.

    Args:
      labels: ``[...]``, graded relevance, higher is better; in LiPO in [0, 1].

    Source: Burges et al., 2005; LiPO (arXiv 2402.01878).
    """
    return jnp.exp2(labels) - 1


def log_discount(ranks: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Returns the discount of DCG in natural logarithms, :math:`D(r) = \ln(1 + r)`, as the LiPO paper writes it.

    Args:
      ranks: ``[...]``, 1 for the best.

    Source: LiPO (arXiv 2402.01878).
    """
    return jnp.log1p(ranks)


def log2_discount(ranks: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Returns the discount of DCG, :math:`D(r) = \log_2(1 + r)`, also that of the ranking library that LiPO used.

    Args:
      ranks: ``[...]``, 1 for the best.

    Source: Jarvelin and Kekalainen, 2002.
    """
    return jnp.log2(1 + ranks)
