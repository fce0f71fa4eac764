"""When requests arrive, and how long they and their answers are: by a trace of a real service, or at random."""

import pathlib

import numpy as np
import pyarrow.parquet
from jaxtyping import Float, Int

RATE = 5.5
"""Requests a second, the mean of an hour of conversations at Azure in 2023 (19,366 requests)."""
COLUMNS = ("offset_s", "context_tokens", "generated_tokens")


def poisson(seed: int, count: int, load: float) -> tuple[Float[np.ndarray, "N"], Int[np.ndarray, "N 2"]]:
    """Draws arrivals at a rate that rises and falls by half around ``load`` times 5.5 a second, and token counts.

    Token counts are log-normal with the medians of the trace: 1,020 tokens of prompt and 129 of answer.
    """
    rng = np.random.default_rng([seed, 2])
    gaps = rng.exponential(1 / (RATE * load), count)
    gaps /= 1 + 0.5 * np.sin(2 * np.pi * 3 * np.arange(count) / count)
    tokens = np.exp(rng.normal(np.log([1020, 129]), [0.9, 0.8], (count, 2)))
    return gaps.cumsum(), np.clip(tokens, 2, [14_000, 1000]).astype(np.int64)


def trace(path: pathlib.Path, count: int, load: float) -> tuple[Float[np.ndarray, "N"], Int[np.ndarray, "N 2"]]:
    """Reads the first requests of a trace, ``load`` times as dense as they were.

    Args:
      path: a parquet file with ``offset_s``, ``context_tokens`` and ``generated_tokens``, as Azure's trace of 2023.
      count: how many; 0: all.

    Raises:
      ValueError: a column is missing, times go back, or there are fewer rows.
    """
    table = pyarrow.parquet.read_table(path)
    if missing := set(COLUMNS) - set(table.column_names):
        raise ValueError(f"{path}: expected columns {', '.join(COLUMNS)}, {', '.join(sorted(missing))} missing")
    offsets, *tokens = (table[name].to_numpy() for name in COLUMNS)
    if (np.diff(offsets) < 0).any():
        raise ValueError(f"{path}: expected arrivals in order; row {1 + int(np.diff(offsets).argmin())} goes back")
    if count > len(offsets):
        raise ValueError(f"{path}: expected {count} requests, there are {len(offsets)}; ask for fewer or 0 for all")
    kept = slice(count or None)
    return (offsets[kept] - offsets[0]) / load, np.stack(tokens, 1)[kept].astype(np.int64)
