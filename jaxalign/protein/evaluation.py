"""Predictions for labelled graphs, and how good they are, by task."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from jaxalign import metrics
from jaxalign.protein.batches import GraphBatch
from jaxalign.protein.config import Task
from jaxalign.protein.labelled import LabelledBatch
from jaxalign.protein.network import ProteinNetwork
from jaxalign.typing import Params


class Predictions(NamedTuple):
    """Predictions of one task, rows in the order of graphs or chains; padding is gone.

    Attributes:
      values: ``[rows]`` numbers, ``[rows, size]`` probabilities.
      targets: what is right, in the same shape.
      where: ``[rows]``, True where labelled.
    """

    values: np.ndarray
    targets: np.ndarray
    where: np.ndarray


@functools.partial(jax.jit, static_argnums=0)
def predict(model: ProteinNetwork, variables: Params, batch: GraphBatch) -> Mapping[str, Array]:
    """Returns the predictions of a network by task: numbers ``[G]``, probabilities of classes ``[chains, size]``.

    Args:
      model: the network.
      variables: its parameters and batch statistics.
      batch: G graphs, padding included.
    """
    outputs = model.apply(variables, batch)
    of_classes = {task.name for task in model.config.tasks if task.kind == "classes"}
    return {name: jax.nn.sigmoid(value) if name in of_classes else value for name, value in outputs.items()}


def collect_predictions(
    model: ProteinNetwork, variables: Params, batches: Iterable[LabelledBatch]
) -> dict[str, Predictions]:
    """Returns predictions for all graphs of ``batches``, by task.

    Args:
      model: the network.
      variables: its parameters and batch statistics.
      batches: with labels, for instance from :func:`~jaxalign.protein.batches_in_order`.

    Raises:
      ValueError: there is no batch.
    """
    parts: dict[str, list[Predictions]] = {task.name: [] for task in model.config.tasks}
    for batch in batches:
        values = jax.device_get(predict(model, variables, batch.graphs))
        for task in model.config.tasks:
            real = batch.graphs.graph_mask if task.level == "graph" else batch.graphs.chain_mask
            whole = values[task.name], batch.targets[task.name], batch.masks[task.name]
            parts[task.name].append(Predictions(*(array[real] for array in whole)))
    if not next(iter(parts.values())):
        raise ValueError("expected at least one batch, and there was none")
    return {name: Predictions(*map(np.concatenate, zip(*each, strict=True))) for name, each in parts.items()}


def task_metrics(task: Task, predictions: Predictions) -> dict[str, float]:
    """Returns the metrics of one task by name; none where nothing is labelled.

    They are RMSE, MAE, Pearson's and Spearman's correlation of numbers; Fmax, exact and at 20 thresholds, and AUPR of
    classes.

    Args:
      task: what was predicted.
      predictions: of all its rows.
    """
    values, targets, where = predictions
    if not where.any():
        return {}
    if task.kind == "number":
        return {name: float(value) for name, value in _of_numbers(*predictions).items()}
    exact = metrics.exact_fmax(values, targets, where=where)
    return {"Fmax": exact} | {name: float(value) for name, value in _of_classes(*predictions).items()}


def metrics_by_identity(task: Task, predictions: Predictions, below: np.ndarray) -> dict[str, dict[str, float]]:
    """Returns :func:`task_metrics` of the rows in each bin of identity to the training set, by the bin's name.

    Args:
      task: what was predicted.
      predictions: of all its rows.
      below: ``[rows, 5]``, from :func:`~jaxalign.protein.identity_rows`; bins are cumulative. A bin without a labelled
        row is left out.
    """
    values, targets, where = predictions
    found = {
        name: task_metrics(task, Predictions(values, targets, where & below[:, column]))
        for column, name in enumerate(metrics.IDENTITY_BINS)
    }
    return {name: figures for name, figures in found.items() if figures}


@jax.jit
def _of_numbers(values: Array, targets: Array, where: Array) -> dict[str, Array]:
    return {
        "RMSE": metrics.rmse(values, targets, where=where),
        "MAE": metrics.absolute_error_metric(values, targets, where=where).value,
        "Pearson": metrics.pearson_moments(values, targets, where=where).correlation,
        "Spearman": metrics.spearman_rho_metric(values, targets, where=where).value,
    }


@jax.jit
def _of_classes(values: Array, targets: Array, where: Array) -> dict[str, Array]:
    return {
        "Fmax of 20": metrics.fmax_table(values, targets, where=where).fmax,
        "AUPR": metrics.average_precision(values, targets, where=where),
    }


def all_metrics(tasks: Sequence[Task], predictions: Mapping[str, Predictions]) -> dict[str, dict[str, float]]:
    """Returns the metrics of each task, by the task's name and the metric's, see :func:`task_metrics`.

    Args:
      tasks: what was predicted.
      predictions: of each task, from :func:`collect_predictions`.
    """
    return {task.name: task_metrics(task, predictions[task.name]) for task in tasks}
