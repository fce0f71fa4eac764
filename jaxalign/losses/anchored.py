r"""Preference losses that anchor each response to the reference, not only the difference of the two.

Arguments and symbols as in :mod:`jaxalign.losses.preference`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from jaxalign import numerics
from jaxalign.losses.preference import log_ratios
from jaxalign.typing import ReduceFn


def nca_pair_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Noise-contrastive alignment: raises the chosen response's likelihood itself, not only the margin.

    .. math:: -\log\sigma(\beta r_w) - \frac12\log\sigma(-\beta r_w) - \frac12\log\sigma(-\beta r_l)

    Source: NCA (arXiv 2402.05369).
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    noise = jax.nn.log_sigmoid(-beta * chosen) + jax.nn.log_sigmoid(-beta * rejected)
    return reduce_fn(-jax.nn.log_sigmoid(beta * chosen) - 0.5 * noise, where=where)


def bco_pair_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Binary classification of each response by its sign: :math:`-\log\sigma(\beta r_w) - \log\sigma(-\beta r_l)`.

    Source: BCO (arXiv 2404.04656), without reward shift; :func:`jaxalign.losses.bco_loss` has it.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(-jax.nn.log_sigmoid(beta * chosen) - jax.nn.log_sigmoid(-beta * rejected), where=where)


def sppo_hard_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Self-play with win probabilities 1 and 0: :math:`(r_w - \frac{1}{2\beta})^2 + (r_l + \frac{1}{2\beta})^2`.

    Source: SPPO (arXiv 2405.00675), equation 4.7 with hard labels.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    target = 1 / (2 * beta)
    return reduce_fn(jnp.square(chosen - target) + jnp.square(rejected + target), where=where)


def apo_zero_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Chosen up and rejected down: :math:`\sigma(-\beta r_w) + \sigma(\beta r_l)`.

    For data whose chosen responses are better than what the policy writes.

    Source: APO (arXiv 2408.06266), equation 7.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(jax.nn.sigmoid(-beta * chosen) + jax.nn.sigmoid(beta * rejected), where=where)


def apo_down_loss(
    policy_chosen_logps: Float[Array, "*batch"],
    policy_rejected_logps: Float[Array, "*batch"],
    reference_chosen_logps: Float[Array, "*batch"],
    reference_rejected_logps: Float[Array, "*batch"],
    *,
    beta: ScalarLike,
    where: Bool[Array, "*batch"] | None = None,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    r"""Both down, rejected more: :math:`\sigma(\beta r_w) + \sigma(-\beta\delta)`.

    For data whose chosen responses are worse than what the policy writes.

    Source: APO (arXiv 2408.06266), equation 8.
    """
    where, chosen, rejected = log_ratios(
        where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    return reduce_fn(jax.nn.sigmoid(beta * chosen) + jax.nn.sigmoid(-beta * (chosen - rejected)), where=where)
