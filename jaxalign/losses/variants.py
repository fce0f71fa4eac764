"""Variants that apply to many losses of the DPO family: divergences, weights, added terms, other sums over tokens."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxalign import numerics
from jaxalign.losses.preference import log_ratios
from jaxalign.typing import ReduceFn

ScoreFn = Callable[[Array], Array]
"""Maps log-ratios log(pi / pi_ref) to scores that take their place in a loss."""

_LARGEST_EXPONENT = 80.0  # exp of it is finite in float32


def with_divergence(loss_fn: Callable[..., Any], score_fn: ScoreFn) -> Callable[..., Any]:
    r"""Makes a loss of pairs regularise the policy by another f-divergence than the reverse KL.

    Log-ratios policy to reference :math:`\log t` become scores :math:`f'(t)`. This is valid for losses that depend on
    the difference of the two log-ratios of a pair only, as ``dpo_loss``, ``robust_dpo_loss``, ``hinge_dpo_loss``,
    ``ipo_loss``, ``exo_pair_loss`` and ``discopop_loss`` do: there a term that belongs to the prompt cancels.

    Args:
      loss_fn: one of these losses, or another function of four log-probabilities ``[...]`` and a ``where``.
      score_fn: maps log-ratios to scores, elementwise: :func:`forward_kl_score`, :func:`js_divergence_score`, or what
        :func:`make_alpha_divergence_score` returns.

    Returns:
      A function with the signature of ``loss_fn``.

    Source: f-DPO (arXiv 2309.16240).
    """

    def loss(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
        *,
        where=None,
        **rest,
    ):
        where, chosen, rejected = log_ratios(
            where, policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
        )
        none = jnp.zeros_like(chosen)
        return loss_fn(score_fn(chosen), score_fn(rejected), none, none, where=where, **rest)

    return loss


def forward_kl_score(log_ratios: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Returns the score :math:`f'(t) = 1 - 1/t` of the forward KL, for :func:`with_divergence`.

    It is flat below log-ratios of -80, where float32 would overflow.

    Args:
      log_ratios: ``[...]``, :math:`\log t`, policy to reference, nats.
    """
    return -jnp.expm1(jnp.minimum(-log_ratios, _LARGEST_EXPONENT))


def js_divergence_score(log_ratios: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Returns the Jensen-Shannon divergence's score :math:`f'(t) = \log(2t / (1 + t))`, for :func:`with_divergence`.

    Args:
      log_ratios: ``[...]``, :math:`\log t`, policy to reference, nats.
    """
    return jnp.log(2.0) + jax.nn.log_sigmoid(log_ratios)


def make_alpha_divergence_score(alpha: float) -> ScoreFn:
    r"""Makes the score of an alpha divergence, for :func:`with_divergence`.

    .. math:: f'(t) = (t^{\alpha - 1} - 1) / (\alpha - 1)

    It is flat where the exponent passes 80, where float32 would overflow.

    Args:
      alpha: :math:`\alpha`: the reverse KL as it goes to 1, the forward KL at 0.

    Returns:
      A function of log-ratios :math:`\log t` ``[...]``, policy to reference in nats, that returns scores ``[...]``.
    """

    def score(log_ratios):
        if abs(alpha - 1) < 1e-6:
            return log_ratios
        return jnp.expm1(jnp.minimum((alpha - 1) * log_ratios, _LARGEST_EXPONENT)) / (alpha - 1)

    return score


def weighted(reduce_fn: ReduceFn, weights: Float[Array, "*batch"]) -> ReduceFn:
    """Makes a ``reduce_fn`` that multiplies each value by its weight first.

    ``dpo_loss(..., reduce_fn=weighted(numerics.ratio, chosen_weights * rejected_weights))`` is WPO.

    The count is not weighted: weights of 1 change nothing.

    Args:
      reduce_fn: what reduces the weighted values, called as ``reduce_fn(values, where=mask)``.
      weights: ``[...]``, one for each value; those of masked values may be anything.

    Returns:
      A function ``reduce(values, *, where=None)`` that returns what ``reduce_fn`` does.
    """

    def reduce(values, *, where=None):
        where, values, safe_weights = numerics.masked(where, values, weights)
        return reduce_fn(values * safe_weights, where=where)

    return reduce


def regularized(reduce_fn: ReduceFn, terms: Float[Array, "*batch"]) -> ReduceFn:
    """Makes a ``reduce_fn`` that adds a term of its own to each value first, so that the sum counts examples once.

    Two Ratios of one batch cannot be added for that: their counts would add up too. A likelihood term of weight 0.1:
    ``ranking_calibration_loss(..., reduce_fn=regularized(numerics.ratio, -0.1 * average_logps(gold_token_logps)))``.

    Args:
      reduce_fn: what reduces the sums, called as ``reduce_fn(values, where=mask)``.
      terms: ``[...]``, one for each value, in its unit; those of masked values may be anything.

    Returns:
      A function ``reduce(values, *, where=None)`` that returns what ``reduce_fn`` does.

    >>> from jaxalign.losses import ranking_calibration_loss
    >>> logps = jnp.array([-1.0, -2.0])
    >>> reduce_fn = regularized(numerics.masked_mean, -0.5 * logps)
    >>> print(ranking_calibration_loss(logps, logps, beta=1.0, reduce_fn=reduce_fn))
    1.75
    """

    def reduce(values, *, where=None):
        where, values, safe_terms = numerics.masked(where, values, terms)
        return reduce_fn(values + safe_terms, where=where)

    return reduce


def wpo_weights(
    token_logps: Float[Array, "*batch L"],
    log_sum_squares: Float[Array, "*batch L"],
    *,
    where: Bool[Array, "*batch L"] | None = None,
) -> Float[Array, "*batch"]:
    r"""Returns the weight of each response, ``[...]``: how likely the policy is to write it, per token.

    .. math:: \exp \mathrm{mean}_t (\log p_t - \log \textstyle\sum_v p_{tv}^2)

    A pair weighs the product of its two responses. No gradient flows through the weights.

    Args:
      token_logps: ``[..., L]``, log-probability of each token under the policy, nats.
      log_sum_squares: ``[..., L]``, :math:`\log \sum_v p_{tv}^2` over the vocabulary, what a token sampled from the
        policy scores.
      where: ``[..., L]``, True for the response's tokens, None for all; masked ones may hold anything, NaN included.

    Source: WPO (arXiv 2406.11827), equation 2, with sampled alignment.
    """
    aligned = average_logps(token_logps, where=where) - average_logps(log_sum_squares, where=where)
    return jax.lax.stop_gradient(jnp.exp(aligned))


def average_logps(
    token_logps: Float[Array, "*batch L"], *, where: Bool[Array, "*batch L"] | None = None
) -> Float[Array, "*batch"]:
    """Returns the log-probability of each response per token, ``[...]``; 0 for a response without tokens.

    Sum and count take the same tokens, so that the end-of-sequence token is in both or in neither.

    Args:
      token_logps: ``[..., L]``, log-probability of each token, nats.
      where: ``[..., L]``, True for the response's tokens, None for all; masked ones may hold anything, NaN included.
    """
    where, token_logps = numerics.masked(where, token_logps)
    return numerics.safe_divide(jnp.sum(token_logps, axis=-1), jnp.sum(where, axis=-1))


def length_desensitized_logps(
    chosen_token_logps: Float[Array, "*batch L"],
    rejected_token_logps: Float[Array, "*batch M"],
    *,
    chosen_where: Bool[Array, "*batch L"],
    rejected_where: Bool[Array, "*batch M"],
    alpha: float,
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """Computes the sums of LD-DPO: tokens past the length of the shorter response of a pair count ``alpha`` times.

    Use it for policy and reference alike.

    Args:
      chosen_token_logps, rejected_token_logps: ``[..., L]`` and ``[..., M]``, log-probability of each token, nats.
      chosen_where, rejected_where: ``[..., L]`` and ``[..., M]``, True for the tokens of the response; masked ones may
        hold anything, NaN included.
      alpha: weight of the surplus tokens, in [0, 1]: 1 gives the plain sum, 0 drops the surplus.

    Returns:
      The sums of the chosen and of the rejected responses, ``[...]`` each, nats.

    Raises:
      ValueError: if ``alpha`` is outside [0, 1].

    Source: LD-DPO (arXiv 2409.06411).
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], from no weight to full weight for the surplus, got {alpha}")
    shared = jnp.minimum(jnp.sum(chosen_where, axis=-1), jnp.sum(rejected_where, axis=-1))[..., None]

    def weighted_sum(token_logps, where):
        where, token_logps = numerics.masked(where, token_logps)
        return jnp.sum(jnp.where(jnp.cumsum(where, axis=-1) <= shared, 1, alpha) * token_logps, axis=-1)

    return weighted_sum(chosen_token_logps, chosen_where), weighted_sum(rejected_token_logps, rejected_where)
