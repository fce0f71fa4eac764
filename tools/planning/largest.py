"""The largest batch that fits, in few compiles: a line through two of them, each guess confirmed."""

from collections.abc import Callable
from typing import NamedTuple

# After so many guesses by the line, every second one halves the interval between what fits and what does not.
LINE_GUESSES = 4


class Need(NamedTuple):
    """Bytes that a batch needs (None: the compiler did not say), and whether it fits."""

    bytes: int | None
    fits: bool


def largest_batch(need_fn: Callable[[int], Need], unit: int, capacity: int) -> tuple[int, dict[int, Need]]:
    """The largest multiple of ``unit`` that fits, 0 if none does, and all batches that were tried.

    What is returned fits, and one ``unit`` more does not: both were tried. A batch is taken to need more than a smaller
    one, about linearly in its size.

    Args:
      need_fn: tries a batch.
      unit: rows by which a batch can grow.
      capacity: bytes of memory, for the guesses.
    """
    tried: dict[int, Need] = {}
    fitting, failing, guess = 0, None, 1
    while failing is None or failing - fitting > 1:
        tried[guess] = need_fn(guess * unit)
        if tried[guess].fits:
            fitting = guess
        else:
            failing = guess
        guess = _next_guess(tried, fitting, failing, capacity)
    return fitting * unit, {units * unit: need for units, need in tried.items()}


def _next_guess(tried: dict[int, Need], fitting: int, failing: int | None, capacity: int) -> int:
    """Follows the line through the largest batches that fit, or through the ones on either side of the limit."""
    halfway = 2 * max(fitting, 1) if failing is None else (fitting + failing) // 2
    ends = sorted(units for units in tried if failing is None or units in (fitting, failing))[-2:]
    turn = len(tried) > LINE_GUESSES and len(tried) % 2 == 0
    if turn or len(ends) < 2 or any(tried[units].bytes is None for units in ends):
        return halfway
    (first, low), (last, high) = ((units, tried[units].bytes) for units in ends)
    if high <= low:
        return halfway
    guess = first + int((capacity - low) * (last - first) / (high - low))
    return max(guess if failing is None else min(guess, failing - 1), fitting + 1)
