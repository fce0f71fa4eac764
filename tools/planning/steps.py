"""A training step from shapes: the state, the batch, where both lie, and the step lowered for devices not at hand."""

import functools
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from jaxalign import models, sharding, training
from jaxalign.models import DecoderConfig
from tools.planning.workloads import STEPS, Workload

OptimizerName = Literal["adamw", "adamw-bfloat16", "adamw-float8", "adafactor"]  # the state in so few bits
OPTIMIZERS = {
    "adamw": training.adamw,
    "adamw-bfloat16": lambda rate: training.low_precision_state(training.adamw(rate), "bfloat16"),
    "adamw-float8": lambda rate: training.low_precision_state(training.adamw(rate), "float8"),
    "adafactor": training.adafactor,
}
RULES = sharding.Rules(models.LOGICAL_AXES)


class Setup(NamedTuple):
    """What is trained, on what, and how."""

    config: DecoderConfig
    workload: Workload
    optimizer: OptimizerName = "adamw"
    accumulate: int = 1

    def with_batch(self, batch: int) -> "Setup":
        """The same with so many lists or rows."""
        return self._replace(workload=self.workload._replace(batch=batch))

    @property
    def model(self):
        return models.build(STEPS[self.workload.step].model(self.config))

    def make_optimizer(self):
        # The rate changes no shape.
        return OPTIMIZERS[self.optimizer](1e-6)


class Layout(NamedTuple):
    """Shapes of the state and the batch, and the sharding of each array."""

    state: training.TrainState
    state_shardings: training.TrainState
    batch: Any
    batch_sharding: NamedSharding


def lay_out(setup: Setup, mesh: Mesh | AbstractMesh) -> Layout:
    """Where everything lies; nothing is allocated.

    Raises:
      ValueError: the mesh does not divide a parameter, or the rows of a microbatch.
    """
    check_rows(setup, mesh)
    tokens = jax.ShapeDtypeStruct((1, 1), jnp.int32)
    params = jax.eval_shape(setup.model.init, jax.random.key(0), tokens)["params"]
    state = jax.eval_shape(functools.partial(training.init_state, optimizer=setup.make_optimizer()), params)
    shardings = sharding.state_shardings(state, mesh, RULES)
    batch = STEPS[setup.workload.step].batch(setup.workload)
    return Layout(state, shardings, batch, sharding.batch_sharding(mesh, RULES))


def lower(setup: Setup, layout: Layout, mesh: Mesh) -> jax.stages.Lowered:
    """The step that an experiment would run, lowered for the mesh's devices."""
    loss_fn = STEPS[setup.workload.step].loss(setup.model)
    step = training.make_train_step(
        loss_fn, setup.make_optimizer(), mesh=mesh, rules=RULES, accumulate=setup.accumulate
    )
    state = jax.tree.map(_with_sharding, layout.state, layout.state_shardings)
    batch = jax.tree.map(lambda leaf: _with_sharding(leaf, layout.batch_sharding), layout.batch)
    key = _with_sharding(jax.eval_shape(lambda: jax.random.key(0)), NamedSharding(mesh, PartitionSpec()))
    return training.lower_step(step, state, batch, key)


def row_unit(accumulate: int, mesh_shape: Mapping[str, int]) -> int:
    """The batch must be a multiple of this: one row for every shard of rows and microbatch."""
    return accumulate * math.prod(mesh_shape[axis] for axis in RULES.axes_of("batch"))


def check_rows(setup: Setup, mesh: Mesh | AbstractMesh):
    """Raises ValueError where the batch cannot be dealt out evenly."""
    batch, unit = setup.workload.batch, row_unit(setup.accumulate, mesh.shape)
    if batch < 1 or batch % unit:
        axes = " x ".join(f"{axis}={mesh.shape[axis]}" for axis in RULES.axes_of("batch"))
        raise ValueError(
            f"a batch of {batch} cannot be dealt out over {axes} and {setup.accumulate} microbatches; "
            f"use a multiple of {unit}, such as {max(-(-batch // unit), 1) * unit}"
        )


def _with_sharding(leaf, its_sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=its_sharding)
