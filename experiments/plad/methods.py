"""Ways to learn from a teacher, each as the data that it learns from and a loss on them.

Texts to imitate come as lists of one response, pairs as lists of two with the better one's label higher. Those that
need a teacher's logits need its weights and the student's vocabulary; the others need nothing but its texts.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax
from jaxtyping import Array

from experiments.common import machines
from experiments.common.task import Policy
from jaxalign import losses, training
from jaxalign.losses.distillation import DivergenceFn
from jaxalign.models import Decoder, EncoderDecoder
from jaxalign.numerics import Ratio
from jaxalign.training.objectives.distillation import (
    CalibrationLossFn,
    LogpsFn,
    rescaled_average_logps,
    sum_logps,
    without_scores,
)
from jaxalign.typing import ListBatch, LossFn, Metrics, Params

MakeLoss = Callable[..., LossFn]
"""``make_loss(student, teacher, *, start, beta, end_ids) -> loss_fn``; ``teacher`` may be None where texts suffice.

``student`` is a model, ``teacher`` a policy, ``start`` the policy that learning begins with, ``beta`` a margin in nats,
``end_ids`` are tokens that end a text.
"""
ANCHOR = 4.0  # weight of what keeps a student near its better texts or its start, nats per token


@dataclasses.dataclass(frozen=True)
class Method:
    """A row of the table."""

    learns_from: Literal["gold", "teacher", "better text", "pairs", "judged pairs"]
    make_loss: MakeLoss
    needs_logits: bool = False
    refreshed: bool = True  # whether the student's texts are drawn anew on the way

    @property
    def needs_own_texts(self) -> bool:
        """Says whether it learns from what the student writes beside what the teacher does."""
        return self.learns_from in ("better text", "pairs", "judged pairs")

    @property
    def calibrates(self) -> bool:
        """Says whether it learns from pairs, which takes a lower rate than imitation."""
        return self.learns_from in ("pairs", "judged pairs")


def imitation(
    student: Decoder | EncoderDecoder, teacher: Policy | None, *, start: Policy, beta: float, end_ids: tuple[int, ...]
) -> LossFn:
    """Cross-entropy per token: supervised fine-tuning on gold targets, sequence-level distillation on a teacher's."""
    return training.make_sft_loss(student)


def matching(
    student: Decoder | EncoderDecoder,
    teacher: Policy,
    *,
    start: Policy,
    beta: float,
    end_ids: tuple[int, ...],
    divergence_fn: DivergenceFn,
    own_share: float,
) -> LossFn:
    """A divergence of next-token distributions, on the teacher's texts and, in a share of rows, the student's own."""
    options = {"divergence_fn": divergence_fn, "own_share": own_share, "end_ids": end_ids}
    return training.make_distillation_loss(student, teacher.model, machines.everywhere(teacher.params), **options)


def calibration(
    student: Decoder | EncoderDecoder,
    teacher: Policy | None,
    *,
    start: Policy,
    beta: float,
    end_ids: tuple[int, ...],
    pair_loss: CalibrationLossFn = without_scores,
    logps_fn: LogpsFn = sum_logps,
    likelihood: float = 0.0,
    anchor: float = 0.0,
) -> LossFn:
    """PLaD's losses on pairs of a teacher's and a student's texts; ``anchor`` weighs the KL from the start."""
    options = {"pair_loss": pair_loss, "logps_fn": logps_fn, "likelihood": likelihood}
    loss_fn = training.make_calibration_loss(student, beta=beta, **options)
    if not anchor:
        return loss_fn
    departure = {"divergence_fn": losses.reverse_kl_divergence, "end_ids": end_ids}
    anchor_fn = training.make_distillation_loss(student, start.model, machines.everywhere(start.params), **departure)
    return jax.tree_util.Partial(functools.partial(_anchored, loss_fn, anchor), anchor_fn)


def _anchored(
    loss_fn: LossFn, weight: float, anchor_fn: LossFn, params: Params, batch: ListBatch, key: Array
) -> tuple[Ratio, Metrics]:
    """Adds a divergence per token to a loss per pair, so that pairs are counted once."""
    (loss, figures), (departure, _) = loss_fn(params, batch, key), anchor_fn(params, batch, key)
    total = loss.numerator + weight * departure.value * loss.denominator
    return Ratio(total, loss.denominator), figures | {"kl": departure}


def _match(divergence_fn: DivergenceFn, own_share: float) -> Method:
    return Method("teacher", functools.partial(matching, divergence_fn=divergence_fn, own_share=own_share), True)


def _calibrate(
    learns_from: Literal["pairs", "judged pairs"] = "pairs", refreshed: bool = True, **options: object
) -> Method:
    return Method(learns_from, functools.partial(calibration, **options), refreshed=refreshed)


METHODS: dict[str, Method] = {
    "SFT": Method("gold", imitation),
    "seq-KD": Method("teacher", imitation),
    "better text": Method("better text", imitation),
    "forward KL": _match(losses.forward_kl_divergence, own_share=0.0),
    "reverse KL": _match(losses.reverse_kl_divergence, own_share=1.0),
    "JSD": _match(losses.make_js_divergence(0.5), own_share=0.5),
    "TVD": _match(losses.total_variation_divergence, own_share=0.5),
    "PLaD ranking": _calibrate(),
    "PLaD margin": _calibrate(pair_loss=losses.margin_calibration_loss),
    "PLaD logistic": _calibrate(pair_loss=functools.partial(without_scores, penalty_fn=jax.nn.softplus)),
    "PLaD per token": _calibrate(logps_fn=rescaled_average_logps),
    "PLaD + likelihood": _calibrate(likelihood=ANCHOR),
    "PLaD + KL": _calibrate(anchor=ANCHOR),
    "PLaD fixed pairs": _calibrate(refreshed=False),
    "PLaD judged": _calibrate("judged pairs"),
}
