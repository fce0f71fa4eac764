"""Rotary positions (Su et al., 2021), and the ways to stretch them beyond the length that a model was trained for.

Two kinds of stretching depend on how long a sequence is in the end: ``dynamic`` and ``longrope`` leave sequences of up
to ``RopeScaling.limit`` tokens alone and turn every position of a longer one differently, its first ones too. Where
several sequences share what they have in common, as K responses share a prompt and a growing text its past, there is
no such length: :func:`check_one_rotation` refuses them.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxalign.models.config import LanguageModelConfig, RopeScaling

Rope = tuple[Float[Array, "B T 1 half"], Float[Array, "B T 1 half"]]
"""Cosines and sines of each position's angles."""


def rope_frequencies(head_dim: int, base: float, scaling: RopeScaling | None) -> np.ndarray:
    """Radians a token for each of ``head_dim / 2`` rotated pairs, in sequences of up to ``scaling.limit`` tokens."""
    frequencies = base ** -(np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    if scaling is None or scaling.kind == "dynamic":
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    if scaling.kind == "longrope":
        return frequencies / np.asarray(scaling.short_factors)
    keep = _kept_by_yarn(head_dim, base, scaling) if scaling.kind == "yarn" else _kept_by_llama3(frequencies, scaling)
    return frequencies * (keep + (1 - keep) / scaling.factor)


def _kept_by_llama3(frequencies: np.ndarray, scaling: RopeScaling) -> np.ndarray:
    """Wavelengths beyond the original context are stretched, short ones kept, those between blended."""
    turns = scaling.original_max_length * frequencies / (2 * np.pi)
    keep = (turns - scaling.low_frequency_factor) / (scaling.high_frequency_factor - scaling.low_frequency_factor)
    return np.clip(keep, 0, 1)


def _kept_by_yarn(head_dim: int, base: float, scaling: RopeScaling) -> np.ndarray:
    """The same by a ramp over the pairs, from ``beta_fast`` turns in the original context to ``beta_slow``."""

    def pair_with(turns):
        return head_dim * math.log(scaling.original_max_length / (turns * 2 * math.pi)) / (2 * math.log(base))

    first, last = pair_with(scaling.beta_fast), pair_with(scaling.beta_slow)
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, head_dim - 1)
    last = last + 0.001 if first == last else last  # as the authors do, against a division by zero
    return 1 - np.clip((np.arange(head_dim // 2) - first) / (last - first), 0, 1)


def sequence_lengths(positions: Int[Array, "B T"], segments: Int[Array, "B T"] | None) -> Int[Array, "B T"]:
    """The length of the sequence that each token is in: one more than the last position of its segment of the row."""
    if segments is None:
        return jnp.broadcast_to(positions.max(axis=1, keepdims=True) + 1, positions.shape)
    rows = jnp.arange(len(positions))[:, None]
    longest = jnp.zeros((len(positions), positions.shape[1] + 1), positions.dtype).at[rows, segments].max(positions + 1)
    return jnp.take_along_axis(longest, segments, axis=1)


def lengths_if_needed(
    scaling: RopeScaling | None, positions: Int[Array, "B T"], segments: Int[Array, "B T"] | None
) -> Int[Array, "B T"] | None:
    """:func:`sequence_lengths` where the rotation depends on them."""
    return None if scaling is None or scaling.limit is None else sequence_lengths(positions, segments)


def make_rope(
    positions: Int[Array, "B T"],
    head_dim: int,
    base: float,
    scaling: RopeScaling | None,
    lengths: Int[Array, "B T"] | None = None,
) -> Rope:
    """Cosines and sines for :func:`rotate`.

    Args:
      lengths: of the sequences that the tokens are in, see :func:`sequence_lengths`. None: no sequence has more than
        ``scaling.limit`` tokens.
    """
    frequencies = jnp.asarray(rope_frequencies(head_dim, base, scaling), jnp.float32)[None, None]
    if lengths is not None and scaling is not None and scaling.limit is not None:
        beyond = _frequencies_beyond(head_dim, base, scaling, lengths[:, :, None])
        frequencies = jnp.where(lengths[:, :, None] > scaling.limit, beyond, frequencies)
    angles = positions[:, :, None].astype(jnp.float32) * frequencies
    scale = 1.0 if scaling is None else scaling.rotation_scale
    return tuple(scale * wave(angles)[:, :, None] for wave in (jnp.cos, jnp.sin))


def _frequencies_beyond(head_dim, base, scaling, lengths) -> Float[Array, "..."]:
    """The frequencies in sequences of more than ``scaling.limit`` tokens."""
    exponents = np.arange(0, head_dim, 2)[None, None] / head_dim
    if scaling.kind == "longrope":
        return jnp.asarray(base**-exponents / np.asarray(scaling.long_factors)[None, None], jnp.float32)
    # "NTK-aware": the base grows, so that the slowest pair turns as far as it would have within the limit.
    stretch = scaling.factor * lengths / scaling.limit - (scaling.factor - 1)
    return (base * stretch ** (head_dim / (head_dim - 2))) ** jnp.asarray(-exponents, jnp.float32)


def check_one_rotation(config: LanguageModelConfig, length: int, remedy: str) -> None:
    """Refuses sequences of up to ``length`` tokens that share keys, where their rotation would depend on their length.

    Raises:
      ValueError: ``length`` is beyond the model's ``rope_scaling.limit``.
    """
    scaling = config.rope_scaling
    if scaling is not None and scaling.limit is not None and length > scaling.limit:
        raise ValueError(
            f"rotary scaling of kind {scaling.kind!r} turns sequences of more than {scaling.limit} tokens by angles "
            f"that depend on their final length, so up to {length} tokens cannot share keys; {remedy}"
        )


def rotate(x: Float[Array, "B T H D"], rope: Rope) -> Float[Array, "B T H D"]:
    """Rotary position embedding, pairing element i with i + D/2 as Hugging Face's weights do."""
    cos, sin = rope
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x.dtype)
