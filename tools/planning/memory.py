"""What fills the memory of a device during a step."""

import contextlib
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from tools.planning.steps import Layout

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
USED = re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm")
REFUSED = re.compile(r"Allocation \(size=(\d+)\) would exceed memory \(size=(\d+)\)")


class Arrays(NamedTuple):
    """Bytes on each device, exact: what shapes, dtypes and shardings say."""

    parameters: int
    optimizer: int
    batch: int

    @property
    def total(self) -> int:
        return sum(self)


class Allocation(NamedTuple):
    """Bytes on each device as the compiler allocates them; they add up to what a step needs."""

    arguments: int  # the arrays above, with what layouts pad
    outputs: int  # what does not take the place of an argument
    temporaries: int  # activations, gradients, gathered parameters
    program: int

    @property
    def total(self) -> int:
        return sum(self)


class DoesNotFit(Exception):
    """The compiler found no way to run a step in the device's memory.

    Attributes:
      used: bytes that it needed at least, None if it did not say.
      capacity: bytes that a program may use.
    """

    def __init__(self, used: int | None, capacity: int):
        super().__init__(used, capacity)
        self.used, self.capacity = used, capacity


def exact_arrays(layout: Layout) -> Arrays:
    """Bytes of state and batch on one device."""
    shardings = layout.state_shardings
    return Arrays(
        parameters=shard_bytes(layout.state.params, shardings.params),
        optimizer=shard_bytes(layout.state._replace(params=()), shardings._replace(params=())),
        batch=shard_bytes(layout.batch, jax.tree.map(lambda leaf: layout.batch_sharding, layout.batch)),
    )


def shard_bytes(tree: Any, shardings: Any) -> int:
    """Bytes of one device's part of every array."""
    leaves = zip(jax.tree.leaves(tree), jax.tree.leaves(shardings), strict=True)
    return sum(math.prod(its.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf, its in leaves)


def gradient_bytes(layout: Layout) -> int:
    """Bytes of one device's part of the gradients, which are float32 and lie as their parameters do."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, "float32"), layout.state.params)
    return shard_bytes(shapes, layout.state_shardings.params)


def allocation(compiled: jax.stages.Compiled) -> Allocation:
    """Reads ``memory_analysis()``."""
    stats = compiled.memory_analysis()
    return Allocation(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes - stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        program=stats.generated_code_size_in_bytes,
    )


def compile_step(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compiles a step, and keeps it in no cache on disk: JAX cannot read programs of devices that are not here.

    Raises:
      DoesNotFit: it needs more memory than the device has.
    """
    try:
        with _never_kept():
            return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if excess := parse_excess(str(error)):
            raise excess from error
        raise


@contextlib.contextmanager
def _never_kept() -> Iterator[None]:
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", math.inf)
    try:
        yield
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before)


def parse_excess(message: str) -> DoesNotFit | None:
    """What libtpu's error says about memory; None if it is about something else."""
    if found := USED.search(message):
        used, unit, capacity, capacity_unit = found.groups()
        return DoesNotFit(int(float(used) * UNITS[unit]), int(float(capacity) * UNITS[capacity_unit]))
    if found := REFUSED.search(message):
        return DoesNotFit(None, int(found[2]))
    return None
