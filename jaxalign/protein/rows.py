"""A row of a table of atoms, as pdb, mmCIF and BinaryCIF have it, and the numbers in it."""

import dataclasses
import re

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
PLACEHOLDER = 9999.0  # what programs write for a coordinate that is not known


class BadTable(ValueError):
    """A file has a table of atoms in which something is not as it should be."""


@dataclasses.dataclass(slots=True)
class Row:
    """An atom of a file's first model. What is mended is written into it, and marked by ``changed``."""

    place: str  # as "line 12"
    hetero: bool
    atom: str
    altloc: str  # "" for none
    residue: str
    chain: str
    number: str  # with the insertion code
    segment: str
    element: str  # in capitals, "" for none
    position: tuple[float, ...] | None  # angstrom, None where it is not known
    sequence: bool | None = None  # whether the file says that it is part of a polymer; None if it does not say
    block: int = 0  # TER records of this chain that came before
    columns: str = ""  # its name in the four columns of a pdb file, where these say what the element is
    problem: str = ""  # what is wrong with its numbers
    part: str = ""  # the name of its chain in the end
    changed: bool = False

    @property
    def hydrogen(self) -> bool:
        """Says whether the file calls it one; such atoms are left out whatever they are otherwise."""
        return self.element in ("H", "D", "T")

    def put(self, **values: object) -> None:
        """Changes fields."""
        for name, value in values.items():
            setattr(self, name, value)
        self.changed = True


def number(text: str) -> float | None:
    """A finite number, or None if the text is none; blanks around it are allowed.

    >>> number(" -1.50 "), number("1,400"), number("nan"), number("********"), number("1 2")
    (-1.5, None, None, None, None)
    """
    text = text.strip(" ")
    return float(text) if NUMBER.fullmatch(text) else None


def place_number(row: Row) -> int | None:
    """The number of a residue without its insertion code, None if there is none."""
    found = re.match(r"-?[0-9]+", row.number)
    return int(found[0]) if found else None
