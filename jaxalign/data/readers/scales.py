"""The scales of scores: known ones, those that a file's scores have, and whether numbers are labels already."""

from collections.abc import Iterable, Mapping

from jaxalign.data.readers.columns import number_of
from jaxalign.data.readers.roles import name_them
from jaxalign.data.readers.row_steps import prepared
from jaxalign.data.readers.score_columns import score_of

# UltraFeedback's fine-grained score comes first: its overall score has responses rated 10 where the critique says 1.
KNOWN_SCALES = {"fine-grained_score": (1.0, 5.0), "overall_score": (1.0, 10.0), "annotations": (1.0, 5.0)}


def scores_in(row: Mapping, column: str, steps: tuple) -> Iterable[float]:
    """Those of one row that can be read; the reader names the others."""
    try:
        return [score_of(score, column) for score in prepared(row, steps)[column]]
    except (ValueError, KeyError, TypeError):
        return []


def label_facts(rows: Iterable[Mapping], label: str, keys: Iterable[str | None]) -> tuple[set[float], set[str]]:
    """The numbers that labels are, and the keys of which two rows have the same value."""
    values, repeated = set(), set()
    met = {key: set() for key in keys if key is not None}
    for row in rows:
        try:
            values.add(number_of(row.get(label), label))
        except ValueError:
            continue
        for key, before in met.items():
            if (own := hash(str(row.get(key)))) in before:  # a hash, because prompts are long
                repeated.add(key)
            before.add(own)
    return values, repeated


def range_of(scores: Iterable[float]) -> tuple[float, float]:
    """The lowest and the highest; of none, infinite ones in the wrong order."""
    low, high = float("inf"), float("-inf")
    for score in scores:
        low, high = min(low, score), max(high, score)
    return low, high


def scale(bounds: tuple[float, float], column: str) -> tuple[tuple[float, float], str]:
    """The bounds between which a column is rescaled to labels, and a note on it; ValueError where all are equal."""
    low, high = bounds
    if 0 <= low <= high <= 1:
        return (0.0, 1.0), f"{column!r} has numbers in [0, 1], which are the labels"
    if not low < high:
        found = "no numbers" if low > high else f"{low:g} everywhere"
        raise ValueError(f"{column}: expected scores that tell responses apart, got {found}; {name_them()}")
    return (low, high), f"{column!r} is rescaled from [{low:g}, {high:g}] to [0, 1]"
