"""A rule whose settings belong to each sequence, so that one program serves requests of any temperature and top-p."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.sampling.rules import Rule


class Dials(NamedTuple):
    """The settings of one sequence: the memory of :data:`dialled` and :data:`dialled_top_p`.

    Both start from temperature 1 and top-p 1; who serves requests puts theirs in place of it after the prefill.
    """

    temperature: Float[Array, "*batch"]  # 0 takes the most likely token
    top_p: Float[Array, "*batch"]  # in (0, 1]


def _init(tokens, mask, vocab_size) -> Dials:
    return Dials(jnp.ones(()), jnp.ones(()))


def _keep(dials: Dials, token) -> Dials:
    return dials


def _scaled(logits, dials: Dials):
    return logits / jnp.where(dials.temperature > 0, dials.temperature, 1)


def _draw(logits, scaled, key, dials: Dials):
    return jnp.where(dials.temperature > 0, jax.random.categorical(key, scaled), jnp.argmax(logits))


def _choose(logits, key, dials: Dials):
    return _draw(logits, _scaled(logits, dials), key, dials)


def _choose_top_p(logits, key, dials: Dials):
    scaled = _scaled(logits, dials)
    falling = jnp.sort(scaled, descending=True)
    probabilities = jax.nn.softmax(falling)
    above = jnp.cumsum(probabilities) - probabilities
    # The first is kept whatever the rounding.
    keep = (above < dials.top_p) | (jnp.arange(len(falling)) == 0)
    least = jnp.where(keep, falling, jnp.inf).min()
    kept = (scaled >= least) | (dials.top_p >= 1)
    return _draw(logits, jnp.where(kept, scaled, -jnp.inf), key, dials)


dialled = Rule(_choose, _init, _keep)
"""Draws at each sequence's own temperature, and what ``sample(temperature(t))`` draws from the same key; its top-p is
not looked at."""

dialled_top_p = Rule(_choose_top_p, _init, _keep)
"""Draws at each sequence's own temperature among the fewest most likely tokens that have its top-p together, and those
that are as likely as the last of these. It sorts the vocabulary: use it where a sequence has a top-p below 1."""
