"""The optimizers that papers use, as optax chains: clipping by global norm, then the rule, then decoupled decay.

Any other optax chain fits :func:`jaxalign.training.make_train_step` as well.
"""

from typing import Any

import jax
import optax

from jaxalign.sharding.rules import STACK
from jaxalign.typing import Params


def adamw(
    learning_rate: optax.ScalarOrSchedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    clip_norm: float | None = 1.0,
) -> optax.GradientTransformation:
    """Makes Adam with decoupled weight decay, for :func:`jaxalign.training.make_train_step`.

    Args:
      learning_rate: a number, or a schedule such as :func:`jaxalign.training.linear_schedule` makes.
      b1, b2: the decay of the first and of the second moment, in [0, 1).
      eps: added to the root of the second moment.
      weight_decay: ``learning_rate * weight_decay * parameter`` is subtracted, from matrices only
        (:func:`jaxalign.training.decay_mask`).
      clip_norm: the largest global norm of a gradient; None clips nothing.

    Source: Decoupled Weight Decay Regularization (arXiv 1711.05101), algorithm 2.
    """
    return optax.chain(
        _clip(clip_norm),
        optax.adamw(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=decay_mask),
    )


def adafactor(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
    multiply_by_parameter_scale: bool = True,
    min_dim_size_to_factor: int = 128,
) -> optax.GradientTransformation:
    """Makes Adafactor without momentum, as T5 and the papers that start from it use it.

    Args:
      learning_rate: a number, or a schedule such as :func:`jaxalign.training.constant_schedule` makes.
      weight_decay: ``learning_rate * weight_decay * parameter`` is subtracted, from matrices only
        (:func:`jaxalign.training.decay_mask`).
      clip_norm: the largest global norm of a gradient; None clips nothing.
      multiply_by_parameter_scale: makes ``learning_rate`` relative to the root mean square of a parameter. For layers
        stacked by ``nn.scan`` that, and the clipping of an update at root mean square 1, is over all layers.
      min_dim_size_to_factor: the second moment of a matrix is kept as row and column means when both sides have as many
        entries.

    Source: Adafactor (arXiv 1804.04235).
    """
    rule = optax.adafactor(
        multiply_by_parameter_scale=multiply_by_parameter_scale, min_dim_size_to_factor=min_dim_size_to_factor
    )
    decay = optax.add_decayed_weights(weight_decay, mask=decay_mask)
    # optax.adafactor descends by itself, add_decayed_weights expects an ascent direction: turn back in between.
    return optax.chain(_clip(clip_norm), rule, optax.scale(-1.0), decay, optax.scale_by_learning_rate(learning_rate))


def decay_mask(params: Params) -> Any:
    """Tells what weight decay applies to: matrices, but no vectors, stacked or not.

    Vectors are scales of norms, biases, and DoRA's magnitudes, whatever the rank of the array that holds them.

    Args:
      params: parameters, or an adapter's.

    Returns:
      A tree like ``params``, True for matrices.
    """

    def is_matrix(path, leaf):
        names = [jax.tree_util.keystr((entry,), simple=True) for entry in path]
        rank = leaf.ndim - (STACK in names[:-1])
        return rank >= 2 and "bias" not in names[-1] and not names[-1].endswith("magnitude")

    return jax.tree_util.tree_map_with_path(is_matrix, params)


def _clip(norm: float | None) -> optax.GradientTransformation:
    return optax.identity() if norm is None else optax.clip_by_global_norm(norm)
