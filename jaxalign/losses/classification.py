"""Losses of classifiers: one class for each text, or any number of them. Arithmetic is in float32 (or wider)."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign import numerics
from jaxalign.typing import ReduceFn


def softmax_cross_entropy_loss(
    logits: Float[Array, "*batch C"],
    labels: Int[Array, "*batch"],
    *,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Computes the cross-entropy of the one class of each text: :math:`-\log \text{softmax}(z)_y`.

    Here :math:`z` are the logits and :math:`y` the label.

    Args:
      logits: ``[..., C]``, one for each class, any scale.
      labels: ``[...]``, the class of each text, 0 to C - 1. Any other number makes the loss of a text that counts NaN,
        which stops a run.
      where: ``[...]``, True for texts that count, None for all; masked ones may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the texts. The default is their mean, 0 if
        none counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    >>> print(softmax_cross_entropy_loss(jnp.array([[1.0, 1.0]]), jnp.array([0])))
    0.6931472

    Source: AttrPrompt (arXiv 2306.15895), the classifier; ``torch.nn.CrossEntropyLoss``.
    """
    where, logits = _masked_rows(where, logits)
    labels = jnp.where(where, labels, 0)
    known = (labels >= 0) & (labels < logits.shape[-1])
    logps = jax.nn.log_softmax(logits, axis=-1)
    chosen = jnp.take_along_axis(logps, jnp.where(known, labels, 0)[..., None], axis=-1)[..., 0]
    return reduce_fn(jnp.where(known, -chosen, jnp.nan), where=where)


def sigmoid_cross_entropy_loss(
    logits: Float[Array, "*batch C"],
    labels: Float[Array, "*batch C"],
    *,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Averages the binary cross-entropies of a text's classes, each of which it may have or not.

    .. math:: -\frac{1}{C} \sum_c y_c \log\sigma(z_c) + (1 - y_c) \log(1 - \sigma(z_c))

    Here :math:`z` are the logits and :math:`y` the labels. It is the mean over classes, as in torch and transformers,
    so that the loss does not grow with their number.

    Args:
      logits: ``[..., C]``, one for each class, any scale.
      labels: ``[..., C]``, the chance in [0, 1] that the text has each class: 1 or 0 where it is known.
      where: ``[...]``, True for texts that count, None for all; masked ones may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the texts. The default is their mean, 0 if
        none counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats for a class.

    >>> print(sigmoid_cross_entropy_loss(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0]])))
    0.6931472

    Source: AttrPrompt (arXiv 2306.15895), the classifier of several labels; ``torch.nn.BCEWithLogitsLoss``.
    """
    where, logits, labels = _masked_rows(where, logits, labels)
    each = -labels * jax.nn.log_sigmoid(logits) - (1 - labels) * jax.nn.log_sigmoid(-logits)
    return reduce_fn(jnp.mean(each, axis=-1), where=where)


def masked_sigmoid_cross_entropy_loss(
    logits: Float[Array, "*batch C"],
    labels: Float[Array, "*batch C"],
    *,
    where: Bool[Array, "*batch C"] | None = None,
    reduce_fn: ReduceFn = jnp.sum,
) -> Any:
    r"""Sums the binary cross-entropies of those classes of a text about which something is known.

    .. math:: -\sum_{c \in \text{where}} y_c \log\sigma(z_c) + (1 - y_c) \log(1 - \sigma(z_c))

    Here :math:`z` are the logits and :math:`y` the labels. TELEClass adds this up over all texts, and counts a written
    document :math:`|D_{core}| / |D_{gen}|` times: ``reduce_fn=losses.weighted(jnp.sum, weights)``. Its paper takes
    :math:`\sigma(\exp z)` for the probability, which is 0.5 or more whatever :math:`z` is; this takes
    :math:`\sigma(z)`, as its code does.

    Args:
      logits: ``[..., C]``, one for each class, any scale.
      labels: ``[..., C]``, the chance in [0, 1] that the text has each class: 1 or 0 where it is known.
      where: ``[..., C]``, True for classes that count, None for all; masked entries may hold anything, NaN included.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the texts, of which those with a class
        that counts do. The default is their sum, as in the authors' code.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats.

    >>> print(masked_sigmoid_cross_entropy_loss(jnp.zeros((1, 3)), jnp.zeros((1, 3)), where=jnp.array([[1, 1, 0]]) > 0))
    1.3862944

    Source: TELEClass (arXiv 2403.00165), the classifier's loss.
    """
    where, logits, labels = numerics.masked(where, logits, labels)
    each = -labels * jax.nn.log_sigmoid(logits) - (1 - labels) * jax.nn.log_sigmoid(-logits)
    return reduce_fn(jnp.sum(jnp.where(where, each, 0), axis=-1), where=where.any(axis=-1))


def _masked_rows(where, *arrays) -> tuple[Array, ...]:
    """The mask of texts, and arrays with an axis of classes behind, 0 in masked texts."""
    if where is None:
        where = jnp.ones(arrays[0].shape[:-1], bool)
    entries = jnp.broadcast_to(where[..., None], arrays[0].shape)
    return where, *numerics.masked(entries, *arrays)[1:]
