"""What a trained protein network says of a structure: ``./tools/run tools.predict_protein FILE --model RUN/model``.

FILE is a structure (pdb, ent, cif, bcif, each also .gz). Numbers are printed for the whole structure, classes for each
chain, likeliest first.
"""

import pathlib
from typing import Annotated

import jax
import numpy as np
import tyro

from jaxalign import protein
from jaxalign.io import edge
from jaxalign.io.protein_model import ProteinModel, load_protein


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
    trained = load_protein(model)
    structure = protein.read_structure(file, chains=chains or None)
    if ligand is not None:
        structure = protein.combine(structure, protein.read_structure(ligand))
    predictions = predict(trained, structure)
    print(f"{file.name}: {len(structure.names)} nodes, chains {', '.join(structure.chain_names)}")
    for task in trained.network.config.tasks:
        values = predictions[task.name]
        for number, row in enumerate(values):
            place = task.name if task.level == "graph" else f"{task.name} of chain {structure.chain_names[number]}"
            print(f"  {place}: {_show(task, row, trained.classes, top, threshold)}")
    return predictions


def predict(trained: ProteinModel, structure: protein.Structure) -> dict[str, np.ndarray]:
    """By task: ``[1]`` numbers, ``[chains, size]`` probabilities."""
    if trained.network.config.encoder.embedding_size:
        raise ValueError("this network reads embeddings of residues, which a file does not have; call it from Python")
    if getattr(trained.network.config.encoder, "num_channels", None) == 1:
        structure = protein.alpha_carbons(structure)
    graph = protein.make_graph(structure)
    batch = protein.batch_graphs([graph], [protein.size_of([graph])])
    return jax.device_get(protein.predict(trained.network, trained.variables, batch))


def _show(task: protein.Task, row, classes, top: int, threshold: float) -> str:
    if task.kind == "number":
        return f"{float(row):.3f}"
    order = [n for n in np.argsort(-row)[:top] if row[n] >= threshold]
    names = classes.get(task.name) or [str(n) for n in range(task.size)]
    return ", ".join(f"{names[n]} {row[n]:.3f}" for n in order) or f"nothing above {threshold}"


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
