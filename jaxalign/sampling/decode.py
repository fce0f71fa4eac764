"""Prefill and the decode step, which ``generate`` and continuous batching share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models import LanguageModelConfig
from jaxalign.sampling.cache import LayerCache, empty_rings, prompt_columns
from jaxalign.sampling.readers import Place, Weights, reader_of
from jaxalign.sampling.rules import Memory, Rule


class Prompts(NamedTuple):
    """What the network and the rule keep of prompts."""

    caches: tuple[tuple[Array, Array], ...]  # each layer's keys and values [B, N, P, D]
    lengths: Int[Array, "B"]  # tokens in the caches
    last: Int[Array, "B"]  # the token that samples go on from
    memory: Memory


class Sequences(NamedTuple):
    """K samples to each of B prompts, somewhere in the middle."""

    step: Int[Array, ""]  # columns of the rings that have been written
    caches: tuple[LayerCache, ...]
    lengths: Int[Array, "B"]
    last: Int[Array, "B K"]
    counts: Int[Array, "B K"]  # tokens drawn so far
    done: Bool[Array, "B K"]
    keys: Array  # [B, K]
    memory: Memory


def prefill(model, weights: Weights, tokens: Int[Array, "B P"], mask: Bool[Array, "B P"], rule: Rule) -> Prompts:
    """Runs prompts, padded on either side, through the network."""
    order = jnp.argsort(~mask, axis=1, stable=True)
    tokens, mask = jnp.take_along_axis(tokens, order, axis=1), jnp.take_along_axis(mask, order, axis=1)
    reader = reader_of(model)
    memory = jax.vmap(lambda t, m: rule.init(t, m, model.config.vocab_size))(*reader.said(model, tokens, mask))
    return Prompts(*reader.read_prompts(model, weights, tokens, mask), memory)


def blank_prompts(config: LanguageModelConfig, rows: int, width: int, rule: Rule) -> Prompts:
    """Room for prompts of up to ``width`` tokens that are not there yet."""

    def kept(windowed):
        columns = prompt_columns(config, windowed, width)
        return jnp.zeros((rows, config.num_kv_heads, columns, config.head_dim), config.dtype)

    nothing = jnp.zeros((rows, width), jnp.int32)
    memory = jax.vmap(lambda t: rule.init(t, t.astype(bool), config.vocab_size))(nothing)
    caches = tuple((kept(windowed), kept(windowed)) for windowed in config.layer_windows)
    return Prompts(caches, nothing[:, 0], nothing[:, 0], memory)


def start(config: LanguageModelConfig, prompts: Prompts, keys: Array, max_new_tokens: int) -> Sequences:
    """Samples before their first token; ``keys [B, K]`` are theirs."""
    b, k = keys.shape

    def each(x):
        return jnp.broadcast_to(x[:, None], (b, k, *x.shape[1:]))

    rings = empty_rings(config, b, k, max_new_tokens)
    return Sequences(
        step=jnp.zeros((), jnp.int32),
        caches=tuple(LayerCache(*prompt, *ring) for prompt, ring in zip(prompts.caches, rings, strict=True)),
        lengths=prompts.lengths,
        last=each(prompts.last),
        counts=jnp.zeros((b, k), jnp.int32),
        done=jnp.zeros((b, k), bool),
        keys=keys,
        memory=jax.tree.map(each, prompts.memory),
    )


def advance(
    model, weights: Weights, state: Sequences, rule: Rule, stop_ids: tuple[int, ...]
) -> tuple[Sequences, Int[Array, "B K"], Float[Array, "B K"]]:
    """One more token of every sample, and its log-probability under the model at temperature 1, in nats."""
    place = Place(state.step, state.lengths, state.last, state.counts)
    hidden, caches = reader_of(model).read_tokens(model, weights, place, state.caches)
    logits = model.apply({"params": weights.outer}, hidden, method="logits")
    token_keys = jax.vmap(jax.vmap(jax.random.fold_in))(state.keys, state.counts)
    drawn = jax.vmap(jax.vmap(rule.choose))(logits, token_keys, state.memory).astype(state.last.dtype)
    chosen = jnp.take_along_axis(logits, drawn[:, :, None], axis=-1)[:, :, 0]
    stopped = jnp.isin(drawn, jnp.asarray(stop_ids, drawn.dtype))
    after = state._replace(
        step=state.step + 1,
        caches=caches,
        last=drawn,
        counts=state.counts + 1,
        done=state.done | stopped,
        memory=jax.vmap(jax.vmap(rule.update))(state.memory, drawn),
    )
    return after, drawn, chosen - jax.nn.logsumexp(logits, axis=-1)


def sample_keys(key: Array, rows: Int[Array, "B"], samples: Int[Array, "K"]) -> Array:
    """The key of sample k of row b, ``[B, K]``: it depends on these two numbers only, not on how many there are."""

    def fold(key, numbers):
        return jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)

    return jax.vmap(lambda row_key: fold(row_key, samples))(fold(key, rows))
