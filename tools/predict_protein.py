"""What a trained protein network says of a structure: ``./tools/run tools.predict_protein FILE --model RUN/model``.

FILE is a structure (pdb, ent, cif, bcif, each also .gz). What of it was left out or mended is printed first, then
numbers for the whole structure and classes for each chain, likeliest first.
"""

import pathlib
from typing import Annotated

import jax
import numpy as np
import tyro

from jaxalign import protein
from jaxalign.io import edge
from jaxalign.io.cluster import launch
from jaxalign.io.protein_model import ProteinModel, load_protein

REPORTED = {
    "models": "models or molecules beyond the first, left out",
    "chains": "chains that were not asked for, left out",
    "waters": "waters, left out",
    "nucleotides": "residues of nucleic acids, left out",
    "ligands": "ligands, left out",
    "hydrogens": "hydrogens, left out",
    "alternatives": "atoms of other conformations, left out",
    "variants": "residues of which another stands in the same place, left out",
    "cut": "atoms beyond the 14th of a residue, left out",
    "empty": "residues and ligands without a heavy atom, left out",
    "without_alpha": "residues without an alpha carbon, left out",
    "repeated": "atoms that stand in the file twice, kept once",
    "dummies": "points that are no atoms, left out",
    "free": "amino acids outside of chains, kept as ligands",
    "elements": "atoms whose element was missing or wrong, and was read off their names",
    "split": "chains that share a name in the file, kept apart as A_2 and so on",
    "moved": "modified residues that stand behind their chain, brought back into it",
}
"""What the counts of a report mean, in words."""


def main(
    file: Annotated[pathlib.Path, tyro.conf.arg(metavar="FILE")],
    /,
    model: pathlib.Path,
    ligand: pathlib.Path | None = None,
    chains: tuple[str, ...] = (),
    top: int = 5,
    threshold: float = 0.0,
) -> dict[str, object]:
    """Predict the tasks of a trained network for a structure.

    Args:
        file: the structure.
        model: the folder of the network, written by experiments.hemenet.
        ligand: its ligand, an sdf or mol2 file; ligands in the structure's own file count as well.
        chains: the chains to read; by default all.
        top: how many classes of each task are printed for a chain.
        threshold: the least probability of a class that is printed.
    """
    launch.keep_programs()
    trained = load_protein(model)
    structure = protein.read_structure(file, chains=chains or None)
    if not structure.chain_names:
        raise ValueError(f"{file}: expected a protein, got a ligand. Name the protein's file, and this as --ligand")
    if ligand is not None:
        structure = protein.combine(structure, protein.read_structure(ligand))
    structure = as_read_by(trained, structure)
    print(f"{file.name}: {len(structure.names)} nodes, chains {', '.join(map(_shown, structure.chain_names))}")
    for line in report_lines(structure.report):
        print(f"  {line}")
    graph = protein.make_graph(structure)
    batch = protein.batch_graphs([graph], [protein.size_of([graph])])
    predictions = jax.device_get(protein.predict(trained.network, trained.variables, batch))
    for task in trained.network.config.tasks:
        values = predictions[task.name]
        for number, row in enumerate(values):
            chain = "" if task.level == "graph" else f" of chain {_shown(structure.chain_names[number])}"
            place = f"{task.name}{chain}"
            print(f"  {place}: {_show(task, row, trained.classes, top, threshold)}")
    return predictions


def as_read_by(trained: ProteinModel, structure: protein.Structure) -> protein.Structure:
    """The part of a structure that a network reads.

    Raises:
      ValueError: it reads more than a structure has, or nothing is left.
    """
    encoder = trained.network.config.encoder
    if encoder.embedding_size:
        raise ValueError("this network reads embeddings of residues, which a file does not have; call it from Python")
    if getattr(encoder, "num_channels", None) != 1:
        return structure
    alphas = protein.alpha_carbons(structure)
    if not (alphas.chains >= 0).any():
        raise ValueError("this network reads alpha carbons, of which the structure has none; give another structure")
    return alphas


def report_lines(report: protein.StructureReport) -> list[str]:
    """What a reader left out or mended, a line for each that occurs."""
    return [f"{words}: {count}" for name, words in REPORTED.items() if (count := getattr(report, name))]


def _shown(chain: str) -> str:
    """The name of a chain; some files give none."""
    return chain or "without a letter"


def _show(task: protein.Task, row, classes, top: int, threshold: float) -> str:
    if task.kind == "number":
        return f"{float(row):.3f}"
    order = [n for n in np.argsort(-row)[:top] if row[n] >= threshold]
    names = classes.get(task.name) or [str(n) for n in range(task.size)]
    return ", ".join(f"{names[n]} {row[n]:.3f}" for n in order) or f"nothing above {threshold}"


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
