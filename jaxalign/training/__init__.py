"""One optimisation step: losses, state, gradients (accumulated over microbatches), update, metrics.

There is no trainer class. ``make_train_step`` returns ``step(state, batch, key) -> (state, metrics)``, a jitted
function that a notebook calls in a loop and :func:`jaxalign.io.run.fit` calls with checkpoints around it. Losses are
functions ``loss_fn(params, batch, key) -> (loss, metrics)``: ``make_dpo_loss`` and its like make them, and yours may be
any other. Arrays that one needs besides, such as a frozen base, are bound to it: ``functools.partial(loss_fn, arrays)``
of a ``loss_fn(arrays, params, batch, key)``.
"""

from jaxalign.training.low_precision import low_precision_state
from jaxalign.training.objectives.classification import make_classification_loss
from jaxalign.training.objectives.distillation import (
    make_calibration_loss,
    make_distillation_loss,
)
from jaxalign.training.objectives.matching import make_matching_loss
from jaxalign.training.objectives.pairs import make_dpo_loss, make_reference_free_loss
from jaxalign.training.objectives.policy import (
    make_ranking_loss,
    make_sft_loss,
    make_unpacked_sft_loss,
)
from jaxalign.training.objectives.reward import make_reward_loss, make_reward_ranking_loss, make_verdict_loss
from jaxalign.training.objectives.unpaired import make_bco_loss, make_kto_loss, make_unpaired_loss
from jaxalign.training.optimizers import adafactor, adamw, decay_mask
from jaxalign.training.schedules import constant_schedule, cosine_schedule, linear_schedule
from jaxalign.training.state import TrainState, init_state
from jaxalign.training.step import evaluate, lower_step, make_eval_step, make_train_step, train_step_maker

__all__ = [
    "TrainState",
    "adafactor",
    "adamw",
    "constant_schedule",
    "cosine_schedule",
    "decay_mask",
    "evaluate",
    "init_state",
    "linear_schedule",
    "low_precision_state",
    "lower_step",
    "make_bco_loss",
    "make_calibration_loss",
    "make_classification_loss",
    "make_distillation_loss",
    "make_dpo_loss",
    "make_eval_step",
    "make_kto_loss",
    "make_matching_loss",
    "make_ranking_loss",
    "make_reference_free_loss",
    "make_reward_loss",
    "make_reward_ranking_loss",
    "make_sft_loss",
    "make_train_step",
    "make_unpacked_sft_loss",
    "make_unpaired_loss",
    "make_verdict_loss",
    "train_step_maker",
]
