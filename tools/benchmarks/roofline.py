"""How fast a device could at most run a kernel, and what share of that it reaches."""

from typing import Any, NamedTuple

import jax

from tools.hardware import Chip


class Cost(NamedTuple):
    """What a kernel must multiply and move, however it is written."""

    flops: float
    bytes: float

    def seconds(self, peaks: Chip) -> float:
        """The least time on a device of these peaks."""
        return max(self.flops / peaks.flops, self.bytes / peaks.bandwidth)

    def bound(self, peaks: Chip) -> str:
        """Which peak sets that time."""
        return "compute" if self.flops / peaks.flops > self.bytes / peaks.bandwidth else "memory"


HEADER = ("GFLOP", "MB at least", "bound", "bound ms", "ms", "share of bound")
NOTE = (
    "Bytes at least: every argument is read and every result written once. Bound: the larger of FLOP over the data",
    "sheet's FLOP/s in bfloat16 and bytes over its bytes/s; share: the bound's time over the measured.",
)


def cells(cost: Cost, seconds: float, peaks: Chip | None) -> tuple[str, ...]:
    """Describes one kernel, under ``HEADER``; a dash where the device's peaks are not known."""
    work = f"{cost.flops / 1e9:,.3g}", f"{cost.bytes / 1e6:,.3g}"
    if peaks is None:
        return (*work, "-", "-", f"{1e3 * seconds:.3g}", "-")
    least = cost.seconds(peaks)
    return (*work, cost.bound(peaks), f"{1e3 * least:.3g}", f"{1e3 * seconds:.3g}", f"{least / seconds:.3f}")


def size_of(*trees: Any) -> int:
    """Bytes of all arrays, or of shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(trees))


def boundary_bytes(fn: Any, *arguments: Any) -> int:
    """Counts the bytes of arguments and results of ``fn``, each once."""
    return size_of(arguments, jax.eval_shape(fn, *arguments))
