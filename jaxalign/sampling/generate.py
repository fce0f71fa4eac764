"""Prefill and decode in one jitted call, K samples to a prompt from one prompt cache.

Of a decoder samples are continuations; of an encoder-decoder, what its decoder writes about the prompt.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.rope import check_one_rotation
from jaxalign.sampling.checks import check_sizes
from jaxalign.sampling.decode import Sequences, advance, prefill, sample_keys, start
from jaxalign.sampling.readers import split_weights
from jaxalign.sampling.rules import Rule
from jaxalign.typing import Params


class Samples(NamedTuple):
    """K continuations of each prompt; ``mask`` covers the token that ended it, where there is one."""

    tokens: Int[Array, "B K R"]
    mask: Bool[Array, "B K R"]
    logps: Float[Array, "B K R"]  # nats under the model at temperature 1, as ``response_token_logps`` has them


@functools.partial(jax.jit, static_argnames=("model", "num_samples", "max_new_tokens", "eos_id", "rule"))
def generate(
    model,
    params: Params,
    prompt_tokens: Int[Array, "B P"],
    prompt_mask: Bool[Array, "B P"],
    key: Array,
    *,
    num_samples: int,
    max_new_tokens: int,
    eos_id: int | tuple[int, ...],
    rule: Rule,
) -> Samples:
    """Sample ``num_samples`` continuations of each prompt, up to and including ``eos_id``, or one of them if several.

    Consumes ``key``; sample k of row b draws from its own key, so it does not depend on the other rows' texts.
    Sharded parameters and prompts (``jaxalign.sharding``) give the same tokens on any mesh.

    Raises:
      ValueError: a number of samples or tokens that is no whole number of at least 1; a model whose rotary positions
        depend on a text's final length from fewer than P + R tokens on.
    """
    check_sizes(num_samples=num_samples, max_new_tokens=max_new_tokens)
    check_one_rotation(
        model.config, prompt_tokens.shape[1] + max_new_tokens, "shorten the prompts or lower max_new_tokens"
    )
    weights = split_weights(model, params)
    prompts = prefill(model, weights, prompt_tokens, prompt_mask, rule)
    b, k = prompt_tokens.shape[0], num_samples
    keys = sample_keys(key, jnp.arange(b), jnp.arange(k))
    stop_ids = (eos_id,) if isinstance(eos_id, int) else eos_id

    def step(loop: tuple[Sequences, Samples]) -> tuple[Sequences, Samples]:
        before, samples = loop
        after, drawn, logps = advance(model, weights, before, rule, stop_ids)
        columns = drawn, ~before.done, jnp.where(before.done, 0, logps)
        return after, Samples(*(a.at[:, :, before.step].set(c) for a, c in zip(samples, columns, strict=True)))

    def unfinished(loop: tuple[Sequences, Samples]) -> Bool[Array, ""]:
        return (loop[0].step < max_new_tokens) & ~loop[0].done.all()

    blank = jnp.zeros((b, k, max_new_tokens), prompt_tokens.dtype)
    samples = Samples(blank, blank.astype(bool), blank.astype(jnp.float32))
    return jax.lax.while_loop(unfinished, step, (start(model.config, prompts, keys, max_new_tokens), samples))[1]
