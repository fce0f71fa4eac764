"""Meshes, logical-axis rules, and the shardings of a state and a batch.

Every mesh has four axes: ``data`` (rows of the batch), ``fsdp`` (rows of the batch and slices of the parameters),
``context`` (stretches of a row's tokens) and ``tensor`` (slices of heads, hidden units and the vocabulary). A
parameter names its dimensions (``"embed"``, ``"heads"``, ...) and :class:`Rules` says on which mesh axis such a
dimension lies. The arithmetic does not change: every mesh gives the numbers of one device.
"""

from jaxalign.sharding.ambient import constrain, mesh_axes, num_shards, on_cpu, on_mesh
from jaxalign.sharding.describe import describe_shardings
from jaxalign.sharding.mesh import MESH_AXES, make_abstract_mesh, make_mesh
from jaxalign.sharding.placement import batch_sharding, constrain_batch, place, place_batch, process_share
from jaxalign.sharding.rules import DEFAULT_MESH_AXES, Rules, param_shardings, state_shardings

__all__ = [
    "DEFAULT_MESH_AXES",
    "MESH_AXES",
    "Rules",
    "batch_sharding",
    "constrain",
    "constrain_batch",
    "describe_shardings",
    "make_abstract_mesh",
    "make_mesh",
    "mesh_axes",
    "num_shards",
    "on_cpu",
    "on_mesh",
    "param_shardings",
    "place",
    "place_batch",
    "process_share",
    "state_shardings",
]
