"""The largest batch that fits, in few compiles: a line through the last two, each guess confirmed."""

from collections.abc import Callable
from typing import NamedTuple

# As many guesses by the line; then the interval between what fits and what does not is halved.
LINE_GUESSES = 6


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
    known = [(units, need.bytes) for units, need in tried.items() if need.bytes is not None]
    highest = 2 * fitting + 1 if failing is None else failing - 1
    if len(known) < 2 or len(tried) > LINE_GUESSES:
        return (fitting + highest + 1) // 2
    (first, first_bytes), (last, last_bytes) = known[-2:]
    slope = (last_bytes - first_bytes) / (last - first)
    if slope <= 0:
        return highest
    guess = int(last + (capacity - last_bytes) // slope)
    return max(guess if failing is None else min(guess, highest), fitting + 1)
