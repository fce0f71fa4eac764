"""How the router learns from feedback: a few steps on rows of the replay buffer at a time.

Letters: B rows of a batch, M models, E members.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxalign import losses, numerics
from jaxalign.serving.replay_buffer import Feedback, ReplayBuffer, sample_rows, set_priorities
from jaxalign.serving.router import router_logits
from jaxalign.typing import Params


class RouterState(NamedTuple):
    """A router that learns."""

    params: Params
    opt_state: Any
    steps: Int[Array, ""]  # that it has learnt


UpdateFn = Callable[[RouterState, ReplayBuffer, PRNGKeyArray], tuple[RouterState, ReplayBuffer, Float[Array, ""]]]


def init_router_state(params: Params, optimizer: optax.GradientTransformation) -> RouterState:
    """Makes the state before the first step.

    Args:
      params: from :func:`jaxalign.serving.init_router`.
      optimizer: the one that :func:`make_router_update` is given.
    """
    return RouterState(params, optimizer.init(params), jnp.int32(0))


def feedback_differences(logits: Float[Array, "E B M"], feedback: Feedback) -> Float[Array, "E B"]:
    """Computes the logit of each outcome: that of the rated model, or the difference between the compared ones.

    Args:
      logits: ``[E, B, M]`` of the feedback's contexts.
      feedback: B rows.
    """
    rows = jnp.arange(logits.shape[1])
    first, second = logits[:, rows, feedback.models], logits[:, rows, feedback.opponents]
    return first - jnp.where(feedback.opponents >= 0, second, 0)


def router_loss(
    params: Params, feedback: Feedback, weights: Float[Array, "B E"], *, reduce_fn=numerics.masked_mean
) -> tuple[Any, Float[Array, "B"]]:
    r"""Computes the cross-entropy of ratings and preferences under one scale of quality.

    A rating is the chance :math:`\sigma(\ell_m)` that an answer is good; a preference follows the Bradley-Terry model
    :math:`\sigma(\ell_m - \ell_{m'})` on the same logits, and so both train one network.

    Args:
      params: of the router.
      feedback: B rows.
      weights: ``[B, E]``, what each row counts for each member.
      reduce_fn: called on the weighted losses ``[E, B]``.

    Returns:
      The loss in nats, and ``[B]`` how far off each prediction was, as a chance.

    Source: EchoLM (arXiv 2501.12689); Bradley and Terry (1952).
    """
    differences = feedback_differences(router_logits(params, feedback.contexts), feedback)
    outcomes = jnp.broadcast_to(feedback.outcomes, differences.shape)
    each = losses.bradley_terry_loss(
        differences, jnp.zeros_like(differences), outcomes, reduce_fn=lambda values, where: values
    )
    errors = jnp.abs(feedback.outcomes - jax.nn.sigmoid(differences).mean(0))
    return reduce_fn(each * weights.T, where=None), errors


def make_router_update(
    optimizer: optax.GradientTransformation, *, batch_size: int = 64, steps: int = 4, alpha: float = 0.6
) -> UpdateFn:
    """Makes the function that lets a router learn from a buffer.

    Args:
      optimizer: for instance ``optax.adamw(1e-3, weight_decay=1e-2)``.
      batch_size: rows of each step, drawn by priority.
      steps: of one call; they are one compiled program.
      alpha: how far priorities count, as in :func:`jaxalign.serving.sample_rows`.

    Returns:
      ``update(state, buffer, key) -> (state, buffer, loss)``: the mean loss of the steps in nats. An empty buffer
      teaches nothing: its loss is 0, though weight decay still acts.
    """

    def step(carry, key):
        state, buffer = carry
        rows, importance = sample_rows(buffer, key, batch_size, alpha=alpha)
        feedback = jax.tree.map(lambda column: column[rows], buffer.feedback)
        weights = buffer.bootstrap[rows] * importance[:, None]
        grad_fn = jax.value_and_grad(router_loss, has_aux=True)
        (loss, errors), gradients = grad_fn(state.params, feedback, weights)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        state = RouterState(optax.apply_updates(state.params, updates), opt_state, state.steps + 1)
        return (state, set_priorities(buffer, rows, errors)), loss

    @jax.jit
    def update(state, buffer, key):
        (state, buffer), each = jax.lax.scan(step, (state, buffer), jax.random.split(key, steps))
        return state, buffer, each.mean()

    return update
