"""Losses of single responses that are marked desirable or undesirable: KTO, BCO, APO-zero."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxalign import losses, models, numerics
from jaxalign.data.batches.counts import count_tokens, padding_share
from jaxalign.data.records.unpaired import MISMATCHED
from jaxalign.numerics import Ratio
from jaxalign.typing import ListBatch, LossFn, Metrics, PackedListBatch, Params

UnpairedLossFn = Callable[..., Ratio]
"""A loss of single responses, for instance :func:`jaxalign.losses.apo_zero_unpaired_loss`."""


def make_kto_loss(model, *, beta: float, desirable_weight: float = 1.0, undesirable_weight: float = 1.0) -> LossFn:
    """Makes KTO's loss of single responses, with its reference point from mismatched ones in the same batch.

    Args:
      model: a language model.
      beta: reward of a nat, above 0.
      desirable_weight, undesirable_weight: factors of the losses of the two kinds, to balance their numbers.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.ListBatch` or :class:`~jaxalign.typing.PackedListBatch` with ``reference_logps``, of
      lists of :func:`jaxalign.data.with_mismatched`: a response with the label 1 (desirable) or 0, and one to another
      prompt with the label 0.5, which alone the reference point is taken from, over the batch (of each microbatch, with
      accumulation). Metrics: those of :func:`make_unpaired_loss`, and ``kl``, the reference point in nats.

    Source: KTO (arXiv 2402.01306), section 4.1.
    """
    return functools.partial(_kto_loss, model, beta, (desirable_weight, undesirable_weight))


def make_bco_loss(model, *, beta: float) -> LossFn:
    """Makes BCO's loss of single responses, which tells the two kinds apart around a shift.

    The shift is that of the batch, the mean of the two kinds' mean rewards; the paper has its moving average over
    batches. A batch without one of the kinds has the mean of the other.

    Args:
      model: a language model.
      beta: reward of a nat, above 0.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)`` as :func:`make_unpaired_loss` makes it.

    Source: BCO (arXiv 2404.04656), with reward shift.
    """
    return functools.partial(_bco_loss, model, beta)


def make_unpaired_loss(model, *, beta: float, unpaired_loss: UnpairedLossFn = losses.apo_zero_unpaired_loss) -> LossFn:
    """Makes a loss of single responses that needs nothing but their log-ratios.

    Args:
      model: a language model.
      beta: reward of a nat, above 0.
      unpaired_loss: called with the log-probabilities ``[N]`` under policy and reference, whether each response is
        desirable, and ``beta``, ``where`` and ``reduce_fn``. The default is APO-zero.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.ListBatch` or :class:`~jaxalign.typing.PackedListBatch` with ``reference_logps``; labels
      are 1 for desirable responses, 0 for others, and 0.5 for those that do not count. Metrics: ``accuracy`` (share of
      desirable responses with a reward above 0, and of others with one below), ``margin`` (mean reward of desirable
      responses above that of others), ``log_ratio`` (nats per response, policy over reference), ``tokens`` and
      ``padding``.

    Source: APO (arXiv 2408.06266), equation 7.
    """
    return functools.partial(_unpaired_loss, model, beta, unpaired_loss)


def _kto_loss(model, beta, weights, params: Params, batch, key) -> tuple[Ratio, Metrics]:
    logps, counted = models.response_logps(model, params, batch), _counted(batch)
    kl = losses.kto_kl(logps, batch.reference_logps, where=batch.where & ~counted)
    loss_fn = functools.partial(losses.kto_loss, kl=kl, desirable_weight=weights[0], undesirable_weight=weights[1])
    loss = loss_fn(*_arguments(logps, batch), beta=beta, where=counted, reduce_fn=numerics.ratio)
    return loss, {**_metrics(beta, logps, batch), "kl": Ratio(kl, jnp.ones(()))}


def _bco_loss(model, beta, params: Params, batch, key) -> tuple[Ratio, Metrics]:
    logps, counted = models.response_logps(model, params, batch), _counted(batch)
    rewards, desirable = beta * (logps - batch.reference_logps), batch.labels > MISMATCHED
    means = [numerics.ratio(rewards, where=counted & kind) for kind in (desirable, ~desirable)]
    there = jnp.stack([mean.denominator > 0 for mean in means])
    shift = numerics.masked_mean(jnp.stack([mean.value for mean in means]), where=there)
    loss_fn = functools.partial(losses.bco_loss, shift=shift)
    loss = loss_fn(*_arguments(logps, batch), beta=beta, where=counted, reduce_fn=numerics.ratio)
    return loss, _metrics(beta, logps, batch)


def _unpaired_loss(model, beta, unpaired_loss, params: Params, batch, key) -> tuple[Ratio, Metrics]:
    logps = models.response_logps(model, params, batch)
    loss = unpaired_loss(*_arguments(logps, batch), beta=beta, where=_counted(batch), reduce_fn=numerics.ratio)
    return loss, _metrics(beta, logps, batch)


def _arguments(logps: Array, batch) -> tuple[Array, Array, Array]:
    return logps, jnp.asarray(batch.reference_logps), batch.labels > MISMATCHED


def _counted(batch: ListBatch | PackedListBatch) -> Bool[Array, "... K"]:
    return batch.where & (batch.labels != MISMATCHED)


def _metrics(beta: float, logps: Array, batch) -> Metrics:
    counted, desirable = _counted(batch), batch.labels > MISMATCHED
    rewards = beta * (logps - batch.reference_logps)
    above, below = (numerics.ratio(rewards, where=counted & kind) for kind in (desirable, ~desirable))
    return {
        "accuracy": numerics.ratio(1.0 * (desirable == (rewards > 0)), where=counted),
        "margin": Ratio(above.value - below.value, jnp.ones(())),
        "log_ratio": numerics.ratio(logps - batch.reference_logps, where=counted),
        "tokens": count_tokens(batch),
        "padding": padding_share(batch),
    }
