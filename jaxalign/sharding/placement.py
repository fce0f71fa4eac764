"""Placing arrays on a mesh."""

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from jaxalign.sharding.rules import Rules


def batch_sharding(mesh: Mesh | AbstractMesh, rules: Rules) -> NamedSharding:
    """Returns the sharding of every array of a batch: its leading axis over the mesh axes of ``"batch"``.

    Args:
      mesh: a mesh from ``make_mesh`` or ``make_abstract_mesh``.
      rules: on which mesh axes logical axes lie.
    """
    return NamedSharding(mesh, PartitionSpec(rules.axes_of("batch")))


def place(tree: Any, shardings: Any) -> Any:
    """Returns ``tree`` on the devices of its shardings.

    Args:
      tree: a pytree of arrays; every process passes the same values.
      shardings: one sharding for each leaf of ``tree``.
    """

    def put(leaf, sharding):
        if sharding.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        # device_put would send every process's values to all others to compare them.
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree, shardings)


def place_batch(batch: Any, *, mesh: Mesh, rules: Rules) -> Any:
    """Returns a batch on the mesh, its leading axis over the mesh axes of ``"batch"``; scalars are replicated.

    Args:
      batch: a pytree of arrays; each process passes its own rows, and the batch is all of them.
      mesh: a mesh from ``make_mesh``.
      rules: on which mesh axes logical axes lie.

    Raises:
      ValueError: the rows cannot be dealt out evenly.
    """
    sharding = batch_sharding(mesh, rules)
    shards = math.prod(mesh.shape[axis] for axis in rules.axes_of("batch"))
    ours = len({index[0].start for index in sharding.addressable_devices_indices_map((shards,)).values()})

    def put(leaf):
        leaf = np.asarray(leaf)
        if leaf.ndim == 0:
            return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec()))
        if len(leaf) % ours:
            raise ValueError(
                f"a batch array of shape {leaf.shape} has {len(leaf)} rows for {ours} shards of this process "
                f"({' x '.join(f'{axis}={mesh.shape[axis]}' for axis in rules.axes_of('batch'))} on the whole mesh); "
                f"use a multiple of {ours} rows, such as {-(-len(leaf) // ours) * ours}"
            )
        return jax.make_array_from_process_local_data(sharding, leaf)

    return jax.tree.map(put, batch)


def process_share(mesh: Mesh, rules: Rules) -> tuple[int, int]:
    """Finds which share of each batch's rows this process prepares.

    Processes whose devices hold the same rows, such as those that only share a tensor or context axis, are one group:
    each of them prepares all rows of the group.

    Args:
      mesh: a mesh from ``make_mesh``.
      rules: on which mesh axes logical axes lie.

    Returns:
      ``(index, count)``: the rows are split over ``count`` groups of processes, and this process is in group ``index``.

    Raises:
      ValueError: the rows of two processes overlap without being the same.
    """
    axes = rules.axes_of("batch")
    shards = math.prod(mesh.shape[axis] for axis in axes)
    held: dict[int, set[int]] = {}
    for device, (rows, *_) in batch_sharding(mesh, rules).devices_indices_map((shards,)).items():
        held.setdefault(device.process_index, set()).update(range(*rows.indices(shards)))
    groups = sorted({tuple(sorted(rows)) for rows in held.values()})
    if sum(map(len, groups)) != shards:
        sizes = " x ".join(f"{axis}={size}" for axis, size in mesh.shape.items())
        raise ValueError(
            f"on a mesh of {sizes} over {len(held)} processes, some processes share a part of their rows of the batch; "
            f"make {' x '.join(axes)} a multiple of {len(held)}, or a divisor of it"
        )
    return groups.index(tuple(sorted(held[jax.process_index()]))), len(groups)


def constrain_batch(tree: Any, *, mesh: Mesh, rules: Rules, axis: int = 0) -> Any:
    """Keeps the rows of arrays where ``place_batch`` puts them, inside ``jax.jit``.

    Args:
      tree: a pytree of arrays.
      mesh: the mesh that the arrays are on.
      rules: on which mesh axes logical axes lie.
      axis: the axis of the rows; an array without such an axis is returned as it is.

    Returns:
      ``tree`` with the constraint on each array.
    """
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, rules.axes_of("batch")))

    def constrain(leaf):
        return jax.lax.with_sharding_constraint(leaf, sharding) if leaf.ndim > axis else leaf

    return jax.tree.map(constrain, tree)
