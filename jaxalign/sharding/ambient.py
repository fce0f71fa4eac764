"""The mesh and rules of the step that is being traced, for the functions inside that lay out their own arrays.

A model and a loss are functions of arrays and know no mesh. :func:`make_train_step <jaxalign.training.make_train_step>`
says where its step runs by :func:`on_mesh`; what a function asks of it changes layouts, never values. Outside, on one
device, nothing is constrained.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator

import jax
from jax.sharding import AxisType, Mesh, PartitionSpec
from jaxtyping import Array

from jaxalign.sharding.rules import Rules

_rules: contextvars.ContextVar[Rules | None] = contextvars.ContextVar("rules", default=None)


@contextlib.contextmanager
def on_mesh(mesh: Mesh | None, rules: Rules | None) -> Iterator[None]:
    """Tells the functions that are traced inside this context on which mesh they run, and by which rules.

    Args:
      mesh: None: one device, on which nothing is laid out.
      rules: on which mesh axes logical axes lie; None: nothing is laid out.

    Returns:
      A context manager.
    """
    if mesh is None:
        yield
        return
    before = _rules.set(rules)
    try:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            yield
    finally:
        _rules.reset(before)


def mesh_axes(logical: str) -> tuple[str, ...]:
    """Returns the mesh axes, of more than one device, over which a logical axis is split inside ``on_mesh``.

    Axes that an enclosing ``jax.shard_map`` maps by hand are left out: there an array is a shard already.

    Args:
      logical: such as ``"batch"``, ``"length"`` or ``"heads"``.
    """
    rules, mesh = _rules.get(), jax.sharding.get_abstract_mesh()
    if rules is None:
        return ()
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    return tuple(axis for axis in rules.axes_of(logical) if mesh.shape[axis] > 1 and kinds[axis] == AxisType.Auto)


def num_shards(logical: str) -> int:
    """Returns the number of devices over which a logical axis is split inside ``on_mesh``, 1 outside of it.

    Args:
      logical: such as ``"batch"``, ``"length"`` or ``"heads"``.
    """
    shape = jax.sharding.get_abstract_mesh().shape
    return math.prod(shape[axis] for axis in mesh_axes(logical))


def on_cpu() -> bool:
    """Returns whether what is being traced will run on CPUs: on those of the mesh, or as JAX does by default."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return (jax.default_backend() if device is None else device.platform) == "cpu"


def constrain(x: Array, *logical: str | None) -> Array:
    """Returns ``x``, laid out on the mesh of the surrounding ``on_mesh`` by the logical axes of its dimensions.

    A dimension that its mesh axes do not divide is left to the compiler. Outside of ``on_mesh`` nothing happens.

    Args:
      x: an array of any shape.
      logical: the logical axis of each leading dimension, such as ``"batch"``; None: replicated. Dimensions beyond
        these are left to the compiler.
    """
    entries = [_entry(size, name) for size, name in zip(x.shape, logical, strict=False)]
    if not any(entry and entry is not PartitionSpec.UNCONSTRAINED for entry in entries):
        return x
    entries += [PartitionSpec.UNCONSTRAINED] * (x.ndim - len(entries))
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*entries))


def _entry(size: int, logical: str | None):
    if logical is None:
        return None
    if size % num_shards(logical):
        return PartitionSpec.UNCONSTRAINED
    return mesh_axes(logical) or None
