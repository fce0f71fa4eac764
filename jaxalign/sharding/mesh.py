"""The device mesh."""

import math
from collections.abc import Sequence

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh

# The further to the right, the closer two neighbours along an axis stand and the more they have to say to each other.
MESH_AXES = ("data", "fsdp", "context", "tensor")
AXIS_TYPES = (AxisType.Auto,) * len(MESH_AXES)


def make_mesh(
    *,
    data: int = 1,
    fsdp: int = -1,
    context: int = 1,
    tensor: int = 1,
    devices: Sequence[jax.Device] | None = None,
) -> Mesh:
    """Returns a mesh with the axes ``data``, ``fsdp``, ``context`` and ``tensor``; a size of -1 takes what is left.

    Args:
      data: devices over which rows of the batch are split, and parameters replicated.
      fsdp: devices over which rows of the batch and slices of the parameters are split.
      context: devices over which the tokens of a row are split.
      tensor: devices over which heads, hidden units and the vocabulary are split.
      devices: those of the mesh; None: all that JAX sees.

    Raises:
      ValueError: the sizes do not multiply to the number of devices, and the message names meshes that do; or TPU chips
        are not wired so.
    """
    devices = jax.devices() if devices is None else devices
    sizes = _fill((data, fsdp, context, tensor), len(devices))
    try:
        return jax.make_mesh(sizes, MESH_AXES, axis_types=AXIS_TYPES, devices=devices)
    except NotImplementedError as error:
        raise ValueError(
            f"a mesh of {_name(sizes)} does not lie on the torus of these chips, on which each axis is a side or a "
            f"product of sides; choose such sizes ({str(error).partition('. ')[0]})"
        ) from error


def make_abstract_mesh(
    num_devices: int, *, data: int = 1, fsdp: int = -1, context: int = 1, tensor: int = 1
) -> AbstractMesh:
    """Returns the mesh that ``make_mesh`` makes of so many devices, without devices: to plan for a machine elsewhere.

    Args:
      num_devices: how many devices the mesh has; a size of -1 takes what is left of them.
      data: devices over which rows of the batch are split, and parameters replicated.
      fsdp: devices over which rows of the batch and slices of the parameters are split.
      context: devices over which the tokens of a row are split.
      tensor: devices over which heads, hidden units and the vocabulary are split.

    Raises:
      ValueError: the sizes do not multiply to ``num_devices``; the message names meshes that do.
    """
    return AbstractMesh(_fill((data, fsdp, context, tensor), num_devices), MESH_AXES, AXIS_TYPES)


def _fill(sizes: tuple[int, ...], count: int) -> tuple[int, ...]:
    asked = _name(sizes)
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise ValueError(f"mesh sizes are positive, and at most one is -1 (the rest); got {asked}")
    known = math.prod(size for size in sizes if size != -1)
    filled = tuple(max(count // known, 1) if size == -1 else size for size in sizes)
    if math.prod(filled) != count:
        nearest = "; ".join(_name(choice) for choice in _nearest(filled, count))
        raise ValueError(f"a mesh of {asked} does not fill the {count} devices that are there; nearest: {nearest}")
    return filled


def _nearest(sizes: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """The three factorisations of ``count`` whose axes differ least, in octaves, from ``sizes``."""

    def distance(choice):
        return sum(abs(math.log2(ours / theirs)) for ours, theirs in zip(choice, sizes, strict=True))

    return sorted(_factorisations(count, len(sizes)), key=distance)[:3]


def _factorisations(count: int, length: int) -> list[tuple[int, ...]]:
    """All ordered ways to write ``count`` as a product of ``length`` sizes."""
    if length == 1:
        return [(count,)]
    return [
        (first, *rest)
        for first in range(1, count + 1)
        if count % first == 0
        for rest in _factorisations(count // first, length - 1)
    ]


def _name(sizes: Sequence[int]) -> str:
    return " x ".join(f"{axis}={size}" for axis, size in zip(MESH_AXES, sizes, strict=True))
