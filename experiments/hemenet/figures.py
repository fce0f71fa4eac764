"""Held-out figures of networks: the metrics of each task, what a constant would get, and how exact symmetries are."""

import collections
import functools
from collections.abc import Sequence

import jax
import numpy as np

from experiments.common.task import Row, exactly
from experiments.hemenet.methods import Trained
from experiments.hemenet.task import ProteinWorld
from jaxalign import protein
from jaxalign.io.report import Estimate
from jaxalign.typing import Params

BOOTSTRAP_DRAWS = 200
BOOTSTRAP_CELLS = 50_000  # rows times classes beyond which one evaluation takes too long to repeat it
SHOWN = {"number": ("RMSE", "Pearson", "Spearman"), "classes": ("Fmax", "AUPR")}


def evaluate(
    trained: Sequence[Trained], graphs: Sequence[protein.LabelledGraph], sizes: Sequence[protein.BatchSize]
) -> dict[str, Row]:
    """Returns held-out figures by task and, for graphs with such bins, by task and identity to the training set.

    Intervals are by bootstrap over graphs or chains where that is quick.
    """
    rows = {}
    for network, variables in trained:
        tasks = network.config.tasks
        found = protein.collect_predictions(network, variables, protein.batches_in_order(graphs, tasks, sizes))
        for task in tasks:
            rows[task.name] = figures(task, found[task.name])
            by_bin = protein.metrics_by_identity(task, found[task.name], protein.identity_rows(graphs, task))
            for name, values in by_bin.items():
                rows[f"{task.name} {name}"] = {shown: exactly(values[shown]) for shown in SHOWN[task.kind]}
    return rows


def constants(world: ProteinWorld, graphs: Sequence[protein.LabelledGraph]) -> dict[str, Row]:
    """Returns what predicting the training labels' mean for everything would get."""
    sums, counts = dict.fromkeys((task.name for task in world.tasks), 0.0), collections.Counter()
    for each in world.train:  # one pass: reading is what takes long, and all targets together may not fit
        for name in sums:
            sums[name] = sums[name] + each.targets[name][each.masks[name]].sum(axis=0)
            counts[name] += int(each.masks[name].sum())
    held_out = list(graphs)
    rows = {}
    for task in world.tasks:
        parts = [(each.targets[task.name], each.masks[task.name]) for each in held_out]
        wanted, known = (np.concatenate(part) for part in zip(*parts, strict=True))
        values = np.broadcast_to(sums[task.name] / max(counts[task.name], 1), wanted.shape).astype(np.float32)
        rows[task.name] = figures(task, protein.Predictions(values, wanted, known))
    return rows


def figures(task: protein.Task, predictions: protein.Predictions) -> Row:
    """Returns the metrics of a task, nothing where nothing is labelled."""
    values = protein.task_metrics(task, predictions)
    names = [name for name in SHOWN[task.kind] if name in values]
    if predictions.targets.size > BOOTSTRAP_CELLS or not names:
        return {name: exactly(values[name]) for name in names}
    rng, rows = np.random.default_rng(0), np.flatnonzero(predictions.where)
    draws = [
        protein.task_metrics(task, protein.Predictions(*(array[picked] for array in predictions)))
        for picked in (rng.choice(rows, len(rows)) for _ in range(BOOTSTRAP_DRAWS))
    ]
    ends = {name: np.quantile([draw[name] for draw in draws], (0.025, 0.975)) for name in names}
    return {name: Estimate(values[name], *map(float, ends[name])) for name in names}


def symmetry_errors(
    trained: Trained, graphs: Sequence[protein.LabelledGraph], sizes: Sequence[protein.BatchSize]
) -> dict[str, float]:
    """Returns the largest change of any prediction, in logits or the task's unit, when a batch of proteins is moved."""
    network, variables = trained
    batch = next(protein.batches_in_order(graphs, network.config.tasks, sizes)).graphs
    there = batch.channel_mask[..., None]
    apply = functools.partial(_apply, network, variables)
    before = apply(batch)

    def error(matrix: np.ndarray, shift: float) -> float:
        moved = np.where(there, batch.coordinates @ matrix.T + shift, 0).astype(np.float32)
        after = apply(batch._replace(coordinates=moved))
        return max(float(np.abs(after[name] - before[name]).max()) for name in before)

    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    eye = np.eye(3)
    return {"rotation": error(turn, 0.0), "reflection": error(-turn, 0.0), "100 angstrom": error(eye, 100.0)}


@functools.partial(jax.jit, static_argnums=0)
def _apply(network: protein.ProteinNetwork, variables: Params, graphs: protein.GraphBatch):
    return network.apply(variables, graphs)
