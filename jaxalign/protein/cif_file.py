"""The atoms of an mmCIF or BinaryCIF file, checked, and the same table for gemmi with what was mended.

Names of chains, residues and atoms are those that the authors gave, and the label's where there are none. The first
block that has atoms counts; others that have some are counted like models.
"""

import io
from collections.abc import Sequence

import gemmi
from gemmi import cif

from jaxalign.protein import names
from jaxalign.protein.mend import Mended, mend
from jaxalign.protein.rows import PLACEHOLDER, BadTable, Row, number
from jaxalign.protein.third_party import Unreadable, reading

# All that gemmi makes a structure of; what else a file holds is not worth its conversion to text.
_CATEGORIES = ("atom_site", "entity", "entity_poly", "entity_poly_seq", "struct_asym")
_COORDINATES = ("Cartn_x", "Cartn_y", "Cartn_z")
_NEEDED = {"id", "label_alt_id", "label_atom_id", "label_comp_id", "label_asym_id"}  # by gemmi
_NOTHING = (".", "?", "")


def read_cif(text: str) -> tuple[gemmi.Structure, Mended, int]:
    """The first model, what was mended in it, and the number of models.

    Raises:
      ValueError: naming the row that is not as it should be, what was expected and what came.
    """
    with reading():
        blocks = list(cif.read_string(text))
        with_atoms = [block for block in blocks if len(block.find_mmcif_category("_atom_site."))]
    if not blocks:
        raise Unreadable("no data block")
    block = (with_atoms or blocks)[0]
    structure, mended, models = _read_block(block)
    return structure, mended, models + max(len(with_atoms) - 1, 0)


def read_bcif(content: bytes) -> tuple[gemmi.Structure, Mended, int]:
    """Does what :func:`read_cif` does, by way of the same text values that an mmCIF file has."""
    from biotite.structure.io import pdbx

    with reading():
        sources = list(pdbx.BinaryCIFFile.read(io.BytesIO(content)).values())
        with_atoms = [source for source in sources if "atom_site" in source]
    if not sources:
        raise Unreadable("no data block")
    source = (with_atoms or sources)[0]
    with reading():
        tables = {name: source[name] for name in _CATEGORIES if name in source}
        texts = {name: {key: table[key].as_array(str).tolist() for key in table} for name, table in tables.items()}
    block = cif.Document().add_new_block("structure")
    for name, columns in texts.items():
        quoted = [[_quoted(text) for text in column] for column in columns.values()]
        with reading():
            block.init_loop(f"_{name}.", list(columns)).set_all_values(quoted)
    structure, mended, models = _read_block(block)
    return structure, mended, models + max(len(with_atoms) - 1, 0)


def _quoted(text: str) -> str:
    return text if text in (".", "?") else cif.quote(text)


def _read_block(block: cif.Block) -> tuple[gemmi.Structure, Mended, int]:
    with reading():
        table = block.find_mmcif_category("_atom_site.")
        raw = {tag.partition(".")[2]: list(table.column(n)) for n, tag in enumerate(table.tags)}
        texts = {tag: list(map(cif.as_string, values)) for tag, values in raw.items() if tag in _TEXTS}
    columns = {**raw, **texts}
    models = columns.get("pdbx_PDB_model_num") or ["1"] * len(table)
    kept = [n for n, model in enumerate(models) if model == models[0]]
    rows = _rows(columns, kept)
    mended = mend(rows)
    if (
        len(kept) < len(models)
        or not _NEEDED <= raw.keys()
        or any(row.changed for row in rows)
        or not _as_before(rows, mended.rows)
    ):
        _write(block, raw, dict(zip(map(id, rows), kept, strict=True)), mended.rows)
    with reading():
        structure = gemmi.make_structure_from_block(block)
    if (count := structure[0].count_atom_sites() if len(structure) else 0) != len(mended.rows):
        raise BadTable(f"expected {len(mended.rows)} atoms, got {count}. Write the file again")
    return structure, mended, len(set(models))


def _as_before(rows: Sequence[Row], mended: Sequence[Row]) -> bool:
    return len(rows) == len(mended) and all(
        row is other and row.part == row.chain for row, other in zip(rows, mended, strict=True)
    )


_TEXTS = frozenset(
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id auth_seq_id "
    "auth_comp_id auth_asym_id auth_atom_id pdbx_PDB_ins_code pdbx_PDB_model_num".split()
)


def _rows(columns: dict[str, list[str]], kept: Sequence[int]) -> list[Row]:
    """The rows of these numbers."""

    def column(*tags: str) -> list[str]:
        """Returns for each row what the first tag says, or the second where that is nothing."""
        given = [columns[tag] for tag in tags if tag in columns]
        return [next((each[n] for each in given if each[n] not in _NOTHING), "") for n in kept]

    sequences = column("label_seq_id")
    length = max(map(len, columns.values()), default=0)
    places = list(zip(*(columns.get(tag) or [""] * length for tag in _COORDINATES), strict=True))
    fields = zip(
        kept,
        column("id"),
        column("group_PDB"),
        column("auth_atom_id", "label_atom_id"),
        column("label_alt_id"),
        column("auth_comp_id", "label_comp_id"),
        column("auth_asym_id", "label_asym_id"),
        column("auth_seq_id", "label_seq_id"),
        column("pdbx_PDB_ins_code"),
        column("label_asym_id"),
        column("type_symbol"),
        sequences,
        column("occupancy"),
        strict=True,
    )
    known = any(sequences)
    rows = []
    for n, serial, group, atom, altloc, residue, chain, seq, insert, segment, element, sequence, occupancy in fields:
        texts = places[n]
        values = [number(_plain(text)) for text in texts]
        row = Row(
            place=f"row {n + 1} of atom_site, id {serial}",
            hetero=group.upper() == "HETATM",
            atom=atom,
            altloc=altloc,
            residue=residue,
            chain=chain,
            number=seq + insert,
            segment=segment,
            element=element.upper().rstrip("0123456789+-"),
            position=None if None in values else tuple(values),
            sequence=bool(sequence) if known else None,
        )
        row.problem = _problem(texts, values, altloc, occupancy)
        row.changed = row.element != element.upper() and names.is_element(row.element)
        rows.append(row)
    return rows


def _plain(text: str) -> str:
    """A number without its uncertainty, which stands in brackets behind it."""
    return text.partition("(")[0] if text.endswith(")") else text


def _problem(texts: Sequence[str], values: Sequence[float | None], altloc: str, occupancy: str) -> str:
    for tag, text, value in zip(_COORDINATES, texts, values, strict=True):
        if value is None or abs(value) >= PLACEHOLDER:
            return f"expected a coordinate in {tag}, got {text!r}. Correct the row, or leave it out"
    if altloc and occupancy and number(_plain(occupancy)) is None:
        return f"expected an occupancy, got {occupancy!r}. Correct the row"
    return ""


def _write(block: cif.Block, raw: dict[str, list[str]], numbers: dict[int, int], rows: Sequence[Row]) -> None:
    """Puts the rows into the block's table, in their order."""
    chosen = {tag: [values[numbers[id(row)]] for row in rows] for tag, values in raw.items()}
    chain = "auth_asym_id" if "auth_asym_id" in raw else "label_asym_id"
    chosen[chain] = [
        cif.quote(row.part) if row.part != row.chain else value
        for row, value in zip(rows, chosen.get(chain, [""] * len(rows)), strict=True)
    ]
    chosen["type_symbol"] = [row.element or "X" for row in rows]
    chosen.setdefault("id", [str(n) for n in range(1, len(rows) + 1)])
    chosen.setdefault("label_alt_id", ["."] * len(rows))
    for tag, field in (("label_atom_id", "atom"), ("label_comp_id", "residue"), ("label_asym_id", "part")):
        chosen.setdefault(tag, [cif.quote(getattr(row, field)) for row in rows])
    for tag in ("auth_comp_id", "label_comp_id"):
        if tag in raw:
            chosen[tag] = [
                cif.quote(row.residue) if row.changed else value for row, value in zip(rows, chosen[tag], strict=True)
            ]
    block.find_mmcif_category("_atom_site.").erase()
    block.init_loop("_atom_site.", list(chosen)).set_all_values(list(chosen.values()))
