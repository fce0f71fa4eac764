"""Graphs on disk: a structure is read and its neighbours are searched once, whatever the number of runs.

A file is named by a hash of what it was made of: the bytes of the structure and the ligand, and every option. Nothing
stale is ever met, and two processes that write the same file write the same. Change ``RULES`` with the rules.
"""

import hashlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Collection

import numpy as np

from jaxalign.files import replaced
from jaxalign.protein.files import file_format
from jaxalign.protein.graphs import ProteinGraph, make_graph
from jaxalign.protein.structures import Structure, StructureReport, combine, read_structure

RULES = 2  # of reading and of edges; another number makes every file be written anew
_EDGES = ("senders", "receivers", "relations")
_DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)


def cached_graph(
    path: str | os.PathLike,
    directory: str | os.PathLike,
    *,
    ligand: str | os.PathLike | None = None,
    chains: Collection[str] | None = None,
    ligands: bool = True,
    num_neighbors: int = 7,
    radius: float | None = None,
) -> tuple[Structure, ProteinGraph]:
    """Returns a structure and its graph, without embeddings; made and written where they are missing or damaged.

    Args:
      path: a file of a structure: pdb, mmCIF or BinaryCIF, which may end in ``.gz``.
      directory: the folder of such files; it is made.
      ligand: a file with a ligand that is combined with the structure.
      chains: names of the only chains to read; None for all.
      ligands: whether to keep the ligands of the structure's own file.
      num_neighbors: how many nearest nodes each node has an edge to; 0 for no such edges.
      radius: the distance within which all nodes have edges, in angstrom; None for no such edges.

    Raises:
      ValueError: a file is damaged or of another form, or no graph can be made of it.
      OSError: the file could not be written.
    """
    wanted = None if chains is None else sorted(set(chains))
    digest = hashlib.sha256(f"{RULES} {wanted} {bool(ligands)} {num_neighbors} {radius}".encode())
    for source in (path,) if ligand is None else (path, ligand):
        content = pathlib.Path(source).read_bytes()
        digest.update(f" {file_format(source)} {len(content)} ".encode() + content)
    place = pathlib.Path(directory) / f"{pathlib.Path(path).name.partition('.')[0]}-{digest.hexdigest()[:32]}.npz"
    if (found := _load(place)) is not None:
        return found
    structure = read_structure(path, chains=chains, ligands=ligands)
    if ligand is not None:
        structure = combine(structure, read_structure(ligand))
    graph = make_graph(structure, num_neighbors=num_neighbors, radius=radius)
    _save(place, structure, graph)
    return structure, graph


def _load(place: pathlib.Path) -> tuple[Structure, ProteinGraph] | None:
    """What a file holds, None if there is none or it is damaged: zip files have checksums."""
    try:
        with open(place, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            arrays = dict(arrays)
        edges = {name: arrays.pop(name) for name in _EDGES}
        texts = {name: tuple(arrays[name].tolist()) for name in ("chain_names", "names")}
        structure = Structure(**arrays | texts | {"report": StructureReport(*arrays["report"].tolist())})
    except _DAMAGE:
        return None
    shared = {name: arrays[name] for name in ProteinGraph._fields if name in arrays}
    return structure, ProteinGraph(**shared, **edges, num_chains=len(structure.chain_names))


def _save(place: pathlib.Path, structure: Structure, graph: ProteinGraph) -> None:
    arrays = {name: np.asarray(value) for name, value in structure._asdict().items()}
    arrays |= {name: np.asarray(getattr(structure, name), str) for name in ("chain_names", "names")}
    arrays |= {name: getattr(graph, name) for name in _EDGES}
    place.parent.mkdir(parents=True, exist_ok=True)
    with replaced(place, sync=False) as file:  # a damaged one is made anew
        np.savez_compressed(file, **arrays)
