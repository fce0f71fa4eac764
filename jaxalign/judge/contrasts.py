"""What two texts have for themselves and in common."""

import re
from typing import NamedTuple


class Contrast(NamedTuple):
    """Statements on one aspect of two texts, by the text for which they hold.

    Attributes:
      only_first: what holds for the first text alone.
      only_second: what holds for the second text alone.
      both: what holds for both.
    """

    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    both: tuple[str, ...]

    def swapped(self) -> "Contrast":
        """Returns the contrast of the same texts exchanged."""
        return Contrast(self.only_second, self.only_first, self.both)

    @property
    def contradictions(self) -> int:
        """How many statements stand in two places or more, which cannot all be true; case and marks do not count."""
        places = [{_bare(statement) for statement in statements} - {""} for statements in self]
        return sum(map(len, places)) - len(set.union(*places))


class Column(NamedTuple):
    """One column of a table: an aspect, and the contrast that was chosen for it."""

    aspect: str
    contrast: Contrast


Table = tuple[Column, ...]
"""Aspects as columns; the rows are the three parts of a contrast."""


def swap_table(table: Table) -> Table:
    """Returns the table of the same two texts exchanged.

    Args:
      table: columns of an aspect and its contrast.
    """
    return tuple(Column(aspect, contrast.swapped()) for aspect, contrast in table)


def _bare(statement: str) -> str:
    return " ".join(re.findall(r"\w+", statement.casefold()))
