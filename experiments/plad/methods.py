"""Ways to learn from a teacher, each as the data that it learns from and a loss on them.

Gold and teacher texts come as lists of one response, pairs as lists of two with the better one's label higher. Those
that need a teacher's logits need its weights and the student's vocabulary; the others need nothing but its texts.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax

from experiments.common import machines
from experiments.common.task import Policy
from jaxalign import losses, training
from jaxalign.losses.distillation import DivergenceFn
from jaxalign.models import Decoder, EncoderDecoder
from jaxalign.training.objectives.distillation import (
    CalibrationLossFn,
    LogpsFn,
    rescaled_average_logps,
    sum_logps,
    without_scores,
)
from jaxalign.typing import LossFn

MakeLoss = Callable[..., LossFn]
"""``make_loss(student, teacher, *, beta, end_ids) -> loss_fn``; ``teacher`` may be None where texts suffice.

``student`` is a model, ``teacher`` a policy, ``beta`` a margin in nats, ``end_ids`` are tokens that end a text.
"""


@dataclasses.dataclass(frozen=True)
class Method:
    """A row of the table."""

    learns_from: Literal["gold", "teacher", "pairs", "judged pairs"]
    make_loss: MakeLoss
    needs_logits: bool = False
    rounds: int = 1  # of pairs, each from a fresh snapshot of the student; the steps are divided among them


def imitation(
    student: Decoder | EncoderDecoder, teacher: Policy | None, *, beta: float, end_ids: tuple[int, ...]
) -> LossFn:
    """Cross-entropy per token: supervised fine-tuning on gold targets, sequence-level distillation on a teacher's."""
    return training.make_sft_loss(student)


def matching(
    student: Decoder | EncoderDecoder,
    teacher: Policy,
    *,
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
    beta: float,
    end_ids: tuple[int, ...],
    pair_loss: CalibrationLossFn = without_scores,
    logps_fn: LogpsFn = sum_logps,
    likelihood: float = 0.0,
) -> LossFn:
    """PLaD's losses on pairs of a teacher's and a student's texts."""
    options = {"pair_loss": pair_loss, "logps_fn": logps_fn, "likelihood": likelihood}
    return training.make_calibration_loss(student, beta=beta, **options)


def _match(divergence_fn: DivergenceFn, own_share: float) -> Method:
    return Method("teacher", functools.partial(matching, divergence_fn=divergence_fn, own_share=own_share), True)


def _calibrate(learns_from: Literal["pairs", "judged pairs"] = "pairs", rounds: int = 1, **options: object) -> Method:
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
    "PLaD logistic": _calibrate(pair_loss=functools.partial(without_scores, penalty_fn=jax.nn.softplus)),
    "PLaD per token": _calibrate(logps_fn=rescaled_average_logps),
    "PLaD + likelihood": _calibrate(likelihood=4.0),
    "PLaD two rounds": _calibrate(rounds=2),
    "PLaD judged": _calibrate("judged pairs"),
}
