"""Ways to learn from a teacher, each as the data that it learns from and a loss on them.

Gold and teacher texts come as lists of one response, pairs as lists of two with the better one's label higher. Those
that need a teacher's logits need its weights and the student's vocabulary; the others need nothing but its texts.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from experiments.common import machines
from experiments.common.stages import count_tokens, make_response_loss, real_tokens
from experiments.common.task import Policy
from jaxalign import losses, models, numerics, sampling
from jaxalign.losses.distillation import DivergenceFn
from jaxalign.typing import ListBatch, LossFn

MakeLoss = Callable[..., LossFn]
"""``make_loss(config, student_model, teacher, tokenizer) -> loss_fn``; ``teacher`` may be None where texts suffice."""


@dataclasses.dataclass(frozen=True)
class Method:
    """A row of the table."""

    learns_from: Literal["gold", "teacher", "pairs", "judged pairs"]
    make_loss: MakeLoss
    needs_logits: bool = False
    rounds: int = 1  # of pairs, each from a fresh snapshot of the student; the steps are divided among them


def ranking(chosen, rejected, chosen_scores, rejected_scores, **arguments):
    """PLaD's ranking loss, as a loss of pairs with scores, which it does not read."""
    return losses.ranking_calibration_loss(chosen, rejected, **arguments)


def sequence_logps(token_logps: Array, batch: ListBatch) -> Array:
    """Of whole responses."""
    return token_logps.sum(axis=-1)


def rescaled_averages(token_logps: Array, batch: ListBatch) -> Array:
    """Per token, times the usual length, so that one margin serves this form and sums."""
    length = numerics.ratio(1.0 * batch.response_mask.sum(axis=-1), where=batch.where).value
    return length * losses.average_logps(token_logps, where=real_tokens(batch))


def imitation(config, model, teacher, tokenizer) -> LossFn:
    """Cross-entropy per token: supervised fine-tuning on gold targets, sequence-level distillation on a teacher's."""
    return make_response_loss(model)


def matching(config, model, teacher: Policy, tokenizer, *, divergence_fn: DivergenceFn, own_share: float) -> LossFn:
    """A divergence of next-token distributions, on the teacher's texts and, in a share of rows, the student's own."""
    own_texts = own_responses(model, tokenizer.end_ids)

    def loss_fn(teacher_params, params, batch: ListBatch, key):
        draw_key, share_key = jax.random.split(key)
        if own_share > 0:
            own = own_texts(jax.lax.stop_gradient(params), batch, draw_key)
            chosen = jax.random.bernoulli(share_key, own_share, batch.where.shape)[:, :, None]
            batch = batch._replace(
                response_tokens=jnp.where(chosen, own.tokens, batch.response_tokens),
                response_mask=jnp.where(chosen, own.mask, batch.response_mask),
            )
        sides = (model, params), (teacher.model, jax.lax.stop_gradient(teacher_params))
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
            teacher_logit_softcap=teacher.model.config.logit_softcap,
            reduce_fn=numerics.ratio,
        )
        return loss, {"tokens": count_tokens(batch)}

    # An argument of the compiled step, not a constant in it.
    return jax.tree_util.Partial(loss_fn, machines.everywhere(teacher.params))


def own_responses(model, end_ids: tuple[int, ...]):
    """``draw(params, batch, key)``: a response of the policy to each prompt, as long as those of the batch may be."""

    def draw(params, batch: ListBatch, key: Array) -> sampling.Samples:
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

    return draw


def calibration(
    config, model, teacher, tokenizer, *, pair_loss=ranking, logps_fn=sequence_logps, likelihood: float = 0.0
) -> LossFn:
    """PLaD's losses on pairs of a teacher's and a student's texts.

    Both likelihoods are logged, because a hinge is content with two that fall; ``likelihood`` weighs a term that keeps
    the better one up, its negative log-probability per token.
    """
    return _calibration_loss(model, config.beta, pair_loss, logps_fn, likelihood)


@functools.cache
def _calibration_loss(model, beta: float, pair_loss, logps_fn, likelihood: float) -> LossFn:
    def loss_fn(params, batch: ListBatch, key):
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

    return loss_fn


def _side(values: Array, pick: Array) -> Array:
    return jnp.take_along_axis(values, pick[:, None], axis=1)[:, 0]


def _match(divergence_fn: DivergenceFn, own_share: float) -> Method:
    return Method("teacher", functools.partial(matching, divergence_fn=divergence_fn, own_share=own_share), True)


def _calibrate(learns_from="pairs", rounds: int = 1, **options) -> Method:
    return Method(learns_from, functools.partial(calibration, **options), rounds=rounds)


METHODS: dict[str, Method] = {
    "SFT": Method("gold", imitation),
    "seq-KD": Method("teacher", imitation),
    "forward KL": _match(losses.forward_kl_divergence, own_share=0.0),
    "reverse KL": _match(losses.reverse_kl_divergence, own_share=1.0),
    "JSD": _match(losses.make_js_divergence(0.5), own_share=0.5),
    "TVD": _match(losses.total_variation_divergence, own_share=0.5),
    "PLaD ranking": _calibrate(),
    "PLaD margin": _calibrate(pair_loss=losses.margin_calibration_loss),
    "PLaD logistic": _calibrate(pair_loss=functools.partial(ranking, penalty_fn=jax.nn.softplus)),
    "PLaD per token": _calibrate(logps_fn=rescaled_averages),
    "PLaD + likelihood": _calibrate(likelihood=4.0),
    "PLaD two rounds": _calibrate(rounds=2),
    "PLaD judged": _calibrate("judged pairs"),
}
