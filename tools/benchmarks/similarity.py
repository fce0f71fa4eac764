"""Pairwise similarity of embeddings within and between classes: exact from sums of unit vectors, against all pairs."""

import functools
import statistics
from typing import NamedTuple

import numpy as np

from jaxalign import metrics
from tools.benchmarks.measure import Table, median_ratio, take_turns

CLASSES = 10
ALL_PAIRS = 20_000  # rows up to which all pairs are looked at too
BLOCK = 1000  # rows of all pairs at once


class Case(NamedTuple):
    """Embeddings and their width."""

    rows: int
    width: int


HEADER = ("rows", "width", "ms", "time ratio", "difference")
CASES = (Case(10_000, 384), Case(100_000, 384))


def table(rounds: int) -> Table:
    """The size of a data set of the paper, and ten times as many rows."""
    return Table(
        title="pairwise similarity",
        notes=(
            "`metrics.average_pairwise_similarity`, `intra_class_similarity` and `inter_class_similarity`, in turn,",
            f"of {CLASSES} classes, against the cosines of all pairs in blocks of {BLOCK:,} rows. The ratio is pairs",
            "over sums, the difference the largest of the three. Goal: 100,000 rows of width 384 in under 5 s.",
        ),
        header=HEADER,
        rows=(row(case, rounds) for case in CASES),
    )


def row(case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one case; of many rows the pairs are not looked at."""
    embeddings, labels = example(case)
    forms = {"sums": functools.partial(by_sums, embeddings, labels)}
    if case.rows <= ALL_PAIRS:
        forms["pairs"] = functools.partial(by_pairs, embeddings, labels)
    seconds = take_turns(forms, rounds)
    cells = f"{case.rows:,}", f"{case.width:,}", f"{1e3 * statistics.median(seconds['sums']):,.0f}"
    if "pairs" not in forms:
        return (*cells, "", "")
    apart = np.abs(np.subtract(forms["sums"](), forms["pairs"]())).max()
    return (*cells, f"{median_ratio(seconds['pairs'], seconds['sums']):.0f}", f"{apart:.0e}")


def example(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings around a mean of each class, and the classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=case.rows)
    means = rng.normal(size=(CLASSES, case.width))
    return (means[labels] + rng.normal(size=(case.rows, case.width))).astype(np.float32), labels


def by_sums(embeddings: np.ndarray, labels: np.ndarray) -> list[float]:
    """Ours."""
    ratios = (
        metrics.average_pairwise_similarity(embeddings),
        metrics.intra_class_similarity(embeddings, labels),
        metrics.inter_class_similarity(embeddings, labels),
    )
    return [float(ratio.value) for ratio in ratios]


def by_pairs(embeddings: np.ndarray, labels: np.ndarray) -> list[float]:
    """All cosines, summed by the classes of their two rows."""
    units = embeddings.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    members = np.eye(CLASSES)[labels]
    sums = np.zeros((CLASSES, CLASSES))
    for start in range(0, len(units), BLOCK):
        some = slice(start, start + BLOCK)
        sums += members[some].T @ (units[some] @ units.T) @ members
    counts = members.sum(axis=0)
    pairs = np.outer(counts, counts) - np.diag(counts)
    sums -= np.diag(counts)
    apart = ~np.eye(CLASSES, dtype=bool)
    return [sums.sum() / pairs.sum(), np.diag(sums / pairs).mean(), sums[apart].sum() / pairs[apart].sum()]
