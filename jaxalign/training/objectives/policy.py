"""Losses of language models: supervised fine-tuning, and ranking losses (LiPO)."""

import functools
from collections.abc import Callable

from jaxalign import losses, models, numerics
from jaxalign.data.batches.counts import count_tokens, real_tokens
from jaxalign.numerics import Ratio
from jaxalign.training.objectives.pairs import reward_metrics
from jaxalign.typing import ListBatch, LossFn, Metrics, Params, TokenBatch

RankingLossFn = Callable[..., Ratio]
"""A ranking loss, for instance :func:`jaxalign.losses.lambda_loss` or a partial of another one."""


def make_sft_loss(model) -> LossFn:
    r"""Makes the loss of supervised fine-tuning, the mean cross-entropy of the tokens that are to be learnt.

    .. math:: -\frac{1}{n} \sum_t \log \pi(y_t \mid x, y_{<t})

    Args:
      model: a decoder for batches of rows; any language model for lists.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``, nats per token; ``key`` is not used. ``batch`` is

      - a :class:`~jaxalign.typing.TokenBatch` of packed or unpacked rows (:func:`jaxalign.data.sft_batches`): what
        ``loss_mask`` marks is learnt;
      - a :class:`~jaxalign.typing.ListBatch` (:func:`jaxalign.data.list_batches`): all responses are learnt, whatever
        their labels.

      The metric is ``tokens``, those that ran through the network without padding.
    """
    return functools.partial(_sft_loss, model)


def make_unpacked_sft_loss(model) -> LossFn:
    """Makes :func:`make_sft_loss` for rows of one example each, padded on the right: the same numbers, faster on GPUs.

    No real token sees what follows it, so nothing has to be hidden, and cuDNN's causal kernel needs no mask.

    Args:
      model: a decoder.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)`` of a :class:`~jaxalign.typing.TokenBatch` that
      ``data.sft_batches(..., packed=False)`` makes. Of packed rows it would be wrong: their examples would see each
      other.
    """
    return functools.partial(_unpacked_sft_loss, model)


def make_ranking_loss(model, *, beta: float, ranking_loss: RankingLossFn = losses.lambda_loss) -> LossFn:
    r"""Makes a listwise preference loss: a ranking loss of the implicit rewards of whole lists (LiPO).

    .. math:: s_k = \beta \log \frac{\pi(y_k \mid x)}{\pi_\mathrm{ref}(y_k \mid x)}

    Args:
      model: a language model.
      beta: reward of a nat, above 0.
      ranking_loss: called as ``ranking_loss(s, labels, where=where, key=key, reduce_fn=reduce_fn)``, with scores and
        labels ``[..., K]``. The default is LiPO-lambda.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` orders ties, where the loss ranks. ``batch`` is a
      :class:`~jaxalign.typing.ListBatch` or :class:`~jaxalign.typing.PackedListBatch` with ``labels`` in [0, 1] and
      ``reference_logps`` in nats. Metrics: ``accuracy`` (pairs in the order of their labels), ``margin`` (implicit
      reward of the best response above the worst), ``log_ratio`` (nats per response, policy over reference), ``tokens``
      and ``padding``.

    Source: LiPO (arXiv 2402.01878), the listwise framework.
    """
    return functools.partial(_ranking_loss, model, beta, ranking_loss)


def _sft_loss(model, params: Params, batch: TokenBatch | ListBatch, key) -> tuple[Ratio, Metrics]:
    if isinstance(batch, TokenBatch):
        return _row_loss(model, params, batch, segment_ids=batch.segment_ids, positions=batch.positions)
    logps = models.response_token_logps(model, params, batch)
    loss = losses.sft_loss(logps, where=real_tokens(batch), reduce_fn=numerics.ratio)
    return loss, {"tokens": count_tokens(batch)}


def _unpacked_sft_loss(model, params: Params, batch: TokenBatch, key) -> tuple[Ratio, Metrics]:
    return _row_loss(model, params, batch)


def _row_loss(model, params: Params, batch: TokenBatch, **arguments) -> tuple[Ratio, Metrics]:
    hidden = model.apply({"params": params}, batch.tokens, **arguments, method="hidden")
    loss = losses.cross_entropy_loss(
        hidden,
        models.unembedding(model.config, params),
        batch.targets,
        where=batch.loss_mask,
        logit_softcap=model.config.logit_softcap,
        reduce_fn=numerics.ratio,
    )
    return loss, {"tokens": count_tokens(batch)}


def _ranking_loss(model, beta: float, ranking_loss: RankingLossFn, params: Params, batch, key) -> tuple[Ratio, Metrics]:
    policy_logps = models.response_logps(model, params, batch)
    rewards = beta * (policy_logps - batch.reference_logps)
    loss = ranking_loss(rewards, batch.labels, where=batch.where, key=key, reduce_fn=numerics.ratio)
    return loss, reward_metrics(beta, policy_logps, batch)
