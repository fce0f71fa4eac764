r"""The DPO family: losses of preference pairs under a policy and a reference.

They share their arguments:
  policy_chosen_logps, policy_rejected_logps: ``[...]``, log-probabilities of the better and the worse response under
    the policy, in nats. They are sums over the response's tokens, its end-of-sequence token included, unless the
    docstring says averages.
  reference_chosen_logps, reference_rejected_logps: ``[...]``, the same under the frozen reference.
  beta: strength of the pull towards the reference. It is applied here, once (the ranking losses expect it in scores).
  label_smoothing: assumed probability that a pair is labelled the wrong way round, in [0, 0.5).
  where: ``[...]``, True for real pairs. None means all. Masked pairs may hold anything, NaN included.
  reduce_fn: called as ``reduce_fn(values, where=mask)``. The default is the mean of what counts, 0 if nothing does.

Formulas use :math:`r_w` and :math:`r_l`, the log-ratios policy to reference of the chosen (winning) and the rejected
(losing) response, and :math:`\delta = r_w - r_l`.

The losses of this module depend on the pair through :math:`\delta` only, so that other divergences than the reverse KL
fit them (:func:`jaxalign.losses.with_divergence`). Weights, averages and length-desensitised sums are functions of
their own, in :mod:`jaxalign.losses.variants`: ``dpo_loss`` on averages is length-normalised DPO, for instance.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.typing import ReduceFn


def log_ratios(
    where: Array | None,
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
) -> tuple[Array, Array, Array]:
    """``where`` and the log-ratios policy to reference of chosen and rejected, 0 in masked pairs."""
    where, policy_chosen, policy_rejected, reference_chosen, reference_rejected = numerics.masked(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return where, policy_chosen - reference_chosen, policy_rejected - reference_rejected


def check_label_smoothing(label_smoothing: float) -> None:
    """Raises ValueError outside [0, 0.5): from one half on, the data would say the opposite of its labels."""
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(
            f"label_smoothing is the probability of a flipped label and must lie in [0, 0.5), got {label_smoothing}"
        )


def smoothed_logistic(logits: Float[Array, "*batch"], label_smoothing: float) -> Float[Array, "*batch"]:
    """Cross-entropy of a preference that is flipped with probability ``label_smoothing``."""
    check_label_smoothing(label_smoothing)
    right, wrong = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -(1 - label_smoothing) * right - label_smoothing * wrong


def dpo_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    label_smoothing: float = 0.0,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Direct preference optimisation, conservative with label smoothing :math:`\epsilon`.

    .. math:: -(1-\epsilon) \log\sigma(\beta\delta) - \epsilon \log\sigma(-\beta\delta)

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: DPO (arXiv 2305.18290), equation 7; cDPO (Mitchell, 2023).
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(smoothed_logistic(beta * (chosen - rejected), label_smoothing), where=where)


def robust_dpo_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    label_smoothing: float,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""DPO that is unbiased when labels are flipped with probability :math:`\epsilon` (``label_smoothing``).

    .. math:: \frac{-(1-\epsilon)\log\sigma(\beta\delta) + \epsilon\log\sigma(-\beta\delta)}{1 - 2\epsilon}

    Raises:
      ValueError: if ``label_smoothing`` is outside [0, 0.5).

    Source: robust DPO (arXiv 2403.00409).
    """
    check_label_smoothing(label_smoothing)
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    logits = beta * (chosen - rejected)
    right, wrong = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    per_pair = (label_smoothing * wrong - (1 - label_smoothing) * right) / (1 - 2 * label_smoothing)
    return reduce_fn(per_pair, where=where)


def hinge_dpo_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Hinge on the margin, SLiC with normalised likelihoods: :math:`\max(0, 1 - \beta\delta)`.

    Source: SLiC-HF (arXiv 2305.10425); RSO (arXiv 2309.06657), hinge-norm.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(jax.nn.relu(1 - beta * (chosen - rejected)), where=where)


def ipo_loss(
    policy_chosen_average_logps: Float[Array, "*batch"],
    policy_rejected_average_logps: Float[Array, "*batch"],
    reference_chosen_average_logps: Float[Array, "*batch"],
    reference_rejected_average_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Identity preference optimisation: :math:`(\delta - \frac{1}{2\beta})^2`.

    Takes averages over the response's tokens (:func:`jaxalign.losses.average_logps`), as its authors did in their
    experiments, since the target margin does not grow with length. Sums give the formula as printed. ``beta`` is the
    paper's tau.

    Source: IPO (arXiv 2310.12036), equation 17.
    """
    where, chosen, rejected = log_ratios(
        where,
        policy_chosen_average_logps,
        policy_rejected_average_logps,
        reference_chosen_average_logps,
        reference_rejected_average_logps,
    )
    return reduce_fn(jnp.square(chosen - rejected - 1 / (2 * beta)), where=where)


def exo_pair_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    label_smoothing: float = 1e-3,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Reverse KL from the policy's preference to the labels': :math:`\sum_{y \in \{w, l\}} q_y \log(q_y / p_y)`.

    :math:`q_w = \sigma(\beta\delta)`, :math:`q_l = 1 - q_w`, :math:`p_w = 1 - \epsilon`, :math:`p_l = \epsilon`.

    Raises:
      ValueError: if ``label_smoothing`` is outside (0, 0.5); at 0 the divergence is infinite.

    Source: EXO (arXiv 2402.00856), equation 16.
    """
    check_label_smoothing(label_smoothing)
    if label_smoothing == 0:
        raise ValueError("exo_pair_loss needs label_smoothing > 0, got 0; its paper recommends 1e-3")
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    logits = beta * (chosen - rejected)
    right = jax.nn.sigmoid(logits) * (jax.nn.log_sigmoid(logits) - jnp.log1p(-label_smoothing))
    wrong = jax.nn.sigmoid(-logits) * (jax.nn.log_sigmoid(-logits) - jnp.log(label_smoothing))
    return reduce_fn(right + wrong, where=where)


def discopop_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    temperature: float = 0.05,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""A blend of the logistic and the exponential loss, found by a search over programs.

    .. math:: -(1-m) \log\sigma(\beta\delta) + m e^{-\beta\delta}, \quad m = \sigma(\beta\delta/\tau)

    with tau = ``temperature``.

    Raises:
      ValueError: if ``temperature`` is outside (0, 1]; above 1 the exponential term has no bound.

    Source: DiscoPOP (arXiv 2406.08414), equation 5.
    """
    if not 0 < temperature <= 1:
        raise ValueError(f"temperature must lie in (0, 1], got {temperature}; the paper recommends 0.05")
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    logits = beta * (chosen - rejected)
    logistic = -jax.nn.log_sigmoid(logits) * jax.nn.sigmoid(-logits / temperature)
    # One exponential of the sum: m underflows where exp(-logits) overflows.
    exponential = jnp.exp(jax.nn.log_sigmoid(logits / temperature) - logits)
    return reduce_fn(logistic + exponential, where=where)
