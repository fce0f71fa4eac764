"""Length-controlled win rates: what a judge would prefer if both responses were equally long.

Judges like long responses, so a raw win rate can be bought with words. Here a logistic model explains the preferences,
and its prediction at a length difference of zero is the win rate. For model m and prompt i::

    logit P(m beats the baseline on i) = intercept_m + length_weight_m tanh(d_mi / s_m) + difficulty_weight_m g_i

where d_mi is the response's length minus the baseline's and s_m the standard deviation of d_m over prompts. The
difference is scaled and not centred: two responses of equal length have nothing to correct. g_i is how easily the
baseline is beaten on prompt i, whoever plays against it.

Departures from AlpacaEval 2, which the models' published figures rest on:

* weights have Gaussian priors around 0 where AlpacaEval has an L1 penalty chosen by cross-validation;
* the length weight is not drawn to the one of the baseline's own concise and verbose answers, which needs their
  judgements. It matters for a model that games its length: ``gpt4_gamed`` (68 characters on average) comes out nine
  points higher than published;
* g is fitted here, unless given. AlpacaEval ships fitted values.

Where nearly all responses of a model are far longer, or far shorter, the data cannot tell its length from its quality:
the prior decides, in favour of the raw win rate.

Source: Dubois et al., Length-Controlled AlpacaEval (arXiv 2404.04475), section 3.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign.numerics import masked, safe_divide

# Precisions (inverse variances) of the priors, in squared log-odds. The intercept's is there only to keep a model that
# always wins finite: on 100 prompts it moves a win rate by less than 0.1 points. The others count as much as a handful
# of judgements, and decide where the data say nothing: lengths that never differ, prompts that are all alike.
INTERCEPT_PRECISION = 0.01
WEIGHT_PRECISION = 1.0
DIFFICULTY_PRECISION = 1.0
MAX_STEPS = 100


class LengthControlled(NamedTuple):
    """Win rates in [0, 1], and the fitted model behind them (log-odds)."""

    win_rate: Float[Array, "M"]  # the mean prediction at equal lengths, over the prompts that a model was judged on
    raw_win_rate: Float[Array, "M"]
    intercept: Float[Array, "M"]
    length_weight: Float[Array, "M"]
    difficulty_weight: Float[Array, "M"]
    difficulty: Float[Array, "N"]


def length_controlled_win_rate(
    preferences: Num[Array, "M N"],
    lengths: Num[Array, "M N"],
    baseline_lengths: Num[Array, "N"],
    *,
    difficulty: Float[Array, "N"] | None = None,
    where: Bool[Array, "M N"] | None = None,
) -> LengthControlled:
    """Computes the win rate that each model would have with responses as long as the baseline's.

    A logistic model explains the preferences, and its prediction at a length difference of 0 is the win rate::

        logit P(m beats the baseline on i) = intercept_m + length_weight_m tanh(d_mi / s_m) + difficulty_weight_m g_i

    with d_mi the response's length minus the baseline's, s_m its standard deviation over prompts and g_i how easily the
    baseline is beaten on prompt i. Given ``difficulty``, each model is fitted by itself, so that a new one leaves the
    others' figures as they were.

    Args:
      preferences: ``[M, N]`` of M models on N prompts, the probability in [0, 1] that the model's response beats the
        baseline's.
      lengths: ``[M, N]``, lengths of the models' responses, in any unit; AlpacaEval counts characters.
      baseline_lengths: ``[N]``, lengths of the baseline's responses, in the same unit.
      difficulty: ``[N]``, g of each prompt in log-odds, for instance from :func:`instruction_difficulty` of other
        models; zeros leave it out. Without it, it is fitted over these models, of which there should be a dozen or
        more: over few it explains their own noise.
      where: ``[M, N]``, True where there is a judgement, None for all; others may hold anything, NaN included.

    Returns:
      Win rates ``[M]`` in [0, 1], float32 or float64 as the inputs are, and the fitted model.

    Raises:
      ValueError: for shapes that do not agree, or if a single model comes without ``difficulty``.

    Source: Dubois et al., Length-Controlled AlpacaEval (arXiv 2404.04475), section 3.
    """
    where, preferences, differences = _prepare(preferences, lengths, baseline_lengths, where)
    if difficulty is None:
        if len(preferences) < 2:
            raise ValueError(
                "expected two models or more to fit the prompts' difficulty over, got 1; pass difficulty=, fitted on "
                "other models by instruction_difficulty, or zeros to leave it out"
            )
        difficulty = _fit_difficulty(preferences, differences, where)
    if difficulty.shape != baseline_lengths.shape:
        raise ValueError(f"expected one difficulty per prompt, {baseline_lengths.shape}, got {difficulty.shape}")
    easy = jnp.where(jnp.any(where, axis=0), difficulty, 0).astype(preferences.dtype)
    weights = _fit_models(preferences, differences, easy, where)
    intercept, length_weight, difficulty_weight = weights.T
    controlled = jax.nn.sigmoid(intercept[:, None] + difficulty_weight[:, None] * easy[None, :])
    judged = jnp.sum(where, axis=1)
    return LengthControlled(
        safe_divide(jnp.sum(jnp.where(where, controlled, 0), axis=1), judged),
        safe_divide(jnp.sum(jnp.where(where, preferences, 0), axis=1), judged),
        intercept,
        length_weight,
        difficulty_weight,
        easy,
    )


def instruction_difficulty(
    preferences: Num[Array, "M N"],
    lengths: Num[Array, "M N"],
    baseline_lengths: Num[Array, "N"],
    *,
    where: Bool[Array, "M N"] | None = None,
) -> Float[Array, "N"]:
    """Returns how easily the baseline is beaten on each prompt, ``[N]`` in log-odds; 0 is the average prompt.

    This is g of :func:`length_controlled_win_rate`, fitted over all models with a difficulty weight of 1. High values
    mean that the baseline is beaten easily. With the weight fixed the problem is convex, so that there is one answer
    and no scale to choose. A prompt without any judgement gets 0.

    Args:
      preferences: ``[M, N]`` of M models on N prompts, the probability in [0, 1] that the model's response beats the
        baseline's.
      lengths: ``[M, N]``, lengths of the models' responses, in any unit; AlpacaEval counts characters.
      baseline_lengths: ``[N]``, lengths of the baseline's responses, in the same unit.
      where: ``[M, N]``, True where there is a judgement, None for all; others may hold anything, NaN included.
    """
    where, preferences, differences = _prepare(preferences, lengths, baseline_lengths, where)
    return _fit_difficulty(preferences, differences, where)


def _prepare(preferences, lengths, baseline_lengths, where):
    """The mask, the preferences, and ``tanh(d / s)``, 0 for a model whose difference never changes."""
    if preferences.shape != lengths.shape or preferences.shape[1:] != baseline_lengths.shape:
        raise ValueError(
            "expected preferences and lengths [M, N] and baseline_lengths [N], got shapes "
            f"{preferences.shape}, {lengths.shape} and {baseline_lengths.shape}"
        )
    theirs = jnp.broadcast_to(baseline_lengths[None, :], lengths.shape)
    where, preferences, lengths, theirs = masked(where, preferences, lengths, theirs)
    difference = lengths - theirs
    judged = jnp.sum(where, axis=1, keepdims=True)
    centred = jnp.where(where, difference - safe_divide(jnp.sum(difference, axis=1, keepdims=True), judged), 0)
    deviation = jnp.sqrt(safe_divide(jnp.sum(centred**2, axis=1, keepdims=True), judged))
    return where, preferences, jnp.tanh(safe_divide(difference, deviation))


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, 0, None, 0))
def _fit_models(preferences, differences, difficulty, where) -> Float[Array, "3"]:
    """Intercept, length weight and difficulty weight of each model by itself, by Newton's method."""
    features = jnp.stack([jnp.ones_like(differences), differences, difficulty], axis=-1)
    precision = jnp.array([INTERCEPT_PRECISION, WEIGHT_PRECISION, WEIGHT_PRECISION], features.dtype)

    def direction(weights):
        residual, curvature = _derivatives(features @ weights, preferences, where)
        gradient = residual @ features + precision * weights
        hessian = features.T @ (curvature[:, None] * features) + jnp.diag(precision)
        step = -jnp.linalg.solve(hessian, gradient)
        return step, features @ step

    return _newton(direction, jnp.zeros(3, features.dtype), where)


@jax.jit
def _fit_difficulty(preferences, differences, where) -> Float[Array, "N"]:
    """Newton's method over intercepts, length weights and difficulties together.

    Difficulties meet each other in the Hessian only through the models' weights. Eliminating them first leaves a system
    of size 2 M, whatever the number of prompts.
    """
    features = jnp.stack([jnp.ones_like(differences), differences], axis=-1)
    num_models, num_prompts, width = features.shape
    precision = jnp.array([INTERCEPT_PRECISION, WEIGHT_PRECISION], features.dtype)

    def logits_of(weights, difficulty):
        return jnp.einsum("mnf,mf->mn", features, weights) + difficulty[None, :]

    def direction(parameters):
        weights, difficulty = parameters
        residual, curvature = _derivatives(logits_of(*parameters), preferences, where)
        gradient = jnp.einsum("mnf,mn->mf", features, residual) + precision[None, :] * weights
        gradient_difficulty = jnp.sum(residual, axis=0) + DIFFICULTY_PRECISION * difficulty
        mixed = features * curvature[..., None]
        own = jnp.einsum("mnf,mng->mfg", mixed, features) + jnp.diag(precision)[None]
        own_difficulty = jnp.sum(curvature, axis=0) + DIFFICULTY_PRECISION
        eliminated = mixed / own_difficulty[None, :, None]
        blocks = jnp.einsum("mfg,mk->mfkg", own, jnp.eye(num_models, dtype=own.dtype))
        system = blocks - jnp.einsum("mnf,kng->mfkg", eliminated, mixed)
        right = gradient - jnp.einsum("mnf,n->mf", eliminated, gradient_difficulty)
        size = num_models * width
        step = -jnp.linalg.solve(system.reshape(size, size), right.reshape(size)).reshape(num_models, width)
        moved = gradient_difficulty + jnp.einsum("mnf,mf->n", mixed, step)
        steps = step, -moved / own_difficulty
        return steps, logits_of(*steps)

    start = jnp.zeros((num_models, width), features.dtype), jnp.zeros(num_prompts, features.dtype)
    return _newton(direction, start, where)[1]


def _derivatives(logits, preferences, where):
    """First and second derivative of the cross-entropy by the logits; 0 in masked entries."""
    predicted = jax.nn.sigmoid(logits)
    return jnp.where(where, predicted - preferences, 0), jnp.where(where, predicted * (1 - predicted), 0)


def _newton(direction, start, where):
    """Damped Newton steps until no logit moves any more.

    Plain Newton steps diverge on some logistic problems. Along a step that changes no logit by more than r, the second
    derivative f'' changes by at most exp(r t), because a sigmoid's third derivative is at most its second. That bounds
    the objective from above by a function with its minimum at t = log(1 + r) / r: a step that always descends and
    becomes a full one near the end (generalised self-concordance; Sun and Tran-Dinh, arXiv 1703.04599).
    """
    tolerance = jnp.finfo(jax.tree.leaves(start)[0].dtype).eps ** 0.5

    def unfinished(state):
        count, _, change = state
        return (count < MAX_STEPS) & (change > tolerance)

    def advance(state):
        count, parameters, _ = state
        step, logit_step = direction(parameters)
        change = jnp.max(jnp.abs(jnp.where(where, logit_step, 0)))
        size = jnp.where(change > 0, jnp.log1p(change) / jnp.where(change > 0, change, 1), 1)
        return count + 1, jax.tree.map(lambda old, new: old + size * new, parameters, step), change

    infinity = jnp.array(jnp.inf, jax.tree.leaves(start)[0].dtype)
    return jax.lax.while_loop(unfinished, advance, (0, start, infinity))[1]
