"""For toy runs, here and in other processes: two devices show what sharding does, and cost half of what eight do."""

import jax

from experiments.common import machines
from jaxalign import sharding


def lay_out(set_fn):
    """Trainings of experiments are laid out over two of the devices, whose arrays are fewer files and transfers."""

    def mesh():
        sizes = dict(zip(sharding.MESH_AXES, machines.current_launch().mesh, strict=True))
        return sharding.make_mesh(**sizes, devices=jax.devices()[:2])

    set_fn(machines, "mesh", mesh)
