"""Training steps that runs of any length share: the length is in the state, not in the compiled program.

A schedule that knows its number of steps is compiled into the step. An experiment that trains on data sets of a hundred
sizes would compile a hundred steps.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from experiments.common import machines
from jaxalign import training
from jaxalign.training import TrainState
from jaxalign.training.step import TrainStep
from jaxalign.typing import LossFn, Params


class Rise(NamedTuple):
    """The place of a run on a rise to the peak and a line to 0."""

    count: Int[Array, ""]  # steps that are done
    peak: Float[Array, ""]  # the highest learning rate
    warmup_steps: Int[Array, ""]
    num_steps: Int[Array, ""]


def start_state(
    params: Params, *, peak: float, num_steps: int, warmup_steps: int, weight_decay: float
) -> tuple[TrainState, Callable[[LossFn], TrainStep]]:
    """The state before the first step, and the maker of steps, of AdamW with gradients clipped at norm 1.

    The rates are those of :func:`jaxalign.training.linear_schedule`.
    """
    mesh = machines.mesh()
    optimizer, make_step = _optimizer(weight_decay, mesh)
    state = training.init_state(params, optimizer, mesh=mesh, rules=machines.RULES)
    rise = Rise(np.int32(0), np.float32(peak), np.int32(warmup_steps), np.int32(num_steps))
    rise = jax.device_put(rise, NamedSharding(mesh, PartitionSpec()))
    return state._replace(opt_state=(state.opt_state[0], rise)), make_step


@functools.lru_cache(maxsize=16)
def _optimizer(weight_decay: float, mesh: Mesh):
    optimizer = optax.chain(training.adamw(1.0, weight_decay=weight_decay), _follow_rise())
    return optimizer, training.train_step_maker(optimizer, mesh=mesh, rules=machines.RULES)


def _follow_rise() -> optax.GradientTransformation:
    """Multiplies updates, which are those of the rate 1, by the rate of the step that the state tells."""

    def init(params):
        return Rise(*(jnp.zeros((), dtype) for dtype in (jnp.int32, jnp.float32, jnp.int32, jnp.int32)))

    def update(updates, rise: Rise, params=None):
        rate = _rate(rise)
        return jax.tree.map(lambda u: u * rate, updates), rise._replace(count=rise.count + 1)

    return optax.GradientTransformation(init, update)


def _rate(rise: Rise) -> Float[Array, ""]:
    up = (rise.count + 1) / jnp.maximum(rise.warmup_steps, 1)
    progress = jnp.clip((rise.count - rise.warmup_steps) / (rise.num_steps - rise.warmup_steps), 0, 1)
    return rise.peak * jnp.where(rise.count < rise.warmup_steps, up, 1 - progress)
