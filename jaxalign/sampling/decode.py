"""Prefill and the decode step, which whole batches and continuous batching share."""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models import DecoderConfig
from jaxalign.sampling.cache import LayerCache, attend_decode, attend_prefill, empty_rings, prompt_columns
from jaxalign.sampling.rules import Memory, Rule
from jaxalign.typing import Params


class Weights(NamedTuple):
    """Parameters as decoding wants them: matrices in the compute dtype, every layer on its own."""

    outer: Params
    layers: tuple[Params, ...]


class Prompts(NamedTuple):
    """What the network keeps of prompts: all but their last tokens, which decoding reads first."""

    caches: tuple[tuple[Array, Array], ...]  # of each layer, keys and values [B, N, P, D]
    lengths: Int[Array, "B"]
    last: Int[Array, "B"]
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


def split_weights(model, params: Params) -> Weights:
    """Cast once and cut out once, not for every token. Scales of norms stay as they are: norms run in float32."""
    config = model.config

    def cast(path, leaf):
        return leaf if path[-1].key == "scale" else leaf.astype(config.dtype)

    params = jax.tree_util.tree_map_with_path(cast, params)
    layers = tuple(jax.tree.map(operator.itemgetter(i), params["layers"]) for i in range(config.num_layers))
    return Weights({name: value for name, value in params.items() if name != "layers"}, layers)


def prefill(model, weights: Weights, tokens: Int[Array, "B P"], mask: Bool[Array, "B P"], rule: Rule) -> Prompts:
    """Run prompts, padded on either side. One without a token predicts from its first padding."""
    order = jnp.argsort(~mask, axis=1, stable=True)
    tokens, mask = jnp.take_along_axis(tokens, order, axis=1), jnp.take_along_axis(mask, order, axis=1)
    lengths = jnp.maximum(mask.sum(axis=1) - 1, 0)
    positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    attend = attend_prefill(model.config, mask, lengths)
    caches = _run(model, weights, tokens, positions, attend, [()] * model.config.num_layers)[1]
    memory = jax.vmap(lambda t, m: rule.init(t, m, model.config.vocab_size))(tokens, mask)
    return Prompts(caches, lengths, jnp.take_along_axis(tokens, lengths[:, None], axis=1)[:, 0], memory)


def blank_prompts(config: DecoderConfig, rows: int, width: int, rule: Rule) -> Prompts:
    """Room for prompts of up to ``width`` tokens that are not there yet."""

    def kept(windowed):
        columns = prompt_columns(config, windowed, width)
        return jnp.zeros((rows, config.num_kv_heads, columns, config.head_dim), config.dtype)

    nothing = jnp.zeros((rows, width), jnp.int32)
    memory = jax.vmap(lambda t: rule.init(t, t.astype(bool), config.vocab_size))(nothing)
    caches = tuple((kept(windowed), kept(windowed)) for windowed in config.layer_windows)
    return Prompts(caches, nothing[:, 0], nothing[:, 0], memory)


def start(config: DecoderConfig, prompts: Prompts, keys: Array, max_new_tokens: int) -> Sequences:
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
    positions = state.lengths[:, None] + state.counts
    attend = attend_decode(model.config, state.lengths, state.counts, state.step)
    hidden, caches = _run(model, weights, state.last, positions, attend, state.caches)
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


def _run(model, weights: Weights, tokens, positions, attend, caches) -> tuple[Array, Any]:
    return model.apply(
        {"params": weights.outer}, weights.layers, tokens, positions, attend, caches, method="run_layers"
    )
