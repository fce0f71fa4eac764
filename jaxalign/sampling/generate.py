"""Prefill and decode in one jitted call, K samples to a prompt from one prompt cache."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.attend import attend_rows, layer_masks, logit_options
from jaxalign.models.attention import shared_attention
from jaxalign.models.streams import Streams, split_streams
from jaxalign.sampling.rules import LogitsFn
from jaxalign.typing import Params


class Samples(NamedTuple):
    """K continuations of each prompt; ``mask`` covers the end-of-sequence token, where there is one."""

    tokens: Int[Array, "B K R"]
    mask: Bool[Array, "B K R"]
    logps: Float[Array, "B K R"]  # nats under the model at temperature 1, as ``response_token_logps`` has them


class _Loop(NamedTuple):
    step: Int[Array, ""]
    cache: tuple[Array, Array]  # keys and values of the samples, each [layers, B, K, R, N, D]
    last: Int[Array, "B K"]
    done: Bool[Array, "B K"]
    samples: Samples


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
    eos_id: int,
    rule: LogitsFn,
) -> Samples:
    """Sample ``num_samples`` continuations of each prompt, up to and including ``eos_id``.

    Consumes ``key``; sample k of row b draws from its own key, so it does not depend on the other rows' texts.
    Pass the same ``rule`` object again to reuse the compiled function.
    """
    b, k, r = prompt_tokens.shape[0], num_samples, max_new_tokens
    blank = jnp.zeros((b, k, r), prompt_tokens.dtype)
    streams = split_streams(prompt_tokens, prompt_mask, blank, jnp.ones((b, k, r), bool))
    prompt_cache = _prefill(model, params, streams)
    keys = _sample_keys(key, b, k)

    def step(loop: _Loop) -> _Loop:
        logits, cache = _decode(model, params, streams, prompt_cache, loop)
        drawn = jax.vmap(jax.vmap(lambda l, key: rule(l, jax.random.fold_in(key, loop.step))))(logits, keys)
        drawn = drawn.astype(blank.dtype)
        logps = jnp.take_along_axis(jax.nn.log_softmax(logits), drawn[:, :, None], axis=-1)[:, :, 0]
        columns = drawn, ~loop.done, jnp.where(loop.done, 0, logps)
        samples = Samples(*(a.at[:, :, loop.step].set(c) for a, c in zip(loop.samples, columns, strict=True)))
        return _Loop(loop.step + 1, cache, drawn, loop.done | (drawn == eos_id), samples)

    config = model.config
    own_cache = jnp.zeros((config.num_layers, b, k, r, config.num_kv_heads, config.head_dim), config.dtype)
    start = _Loop(
        step=jnp.zeros((), jnp.int32),
        cache=(own_cache, own_cache),
        last=streams.response_tokens[:, :, 0],
        done=jnp.zeros((b, k), bool),
        samples=Samples(blank, jnp.zeros((b, k, r), bool), jnp.zeros((b, k, r), jnp.float32)),
    )
    return jax.lax.while_loop(lambda loop: (loop.step < r) & ~loop.done.all(), step, start).samples


def _sample_keys(key, rows, samples):
    """A key for each sample that depends on its own row and number only, not on how many there are."""

    def fold(key, count):
        return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))

    return jax.vmap(lambda row_key: fold(row_key, samples))(fold(key, rows))


def _prefill(model, params, streams: Streams):
    """Keys and values of every layer over the prompts, each ``[layers, B, P, N, D]``."""
    config, (b, p) = model.config, streams.prompt_tokens.shape
    rows = attend_rows(config, streams.prompt_positions, streams.prompt_valid.astype(jnp.int32))

    def attend(query, key, value, layer, cache):
        cache = tuple(a.at[layer.index].set(new) for a, new in zip(cache, (key, value), strict=True))
        return rows(query, key, value, layer, ())[0], cache

    empty = jnp.zeros((config.num_layers, b, p, config.num_kv_heads, config.head_dim), config.dtype)
    tokens, positions = streams.prompt_tokens, streams.prompt_positions
    return model.apply({"params": params}, tokens, positions, attend, (empty, empty), method="run")[1]


def _decode(model, params, streams: Streams, prompt_cache, loop: _Loop):
    """Logits ``[B, K, V]`` that follow ``loop.last``, and the cache with its keys and values."""
    config, (b, k, r) = model.config, streams.response_tokens.shape
    positions = streams.response_positions[:, :, 0] + loop.step
    ones = jnp.ones_like(positions)
    over_prompt = layer_masks(config, positions, streams.prompt_positions, ones, streams.prompt_valid.astype(jnp.int32))
    own_positions = streams.response_positions.reshape(b * k, r)
    over_own = layer_masks(
        config, positions.reshape(b * k, 1), own_positions, ones.reshape(b * k, 1), jnp.ones_like(own_positions)
    )

    def attend(query, key, value, layer, cache):
        cache = tuple(a.at[layer.index, :, :, loop.step].set(new) for a, new in zip(cache, (key, value), strict=True))
        prompt = [a[layer.index] for a in prompt_cache]
        own = [a[layer.index] for a in cache]
        masks = over_prompt(layer)[:, :, None], over_own(layer).reshape(b, k, 1, r)
        gathered = shared_attention(query[:, :, None], *prompt, masks[0], *own, masks[1], **logit_options(config))
        return gathered[:, :, 0], cache

    hidden, cache = model.apply({"params": params}, loop.last, positions, attend, loop.cache, method="run")
    return model.apply({"params": params}, hidden, method="logits"), cache
