"""Shardings of parameters, found by their names."""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from jax.tree_util import DictKey, GetAttrKey

DEFAULT_MESH_AXES: Mapping[str, str | tuple[str, ...]] = MappingProxyType(
    {
        "batch": ("data", "fsdp"),
        "vocab": "tensor",
        "embed": "fsdp",
        "heads": "tensor",
        "kv_heads": "tensor",
        "mlp": "tensor",
        "length": "context",
    }
)

STACK = "layers"
"""Parameters below a path component of this name are stacked by ``nn.scan`` along a leading, replicated axis."""


@dataclasses.dataclass(frozen=True)
class Rules:
    """Says what the dimensions of each parameter mean, and on which mesh axes such dimensions lie.

    Attributes:
      parameters: from the last component of a parameter's path to one logical axis per dimension (None: replicated),
        the stacked ``layers`` axis left out: ``{"query": ("embed", "heads", "head_dim")}``. A parameter that is not in
        it is replicated if it is a vector or a scalar, otherwise an error.
      mesh_axes: from logical axes to mesh axes. A logical axis that is not in it is replicated, and a mesh axis shards
        at most one dimension of an array, the first.
      replicated_if_uneven: logical axes that are replicated where their mesh axes do not divide them: with fewer
        key-value heads than tensor shards every shard keeps all of them. Any other uneven dimension is an error.

    A parameter may be stored as an object of arrays, such as a quantised map's numbers and its fewer scales: these lie
    as the parameter does, and replicated in dimensions that their mesh axes do not divide.
    """

    parameters: Mapping[str, tuple[str | None, ...]]
    mesh_axes: Mapping[str, str | tuple[str, ...] | None] = dataclasses.field(default_factory=lambda: DEFAULT_MESH_AXES)
    replicated_if_uneven: frozenset[str] = frozenset({"kv_heads"})

    def axes_of(self, logical: str | None) -> tuple[str, ...]:
        """Returns the mesh axes on which a logical axis lies."""
        axes = self.mesh_axes.get(logical) or ()
        return (axes,) if isinstance(axes, str) else tuple(axes)


def param_shardings(params: Any, mesh: Mesh | AbstractMesh, rules: Rules) -> Any:
    """Returns a pytree of NamedSharding like ``params``, one for each parameter.

    Args:
      params: a pytree of arrays, or of their shapes (``jax.eval_shape``).
      mesh: a mesh from ``make_mesh`` or ``make_abstract_mesh``.
      rules: what the dimensions of each parameter mean, and on which mesh axes they lie.

    Raises:
      ValueError: a matrix that ``rules`` does not know, or that has another rank than ``rules`` says; a dimension
        that its mesh axes do not divide.
    """

    def of_leaf(path, leaf):
        if _is_part(path):
            return _sharding(_names(path[:-1]), leaf.shape, mesh, rules, replicate_uneven=True)
        return _sharding(_names(path), leaf.shape, mesh, rules)

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def state_shardings(state: Any, mesh: Mesh | AbstractMesh, rules: Rules) -> Any:
    """Returns a pytree of NamedSharding like ``state``, one for each of its arrays.

    A leaf whose path ends as a parameter's path does, and that has that parameter's shape (its momentum, its second
    moment), is sharded as the parameter is. A moment in low precision is an object of arrays at such a path, and each
    of these is sharded so, but replicated in dimensions that the mesh does not divide. Everything else (counters, and
    Adafactor's row and column sums, which have the rank of another parameter but not its meaning) is replicated.

    Args:
      state: a pytree with ``params`` and an optimizer's state, of arrays or of their shapes (``jax.eval_shape``).
      mesh: a mesh from ``make_mesh`` or ``make_abstract_mesh``.
      rules: what the dimensions of each parameter mean, and on which mesh axes they lie.

    Raises:
      ValueError: a matrix that ``rules`` does not know, or that has another rank than ``rules`` says; a dimension
        that its mesh axes do not divide.
    """
    shardings = param_shardings(state.params, mesh, rules)
    known = {
        _names(path): (leaf.shape, sharding)
        for (path, leaf), sharding in zip(
            jax.tree_util.tree_leaves_with_path(state.params), jax.tree.leaves(shardings), strict=True
        )
    }

    def find(names):
        suffixes = (names[start:] for start in range(len(names) + 1))
        return next((suffix for suffix in suffixes if suffix in known), None)

    def of_leaf(path, leaf):
        name, replicated = find(_names(path)), NamedSharding(mesh, PartitionSpec())
        if name is None and _is_part(path):
            name = find(_names(path[:-1]))
            return replicated if name is None else _sharding(name, leaf.shape, mesh, rules, replicate_uneven=True)
        shape, sharding = known.get(name, (None, None))
        return sharding if shape == leaf.shape else replicated

    return jax.tree_util.tree_map_with_path(of_leaf, state)


def _is_part(path) -> bool:
    """Whether a leaf is an attribute of an object that lies in a dictionary in the place of an array."""
    inner = path[-2:]
    return len(inner) == 2 and isinstance(inner[0], DictKey) and isinstance(inner[1], GetAttrKey)


def _names(path) -> tuple[str, ...]:
    return tuple(jax.tree_util.keystr((entry,), simple=True) for entry in path)


def _sharding(
    names: tuple[str, ...],
    shape: tuple[int, ...],
    mesh: Mesh | AbstractMesh,
    rules: Rules,
    *,
    replicate_uneven: bool = False,
) -> NamedSharding:
    logical = _logical_axes(names, shape, rules)
    used, entries = set(), []
    for dimension, axis in enumerate(logical):
        _check_known(axis, rules.axes_of(axis), mesh)
        axes = tuple(name for name in rules.axes_of(axis) if name not in used and mesh.shape[name] > 1)
        size = math.prod(mesh.shape[name] for name in axes)
        if shape[dimension] % size:
            if not replicate_uneven and axis not in rules.replicated_if_uneven:
                raise ValueError(_uneven_message(names, shape, dimension, axis, axes, mesh))
            axes = ()
        used.update(axes)
        entries.append(axes[0] if len(axes) == 1 else axes or None)
    # Spelled as the results of jit are (no mesh axis of size 1, no None at the end): with another spelling the second
    # call of a step would be traced again.
    while entries and entries[-1] is None:
        entries.pop()
    return NamedSharding(mesh, PartitionSpec(*entries))


def _logical_axes(names: tuple[str, ...], shape: tuple[int, ...], rules: Rules) -> tuple[str | None, ...]:
    stack = (STACK,) if STACK in names[:-1] else ()
    rank = len(shape) - len(stack)
    name = names[-1] if names else ""
    axes = rules.parameters.get(name)
    if axes is None:
        if rank > 1:
            raise ValueError(
                f"no rule for parameter {'/'.join(names)!r} of shape {shape}: add {name!r} with one logical axis per "
                f"dimension{' after the layer axis' if stack else ''} to Rules.parameters (which has "
                f"{', '.join(sorted(rules.parameters)) or 'nothing'})"
            )
        axes = (None,) * rank
    if len(axes) != rank:
        raise ValueError(
            f"parameter {'/'.join(names)!r} has shape {shape}{', a layer axis first' if stack else ''}; "
            f"Rules.parameters[{name!r}] = {axes} names {len(axes)} dimensions instead of {rank}"
        )
    return stack + tuple(axes)


def _check_known(logical: str | None, axes: tuple[str, ...], mesh: Mesh | AbstractMesh):
    for axis in axes:
        if axis not in mesh.shape:
            raise ValueError(f"Rules.mesh_axes[{logical!r}] is {axis!r}; the mesh has {', '.join(mesh.shape)}")


def _uneven_message(
    names, shape, dimension: int, logical: str, axes: tuple[str, ...], mesh: Mesh | AbstractMesh
) -> str:
    sizes = " x ".join(f"{axis}={mesh.shape[axis]}" for axis in axes)
    length = shape[dimension]
    fitting = [size for size in range(1, min(length, mesh.size) + 1) if length % size == 0 and mesh.size % size == 0]
    return (
        f"parameter {'/'.join(names)!r} of shape {shape}: dimension {dimension} ({logical!r}, {length}) cannot be "
        f"split over {sizes}; choose a mesh on which {' x '.join(axes)} is one of {', '.join(map(str, fitting))}, "
        f"or replicate {logical!r} with None in Rules.mesh_axes"
    )
