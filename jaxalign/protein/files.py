"""Files of structures, as bytes and as what the libraries make of them.

Whatever is wrong with a file is a ValueError that names it, what was found and what to do. gemmi reads pdb and mmCIF;
BinaryCIF and sdf, which it does not, are read by biotite. Both take much for a number that is none, so that tables of
atoms are checked, and mended where that is sure, before they see them.
"""

import codecs
import gzip
import os
import pathlib
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import gemmi

from jaxalign.protein import cif_file, ligand_file, pdb_file
from jaxalign.protein.ligand_file import Ligand
from jaxalign.protein.rows import BadTable
from jaxalign.protein.third_party import Unreadable

POLYMER_SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif", ".bcif")
LIGAND_SUFFIXES = (".sdf", ".mol2")
_GZIP = b"\x1f\x8b"
_PACKED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}


class Polymers(NamedTuple):
    """The first model, what was mended in it by the names of chains, and how many models follow."""

    structure: gemmi.Structure
    mended: Mapping[str, Counter[str]]
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
    """What is in a file, unpacked if it is a gzip file, whatever its name.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: if it is empty, no complete gzip file although it is called one, or something else than a structure.
    """
    place = pathlib.Path(path)
    if place.is_dir():
        raise IsADirectoryError(f"{path}: expected a file, got a folder. Name one of the files in it")
    try:
        content = place.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: expected a file, got none of that name. Correct the path") from error
    except OSError as error:
        raise OSError(f"{path}: expected a file that can be read: {error.strerror}. See to its permissions") from error
    if os.fspath(path).lower().endswith(".gz") or content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: not a complete gzip file: {error}. Download it again") from error
    if not content.strip():
        raise ValueError(f"{path}: expected a structure, got an empty file. Download it again")
    if content.lstrip()[:15].lower().startswith((b"<html", b"<!doctype html", b"<?xml")):
        raise ValueError(
            f"{path}: expected a structure, got a web page. Look what it says, and download the file again"
        )
    if packed := next((name for magic, name in _PACKED.items() if content.startswith(magic)), None):
        raise ValueError(f"{path}: expected a structure, got a {packed} file. Unpack it, or pack it with gzip")
    return content


def decode(path: str | os.PathLike, content: bytes, *, ascii: bool = False) -> str:
    """The text in a file, lines ended by line feeds, without a mark of its encoding.

    Args:
      ascii: make one question mark of each byte that is none, so that columns stay where they are.

    Raises:
      ValueError: it is no text.
    """
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if utf16 else "utf-8-sig", "replace") if utf16 or not ascii else ""
    if ascii:
        plain = text.encode("ascii", "replace") if utf16 else content.removeprefix(codecs.BOM_UTF8)
        text = plain.decode("latin-1").encode("ascii", "replace").decode()
    if "\0" in text:
        raise ValueError(f"{path}: expected text, got bytes of 0. Download the file again, or give it its own suffix")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_polymers(path: str | os.PathLike, content: bytes) -> Polymers:
    """The first model of a pdb, mmCIF or BinaryCIF file, with the types of its residues' entities set.

    Raises:
      ValueError: if the content is not of that format, has no atom, or something in it is not as it should be.
    """
    suffix = file_format(path)
    read = {".pdb": pdb_file.read_pdb, ".ent": pdb_file.read_pdb, ".bcif": cif_file.read_bcif}
    source = content if suffix == ".bcif" else decode(path, content, ascii=suffix in (".pdb", ".ent"))
    try:
        structure, mended, models = read.get(suffix, cif_file.read_cif)(source)
    except BadTable as error:
        raise ValueError(f"{path}: not a {suffix} file that can be read: {error}") from error
    except Unreadable as error:
        raise ValueError(
            f"{path}: not a {suffix} file that can be read: {error}. "
            "Download it again, or give it the suffix of its format"
        ) from error
    if not mended.rows:
        raise ValueError(f"{path}: expected atoms, got none. Download the file again, or correct its suffix")
    structure.merge_chain_parts()
    structure.setup_entities()
    return Polymers(structure, mended.counts, models - 1)


def parse_ligand(path: str | os.PathLike, content: bytes) -> Ligand:
    """The first molecule of an sdf or mol2 file.

    Raises:
      ValueError: if the content is not of that format, has no atom, or something in it is not as it should be.
    """
    suffix = file_format(path)
    read = {".sdf": ligand_file.read_sdf, ".mol2": ligand_file.read_mol2}[suffix]
    text = decode(path, content)
    try:
        ligand = read(f"{text}\n")
    except BadTable as error:
        raise ValueError(f"{path}: not a {suffix} file that can be read: {error}") from error
    except Unreadable as error:
        raise ValueError(
            f"{path}: not a {suffix} file that can be read: {error}. Write it again, for instance with Open Babel"
        ) from error
    if not ligand.atoms:
        raise ValueError(f"{path}: expected atoms, got none. Write the file again, with coordinates")
    return ligand
