"""Sampling rules, composed of transforms as optax chains are: ``sample(temperature(0.7), top_k(40), top_p(0.9))``.

A transform changes the candidates for the next token; transforms apply in the order given, and what each does to the
probabilities equals the logits processor of that name in Hugging Face transformers (whose own order is: repetition
penalty, temperature, top-k, top-p, min-p). One that depends on the tokens so far keeps a memory; the others keep
nothing and cost nothing.

Equal arguments give the same object, so that a rule written twice is compiled once.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Memory = Any
"""A pytree of arrays: what a transform needs to know of the tokens so far."""


class Candidates(NamedTuple):
    """Tokens that may come next, in any order; a logit of -inf excludes its token."""

    logits: Float[Array, "C"]
    tokens: Int[Array, "C"]


def _no_memory(tokens, mask, vocab_size):
    return ()


def _keep(memory, token):
    return memory


class Transform(NamedTuple):
    """A step of a rule, which changes the candidates for the next token.

    Attributes:
      apply: ``apply(candidates, memory) -> candidates``.
      init: ``init(tokens [P], mask [P], vocab_size) -> memory`` after a prompt.
      update: ``update(memory, token) -> memory`` after a token that was chosen.
    """

    apply: Callable[[Candidates, Memory], Candidates]
    init: Callable[[Int[Array, "P"], Bool[Array, "P"], int], Memory] = _no_memory
    update: Callable[[Memory, Int[Array, ""]], Memory] = _keep


class Rule(NamedTuple):
    """How the next token of one sequence is chosen.

    Attributes:
      choose: ``choose(logits [V], key, memory) -> token``.
      init: ``init(tokens [P], mask [P], vocab_size) -> memory`` after a prompt.
      update: ``update(memory, token) -> memory`` after a token that was chosen.
    """

    choose: Callable[[Float[Array, "V"], Array, Memory], Int[Array, ""]]
    init: Callable[[Int[Array, "P"], Bool[Array, "P"], int], Memory] = _no_memory
    update: Callable[[Memory, Int[Array, ""]], Memory] = _keep


greedy = Rule(lambda logits, key, memory: jnp.argmax(logits))
"""The most likely token; the key is not consumed."""


@functools.cache
def sample(*transforms: Transform) -> Rule:
    """Makes a rule that draws from the softmax of what the transforms leave.

    Equal transforms give the same rule, so that it is compiled once.

    Args:
      transforms: applied in this order to the candidates for the next token; none: the model's own distribution.

    Returns:
      The rule for ``generate`` or ``run_jobs``; it consumes the key that it is given for each token.

    >>> rule = sample(repetition_penalty(1.2), temperature(0.7), top_k(2))
    >>> memory = rule.init(jnp.array([3, 0]), jnp.array([True, False]), 4)
    >>> int(rule.choose(jnp.array([0.0, 50.0, 1.0, 50.0]), jax.random.key(0), memory))  # 3 was in the prompt
    1
    """

    def choose(logits, key, memory):
        candidates = Candidates(logits, jnp.arange(logits.shape[0]))
        for transform, own in zip(transforms, memory, strict=True):
            candidates = transform.apply(candidates, own)
        return candidates.tokens[jax.random.categorical(key, candidates.logits)]

    def init(tokens, mask, vocab_size):
        return tuple(transform.init(tokens, mask, vocab_size) for transform in transforms)

    def update(memory, token):
        return tuple(transform.update(own, token) for transform, own in zip(transforms, memory, strict=True))

    return Rule(choose, init, update)


@functools.cache
def temperature(value: float) -> Transform:
    """Makes a transform that divides logits by ``value``.

    Args:
      value: positive; below 1 sharpens the distribution, above 1 flattens it.

    Returns:
      The transform, for ``sample``.

    Raises:
      ValueError: ``value`` is not positive and finite.
    """
    if not 0 < value < math.inf:  # NaN is neither
        raise ValueError(f"temperature must be positive, got {value}; for the most likely token use greedy")
    return Transform(lambda candidates, memory: candidates._replace(logits=candidates.logits / value))


@functools.cache
def top_k(count: int) -> Transform:
    """Makes a transform that keeps the ``count`` most likely tokens (Fan et al., 2018).

    Args:
      count: tokens to keep, at least 1; beyond the vocabulary's size all are kept.

    Returns:
      The transform, for ``sample``.

    Raises:
      ValueError: ``count`` is no whole number of at least 1.
    """
    if not (isinstance(count, int) and count >= 1):
        raise ValueError(f"top_k keeps a whole number of at least 1 token, got {count}; leave it out to keep all")

    def apply(candidates, memory):
        return candidates if count >= len(candidates.logits) else _best(candidates, count)

    return Transform(apply)


@functools.cache
def top_p(mass: float) -> Transform:
    """Makes a transform that keeps the fewest most likely tokens that have ``mass`` together (Holtzman et al., 2020).

    Args:
      mass: a sum of probabilities, in (0, 1].

    Returns:
      The transform, for ``sample``.

    Raises:
      ValueError: ``mass`` is outside of (0, 1].
    """
    if not 0 < mass <= 1:
        raise ValueError(f"top_p keeps a probability mass in (0, 1], got {mass}")

    def apply(candidates, memory):
        logits, tokens = _best(candidates, len(candidates.logits))
        probabilities = jax.nn.softmax(logits)
        above = jnp.cumsum(probabilities) - probabilities
        # The first is kept whatever the rounding.
        keep = (above < mass) | (jnp.arange(len(logits)) == 0)
        return Candidates(jnp.where(keep, logits, -jnp.inf), tokens)

    return Transform(apply)


@functools.cache
def min_p(share: float) -> Transform:
    """Makes a transform that keeps tokens not much less likely than the most likely one (Nguyen et al., 2024).

    Args:
      share: a token is kept if its probability is at least this share of the highest one, in [0, 1].

    Returns:
      The transform, for ``sample``.

    Raises:
      ValueError: ``share`` is outside of [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"min_p is a share of the highest probability, in [0, 1], got {share}")

    def apply(candidates, memory):
        relative = jnp.exp(candidates.logits - candidates.logits.max())
        return candidates._replace(logits=jnp.where(relative >= share, candidates.logits, -jnp.inf))

    return Transform(apply)


@functools.cache
def repetition_penalty(penalty: float) -> Transform:
    """Makes a transform by which each token of the prompt and the text so far is less likely (Keskar et al., 2019).

    The token's logit is divided by ``penalty`` if it is positive and multiplied by it if it is negative. The transform
    remembers one truth value for each entry of the vocabulary.

    Args:
      penalty: positive; 1 changes nothing, more discourages repetition.

    Returns:
      The transform, for ``sample``.

    Raises:
      ValueError: ``penalty`` is not positive and finite.
    """
    if not 0 < penalty < math.inf:
        raise ValueError(f"repetition_penalty must be positive (above 1 discourages), got {penalty}")

    def apply(candidates, seen):
        logits, tokens = candidates
        penalised = jnp.where(logits < 0, logits * penalty, logits / penalty)
        return candidates._replace(logits=jnp.where(seen[tokens], penalised, logits))

    def init(tokens, mask, vocab_size):
        return jnp.zeros(vocab_size, bool).at[tokens].max(mask)

    return Transform(apply, init, lambda seen, token: seen.at[token].set(True))


def _best(candidates: Candidates, count: int) -> Candidates:
    logits, index = jax.lax.top_k(candidates.logits, count)
    return Candidates(logits, candidates.tokens[index])
