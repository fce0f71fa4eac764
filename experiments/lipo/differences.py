"""Differences within one seed, which differs from the next by more than losses do."""

from collections.abc import Callable, Sequence

from experiments.common import report
from experiments.common.report import Figures


def tables(by_seed: Sequence[Figures], first: str) -> dict[str, Figures]:
    """Returns tables by title: of each loss minus lambda on the same lists, and of other lists minus the first.

    Args:
      by_seed: figures of each of several seeds; a row is a loss with the label of its lists behind.
      first: the label of the first kind of lists.
    """
    bases = {
        "minus lambda on the same lists of the same seed": lambda loss, label: f"lambda{label}",
        f"minus the same loss on the first lists ({first.removeprefix(', ')}) of the same seed": (
            lambda loss, label: f"{loss}{first}"
        ),
    }
    found = {title: _minus(by_seed, base_fn) for title, base_fn in bases.items()}
    return {title: table for title, table in found.items() if table}


def _minus(by_seed: Sequence[Figures], base_fn: Callable[[str, str], str]) -> Figures:
    """Averages what each row has more of than its base, for rows that have one with the same figures."""
    rows = {name: base_fn(*_parts(name)) for name in by_seed[0]}
    kept = {name: base for name, base in rows.items() if _comparable(by_seed[0], name, base)}
    gains = [{name: report.subtract(figures, base)[name] for name, base in kept.items()} for figures in by_seed]
    return report.summarise(gains)


def _comparable(figures: Figures, name: str, base: str) -> bool:
    return base != name and base in figures and set(figures[base]) == set(figures[name])


def _parts(name: str) -> tuple[str, str]:
    """Splits the name of a row into the loss and the label of its lists."""
    loss, comma, label = name.partition(", ")
    return loss, comma + label
