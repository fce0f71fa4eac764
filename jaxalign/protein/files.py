"""Files of structures, as bytes and as what the libraries make of them.

Whatever is wrong with a file is a ValueError that names it, what was found and what to do. gemmi reads pdb and mmCIF;
BinaryCIF and sdf, which it does not, are read by biotite. No light library reads mol2, of which a ligand's nodes need
only the ``@<TRIPOS>ATOM`` block: that one is parsed here, strictly.
"""

import gzip
import io
import os
import pathlib
import warnings
import zlib
from typing import NamedTuple

import gemmi

POLYMER_SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif", ".bcif")
LIGAND_SUFFIXES = (".sdf", ".mol2")

# All that gemmi makes a structure of; what else a file holds is not worth its conversion to text.
_CATEGORIES = ("atom_site", "entity", "entity_poly", "entity_poly_seq", "struct_asym")


class Atom(NamedTuple):
    """An atom of a ligand file: its name, element symbol and position in angstrom."""

    name: str
    element: str
    position: tuple[float, float, float]


class Ligand(NamedTuple):
    """The first molecule of a file with all its atoms, and how many molecules follow."""

    atoms: list[Atom]
    others: int


def file_format(path: str | os.PathLike) -> str:
    """The suffix that says what is in a file, in lower case and without ``.gz``.

    Raises:
      ValueError: if it is none of those that can be read.
    """
    name = os.fspath(path).lower().removesuffix(".gz")
    suffix = pathlib.Path(name).suffix
    known = (*POLYMER_SUFFIXES, *LIGAND_SUFFIXES)
    if suffix not in known:
        raise ValueError(f"{path}: expected a name that ends in one of {', '.join(known)}, or one of these and .gz")
    return suffix


def read_bytes(path: str | os.PathLike) -> bytes:
    """What is in a file, unpacked if its name ends in ``.gz``.

    Raises:
      ValueError: if it is empty, no whole gzip file although it is called one, or a web page.
    """
    content = pathlib.Path(path).read_bytes()
    if os.fspath(path).lower().endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file: {error}. Download it again") from error
    if not content.strip():
        raise ValueError(f"{path}: expected a structure, got an empty file. Download it again")
    if content.lstrip()[:15].lower().startswith((b"<html", b"<!doctype html", b"<?xml")):
        raise ValueError(
            f"{path}: expected a structure, got a web page. Look what it says, and download the file again"
        )
    return content


def parse_polymers(path: str | os.PathLike, content: bytes) -> gemmi.Structure:
    """The models of a pdb, mmCIF or BinaryCIF file, with the types of their residues' entities set.

    Raises:
      ValueError: if the content is not of that format, or has no atom.
    """
    suffix = file_format(path)
    parse = {".pdb": _parse_pdb, ".ent": _parse_pdb, ".bcif": _parse_bcif}.get(suffix, _parse_cif)
    try:
        structure = parse(content)
    except (ImportError, MemoryError):  # nothing that the file could help
        raise
    except Exception as error:  # each library has its own errors, and biotite's readers any that NumPy knows
        raise ValueError(
            f"{path}: not a {suffix} file that can be read: {type(error).__name__}: {error}. "
            "Download it again, or give it the suffix of its format"
        ) from error
    if not len(structure) or not structure[0].count_atom_sites():
        raise ValueError(f"{path}: expected atoms, got none. Download the file again, or correct its suffix")
    structure.merge_chain_parts()
    structure.setup_entities()
    return structure


def parse_ligand(path: str | os.PathLike, content: bytes) -> Ligand:
    """The first molecule of an sdf or mol2 file.

    Raises:
      ValueError: if the content is not of that format, or has no atom.
    """
    suffix = file_format(path)
    parse = {".sdf": _parse_sdf, ".mol2": _parse_mol2}[suffix]
    try:
        ligand = parse("\n".join(content.decode("utf-8", "replace").splitlines()) + "\n")
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # as above
        raise ValueError(
            f"{path}: not a {suffix} file that can be read: {type(error).__name__}: {error}. "
            "Write it again, for instance with Open Babel"
        ) from error
    if not ligand.atoms:
        raise ValueError(f"{path}: expected atoms, got none. Write the file again, with coordinates")
    return ligand


def _parse_pdb(content: bytes) -> gemmi.Structure:
    # What is not ASCII, such as names of authors, becomes as many question marks: fields are found by their columns.
    return gemmi.read_pdb_string(content.decode("latin-1").encode("ascii", "replace"))


def _parse_cif(content: bytes) -> gemmi.Structure:
    document = gemmi.cif.read_string(content.decode("utf-8", "replace"))
    if not len(document):
        raise ValueError("no data block")
    return gemmi.make_structure_from_block(document[0])


def _parse_bcif(content: bytes) -> gemmi.Structure:
    """By way of the same text values that an mmCIF file has, so that both formats follow the same rules."""
    from biotite.structure.io import pdbx

    source = pdbx.BinaryCIFFile.read(io.BytesIO(content)).block
    block = gemmi.cif.Document().add_new_block("structure")
    for name in _CATEGORIES:
        if name in source:
            columns = source[name]
            texts = [[_cif_value(text) for text in columns[key].as_array(str).tolist()] for key in columns]
            block.init_loop(f"_{name}.", list(columns)).set_all_values(texts)
    return gemmi.make_structure_from_block(block)


def _cif_value(text: str) -> str:
    return text if text in (".", "?") else gemmi.cif.quote(text)


def _parse_sdf(text: str) -> Ligand:
    from biotite.structure.io import mol

    # biotite's own reader of several molecules keeps one of each name, and docked poses have the same.
    molecules = [molecule for molecule in text.split("$$$$\n") if molecule.strip()]
    if not molecules:
        raise ValueError("no molecule")
    record = mol.MOLFile.read(io.StringIO(molecules[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of bond types, which nothing here needs
        atoms = record.get_structure()
    located = zip(atoms.element.tolist(), atoms.coord.tolist(), strict=True)
    # The format has no names of atoms: element and number make one.
    named = [Atom(f"{element.capitalize()}{n}", element, tuple(at)) for n, (element, at) in enumerate(located, 1)]
    return Ligand(named, len(molecules) - 1)


def _parse_mol2(text: str) -> Ligand:
    """Lines of ``@<TRIPOS>ATOM`` are: number, name, x, y, z, type such as ``C.ar``, and more that is not needed."""
    text = "".join(f"{line.strip()}\n" for line in text.splitlines())
    molecules = text.split("@<TRIPOS>MOLECULE\n")[1:]
    if not molecules:
        raise ValueError("no @<TRIPOS>MOLECULE record")
    header, found, block = molecules[0].partition("@<TRIPOS>ATOM\n")
    if not found:
        raise ValueError("no @<TRIPOS>ATOM record")
    rows = [line.split() for line in block.partition("@<TRIPOS>")[0].splitlines() if line.strip()]
    short = [" ".join(row) for row in rows if len(row) < 6]
    if short:
        raise ValueError(f"expected number, name, x, y, z and type of an atom, got {short[0]!r}")
    declared = int(header.splitlines()[1].split()[0])
    if len(rows) != declared:
        raise ValueError(f"expected the {declared} atoms that the molecule declares, got {len(rows)}")
    atoms = [Atom(row[1], row[5].partition(".")[0], tuple(float(value) for value in row[2:5])) for row in rows]
    return Ligand(atoms, len(molecules) - 1)
