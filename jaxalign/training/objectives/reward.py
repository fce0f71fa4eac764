"""Losses of reward models: numbers for responses, from pairs or lists, and verdicts on comparisons."""

import functools

from jaxalign import losses, metrics, models, numerics
from jaxalign.data.batches.counts import count_tokens
from jaxalign.numerics import Ratio
from jaxalign.training.objectives.policy import RankingLossFn
from jaxalign.typing import ComparisonBatch, ComparisonFormat, ListBatch, LossFn, Metrics, Params


def make_reward_loss(model) -> LossFn:
    r"""Makes the Bradley-Terry loss of a scalar reward model on pairs of responses.

    .. math:: -p \log \sigma(r_1 - r_2) - (1 - p) \log \sigma(r_2 - r_1)

    Args:
      model: a reward model (:class:`jaxalign.models.RewardConfig`).

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.ListBatch` of lists of two (:func:`jaxalign.data.pair_batches`), the label of the first
      response being p, its chance of winning. Metrics: ``accuracy``, ``margin`` (reward of the likelier winner above
      the other) and ``tokens``.
    """
    return functools.partial(_reward_loss, model)


def make_reward_ranking_loss(model, *, ranking_loss: RankingLossFn = losses.lambda_loss) -> LossFn:
    """Makes a ranking loss of a scalar reward model on graded lists, the rewards being the scores.

    Args:
      model: a reward model (:class:`jaxalign.models.RewardConfig`).
      ranking_loss: called as ``ranking_loss(rewards, labels, where=where, key=key, reduce_fn=reduce_fn)``, with rewards
        and labels ``[B, K]``. The default is LiPO's lambda loss.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)`` of a :class:`~jaxalign.typing.ListBatch`; ``key`` orders ties,
      where the loss ranks. The metric is ``accuracy``, pairs in the order of their labels.
    """
    return functools.partial(_reward_ranking_loss, model, ranking_loss)


def make_verdict_loss(model, form: ComparisonFormat) -> LossFn:
    """Makes the cross-entropy of the verdicts of a decoder that reads two responses and says which one is better.

    Args:
      model: a decoder.
      form: the token ids around the parts of a comparison (:func:`jaxalign.data.comparison_format`).

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)`` of a :class:`~jaxalign.typing.ComparisonBatch`
      (:func:`jaxalign.data.comparison_batches`), nats per comparison; ``key`` is not used. The metric is ``accuracy``,
      of the likeliest verdict.

    Source: LiPO (arXiv 2402.01878), the pairwise reward-ranking model.
    """
    return functools.partial(_verdict_loss, model, form)


def _reward_loss(model, params: Params, batch: ListBatch, key) -> tuple[Ratio, Metrics]:
    first, second = models.response_rewards(model, params, batch).T
    chance = batch.labels[:, 0]
    loss = losses.bradley_terry_loss(first, second, chance, reduce_fn=numerics.ratio)
    return loss, {
        "accuracy": metrics.preference_accuracy_metric(first, second, chance),
        "margin": numerics.ratio((first - second) * (2 * chance - 1), where=chance != 0.5),
        "tokens": count_tokens(batch),
    }


def _reward_ranking_loss(model, ranking_loss: RankingLossFn, params: Params, batch: ListBatch, key):
    rewards = models.response_rewards(model, params, batch)
    loss = ranking_loss(rewards, batch.labels, where=batch.where, key=key, reduce_fn=numerics.ratio)
    return loss, {"accuracy": metrics.pairwise_accuracy_metric(rewards, batch.labels, where=batch.where)}


def _verdict_loss(model, form: ComparisonFormat, params: Params, batch: ComparisonBatch, key) -> tuple[Ratio, Metrics]:
    logps = models.verdict_logps(model, params, batch, form)
    said, true = logps.argmax(axis=-1), batch.verdicts.argmax(axis=-1)
    loss = losses.verdict_loss(logps, batch.verdicts, where=batch.where, reduce_fn=numerics.ratio)
    return loss, {"accuracy": numerics.ratio(1.0 * (said == true), where=batch.where)}
