"""Differences within one seed, which differs from the next by more than losses do."""

from collections.abc import Sequence

from experiments.common import report
from experiments.common.report import Figures


def tables(by_seed: Sequence[Figures], first: str) -> dict[str, Figures]:
    """Returns tables by title: of each loss minus lambda on the same lists, and of other lists minus the first.

    Args:
      by_seed: figures of each of several seeds; a row is a loss with the label of its lists behind.
      first: the label of the first kind of lists.
    """
    bases = {
        "minus lambda on the same lists of the same seed": lambda name: f"lambda{_parts(name)[1]}",
        f"minus the same loss on the first lists ({first.removeprefix(', ')}) of the same seed": (
            lambda name: f"{_parts(name)[0]}{first}"
        ),
    }
    found = {title: report.minus(by_seed, base_fn) for title, base_fn in bases.items()}
    return {title: table for title, table in found.items() if table}


def _parts(name: str) -> tuple[str, str]:
    """Splits the name of a row into the loss and the label of its lists."""
    loss, comma, label = name.partition(", ")
    return loss, comma + label
