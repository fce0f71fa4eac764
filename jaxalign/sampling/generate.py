"""Prefill and decode in one jitted call, K samples to a prompt from one prompt cache.

A decoder's samples continue the prompt; an encoder-decoder's are what its decoder writes about the prompt.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.rope import check_one_rotation
from jaxalign.sampling.checks import check_sizes
from jaxalign.sampling.decode import Sequences, advance, prefill, sample_keys, start
from jaxalign.sampling.readers import Weights, split_once
from jaxalign.sampling.rules import Rule
from jaxalign.typing import Params


class Samples(NamedTuple):
    """K continuations of each prompt; ``mask`` covers the token that ended it, where there is one."""

    tokens: Int[Array, "B K R"]
    mask: Bool[Array, "B K R"]
    logps: Float[Array, "B K R"]  # nats under the model at temperature 1, those of ``models.response_token_logps``


def generate(
    model,
    params: Params | Weights,
    prompt_tokens: Int[Array | np.ndarray, "B P"],
    prompt_mask: Bool[Array | np.ndarray, "B P"],
    key: Array,
    *,
    num_samples: int,
    max_new_tokens: int,
    eos_id: int | tuple[int, ...],
    rule: Rule,
) -> Samples:
    """Draws ``num_samples`` continuations of each prompt, each up to and including an end-of-sequence token.

    The prompt is prefilled once for all its samples. Sharded parameters and prompts (``jaxalign.sharding``) give the
    same tokens on any mesh.

    Args:
      model: a decoder or an encoder-decoder, as ``models.build`` makes it.
      params: its parameters, or what ``sampling.split_once(model, params)`` made of them: where many calls have the
        same parameters, it is done once.
      prompt_tokens: ``[B, P]``, padded on either side.
      prompt_mask: ``[B, P]``, True for real tokens.
      key: consumed. Sample k of row b draws from a key of its own, so it does not depend on the other rows' texts.
      num_samples: K, samples of each prompt.
      max_new_tokens: R, tokens of a sample at most, the end of sequence included.
      eos_id: the token that ends a sample, or several such tokens.
      rule: how the next token is chosen, such as ``sampling.greedy`` or ``sampling.sample(sampling.temperature(0.7))``.

    Returns:
      ``Samples`` with arrays ``[B, K, R]``: tokens, their mask, and their log-probabilities in nats at temperature 1.

    Raises:
      ValueError: a number of samples or tokens that is no whole number of at least 1; a model whose rotary positions
        depend on a text's final length from fewer than P + R tokens on.
    """
    check_sizes(num_samples=num_samples, max_new_tokens=max_new_tokens)
    check_one_rotation(
        model.config, prompt_tokens.shape[1] + max_new_tokens, "shorten the prompts or lower max_new_tokens"
    )
    weights = params if isinstance(params, Weights) else split_once(model, params)
    options = {"num_samples": num_samples, "max_new_tokens": max_new_tokens, "eos_id": eos_id, "rule": rule}
    return _generate(model, weights, prompt_tokens, prompt_mask, key, **options)


@functools.partial(jax.jit, static_argnames=("model", "num_samples", "max_new_tokens", "eos_id", "rule"))
def _generate(model, weights: Weights, prompt_tokens, prompt_mask, key, *, num_samples, max_new_tokens, eos_id, rule):
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
