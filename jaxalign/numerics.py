"""Masked reductions. ``where`` is True where an entry counts; masked entries may hold anything, NaN included."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Ratio(NamedTuple):
    """A mean that has not been divided yet, so that parts of it from shards and microbatches add up."""

    numerator: Float[Array, "..."]
    denominator: Float[Array, "..."]

    def __add__(self, other: "Ratio") -> "Ratio":
        return Ratio(self.numerator + other.numerator, self.denominator + other.denominator)

    @property
    def value(self) -> Float[Array, "..."]:
        """The quotient; 0 where nothing was counted."""
        return safe_divide(self.numerator, self.denominator)


def safe_divide(numerator, denominator):
    """``numerator / denominator``, with value and gradient 0 where the denominator is 0."""
    counted = denominator != 0
    return jnp.where(counted, numerator / jnp.where(counted, denominator, 1), 0)


def ratio(values: Float[Array, "..."], *, where: Bool[Array, "..."] | None = None) -> Ratio:
    """The sum of the entries that count, over how many there are."""
    if where is None:
        where = jnp.ones(values.shape, bool)
    numerator = jnp.sum(jnp.where(where, values, 0), dtype=jnp.float32)
    return Ratio(numerator, jnp.sum(where, dtype=jnp.float32))


def masked_mean(values: Float[Array, "..."], *, where: Bool[Array, "..."] | None = None) -> Float[Array, ""]:
    """The mean of the entries that count; 0, with zero gradient, where none does (``jnp.mean`` gives NaN)."""
    return ratio(values, where=where).value
