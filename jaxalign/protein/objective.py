"""What protein networks learn from, and what their batch norms know afterwards."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxalign import numerics
from jaxalign.numerics import Ratio
from jaxalign.protein.config import Task
from jaxalign.protein.labelled import LabelledBatch
from jaxalign.protein.network import ProteinNetwork
from jaxalign.typing import LossFn, Params

CLASS_WEIGHT = 10.0
"""The weight of cross-entropies beside squared errors, as in the paper."""


def task_losses(outputs: Mapping[str, Array], batch: LabelledBatch, tasks: Sequence[Task]) -> dict[str, Ratio]:
    """Returns the loss of each task: the squared error of labelled numbers; the binary cross-entropy of labelled rows.

    Cross-entropies are averaged over classes. What stands in the place of a missing label does not matter, NaN
    included.

    Args:
      outputs: by task, numbers ``[G]`` or ``[chains]``, logits ``[chains, size]``.
      batch: the labels.
      tasks: what was predicted.

    Returns:
      By task, the sum over labelled rows and their number.
    """
    losses = {}
    for task in tasks:
        output, target, where = outputs[task.name], batch.targets[task.name], batch.masks[task.name]
        if task.kind == "number":
            rows = jnp.square(output - jnp.where(where, target, 0))
        else:
            rows = optax.sigmoid_binary_cross_entropy(output, jnp.where(where[:, None], target, 0)).mean(axis=-1)
        losses[task.name] = numerics.ratio(rows, where=where)
    return losses


def multi_task_loss(
    losses: Mapping[str, Ratio], tasks: Sequence[Task], *, class_weight: float = CLASS_WEIGHT
) -> Float[Array, ""]:
    """Returns the sum of the tasks' mean losses, those of classes times ``class_weight``; 0 for a task without labels.

    Args:
      losses: by task, from :func:`task_losses`.
      tasks: what was predicted.
      class_weight: of cross-entropies beside squared errors.

    >>> tasks = (Task("affinity", "graph"), Task("family", "chain", "classes", 3))
    >>> losses = {"affinity": Ratio(jnp.float32(6.0), jnp.float32(2)), "family": Ratio(jnp.float32(1), jnp.float32(4))}
    >>> print(multi_task_loss(losses, tasks))
    5.5

    Source: HeMeNet (arXiv 2404.01693); whether 10 weighs the sum of the four cross-entropies, as here, or their mean
    is our reading.
    """
    weights = {task.name: 1.0 if task.kind == "number" else class_weight for task in tasks}
    return sum(weights[name] * loss.value for name, loss in losses.items())


def make_protein_loss(model: ProteinNetwork, *, class_weight: float = CLASS_WEIGHT) -> LossFn:
    """Makes the loss ``loss_fn(params, LabelledBatch, key)`` of a network, with the loss of each task as a metric.

    Batch norms use the batch at hand, and what they would keep is dropped: :func:`population_statistics` finds it after
    training. So a step has no state but parameters.

    Args:
      model: the network.
      class_weight: of cross-entropies beside squared errors.
    """

    def loss_fn(params: Params, batch: LabelledBatch, key: Array):
        outputs, _ = model.apply(
            {"params": params}, batch.graphs, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        losses = task_losses(outputs, batch, model.config.tasks)
        loss = multi_task_loss(losses, model.config.tasks, class_weight=class_weight)
        return loss, losses | {"edges": Ratio(batch.graphs.edge_mask.sum(dtype=jnp.float32), jnp.ones(()))}

    return loss_fn


def population_statistics(model: ProteinNetwork, params: Params, batches: Iterable[LabelledBatch]) -> Params:
    """Returns means and variances of all nodes of ``batches``, for batch norms to use from now on (``batch_stats``).

    They are exact for the first norm, and for later ones as good as many batches make them, with no running average
    that lags behind the parameters.

    Args:
      model: the network.
      params: its parameters.
      batches: of the training set.

    Raises:
      ValueError: there is no batch.

    Source: precise batch norm (Wu and Johnson, arXiv 2105.07576).
    """
    total, count = None, 0.0
    for batch in batches:
        moments, nodes = _moments(model, params, batch)
        total = moments if total is None else jax.tree.map(jnp.add, total, moments)
        count += float(nodes)
    if total is None:
        raise ValueError("population statistics need at least one batch, and there was none")
    return _to_variances(jax.tree.map(lambda x: x / count, total))


@functools.partial(jax.jit, static_argnums=0)
def _moments(model: ProteinNetwork, params: Params, batch: LabelledBatch) -> tuple[Params, Array]:
    """Sums of values and of squares over real nodes, in the place of means and variances."""
    encoder = dataclasses.replace(model.config.encoder, dropout=0.0)
    plain = ProteinNetwork(dataclasses.replace(model.config, encoder=encoder))
    _, updates = plain.apply({"params": params}, batch.graphs, train=True, mutable=["batch_stats"])
    nodes = batch.graphs.node_mask.sum().astype(jnp.float32)

    def sums(stats):
        return {"mean": nodes * stats["mean"], "var": nodes * (stats["var"] + jnp.square(stats["mean"]))}

    return _at_norms(sums, updates.get("batch_stats", {})), nodes  # there may be no such norm


def _to_variances(means: Params) -> Params:
    return _at_norms(lambda m: {"mean": m["mean"], "var": jnp.maximum(m["var"] - jnp.square(m["mean"]), 0)}, means)


def _at_norms(function, tree: Params) -> Params:
    """``function`` of each pair of ``mean`` and ``var`` in the tree."""
    return jax.tree.map(function, tree, is_leaf=lambda node: isinstance(node, Mapping) and "mean" in node)
