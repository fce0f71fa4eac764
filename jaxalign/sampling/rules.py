"""Sampling rules: functions of next-token logits and a key, ``rule(logits [V], key) -> token``."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

LogitsFn = Callable[[Float[Array, "V"], Array], Int[Array, ""]]


def greedy(logits: Float[Array, "V"], key: Array) -> Int[Array, ""]:
    """The most likely token; ``key`` is not consumed."""
    return jnp.argmax(logits)


def sample_top_k(temperature: float = 1.0, top_k: int | None = None) -> LogitsFn:
    """Sample from ``softmax(logits / temperature)``, restricted to the ``top_k`` most likely tokens if given."""
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}; for the most likely token use greedy")

    def rule(logits, key):
        if top_k is None or top_k >= logits.shape[0]:
            return jax.random.categorical(key, logits / temperature)
        best, tokens = jax.lax.top_k(logits, top_k)
        return tokens[jax.random.categorical(key, best / temperature)]

    return rule
