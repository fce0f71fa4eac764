"""What training carries from step to step."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Int

from jaxalign import sharding
from jaxalign.typing import Params


class TrainState(NamedTuple):
    """Parameters, optimizer state, how many steps made them, and whether all of these were finite."""

    params: Params
    opt_state: Any
    step: Int[Array, ""]
    finite: Bool[Array, ""]
    """False after a step whose loss or gradient was not finite. That step and all later ones change nothing else, so
    a loop that reads metrics one step late still finds the last good state."""


def init_state(
    params: Params,
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | None = None,
    rules: sharding.Rules | None = None,
) -> TrainState:
    """Makes the state before the first step, laid out on the mesh, with the optimizer state made where it stays.

    Args:
      params: parameters, or an adapter's. The state holds its own copy (what ``jax.jit`` returns never shares memory
        with its arguments): steps donate the state, and the caller's arrays stay alive.
      optimizer: the one that the step is made with.
      mesh: the devices; None is one device.
      rules: how parameters lie on the mesh (:class:`jaxalign.sharding.Rules`).
    """

    if mesh is None:
        return jax.jit(_init, static_argnums=0)(optimizer, params)
    shapes = jax.eval_shape(functools.partial(_init, optimizer), params)
    shardings = sharding.state_shardings(shapes, mesh, rules)
    placed = sharding.place(params, shardings.params)
    return jax.jit(_init, static_argnums=0, out_shardings=shardings)(optimizer, placed)


def _init(optimizer: optax.GradientTransformation, params: Params) -> TrainState:
    """A function of the module with a static optimizer: runs that share an optimizer share the program."""
    return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32), jnp.ones((), bool))
