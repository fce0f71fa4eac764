"""The atoms of a pdb file, read strictly by their columns, and the same file for gemmi with what was mended.

Columns hold no more than their widths, and programs that need more shift the rest of the line, or write stars. A number
that is none stops here: gemmi takes it for 0.

- A residue's name of four letters leaves no column before the chain's letter; a line that is one column too long behind
  such a name, or behind a serial number of six digits, is read as it was meant.
- Where standard residues have something in that column, chains have names of two letters.
- Frames behind the first are counted, whatever parts them: MODEL, ENDMDL or END.
"""

import itertools
import re
import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import gemmi

from jaxalign.protein import names
from jaxalign.protein.mend import Mended, mend
from jaxalign.protein.rows import PLACEHOLDER, BadTable, Row, number
from jaxalign.protein.third_party import reading

_RESIDUE_NUMBER = re.compile(r"-?[0-9]+|[A-Za-z][0-9A-Za-z]{3}")  # the second is hybrid-36
_OUT_OF_PLACE = re.compile(r"\s+(ATOM|HETATM)\s*[0-9]", re.IGNORECASE)
_COORDINATES = ((30, 38), (38, 46), (46, 54))
_REMEDY = "Correct the line, or write the file again, as mmCIF if it has no room"
_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits


class _Frame(NamedTuple):
    """The first frame of a file."""

    head: list[str]  # other lines before it and in it
    lines: list[str]  # of atoms, with the usual columns
    rows: list[Row]
    ended: set[tuple[str, int]]  # chains, and their blocks that a TER record ends
    frames: int  # of the file, those behind the first included


def read_pdb(text: str) -> tuple[gemmi.Structure, Mended, int]:
    """The first model, what was mended in it, and the number of models.

    Raises:
      ValueError: naming the line that is not as it should be, what was expected and what came.
    """
    frame = _first_frame(text.split("\n"))
    mended = mend(frame.rows)
    lines = dict(zip(map(id, frame.rows), frame.lines, strict=True))
    codes = _codes(frame.rows, mended.rows)
    body = _body(mended.rows, lines, codes, frame.ended)
    written = "\n".join([*frame.head, *body, "END", ""])
    with reading():
        structure = gemmi.read_pdb_string(written)
    if len(structure):
        for chain in structure[0]:
            chain.name = codes.get(chain.name, chain.name)
        if (count := structure[0].count_atom_sites()) != len(mended.rows):
            raise BadTable(f"expected {len(mended.rows)} atoms, got {count}. {_REMEDY}")
    return structure, mended, frame.frames


def _first_frame(lines: Sequence[str]) -> _Frame:
    two_letters = _has_two_letters(lines)
    frame, inside, unfinished = _Frame([], [], [], set(), 0), False, False
    blocks: dict[str, int] = {}
    frames = 0
    for n, line in enumerate(lines, 1):
        record = line[:6].upper()
        if record[:4] in ("ATOM", "HETA"):
            frames += not inside
            inside = True
            if frames > 1:
                continue
            row, line = _row(n, line, two_letters)
            row.block = blocks.get(row.chain, 0)
            frame.rows.append(row)
            frame.lines.append(line)
        elif record.strip() in ("MODEL", "ENDMDL", "END"):
            unfinished = record.strip() == "MODEL" and (unfinished or not frames)
            inside = False
        elif frames > 1:
            continue
        elif record[:3] == "TER" and frame.rows:
            chain = frame.rows[-1].chain
            frame.ended.add((chain, blocks.get(chain, 0)))
            blocks[chain] = blocks.get(chain, 0) + 1
        elif _OUT_OF_PLACE.match(line):
            raise BadTable(f"line {n}: expected ATOM or HETATM in the first column, got {line[:30]!r}. {_REMEDY}")
        elif not frames:
            frame.head.append(line)
    if unfinished:
        raise BadTable("expected ENDMDL behind the first MODEL, got the end of the file. Download it again")
    _trust_columns(frame.rows)
    return frame._replace(frames=frames)


def _trust_columns(rows: Sequence[Row]) -> None:
    """Names say by their columns what their element is, unless those of amino acids begin where metals do."""
    backbone = (row for row in rows if row.atom in ("N", "CA", "C", "O") and names.is_standard(row.residue))
    if any(not row.columns.startswith(" ") for row in backbone):
        for row in rows:
            row.columns = ""


def _has_two_letters(lines: Sequence[str]) -> bool:
    """Tells if names of chains have two letters: no other thing stands right behind the name of a standard residue."""
    for line in lines:
        if line[:4].upper() in ("ATOM", "HETA") and len(line) > 21 and " " not in line[20:22]:
            known = gemmi.find_tabulated_residue(line[17:20].strip())
            usual = names.four_letters(line[17:21]) or names.may_be_water(line[17:21])
            if known.found() and known.is_standard() and not usual:
                return True
    return False


def _row(n: int, line: str, two_letters: bool) -> tuple[Row, str]:
    """The row of line ``n``, and the line with its columns in place."""
    row, usual = _fields(n, line, two_letters)
    if not row.problem:
        return row, usual
    shorter = []
    if line[11:12].isdigit():
        shorter.append(line[:6] + line[7:])
    if " " not in line[17:21] and line[21:22] == " ":
        shorter.append(f"{line[:17]}{_three(line[17:21])}{line[21:]}")
    for other in shorter:
        moved, placed = _fields(n, other, two_letters)
        if not moved.problem:
            moved.changed = True
            return moved, placed
    return row, usual


def _fields(n: int, line: str, two_letters: bool) -> tuple[Row, str]:
    line = f"{line.rstrip()[:78]:<78}"  # charges, or in old files numbers of lines, are not needed
    changed, residue, chain = False, line[17:20].strip(), line[20:22].strip()
    if line[20] != " " and _is_four_letters(line, two_letters):
        residue, chain, changed = line[17:21], line[21].strip(), True
        line = f"{line[:17]}{_three(residue)} {line[21:]}"
        residue = line[17:20].strip()
    values = [number(line[start:end]) for start, end in _COORDINATES]
    letters = line[76:78].strip().upper()
    element = letters if names.is_element(letters) else re.match("[A-Z]*", letters)[0]
    row = Row(
        place=f"line {n}",
        hetero=line[0] in "Hh",
        atom=line[12:16].strip(),
        altloc=line[16].strip(),
        residue=residue,
        chain=chain,
        number=line[22:27].strip(),
        segment=line[72:76].strip(),
        element=element,
        position=None if None in values else tuple(values),
        columns=line[12:16],
        changed=changed or (element != letters and names.is_element(element)),
    )
    row.problem = _problem(line, row, values)
    return row, line


def _is_four_letters(line: str, two_letters: bool) -> bool:
    """Says whether the column behind a residue's name is the name's, and not the chain's."""
    known = gemmi.find_tabulated_residue(line[17:20].strip())
    if two_letters and known.found() and known.is_standard():
        return False
    if names.four_letters(line[17:21]) or names.may_be_water(line[17:21]):
        return True
    return not (known.found() if line[21] == " " else two_letters)


def _three(name: str) -> str:
    return names.four_letters(name) or name[:3]


def _problem(line: str, row: Row, values: Sequence[float | None]) -> str:
    """What is wrong with the numbers of a line; nothing for most."""
    if len(line.rstrip()) < _COORDINATES[-1][1]:
        return f"the line is too short: expected {_COORDINATES[-1][1]} columns, got {line.rstrip()!r}. {_REMEDY}"
    for value, (start, end) in zip(values, _COORDINATES, strict=True):
        if value is None or abs(value) >= PLACEHOLDER:
            return f"expected a coordinate in columns {start + 1}-{end}, got {line[start:end]!r}. {_REMEDY}"
    text = line[22:26].strip()
    if not (_RESIDUE_NUMBER.fullmatch(text) or (not text and not names.is_amino_acid(row.residue))):
        return f"expected a residue's number in columns 23-26, got {line[22:26]!r}. {_REMEDY}"
    if row.altloc and line[54:60].strip() and number(line[54:60]) is None:
        return f"expected an occupancy in columns 55-60, got {line[54:60]!r}. {_REMEDY}"
    return ""


def _codes(rows: Sequence[Row], mended: Sequence[Row]) -> dict[str, str]:
    """Names of chains that a pdb file has no room for, by the two letters that stand for them while it is read."""
    taken = {row.chain for row in rows}
    new = dict.fromkeys(row.part for row in mended if row.part != row.chain)
    free = (code for pair in itertools.product(_LETTERS, repeat=2) if (code := "".join(pair)) not in taken)
    codes = dict(zip(free, new, strict=False))
    if len(codes) < len(new):
        raise BadTable(f"expected {len(codes)} chains at most that end and begin anew, got {len(new)}. {_REMEDY}")
    return codes


def _body(
    rows: Sequence[Row], lines: dict[int, str], codes: dict[str, str], ended: set[tuple[str, int]]
) -> Iterator[str]:
    """The lines of atoms, and TER behind each block that has one."""
    code_of = {name: code for code, name in codes.items()}
    last = {(row.part, row.block): n for n, row in enumerate(rows)}
    for n, row in enumerate(rows):
        line = lines[id(row)]
        if row.changed:
            line = f"{line[:17]}{row.residue:>3}{line[20:72]}{row.segment:<4}{row.element:>2}"
        if row.part != row.chain:
            line = f"{line[:20]}{code_of[row.part]}{line[22:]}"
        yield line
        if last[row.part, row.block] == n and (row.chain, row.block) in ended:
            yield "TER"
