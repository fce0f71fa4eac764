"""What callers hand to an index: checked on the host, and padded so that programs are compiled for few shapes.

Letters in shapes: N rows that are inserted, B queries, D the width of a vector.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Shaped

Numbers = ArrayLike | Sequence
"""An array or nested lists of numbers."""

LEAST_CHANGES = 16  # rows: writing a few more costs less than compiling a program for each number
LARGEST_ID = np.iinfo(np.int32).max


def power_of_two(number: int) -> int:
    """Returns the least power of two that is no less than a number; 1 for 0."""
    return 1 << max(number - 1, 0).bit_length()


def quarter_step(number: int) -> int:
    """Returns the least of 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... that is no less than a number.

    Four sizes each time that a store doubles leave at most a fifth of it unused.
    """
    step = 1 << max((number - 1).bit_length() - 3, 0)
    return max(4, -(-number // step) * step)


def check_least(least: int, **numbers: int) -> None:
    """Raises where one of the numbers is too small.

    Raises:
      ValueError: if one is below ``least``; its name is in the message.
    """
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f"{name}: expected at least {least}, got {number}; give a larger number")


def check_ids(ids: Numbers, name: str = "ids") -> Int[np.ndarray, "N"]:
    """Returns ids, or whatever ``name`` says that they are, as int32.

    Raises:
      ValueError: if they are no row of whole numbers from 0 to 2**31 - 1.
    """
    ids = np.asarray(ids)
    if not ids.size:
        return np.zeros(0, np.int32)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"{name}: expected integers [N], got {ids.dtype} {list(ids.shape)}; give whole numbers")
    if ids.min() < 0 or ids.max() > LARGEST_ID:
        raise ValueError(
            f"{name}: expected 0 to {LARGEST_ID}, got {ids.min()} to {ids.max()}; leave out rows of padding (-1)"
        )
    return ids.astype(np.int32)


def check_vectors(width: int, vectors: Numbers, name: str = "vectors") -> Float[np.ndarray, "N D"]:
    """Returns vectors as float32.

    Args:
      width: how many numbers each must have, D.
      vectors: ``[N, D]``.
      name: what they are, for the message.

    Raises:
      ValueError: if they have another shape, are not finite, or have no direction.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise ValueError(f"{name}: expected [N, {width}], got {list(vectors.shape)}; embed with the model of the index")
    vectors = vectors.astype(np.float32, copy=False)
    wrong = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name}: expected finite numbers that are not all 0, got {vectors[row, :3].tolist()}... in row {row} "
            f"({int(wrong.sum())} such rows); leave such rows out"
        )
    return vectors


def check_rows(width: int, ids: Numbers, vectors: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids ``[N]`` in int32 and vectors ``[N, D]`` in float32.

    Raises:
      ValueError: if either is wrong, an id is there twice, or they are not as many.
    """
    ids, vectors = check_ids(ids), check_vectors(width, vectors)
    found, times = np.unique(ids, return_counts=True)
    if len(found) < len(ids):
        raise ValueError(
            f"ids: expected each once, got {found[times > 1][0]} more than once; keep its last vector only"
        )
    if len(ids) != len(vectors):
        raise ValueError(
            f"expected one vector for each id, got {len(ids)} ids and {len(vectors)} vectors; pair them up"
        )
    return ids, vectors


def pad_ids(ids: Int[np.ndarray, "N"], *, least: int = 1) -> Int[np.ndarray, "M"]:
    """Returns ids with as many -1 behind them as make a power of two of at least ``least``."""
    return np.pad(ids, (0, power_of_two(max(len(ids), least)) - len(ids)), constant_values=-1)


def pad_rows(rows: Shaped[np.ndarray, "N *rest"], *, least: int = 1) -> Shaped[np.ndarray, "M *rest"]:
    """Returns rows, such as vectors, with as many of 0 behind them as make a power of two of at least ``least``."""
    spare = power_of_two(max(len(rows), least)) - len(rows)
    return np.pad(rows, [(0, spare)] + [(0, 0)] * (rows.ndim - 1)) if spare else rows


def pad_changes(rows: Shaped[np.ndarray, "N *rest"]) -> Shaped[np.ndarray, "M *rest"]:
    """Returns rows of an insert, an update or a delete, padded so that the many small ones share a program."""
    return pad_rows(rows, least=LEAST_CHANGES)


def pad_changed(ids: Int[np.ndarray, "N"]) -> Int[np.ndarray, "M"]:
    """Returns the ids of an insert, an update or a delete, padded like :func:`pad_changes`."""
    return pad_ids(ids, least=LEAST_CHANGES)


@jax.jit
def unit(vectors: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    """Returns vectors of length 1 in the same directions; rows of 0 stay so."""
    # Divided by the largest number first: the square of a large or tiny one is beyond float32.
    largest = jnp.max(jnp.abs(vectors), axis=-1, keepdims=True)
    scaled = vectors / jnp.where(largest > 0, largest, 1)
    length = jnp.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / jnp.where(length > 0, length, 1)
