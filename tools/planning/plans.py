"""One plan: a step, the devices it is for, and what a compile says about the two."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax

from jaxalign import sharding
from tools.benchmarks.flops import Flops, Work, step_flops
from tools.planning import memory
from tools.planning.clusters import Cluster
from tools.planning.collectives import Collectives, count_collectives
from tools.planning.roofline import Roofline, make_roofline, memory_traffic
from tools.planning.steps import Layout, Setup, lay_out, lower
from tools.planning.workloads import STEPS


@dataclasses.dataclass(frozen=True)
class MeshSizes:
    """Devices along each axis of the mesh; one may be -1, what is left."""

    data: int = 1
    fsdp: int = -1
    context: int = 1
    tensor: int = 1

    def shape(self, count: int) -> Mapping[str, int]:
        """The sizes for ``count`` devices.

        Raises:
          ValueError: they do not multiply to it.
        """
        return sharding.make_abstract_mesh(count, **dataclasses.asdict(self)).shape


class Plan(NamedTuple):
    """What is known of a step on a cluster. Bytes are those of one device."""

    setup: Setup
    cluster: Cluster
    mesh_shape: Mapping[str, int]
    layout: Layout
    arrays: memory.Arrays
    gradients: int
    allocation: memory.Allocation | None  # None: not compiled, or it does not fit
    excess: memory.DoesNotFit | None
    collectives: Collectives | None
    work: Work
    flops: Flops
    roofline: Roofline

    @property
    def num_params(self) -> int:
        return sum(leaf.size for leaf in jax.tree.leaves(self.layout.state.params))

    @property
    def needed(self) -> int | None:
        """Bytes of a step, None if that is not known."""
        return self.allocation.total if self.allocation else self.excess and self.excess.used

    @property
    def fits(self) -> bool | None:
        """Whether a step fits; None where no compiler has said."""
        if self.excess is not None and self.cluster.stand_in is None:
            return False
        if self.needed is None:
            return False if self.arrays.total > self.cluster.peaks.memory else None
        return self.needed <= self.cluster.peaks.memory


def make_plan(setup: Setup, cluster: Cluster, sizes: MeshSizes) -> Plan:
    """Lays the step out and compiles it.

    Raises:
      ValueError: the mesh does not fill the cluster, or does not divide a parameter or the batch.
    """
    shape = sizes.shape(cluster.count)
    mesh = sharding.make_abstract_mesh(cluster.count, **shape)
    layout = lay_out(setup, mesh)
    arrays = memory.exact_arrays(layout)
    allocation = collectives = excess = None
    if cluster.devices is not None:
        try:
            compiled = compile_on(setup, cluster, shape)
            allocation = memory.allocation(compiled)
            collectives = count_collectives(compiled.as_text(), cluster.count)
        except memory.DoesNotFit as error:
            excess = error
    work = STEPS[setup.workload.step].work(setup.config, setup.workload)
    flops = step_flops(setup.config, work)
    traffic = memory_traffic(setup.config, work, arrays, shape, setup.accumulate)
    sent = collectives and collectives.sent
    roofline = make_roofline(cluster.peaks, cluster.count, setup.config, work, flops.total, traffic, sent)
    gradients = memory.gradient_bytes(layout)
    return Plan(
        setup, cluster, shape, layout, arrays, gradients, allocation, excess, collectives, work, flops, roofline
    )


def compile_on(setup: Setup, cluster: Cluster, mesh_shape: Mapping[str, int]) -> jax.stages.Compiled:
    """The step's program for the cluster's devices.

    Raises:
      DoesNotFit: it needs more memory than the devices have.
    """
    mesh = sharding.make_mesh(**mesh_shape, devices=cluster.devices)
    return memory.compile_step(lower(setup, lay_out(setup, mesh), mesh))
