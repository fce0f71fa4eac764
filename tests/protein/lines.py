"""Small files of structures, as text or bytes."""

import io

import numpy as np

BACKBONE = ("N", "CA", "C", "O")


def atom(
    residue: str,
    name: str,
    *,
    at=(0.0, 0.0, 0.0),
    alt=" ",
    occupancy=1.0,
    chain="A",
    element="",
    record="ATOM",
    insert="",
) -> str:
    """A line of a pdb file; ``residue`` is name and number, for instance ``"ALA 12"``."""
    residue, number = residue.split()
    position = "".join(f"{x:8.3f}" for x in at)
    return (
        f"{record:<6}{1:>5}  {name:<3}{alt}{residue:>3} {chain}{number:>4}{insert or ' '}   {position}"
        f"{occupancy:6.2f}{0:6.2f}          {element or name[0]:>2}\n"
    )


def moved(text: str, z: float) -> str:
    """The atoms so many angstrom along the third axis."""
    lines = [
        f"{line[:46]}{float(line[46:54]) + z:8.3f}{line[54:]}" if line.startswith(("ATOM", "HETATM")) else line
        for line in text.splitlines(True)
    ]
    return "".join(lines)


def put(text: str, start: int, value: str) -> str:
    """A text with ``value`` in the columns from ``start`` (of the first column: 0) of each atom."""
    lines = [
        f"{line[:start]}{value}{line[start + len(value) :]}" if line.startswith(("ATOM", "HETATM")) else line
        for line in text.splitlines(True)
    ]
    return "".join(lines)


def atoms(residue: str, names=BACKBONE, **options) -> str:
    """Several atoms, a bond's length apart, each residue 3.8 angstrom after the one before."""
    start = 3.8 * int(residue.split()[1])
    return "".join(atom(residue, name, at=(start, n, 0), **options) for n, name in enumerate(names))


MOL2 = """@<TRIPOS>MOLECULE
benzamidine
 4 3 1 0 0
SMALL
GASTEIGER

@<TRIPOS>ATOM
      1 C1          1.0000    2.0000    3.0000 C.ar    1  BEN1        0.1
      2 CL2         4.0000    5.0000    6.0000 Cl      1  BEN1        0.1
      3 H           4.0000    5.0000    6.0000 H       1  BEN1        0.1
      4 N1          7.0000    8.0000    9.0000 N.pl3   1  BEN1        0.1
@<TRIPOS>BOND
     1    1    2 ar
"""


def sdf(*atoms: str) -> str:
    lines = "".join(f"{n:10.4f}{0:10.4f}{0:10.4f} {symbol:<3} 0  0\n" for n, symbol in enumerate(atoms))
    return f"name\n  program\n\n{len(atoms):>3}  0  0  0  0  0  0  0  0  0999 V2000\n{lines}M  END\n$$$$\n"


COLUMNS = (
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id Cartn_x Cartn_y "
    "Cartn_z occupancy auth_seq_id auth_comp_id auth_asym_id pdbx_PDB_ins_code pdbx_PDB_model_num"
).split()


def cif_rows(text: str, **values: str) -> list[dict[str, str]]:
    """The atoms of a pdb file as rows of an mmCIF table, with other ``values`` in some columns."""
    rows = []
    for n, line in enumerate(text.splitlines(), 1):
        if not line.startswith(("ATOM", "HETATM")):
            continue
        spans = (
            (0, 6),
            (6, 11),
            (76, 78),
            (12, 16),
            (16, 17),
            (17, 20),
            (21, 22),
            (0, 0),
            (30, 38),
            (38, 46),
            (46, 54),
        )
        spans += ((54, 60), (22, 26), (17, 20), (21, 22), (26, 27), (0, 0))
        row = [line[start:end].strip() or "." for start, end in spans]
        rows.append(dict(zip(COLUMNS, row, strict=True)) | {"id": str(n), "pdbx_PDB_model_num": "1"} | values)
    return rows


def cif(rows: list[dict[str, str]]) -> str:
    """An mmCIF file with a table of atoms; values need no quotes."""
    names = "".join(f"_atom_site.{name}\n" for name in rows[0])
    return f"data_x\nloop_\n{names}" + "".join(f"{' '.join(row.values())}\n" for row in rows) + "#\n"


def bcif(rows: list[dict[str, str]]) -> bytes:
    """A BinaryCIF file with a table of atoms; "." and "?" are masked."""
    from biotite.structure.io import pdbx

    columns = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        mask = np.where(values == ".", 1, np.where(values == "?", 2, 0)).astype(np.uint8)
        data = pdbx.BinaryCIFData(np.where(mask, "", values))
        columns[name] = pdbx.BinaryCIFColumn(data, pdbx.BinaryCIFData(mask) if mask.any() else None)
    file = io.BytesIO()
    block = pdbx.BinaryCIFBlock({"atom_site": pdbx.BinaryCIFCategory(columns)})
    pdbx.BinaryCIFFile({"x": block}).write(file)
    return file.getvalue()


WRITE = {
    "pdb": lambda text, **values: text,
    "cif": lambda text, **values: cif(cif_rows(text, **values)),
    "bcif": lambda text, **values: bcif(cif_rows(text, **values)),
}
"""Atoms of a pdb file in each format; of mmCIF with other values in some columns."""


def chain(count: int, letter=" ", first=1, names=("ALA", "GLY", "SER")) -> str:
    """So many residues."""
    return "".join(atoms(f"{names[n % len(names)]} {first + n}", chain=letter) for n in range(count))
