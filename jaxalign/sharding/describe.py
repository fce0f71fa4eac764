"""Shardings as text, for people."""

import math
from typing import Any

import jax


def describe_shardings(tree: Any, shardings: Any) -> str:
    """Returns a table of arrays: name, dtype and shape, the mesh axes of each dimension, and what one device holds.

    Args:
      tree: a pytree of arrays, or of their shapes (``jax.eval_shape``).
      shardings: one sharding for each leaf of ``tree``.
    """
    rows = [("array", "global", "dimensions on", "per device", "MiB")]
    total = 0.0
    for (path, leaf), sharding in zip(
        jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(shardings), strict=True
    ):
        local = sharding.shard_shape(leaf.shape)
        mebibytes = math.prod(local) * leaf.dtype.itemsize / 2**20
        total += mebibytes
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        shape = f"{leaf.dtype}{_shape(leaf.shape)}"
        rows.append((name, shape, _spec(sharding.spec), _shape(local), f"{mebibytes:.2f}"))
    rows.append(("total", "", "", "", f"{total:.2f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _shape(shape) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _spec(spec) -> str:
    entries = ["*".join(entry) if isinstance(entry, tuple) else entry or "-" for entry in spec]
    return ", ".join(entries) if any(entry != "-" for entry in entries) else "replicated"
