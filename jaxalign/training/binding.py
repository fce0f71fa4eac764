"""Arrays that are bound to a function, as arguments of the program that it is compiled into.

An array that a function closes over becomes a constant of the program: it is written into the program's text, compiled,
and held in memory beside the array itself. One that ``functools.partial`` or ``jax.tree_util.Partial`` binds can be
passed instead, and here it is.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxalign import sharding

LARGE = 2**19
"""Bytes of constants in one program above which a user is told: half a mebibyte."""


class _Opened(NamedTuple):
    """A partial, as a pytree whose leaves are its function and whatever is bound to it."""

    function: Any
    arguments: tuple
    keywords: dict[str, Any]


def bind_arrays(function: Callable, *, mesh: Mesh | None = None, rules: Any = None) -> jax.tree_util.Partial:
    """``function`` as a pytree of the arrays that are bound to it; everything else that is bound stays static.

    Partials are opened wherever they stand: within each other, and among the arguments and keywords of others. Arrays
    of NumPy go to the device once, here. On a mesh, arrays that do not lie on it yet are laid out: trees of parameters
    that ``rules`` knows as parameters are, all others replicated. Functions that differ in the values of their arrays
    only are one static structure, so that ``jax.jit`` compiles one program for them.
    """
    leaves, structure = jax.tree.flatten(_open(function, mesh, rules))
    arrays = [leaf for leaf in leaves if _is_array(leaf)]
    static = tuple(_ARRAY if _is_array(leaf) else leaf for leaf in leaves)
    return jax.tree_util.Partial(_Structure(structure, static), arrays)


_ARRAY = object()  # stands where an array is bound


class _Structure:
    """A function without the arrays that are bound to it; equal to others that are made and bound alike."""

    def __init__(self, structure: jax.tree_util.PyTreeDef, static: tuple):
        self._structure, self._static = structure, static
        # 1, 1.0 and True are equal, and are different programs.
        self._key = structure, static, tuple(map(type, static))
        try:
            self._hash = hash(self._key)  # once: each step asks for it
        except TypeError:  # something is bound that has no hash: this function is like no other
            self._hash = id(self)

    def __call__(self, arrays: Sequence[Any], *arguments):
        left = iter(arrays)
        leaves = [next(left) if leaf is _ARRAY else leaf for leaf in self._static]
        return _close(jax.tree.unflatten(self._structure, leaves))(*arguments)

    def __eq__(self, other: Any) -> bool:
        return self is other or (
            isinstance(other, _Structure) and hash(self) == hash(other) and self._key == other._key
        )

    def __hash__(self) -> int:
        return self._hash


class Program:
    """``jax.jit(function)`` of what :func:`bind_arrays` gives and more, with a warning where it has large constants."""

    def __init__(self, function: Callable, **options):
        self._jitted = jax.jit(function, **options)
        self._looked: set[_Structure] = set()

    def __call__(self, *arguments):
        self._look(arguments)
        return self._jitted(*arguments)

    def lower(self, *arguments) -> jax.stages.Lowered:
        """The program for these arguments or shapes, not yet compiled."""
        self._look(arguments)
        return self._jitted.lower(*arguments)

    def _cache_size(self) -> int:
        return self._jitted._cache_size()

    def _look(self, arguments) -> None:
        structure = arguments[0].func
        if structure in self._looked:
            return
        self._looked.add(structure)
        # The call that follows finds this trace, so nothing is traced twice.
        traced = self._jitted.trace(*arguments).jaxpr
        constants = [each for each in getattr(traced, "consts", ()) if hasattr(each, "nbytes")]
        size = sum(each.nbytes for each in constants)
        if size < LARGE:
            return
        largest = sorted(constants, key=lambda each: -each.nbytes)[:3]
        shown = ", ".join(f"{each.dtype}{list(each.shape)}" for each in largest)
        warnings.warn(
            f"the loss closes over arrays of {size / 2**20:.1f} MiB (the largest: {shown}), which become constants of "
            "the compiled step: it compiles slowly, and they take memory twice. Make them arguments of the loss and "
            "bind them, functools.partial(loss_fn, arrays) of a loss_fn(arrays, params, batch, key)",
            stacklevel=3,
        )


def _open(value: Any, mesh: Mesh | None, rules: Any) -> Any:
    """``value`` with its partials opened and its arrays on the devices."""
    if not isinstance(value, functools.partial):
        return jax.tree.map(
            lambda leaf: _open(leaf, mesh, rules) if isinstance(leaf, functools.partial) else leaf,
            _placed(value, mesh, rules),
            is_leaf=lambda leaf: isinstance(leaf, functools.partial),
        )
    function = value.func
    if not isinstance(function, functools.partial) and hasattr(function, "fun") and hasattr(function, "args"):
        function = function.fun  # what jax.tree_util.Partial makes of a functools.partial
    return _Opened(
        _open(function, mesh, rules),
        tuple(_open(each, mesh, rules) for each in value.args),
        {name: _open(each, mesh, rules) for name, each in value.keywords.items()},
    )


def _close(value: Any) -> Any:
    if isinstance(value, _Opened):
        keywords = {name: _close(each) for name, each in value.keywords.items()}
        return functools.partial(_close(value.function), *map(_close, value.arguments), **keywords)
    return jax.tree.map(
        lambda leaf: _close(leaf) if isinstance(leaf, _Opened) else leaf,
        value,
        is_leaf=lambda leaf: isinstance(leaf, _Opened),
    )


def _is_array(leaf: Any) -> bool:
    return _is_on_host(leaf) or isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)


def _is_on_host(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind not in "OSUMm"


def _placed(value: Any, mesh: Mesh | None, rules: Any) -> Any:
    """A bound argument with its arrays where the step runs; shapes and what is no array stay."""
    closed = lambda leaf: isinstance(leaf, functools.partial)  # noqa: E731
    leaves, structure = jax.tree.flatten(value, is_leaf=closed)
    if not any(map(_is_array, leaves)):
        return value
    if mesh is None:
        return structure.unflatten([jnp.asarray(leaf) if _is_on_host(leaf) else leaf for leaf in leaves])
    layout = _layout(value, mesh, rules) if all(map(_is_array, leaves)) else None
    layout = layout or [NamedSharding(mesh, PartitionSpec())] * len(leaves)
    put = [_put(leaf, its) if _is_array(leaf) else leaf for leaf, its in zip(leaves, layout, strict=True)]
    return structure.unflatten(put)


def _layout(value: Any, mesh: Mesh, rules: Any) -> list[NamedSharding] | None:
    try:
        return jax.tree.leaves(sharding.param_shardings(value, mesh, rules))
    except ValueError:  # no parameters of the model, such as a table or a batch
        return None


def _put(leaf: Any, its_sharding: NamedSharding) -> Any:
    there = isinstance(leaf, jax.Array) and leaf.sharding.device_set == its_sharding.device_set
    return leaf if there or isinstance(leaf, jax.ShapeDtypeStruct) else sharding.place(leaf, its_sharding)
