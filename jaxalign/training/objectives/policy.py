"""Losses of language models: supervised fine-tuning, DPO and ranking losses (LiPO)."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxalign import losses, metrics, models, numerics
from jaxalign.data.batches.counts import count_tokens, padding_share, real_tokens
from jaxalign.numerics import Ratio
from jaxalign.typing import ListBatch, LossFn, Metrics, PackedListBatch, Params, TokenBatch

PairLossFn = Callable[..., Ratio]
"""A loss of the DPO family, for instance :func:`jaxalign.losses.dpo_loss` or a partial of another one."""

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


def make_dpo_loss(model, *, beta: float, pair_loss: PairLossFn = losses.dpo_loss) -> LossFn:
    r"""Makes DPO's loss on the best and the worst response of each list; a pair is a list of two.

    .. math:: -\log \sigma\left(\beta \log \frac{\pi(y_w \mid x)}{\pi_\mathrm{ref}(y_w \mid x)}
      - \beta \log \frac{\pi(y_l \mid x)}{\pi_\mathrm{ref}(y_l \mid x)}\right)

    Lists whose best and worst labels are equal have no pair and do not count.

    Args:
      model: a language model.
      beta: reward of a nat, above 0.
      pair_loss: a loss of the DPO family, called with the log-probabilities ``[...]`` of chosen and rejected responses
        under the policy, then under the reference, and ``beta``, ``where`` and ``reduce_fn``. Others are bound first:
        ``functools.partial(losses.dpo_loss, label_smoothing=0.1)``.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.ListBatch` or :class:`~jaxalign.typing.PackedListBatch` with ``reference_logps``. Metrics
      are those of :func:`make_ranking_loss`.

    Source: Direct Preference Optimization (arXiv 2305.18290), equation 7.
    """
    return functools.partial(_dpo_loss, model, beta, pair_loss)


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


def _dpo_loss(model, beta: float, pair_loss: PairLossFn, params: Params, batch, key) -> tuple[Ratio, Metrics]:
    policy_logps = models.response_logps(model, params, batch)
    best, worst, unequal = _best_and_worst(batch)
    logps = (_pick(x, places) for x in (policy_logps, batch.reference_logps) for places in (best, worst))
    loss = pair_loss(*logps, beta=beta, where=unequal, reduce_fn=numerics.ratio)
    return loss, _metrics(beta, policy_logps, batch)


def _ranking_loss(model, beta: float, ranking_loss: RankingLossFn, params: Params, batch, key) -> tuple[Ratio, Metrics]:
    policy_logps = models.response_logps(model, params, batch)
    rewards = beta * (policy_logps - batch.reference_logps)
    loss = ranking_loss(rewards, batch.labels, where=batch.where, key=key, reduce_fn=numerics.ratio)
    return loss, _metrics(beta, policy_logps, batch)


def _metrics(beta: float, policy_logps: Float[Array, "*lists K"], batch: ListBatch | PackedListBatch) -> Metrics:
    rewards = beta * (policy_logps - batch.reference_logps)
    best, worst, unequal = _best_and_worst(batch)
    return {
        "accuracy": metrics.pairwise_accuracy_metric(rewards, batch.labels, where=batch.where),
        "margin": numerics.ratio(_pick(rewards, best) - _pick(rewards, worst), where=unequal),
        "log_ratio": numerics.ratio(policy_logps - batch.reference_logps, where=batch.where),
        "tokens": count_tokens(batch),
        "padding": padding_share(batch),
    }


def _best_and_worst(batch: ListBatch | PackedListBatch) -> tuple[Array, Array, Array]:
    """The places ``[...]`` of the highest and the lowest label of each list, and whether these differ."""
    best = jnp.argmax(jnp.where(batch.where, batch.labels, -1), axis=-1)
    worst = jnp.argmin(jnp.where(batch.where, batch.labels, 2), axis=-1)
    return best, worst, _pick(batch.labels, best) > _pick(batch.labels, worst)


def _pick(values: Array, places: Int[Array, "*lists"]) -> Array:
    """What stands at ``places [...]`` of values ``[..., K]``."""
    return jnp.take_along_axis(values, places[..., None], axis=-1)[..., 0]
