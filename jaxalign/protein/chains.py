"""Which chain a residue of a table of atoms belongs to, where letters alone do not say it.

- ``split``: a chain is over where its segment changes, where residues come that it has already, and behind a TER record
  if numbers begin anew or chains have no letters. What follows is a chain of its own: ``A``, ``A_2``, ``A_3``.
- ``moved``: a modified residue that stands behind the chain's TER record, as all HETATM records do in some files, goes
  to its place in the chain if it is bonded there, or fills a gap of the numbers at the distance of a neighbour.

Everything else stays in the order of the file. Ligands and waters behind a TER record stay with the letter.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxalign.protein import names
from jaxalign.protein.rows import BadTable, Row, place_number

_BOND = 1.8  # angstrom, more than any peptide bond
_NEIGHBOURS = 4.3  # angstrom between alpha carbons, which mostly are 3.8 apart
_CAPS = ("ACE", "FOR")  # these come before the first residue of a chain
_STEP = 2.0**-10  # between what was moved to one place


class RowRun(NamedTuple):
    """Neighbouring rows of one residue."""

    rows: list[Row]
    first: Row
    amino: bool  # an amino acid, by its name or the atoms of a backbone

    @property
    def solid(self) -> bool:
        """Says whether it certainly is a residue of a chain."""
        first = self.first
        return self.amino and (not first.hetero if first.sequence is None else first.sequence)

    def position(self, atom: str) -> tuple[float, ...] | None:
        """Says where an atom is, in its first conformation."""
        return next((row.position for row in self.rows if row.atom == atom), None)


class _Part:
    """A chain as far as it has come: runs and atoms by the residue's number."""

    def __init__(self, name: str):
        self.name = name
        self.last: RowRun | None = None
        self.runs: dict[str, list[RowRun]] = {}
        self.atoms: dict[str, dict[tuple[str, str, str], Row]] = {}

    def add(self, run: RowRun) -> None:
        """The next run.

        Raises:
          BadTable: the residue has such an atom already, at another place.
        """
        self.last = run
        self.runs.setdefault(run.first.number, []).append(run)
        atoms = self.atoms.setdefault(run.first.number, {})
        for row in run.rows:
            row.part = self.name
            before = atoms.setdefault((row.residue, row.atom, row.altloc), row)
            if before is not row and not row.hydrogen:
                raise BadTable(
                    f"{row.place}: expected one atom {row.atom} in residue {row.residue} {row.number} of chain "
                    f"{row.chain!r}, got a second one, at another place than {before.place}. Label alternatives, give "
                    "chains names of their own, or remove one of the two"
                )

    def ended_before(self, run: RowRun, stretch: Sequence[RowRun]) -> bool:
        """Says whether the run begins another chain; with it begins the ``stretch`` of ascending numbers, if any."""
        first, last = run.first, self.last.first
        behind_end, unnamed = first.block != last.block, not first.chain
        if _within(self.last, "C", run, "N", _BOND):
            return False
        if first.number in self.atoms and (behind_end or first.number != last.number):
            return self._repeats(run)
        number, before = place_number(first), place_number(last)
        if number is None or before is None:
            return behind_end and unnamed
        if behind_end and (unnamed or number <= before):
            return True
        # Numbers with insertion codes, and of parts of a fused protein, fall inside of a chain.
        falls = number < before and first.number.lstrip("-").isdigit() and last.number.lstrip("-").isdigit()
        return falls and (unnamed or any(self._repeats(other) for other in stretch))

    def _repeats(self, run: RowRun) -> bool:
        """Says whether atoms of such names are there already."""
        there = {(atom, altloc) for _, atom, altloc in self.atoms.get(run.first.number, ())}
        return any((row.atom, row.altloc) in there for row in run.rows if not row.hydrogen)


def runs_of(rows: Sequence[Row]) -> list[RowRun]:
    """Rows as residues, in order."""
    runs: list[list[Row]] = []
    before = None
    for row in rows:
        key = (row.chain, row.number, row.residue, row.segment, row.block)
        if key != before:
            runs.append([])
        runs[-1].append(row)
        before = key
    return [RowRun(run, run[0], _is_amino(run)) for run in runs]


def in_order(runs: Sequence[RowRun], counts: dict[str, Counter[str]]) -> list[RowRun]:
    """The runs, each with the chain that it belongs to, and those that are moved in their new place.

    Raises:
      BadTable: an amino acid has two atoms of one name at different places.
    """
    by_chain: dict[str, list[RowRun]] = defaultdict(list)
    for run in runs:
        by_chain[run.first.chain].append(run)
        for row in run.rows:
            row.part = row.chain
    taken = set(by_chain)
    place = {id(run): float(n) for n, run in enumerate(runs)}
    for chain, own in by_chain.items():
        parts = _split(chain, own, taken)
        for part in parts[1:]:
            counts[part.name]["split"] += 1
        for part in parts:
            _gather(part, place)
        _move(own, parts, place, counts)
    return sorted(runs, key=lambda run: place[id(run)])


def _split(chain: str, runs: Sequence[RowRun], taken: set[str]) -> list[_Part]:
    """The chains that have this name, the first of which keeps it; ``taken`` gets the names of the others."""
    solid_blocks = {run.first.block for run in runs if run.solid}
    stretches = _stretches(run for run in runs if run.solid)
    parts: list[_Part] = []
    current: dict[str, _Part] = {}  # by segment
    waiting: list[RowRun] = []  # for a residue that says whether a chain begins with them
    for run in runs:
        if run.first.block not in solid_blocks or run.first.sequence is False:
            continue
        part = current.get(run.first.segment)
        begins = part is None or (run.amino and part.ended_before(run, stretches.get(id(run), ())))
        if run.solid:
            if begins:
                part = _Part(_free_name(chain, len(parts) + 1, taken) if parts else chain)
                parts.append(part)
            for other in waiting:
                _enter(other, part, known=begins)
            waiting, current[run.first.segment] = [], part
            part.add(run)
        elif begins or run.first.residue in _CAPS:
            waiting.append(run)
        else:
            _enter(run, part, known=run.amino)
    for run in waiting:
        _enter(run, current.get(run.first.segment, parts[0]), known=False)
    return parts


def _stretches(runs: Iterable[RowRun]) -> dict[int, list[RowRun]]:
    """Runs of ascending numbers, by the first of each."""
    found: dict[int, list[RowRun]] = {}
    stretch: list[RowRun] = []
    for run in runs:
        number, before = place_number(run.first), place_number(stretch[-1].first) if stretch else None
        if before is None or number is None or number < before:
            stretch = found.setdefault(id(run), [])
        stretch.append(run)
    return found


def _enter(run: RowRun, part: _Part, *, known: bool) -> None:
    """Gives the run the part's name; a residue of which that is ``known`` counts as one of the part."""
    if known and run.amino:
        part.add(run)
    for row in run.rows:
        row.part = part.name


def _free_name(chain: str, number: int, taken: set[str]) -> str:
    while (name := f"{chain}_{number}") in taken:
        number += 1
    taken.add(name)
    return name


def _gather(part: _Part, place: dict[int, float]) -> None:
    """Runs of one residue follow each other, wherever the file has them."""
    for first, *others in part.runs.values():
        for n, run in enumerate(others, 1):
            place[id(run)] = place[id(first)] + n * _STEP
            _into_block(run, first)


def _move(
    runs: Sequence[RowRun], parts: Sequence[_Part], place: dict[int, float], counts: dict[str, Counter[str]]
) -> None:
    solid_blocks = {run.first.block for run in runs if run.solid}
    candidates = [
        run
        for run in runs
        if run.amino and run.first.hetero and run.first.sequence is None and run.first.block not in solid_blocks
    ]
    moved = True
    while moved:  # a residue may be bonded to one that was moved before
        moved = False
        for run in list(candidates):
            for part in parts:
                if (found := _neighbour(run, part)) is not None:
                    other, step = found
                    part.add(run)
                    place[id(run)] = place[id(other)] + step
                    _into_block(run, other)
                    counts[part.name]["moved"] += 1
                    candidates.remove(run)
                    moved = True
                    break


def _neighbour(run: RowRun, part: _Part) -> tuple[RowRun, float] | None:
    """The residue that the run belongs behind or before, and which of the two."""
    number = place_number(run.first)
    if number is None or run.first.number in part.atoms:
        return None
    numbered = [
        (there, others[-1]) for others in part.runs.values() if (there := place_number(others[0].first)) is not None
    ]
    before = max((each for each in numbered if each[0] <= number), key=lambda each: each[0], default=None)
    after = min((each for each in numbered if each[0] > number), key=lambda each: each[0], default=None)
    modified = not names.is_standard(run.first.residue)
    if before and (_within(before[1], "C", run, "N", _BOND) or (modified and _follows(*before, number, run))):
        return before[1], _STEP
    if after and (_within(run, "C", after[1], "N", _BOND) or (modified and _follows(number, run, *after))):
        return after[1], -_STEP
    return None


def _follows(number: int, run: RowRun, other_number: int, other: RowRun) -> bool:
    """Says whether the second residue has the next number and is as far away as the next residue."""
    return other_number == number + 1 and _within(run, "CA", other, "CA", _NEIGHBOURS)


def _within(run: RowRun, atom: str, other: RowRun, other_atom: str, distance: float) -> bool:
    here, there = run.position(atom), other.position(other_atom)
    return here is not None and there is not None and math.dist(here, there) <= distance


def _into_block(run: RowRun, other: RowRun) -> None:
    """No TER record stands between the two."""
    if run.first.block != other.first.block:
        for row in run.rows:
            row.put(block=other.first.block)


def _is_amino(rows: Sequence[Row]) -> bool:
    return names.is_amino_acid(rows[0].residue) or {"N", "CA", "C"} <= {row.atom for row in rows}
