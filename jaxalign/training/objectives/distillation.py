"""Losses of students: next-token distributions of a teacher (GKD), and preferences of its texts (PLaD)."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxalign import losses, models, numerics, sampling
from jaxalign.data.batches.counts import count_tokens, real_tokens
from jaxalign.losses.distillation import DivergenceFn
from jaxalign.numerics import Ratio
from jaxalign.typing import ListBatch, LossFn, Metrics, Params

CalibrationLossFn = Callable[..., Ratio]
"""``loss(chosen, rejected, chosen_scores, rejected_scores, *, beta, where, reduce_fn)`` of pairs ``[B]``, for instance
:func:`jaxalign.losses.margin_calibration_loss` or :func:`without_scores`."""

LogpsFn = Callable[[Float[Array, "B K R"], ListBatch], Float[Array, "B K"]]
"""``logps_fn(token_logps, batch)``: a number for each response, from the log-probabilities of its tokens."""


def make_distillation_loss(
    model,
    teacher,
    teacher_params: Params,
    *,
    divergence_fn: DivergenceFn = losses.forward_kl_divergence,
    own_share: float = 0.0,
    end_ids: tuple[int, ...] = (),
) -> LossFn:
    """Makes the divergence of the teacher's and the student's next-token distributions (GKD).

    Args:
      model: the student, a language model.
      teacher: a model of the student's vocabulary.
      teacher_params: bound to the loss, so that they are an argument of the compiled step. On a mesh, place them first.
      divergence_fn: from teacher to student, for instance :func:`jaxalign.losses.reverse_kl_divergence`.
      own_share: the share in [0, 1] of responses that the student draws itself, in the step, at temperature 1 and as
        long as those of the batch may be; no gradient flows through the drawing.
      end_ids: tokens that end what the student draws.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)`` of a :class:`~jaxalign.typing.ListBatch`, nats per token;
      ``key`` draws responses. The metric is ``tokens``.

    Source: On-Policy Distillation of Language Models (arXiv 2306.13649), the GKD objective with lambda = ``own_share``.
    """
    own_texts = functools.partial(_own_responses, model, end_ids)
    loss_fn = functools.partial(_distillation_loss, model, teacher, divergence_fn, own_share, own_texts)
    return jax.tree_util.Partial(loss_fn, teacher_params)


def make_calibration_loss(
    model, *, beta: float, pair_loss: CalibrationLossFn, logps_fn: LogpsFn, likelihood: float = 0.0
) -> LossFn:
    """Makes a calibration loss (SLiC, PLaD): the better response of a pair becomes likelier by a margin; no reference.

    Args:
      model: a language model.
      beta: the margin, in the units of ``logps_fn``.
      pair_loss: see :data:`CalibrationLossFn`; scores are the labels.
      logps_fn: see :data:`LogpsFn`, for instance :func:`sum_logps`.
      likelihood: weighs a term that keeps the better response likely, its negative log-probability per token. Without
        it a hinge is content with two likelihoods that fall.

    Returns:
      ``loss_fn(params, batch, key) -> (loss, metrics)`` of a :class:`~jaxalign.typing.ListBatch` of lists of two; pairs
      with equal labels do not count, and ``key`` is not used. Metrics: ``chosen`` and ``rejected``, log-probabilities
      in nats, and ``tokens``.

    Source: PLaD (arXiv 2406.02886), its ranking and margin losses; SLiC (arXiv 2210.00045).
    """
    return functools.partial(_calibration_loss, model, beta, pair_loss, logps_fn, likelihood)


def without_scores(chosen: Array, rejected: Array, chosen_scores: Array, rejected_scores: Array, **arguments) -> Ratio:
    """The ranking loss of PLaD as a :data:`CalibrationLossFn`: it does not read the scores."""
    return losses.ranking_calibration_loss(chosen, rejected, **arguments)


def sum_logps(token_logps: Float[Array, "B K R"], batch: ListBatch) -> Float[Array, "B K"]:
    """The log-probability of each response, in nats."""
    return token_logps.sum(axis=-1)


def rescaled_average_logps(token_logps: Float[Array, "B K R"], batch: ListBatch) -> Float[Array, "B K"]:
    """The log-probability per token times the average length, so that one margin serves this form and sums."""
    length = numerics.ratio(1.0 * batch.response_mask.sum(axis=-1), where=batch.where).value
    return length * losses.average_logps(token_logps, where=real_tokens(batch))


def _distillation_loss(
    model, teacher, divergence_fn, own_share: float, own_texts, teacher_params, params, batch: ListBatch, key
) -> tuple[Ratio, Metrics]:
    draw_key, share_key = jax.random.split(key)
    if own_share > 0:
        own = own_texts(jax.lax.stop_gradient(params), batch, draw_key)
        chosen = jax.random.bernoulli(share_key, own_share, batch.where.shape)[:, :, None]
        batch = batch._replace(
            response_tokens=jnp.where(chosen, own.tokens, batch.response_tokens),
            response_mask=jnp.where(chosen, own.mask, batch.response_mask),
        )
    sides = (model, params), (teacher, jax.lax.stop_gradient(teacher_params))
    arrays = [
        array
        for each, its in sides
        for array in (models.response_hidden(each, its, batch), models.unembedding(each.config, its))
    ]
    loss = losses.divergence_loss(
        divergence_fn,
        *arrays,
        where=real_tokens(batch),
        student_logit_softcap=model.config.logit_softcap,
        teacher_logit_softcap=teacher.config.logit_softcap,
        reduce_fn=numerics.ratio,
    )
    return loss, {"tokens": count_tokens(batch)}


def _own_responses(model, end_ids: tuple[int, ...], params: Params, batch: ListBatch, key: Array) -> sampling.Samples:
    """A response of the policy to each prompt, as long as those of the batch may be."""
    return sampling.generate(
        model,
        params,
        batch.prompt_tokens,
        batch.prompt_mask,
        key,
        num_samples=1,
        max_new_tokens=batch.response_tokens.shape[2],
        eos_id=end_ids,
        rule=sampling.sample(),
    )


def _calibration_loss(
    model, beta: float, pair_loss, logps_fn: LogpsFn, likelihood: float, params: Params, batch: ListBatch, key
) -> tuple[Ratio, Metrics]:
    token_logps = models.response_token_logps(model, params, batch)
    logps, averages = logps_fn(token_logps, batch), losses.average_logps(token_logps, where=real_tokens(batch))
    better = jnp.argmax(batch.labels, axis=1)
    where = batch.where.all(axis=1) & (batch.labels[:, 0] != batch.labels[:, 1])
    chosen, rejected = _side(logps, better), _side(logps, 1 - better)
    scores = _side(batch.labels, better), _side(batch.labels, 1 - better)
    reduce_fn = losses.regularized(numerics.ratio, -likelihood * _side(averages, better))
    loss = pair_loss(chosen, rejected, *scores, beta=beta, where=where, reduce_fn=reduce_fn)
    sums = token_logps.sum(axis=-1)
    return loss, {
        "chosen": numerics.ratio(_side(sums, better), where=where),
        "rejected": numerics.ratio(_side(sums, 1 - better), where=where),
        "tokens": count_tokens(batch),
    }


def _side(values: Array, pick: Int[Array, "B"]) -> Array:
    return jnp.take_along_axis(values, pick[:, None], axis=1)[:, 0]
