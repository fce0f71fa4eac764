"""Losses as pure functions: ranking lists, preference pairs, single responses, rewards, classes, distillation.

Ranking losses take ``scores`` that include beta, and all are called alike; the DPO family takes log-probabilities and
applies beta itself. Every loss ends in ``reduce_fn(values, where=mask)``: ``numerics.ratio`` gives a sum and a count
that add up over shards and microbatches, ``lambda values, where: values`` the values of each list or pair.
"""

from jaxalign.losses.anchored import apo_down_loss, apo_zero_loss, bco_pair_loss, nca_pair_loss, sppo_hard_loss
from jaxalign.losses.calibration import margin_calibration_loss, ranking_calibration_loss
from jaxalign.losses.classification import (
    masked_sigmoid_cross_entropy_loss,
    sigmoid_cross_entropy_loss,
    softmax_cross_entropy_loss,
)
from jaxalign.losses.distillation import (
    divergence_loss,
    forward_kl_divergence,
    make_js_divergence,
    reverse_kl_divergence,
    total_variation_divergence,
    with_temperature,
)
from jaxalign.losses.labels import labels_from_preferences, labels_from_ranks, preferences_from_rewards
from jaxalign.losses.lambdaweights import dcg_lambdaweight, labeldiff_lambdaweight
from jaxalign.losses.listwise import list_mle_loss, softmax_loss
from jaxalign.losses.pairwise import lambda_loss, pairwise_hinge_loss, pairwise_logistic_loss
from jaxalign.losses.pointwise import pointwise_mse_loss, pointwise_sigmoid_loss
from jaxalign.losses.preference import (
    discopop_loss,
    dpo_loss,
    exo_pair_loss,
    hinge_dpo_loss,
    ipo_loss,
    robust_dpo_loss,
)
from jaxalign.losses.reference_free import alphapo_loss, cpo_loss, orpo_loss, sft_loss, simpo_loss
from jaxalign.losses.reward import bradley_terry_loss, centering_loss
from jaxalign.losses.token import cross_entropy_loss, token_logps
from jaxalign.losses.transport import aot_loss, aot_unpaired_loss
from jaxalign.losses.unpaired import apo_zero_unpaired_loss, bco_loss, kto_kl, kto_loss
from jaxalign.losses.variants import (
    average_logps,
    forward_kl_score,
    js_divergence_score,
    length_desensitized_logps,
    make_alpha_divergence_score,
    regularized,
    weighted,
    with_divergence,
    wpo_weights,
)
from jaxalign.losses.verdicts import verdict_loss
from jaxalign.numerics import exponential_gain, log2_discount, log_discount

__all__ = [
    "alphapo_loss",
    "aot_loss",
    "aot_unpaired_loss",
    "apo_down_loss",
    "apo_zero_loss",
    "apo_zero_unpaired_loss",
    "average_logps",
    "bco_loss",
    "bco_pair_loss",
    "bradley_terry_loss",
    "centering_loss",
    "cpo_loss",
    "cross_entropy_loss",
    "dcg_lambdaweight",
    "discopop_loss",
    "divergence_loss",
    "dpo_loss",
    "exo_pair_loss",
    "exponential_gain",
    "forward_kl_divergence",
    "forward_kl_score",
    "hinge_dpo_loss",
    "ipo_loss",
    "js_divergence_score",
    "kto_kl",
    "kto_loss",
    "labeldiff_lambdaweight",
    "labels_from_preferences",
    "labels_from_ranks",
    "lambda_loss",
    "length_desensitized_logps",
    "list_mle_loss",
    "masked_sigmoid_cross_entropy_loss",
    "log2_discount",
    "log_discount",
    "make_alpha_divergence_score",
    "make_js_divergence",
    "margin_calibration_loss",
    "nca_pair_loss",
    "orpo_loss",
    "pairwise_hinge_loss",
    "pairwise_logistic_loss",
    "pointwise_mse_loss",
    "pointwise_sigmoid_loss",
    "preferences_from_rewards",
    "ranking_calibration_loss",
    "regularized",
    "reverse_kl_divergence",
    "robust_dpo_loss",
    "sft_loss",
    "sigmoid_cross_entropy_loss",
    "simpo_loss",
    "softmax_cross_entropy_loss",
    "softmax_loss",
    "sppo_hard_loss",
    "token_logps",
    "total_variation_divergence",
    "verdict_loss",
    "weighted",
    "with_divergence",
    "with_temperature",
    "wpo_weights",
]
