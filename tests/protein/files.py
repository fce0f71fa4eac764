"""Small files of the real schemas, fake structures, and a compilation that a test can start in another process.

A fake structure is a text file: its chains with their lengths, as ``A3 B2``, or ``bad`` for an unreadable one. Each
one that is read leaves its name in the file that JAXALIGN_TEST_LOG names, and a slow one takes its time.
"""

import json
import os
import pathlib
import time
from typing import Any, NamedTuple

import numpy as np

from jaxalign import protein

EC = """### EC-numbers
1.1.1.1\t2.2.2.2\t3.3.3.3
### PDB-chain\tEC-numbers
1ABC-A\t1.1.1.1
1XYZ-A\t2.2.2.2
7FUS-A\t3.3.3.3
"""
GO = """### GO-terms (molecular_function)
GO:1\tGO:2
### GO-names (molecular_function)
one\ttwo
### GO-terms (biological_process)
GO:3\tGO:4\tGO:5
### GO-names (biological_process)
three\tfour\tfive
### GO-terms (cellular_component)
GO:6
### GO-names (cellular_component)
six
### PDB-chain\tGO-terms (molecular_function)\tGO-terms (biological_process)\tGO-terms (cellular_component)
1ABC-A\tGO:2\tGO:3,GO:5\tGO:6
1ABC-B\tGO:1\tGO:4\t
"""
CHAIN_MAP = {
    "1abc-A": {"A": "P1"},
    "1ABC-B": {"B": "P2"},
    "1xyz-A": {"A": "P1"},
    "1xyz": {"A": "P1"},
    "5cpx": {"A": "P1", "B": "P2"},
    "6ppi": {"A": "P9", "B": "P9"},
    "7fus-A": {"A": "P7", "X": "P8"},
    "7nil": {},
}
LBA = "# index\n5cpx  2.10  1982   4.31  Kd=49uM       // 5cpx.pdf (2-mer)\n"
PPA = "# index\n6ppi  2.10  1982   Kd<10nM       // 6ppi.pdf (dimer)\n"
IDENTITY = "PDB-chain,<30%,<40%,<50%,<70%,<95%\r\n1ABC-A,0,0,1,1,1\r\n"


class Structure(NamedTuple):
    """The fields that compiling looks at, and two that a graph is made of."""

    coordinates: np.ndarray
    chains: np.ndarray
    chain_names: tuple[str, ...]


class ProteinGraph(NamedTuple):
    coordinates: np.ndarray
    elements: np.ndarray
    channel_mask: np.ndarray
    types: np.ndarray
    chains: np.ndarray
    num_chains: int
    senders: np.ndarray
    receivers: np.ndarray
    relations: np.ndarray
    embeddings: Any


def write_sources(folder: pathlib.Path) -> protein.Sources:
    """All sources of labels."""
    texts = {"ec": EC, "go": GO, "lba": LBA, "ppa": PPA, "chain_to_uniprot": json.dumps(CHAIN_MAP), "bins": IDENTITY}
    for name, text in texts.items():
        (folder / name).write_text(text)
    paths = {name: folder / name for name in texts if name != "bins"}
    return protein.Sources(**paths, identity={"ec": folder / "bins"})


def read_structure(path, chains=None) -> Structure:
    """A fake structure of a text file."""
    if log := os.environ.get("JAXALIGN_TEST_LOG"):
        with open(log, "a") as file:
            file.write(f"{os.path.basename(path)}\n")
    time.sleep(float(os.environ.get("JAXALIGN_TEST_SLEEP", "0")))
    text = pathlib.Path(path).read_text()
    if text == "bad":
        raise ValueError("line 3: expected ATOM, got bad")
    kept = [part for part in text.split() if chains is None or part[0] in chains]
    sizes = [int(part[1:]) for part in kept]
    coordinates = np.random.default_rng(sum(sizes)).normal(size=(sum(sizes), 14, 3)).astype(np.float32)
    return Structure(coordinates, np.repeat(np.arange(len(sizes)), sizes), tuple(part[0] for part in kept))


def make_graph(structure: Structure, *, neighbours: int = 1) -> ProteinGraph:
    """Chains of nodes, each bound to the next ``neighbours``."""
    count = len(structure.chains)
    if count > 100:
        raise ValueError(f"expected 100 nodes at most, got {count}")
    senders = np.concatenate([np.arange(count - step) for step in range(1, neighbours + 1)]).astype(np.int32)
    steps = np.repeat(np.arange(1, neighbours + 1), [count - step for step in range(1, neighbours + 1)])
    return ProteinGraph(
        coordinates=structure.coordinates,
        elements=np.full((count, 14), 3, np.int32),
        channel_mask=np.ones((count, 14), bool),
        types=np.zeros(count, np.int32),
        chains=structure.chains.astype(np.int32),
        num_chains=len(structure.chain_names),
        senders=senders,
        receivers=(senders + steps).astype(np.int32),
        relations=steps.astype(np.int32),
        embeddings=None,
    )


def write_inputs(folder: pathlib.Path, num_more: int = 0) -> dict[str, Any]:
    """Structures, splits and sources as arguments of ``compile_protein_mt``; ``num_more`` entries that are usual."""
    (folder / "structures" / "ab").mkdir(parents=True)
    (folder / "splits").mkdir()
    texts = {
        "1abc.pdb": "A3 B2",
        "1XYZ.cif.gz": "A4",
        "ab/pdb5cpx.ent.gz": "A3 B3 C1",
        "6ppi.bcif": "bad",
        "7fus.pdb": "B2",
        "README.md": "no structure",
    }
    texts |= {f"{n}aaa.pdb": "A200" if n == 9 else "A2" for n in (8, 9)}
    (folder / "sources").mkdir()
    sources = write_sources(folder / "sources")
    more = [f"2{n:03d}" for n in range(num_more)]
    texts |= {f"{code}.pdb": "A2" for code in more}
    (folder / "sources" / "lba").write_text(
        LBA + "".join(f"{code} 1.0 2000 5.5 // x\n" for code in (*more, "8aaa", "9aaa"))
    )
    for name, text in texts.items():
        (folder / "structures" / name).write_text(text)
    train = ["1ABC-A", "1abc-B", "5cpx", "6ppi", "7fus-A", "7nil", "1xyz", "9aaa", "1ABC-Z", *more]
    (folder / "splits" / "train.txt").write_text("\n".join(train) + "\n")
    (folder / "splits" / "test.txt").write_text("8aaa\n")
    return {
        "structures": folder / "structures",
        "splits": folder / "splits",
        "sources": sources,
        "read_structure": read_structure,
        "make_graph": make_graph,
    }


def compile_inputs(place: pathlib.Path | str, num_workers: int = 0) -> None:
    """Compiles what :func:`write_inputs` wrote there, in whichever process."""
    place = pathlib.Path(place)
    named = {name: place / "sources" / name for name in ("ec", "go", "lba", "ppa", "chain_to_uniprot")}
    protein.compile_protein_mt(
        place / "compiled",
        structures=place / "structures",
        splits=place / "splits",
        sources=protein.Sources(**named, identity={"ec": place / "sources" / "bins"}),
        read_structure=read_structure,
        make_graph=make_graph,
        shard_size=4,
        num_workers=num_workers,
    )
