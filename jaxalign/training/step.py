"""Training and evaluation steps."""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array

from jaxalign import sharding
from jaxalign.numerics import Ratio
from jaxalign.training.binding import Program, bind_arrays
from jaxalign.training.state import TrainState
from jaxalign.typing import LossFn, Metrics, Params

TrainStep = Callable[[TrainState, Any, Array], tuple[TrainState, Metrics]]
EvalStep = Callable[[Params, Any, Array], Metrics]


def make_train_step(
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | None = None,
    rules: sharding.Rules | None = None,
    accumulate: int = 1,
) -> TrainStep:
    """Makes a compiled ``step(state, batch, key) -> (state, metrics)`` that donates the state.

    Arrays that ``functools.partial`` or ``jax.tree_util.Partial`` binds to ``loss_fn``, at any depth, are arguments of
    the compiled step; large ones that it closes over are constants in it, and a warning says so. A loss or gradient
    that is not finite leaves parameters and optimizer state as they were, see :class:`TrainState`.

    Args:
      loss_fn: ``loss_fn(params, batch, key) -> (loss, metrics)``; ``loss`` is a :class:`jaxalign.numerics.Ratio`, or a
        scalar mean, and ``metrics`` maps names to Ratios. The count of a loss carries no gradient.
      optimizer: from :mod:`jaxalign.training` or Optax.
      mesh: the devices; None is one device.
      rules: how parameters and batches lie on the mesh.
      accumulate: the number A of microbatches that the batch is cut into, which run one after the other; row r goes to
        microbatch r mod A, so that no row changes its device. Numerators, their gradients and denominators are summed
        in float32 and divided once: microbatches with unequal counts give the numbers of the complete batch.

    Returns:
      The step. ``key`` is consumed by ``loss_fn``, split into one for each microbatch. Metrics are those of
      ``loss_fn``, ``loss``, and ``grad_norm`` before clipping.

    Raises:
      ValueError: (when called) the batch cannot be cut into ``accumulate`` equal parts.
    """
    return train_step_maker(optimizer, mesh=mesh, rules=rules, accumulate=accumulate)(loss_fn)


def train_step_maker(
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | None = None,
    rules: sharding.Rules | None = None,
    accumulate: int = 1,
) -> Callable[[LossFn], TrainStep]:
    """Makes :func:`make_train_step` for many losses: those that differ only in bound arrays share a compiled program.

    Args:
      optimizer: from :mod:`jaxalign.training` or Optax.
      mesh: the devices; None is one device.
      rules: how parameters and batches lie on the mesh.
      accumulate: the number of microbatches that the batch is cut into, which run one after the other.

    Returns:
      ``make_step(loss_fn) -> step``.
    """

    def train_step(loss_fn: LossFn, state: TrainState, batch, key):
        layout = sharding.state_shardings(state, mesh, rules) if mesh else None
        state = _constrain(state, layout)
        loss, metrics, gradients = _accumulated(_on_mesh(loss_fn, mesh, rules), state.params, batch, key, accumulate)
        norm = optax.tree.norm(gradients)
        gradients = jax.tree.map(lambda g, p: g.astype(p.dtype), gradients, state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        finite = state.finite & jnp.isfinite(loss.value) & jnp.isfinite(norm)
        updated = TrainState(optax.apply_updates(state.params, updates), opt_state, state.step + 1, finite)
        state = jax.tree.map(lambda new, old: jnp.where(finite, new, old), updated, state._replace(finite=finite))
        return _constrain(state, layout), {**metrics, "loss": loss, "grad_norm": Ratio(norm, jnp.ones(()))}

    program = Program(train_step, donate_argnums=1)
    return lambda loss_fn: functools.partial(program, bind_arrays(loss_fn, mesh=mesh, rules=rules))


def lower_step(step: TrainStep, state: TrainState, batch: Any, key: Array | jax.ShapeDtypeStruct) -> jax.stages.Lowered:
    """Traces a step for these arguments without running it.

    Args:
      step: what :func:`make_train_step` made.
      state, batch, key: arrays, or their shapes (``jax.ShapeDtypeStruct``). Shapes with a sharding lower the step for
        devices that need not be here.

    Returns:
      The lowered step. The compiled program takes the arrays that are bound to the loss first:
      ``compiled(*step.args, state, batch, key)``.
    """
    return step.func.lower(*step.args, state, batch, key)


def make_eval_step(loss_fn: LossFn, *, mesh: Mesh | None = None, rules: sharding.Rules | None = None) -> EvalStep:
    """Makes a compiled ``step(params, batch, key) -> metrics`` for :func:`evaluate`.

    Args:
      loss_fn: ``loss_fn(params, batch, key) -> (loss, metrics)``, as :func:`make_train_step` takes it.
      mesh: the devices; None is one device.
      rules: how batches lie on the mesh.

    Returns:
      The step; metrics are those of ``loss_fn`` and ``loss``, as Ratios.
    """

    def eval_step(loss_fn, params, batch, key):
        loss, metrics = _on_mesh(loss_fn, mesh, rules)(params, batch, key)
        return {**metrics, "loss": loss}

    return functools.partial(Program(eval_step), bind_arrays(loss_fn, mesh=mesh, rules=rules))


def evaluate(step: EvalStep, params: Params, batches: Iterable[Any], key: Array) -> Mapping[str, float]:
    """Computes metrics over many batches, each numerator and count adding up before the division.

    Args:
      step: what :func:`make_eval_step` made.
      params: the parameters to evaluate.
      batches: at least one.
      key: batch i gets ``fold_in(key, i)``.

    Returns:
      A number for each metric of the step.

    Raises:
      ValueError: there is no batch.
    """
    total = None
    for index, batch in enumerate(batches):
        metrics = step(params, batch, jax.random.fold_in(key, index))
        total = metrics if total is None else _add(total, metrics)
    if total is None:
        raise ValueError("evaluate needs at least one batch, and there was none")
    return {name: float(ratio.value) for name, ratio in total.items()}


def _on_mesh(loss_fn: LossFn, mesh: Mesh | None, rules: sharding.Rules | None) -> LossFn:
    """``loss_fn`` with a Ratio loss and, on a mesh, with its rows held where they lie and the mesh known to models."""

    def wrapped(params, batch, key):
        with sharding.on_mesh(mesh, rules):
            batch = batch if mesh is None else sharding.constrain_batch(batch, mesh=mesh, rules=rules)
            loss, metrics = loss_fn(params, batch, key)
        return loss if isinstance(loss, Ratio) else Ratio(loss, jnp.ones(())), dict(metrics)

    return wrapped


def _accumulated(loss_fn: LossFn, params: Params, batch: Any, key: Array, accumulate: int):
    """Loss, metrics, and the float32 gradient of the loss over all microbatches."""

    def numerator(params, batch, key):
        loss, metrics = loss_fn(params, batch, key)
        return loss.numerator, (loss, metrics)

    def one(batch, key):
        gradients, (loss, metrics) = jax.grad(numerator, has_aux=True)(params, batch, key)
        return jax.tree.map(lambda x: x.astype(jnp.float32), (loss, metrics, gradients))

    if accumulate == 1:
        loss, metrics, gradients = one(batch, key)
    else:
        microbatches = jax.tree.map(lambda leaf: _interleave(leaf, accumulate), batch)
        keys = jax.random.split(key, accumulate)
        first = jax.tree.map(lambda leaf: leaf[0], (microbatches, keys))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(one, *first))
        (loss, metrics, gradients), _ = jax.lax.scan(
            lambda total, each: (_add(total, one(*each)), None), zeros, (microbatches, keys)
        )
    return loss, metrics, jax.tree.map(lambda g: Ratio(g, loss.denominator).value, gradients)


def _interleave(leaf: Array, accumulate: int) -> Array:
    """Rows [B, ...] to microbatches [A, B / A, ...]; row r becomes row r // A of microbatch r mod A."""
    if leaf.ndim == 0:
        return jnp.broadcast_to(leaf, (accumulate,))
    if leaf.shape[0] % accumulate:
        raise ValueError(
            f"a batch array of shape {leaf.shape} cannot be cut into accumulate={accumulate} equal parts; "
            f"make its {leaf.shape[0]} rows a multiple of {accumulate}"
        )
    return leaf.reshape(leaf.shape[0] // accumulate, accumulate, *leaf.shape[1:]).swapaxes(0, 1)


def _add(left: Any, right: Any) -> Any:
    return jax.tree.map(operator.add, left, right)


def _constrain(state: TrainState, layout: Any) -> TrainState:
    return state if layout is None else jax.lax.with_sharding_constraint(state, layout)
