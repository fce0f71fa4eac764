"""The DPO family on batches: losses of the best and the worst response of each list, with a reference or without."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxalign import losses, metrics, models, numerics
from jaxalign.data.batches.counts import count_tokens, padding_share
from jaxalign.numerics import Ratio
from jaxalign.typing import ListBatch, LossFn, Metrics, PackedListBatch, Params, ReduceFn

PairLossFn = Callable[..., Ratio]
"""A loss of the DPO family, for instance :func:`jaxalign.losses.dpo_loss` or a partial of another one."""


def make_dpo_loss(
    model, *, beta: float, pair_loss: PairLossFn = losses.dpo_loss, average: bool = False, sft_weight: float = 0.0
) -> LossFn:
    r"""Makes DPO's loss on the best and the worst response of each list; a pair is a list of two.

    .. math:: -\log \sigma\left(\beta \log \frac{\pi(y_w \mid x)}{\pi_\mathrm{ref}(y_w \mid x)}
      - \beta \log \frac{\pi(y_l \mid x)}{\pi_\mathrm{ref}(y_l \mid x)}\right)

    Lists whose best and worst labels are equal have no pair and do not count.

    Args:
      model: a language model.
      beta: reward of a nat, above 0.
      pair_loss: a loss of the DPO family, called with the log-probabilities ``[N]`` of chosen and rejected responses
        under the policy, then under the reference, and ``beta``, ``where`` and ``reduce_fn``. Others are bound first:
        ``functools.partial(losses.dpo_loss, label_smoothing=0.1)``.
      average: hands ``pair_loss`` averages over the tokens of each response instead of sums, as IPO takes them.
      sft_weight: weight of the chosen response's cross-entropy, nats per token, which is added for each pair.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.ListBatch` or :class:`~jaxalign.typing.PackedListBatch` with ``reference_logps``. Metrics
      are those of :func:`jaxalign.training.make_ranking_loss`.

    Source: Direct Preference Optimization (arXiv 2305.18290), equation 7; the added term is that of Iterative Reasoning
    Preference Optimization (arXiv 2404.19733), equation 1.
    """
    return functools.partial(_dpo_loss, model, beta, pair_loss, average, sft_weight)


def make_reference_free_loss(
    model, *, beta: float, pair_loss: PairLossFn, average: bool = True, sft_weight: float = 0.0
) -> LossFn:
    r"""Makes the loss of the best and the worst response of each list under the policy alone: SimPO, ORPO, CPO.

    Args:
      model: a language model.
      beta: reward of a nat, or of a nat per token where ``average`` is True, above 0.
      pair_loss: called with the log-probabilities ``[N]`` of chosen and rejected responses, and ``beta``, ``where`` and
        ``reduce_fn``; for instance ``functools.partial(losses.simpo_loss, margin=0.5)``.
      average: hands ``pair_loss`` averages over the tokens of each response; CPO takes sums (False).
      sft_weight: weight of the chosen response's cross-entropy, nats per token, which is added for each pair; 1 in ORPO
        and CPO.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)``; ``key`` is not used. ``batch`` is a
      :class:`~jaxalign.typing.ListBatch` or :class:`~jaxalign.typing.PackedListBatch`, whose ``reference_logps`` are
      not used. Metrics: ``accuracy`` (pairs in the order of their labels), ``margin`` (reward of the best response
      above the worst), ``logp`` (nats per token of the chosen response), ``tokens`` and ``padding``.

    Source: SimPO (arXiv 2405.14734), ORPO (arXiv 2403.07691), CPO (arXiv 2401.08417).
    """
    return functools.partial(_reference_free_loss, model, beta, pair_loss, average, sft_weight)


def _dpo_loss(model, beta, pair_loss, average, sft_weight, params: Params, batch, key) -> tuple[Ratio, Metrics]:
    policy_logps = models.response_logps(model, params, batch)
    best, worst, unequal = best_and_worst(batch)
    both = [_per_token(x, batch) if average else x for x in (policy_logps, batch.reference_logps)]
    reduce_fn = _with_likelihood(sft_weight, policy_logps, batch, best)
    logps = (pick(x, places).reshape(-1) for x in both for places in (best, worst))
    loss = pair_loss(*logps, beta=beta, where=unequal.reshape(-1), reduce_fn=reduce_fn)
    return loss, reward_metrics(beta, policy_logps, batch)


def _reference_free_loss(model, beta, pair_loss, average, sft_weight, params: Params, batch, key):
    policy_logps = models.response_logps(model, params, batch)
    best, worst, unequal = best_and_worst(batch)
    scores = _per_token(policy_logps, batch) if average else policy_logps
    reduce_fn = _with_likelihood(sft_weight, policy_logps, batch, best)
    pairs = (pick(scores, places).reshape(-1) for places in (best, worst))
    loss = pair_loss(*pairs, beta=beta, where=unequal.reshape(-1), reduce_fn=reduce_fn)
    return loss, {
        "accuracy": metrics.pairwise_accuracy_metric(scores, batch.labels, where=batch.where),
        "margin": numerics.ratio(beta * (pick(scores, best) - pick(scores, worst)), where=unequal),
        "logp": numerics.ratio(pick(_per_token(policy_logps, batch), best), where=unequal),
        "tokens": count_tokens(batch),
        "padding": padding_share(batch),
    }


def _with_likelihood(weight: float, logps: Array, batch, best: Array) -> ReduceFn:
    """Adds the chosen response's cross-entropy to each pair's loss."""
    if not weight:
        return numerics.ratio
    return losses.regularized(numerics.ratio, -weight * pick(_per_token(logps, batch), best).reshape(-1))


def _per_token(logps: Array, batch: ListBatch | PackedListBatch) -> Array:
    return numerics.safe_divide(logps, models.response_lengths(batch))


def reward_metrics(beta: float, policy_logps: Array, batch: ListBatch | PackedListBatch) -> Metrics:
    """What the implicit rewards of a batch say of its labels, and how far the policy is from the reference."""
    rewards = beta * (policy_logps - batch.reference_logps)
    best, worst, unequal = best_and_worst(batch)
    return {
        "accuracy": metrics.pairwise_accuracy_metric(rewards, batch.labels, where=batch.where),
        "margin": numerics.ratio(pick(rewards, best) - pick(rewards, worst), where=unequal),
        "log_ratio": numerics.ratio(policy_logps - batch.reference_logps, where=batch.where),
        "tokens": count_tokens(batch),
        "padding": padding_share(batch),
    }


def best_and_worst(batch: ListBatch | PackedListBatch) -> tuple[Array, Array, Array]:
    """The places ``[...]`` of the highest and the lowest label of each list, and whether these differ."""
    best = jnp.argmax(jnp.where(batch.where, batch.labels, -1), axis=-1)
    worst = jnp.argmin(jnp.where(batch.where, batch.labels, 2), axis=-1)
    return best, worst, pick(batch.labels, best) > pick(batch.labels, worst)


def pick(values: Array, places: Int[Array, "*lists"]) -> Array:
    """What stands at ``places [...]`` of values ``[..., K]``."""
    return jnp.take_along_axis(values, places[..., None], axis=-1)[..., 0]
