"""Slots: room for samples that are decoded side by side, and that begin and end one by one.

What :func:`~jaxalign.sampling.run_jobs` and servers share: a prompt is prefilled, put into a free slot, and all
slots are decoded some tokens at a time. Each function is compiled once for its static arguments and shapes.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxalign.models import LanguageModelConfig
from jaxalign.models.rope import check_one_rotation
from jaxalign.sampling.decode import Prompts, Sequences, advance, blank_prompts, prefill, sample_keys, start

SHORTEST_BUCKET = 16


def padded_row(prompt: Sequence[int], max_prompt_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a prompt as a row ``[1, P]`` of tokens and their mask; P is a power of two, so that few are compiled.

    Args:
      prompt: at least one token, and at most ``max_prompt_tokens``.
      max_prompt_tokens: room for a prompt in each slot.
    """
    length = len(prompt)
    width = min(max(SHORTEST_BUCKET, 1 << (length - 1).bit_length()), max_prompt_tokens)
    tokens = np.zeros((1, width), np.int32)
    tokens[0, :length] = prompt
    return tokens, np.arange(width)[None] < length


def check_room(config: LanguageModelConfig, max_prompt_tokens: int, max_new_tokens: int) -> None:
    """Raises where a model's context is too short for slots.

    Args:
      config: of the model.
      max_prompt_tokens: room for a prompt in each slot.
      max_new_tokens: room for a sample in each slot.

    Raises:
      ValueError: it is; says by how much.
    """
    if max_prompt_tokens + max_new_tokens > config.max_length:
        raise ValueError(
            f"{max_prompt_tokens} tokens of prompt and {max_new_tokens} new ones exceed the model's context of "
            f"{config.max_length}; lower max_prompt_tokens or max_new_tokens"
        )
    check_one_rotation(config, max_prompt_tokens + max_new_tokens, "lower max_prompt_tokens or max_new_tokens")


def _place(slots: Sequences, sharding: NamedSharding | None) -> Sequences:
    """Slots, the leading axis, over devices; what else is split (heads, where parameters are) is up to the compiler."""
    if sharding is None:
        return slots

    def constrain(leaf):
        spec = PartitionSpec(sharding.spec[0], *[PartitionSpec.UNCONSTRAINED] * (leaf.ndim - 1))
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(sharding.mesh, spec)) if leaf.ndim else leaf

    return jax.tree.map(constrain, slots)


keys_of = jax.jit(sample_keys)
"""``keys_of(key, rows [B], samples [K])`` are the keys of samples, ``[B, K]``."""

prefill_rows = jax.jit(prefill, static_argnames=("model", "rule"))
"""``prefill_rows(model, weights, tokens, mask, rule=rule)`` is what network and rule keep of :func:`padded_row` s."""

row_of = jax.jit(lambda prompts, row: jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, row, 1), prompts))
"""``row_of(prompts, row)`` is one of several prompts from :data:`prefill_rows`."""


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4, 5))
def open_slots(config, num_slots, max_prompt_tokens, max_new_tokens, rule, sharding) -> Sequences:
    """Returns slots without samples: all are done.

    Args:
      config: of the model.
      num_slots: samples that are decoded side by side.
      max_prompt_tokens: room for a prompt in each slot.
      max_new_tokens: room for a sample in each slot.
      rule: how the next token is chosen.
      sharding: how slots are dealt out over devices; None for one device.
    """
    prompts = blank_prompts(config, num_slots, max_prompt_tokens, rule)
    keys = jnp.broadcast_to(jax.random.key(0), (num_slots, 1))
    slots = start(config, prompts, keys, max_new_tokens)
    return _place(slots._replace(done=jnp.ones_like(slots.done)), sharding)


@functools.partial(jax.jit, static_argnames="sharding", donate_argnames="slots")
def insert(slots: Sequences, slot, prompt: Prompts, key, *, sharding) -> Sequences:
    """Returns the slots with a sample in one of them. What was in it ends; nothing sees what is left behind of it.

    Args:
      slots: from :func:`open_slots`; consumed.
      slot: the number of the slot.
      prompt: the sample's, from :data:`prefill_rows`, of one row.
      key: ``[1, 1]``, the sample's, from :func:`keys_of`.
      sharding: that of the slots.
    """

    def put(all_slots, one):
        return jax.lax.dynamic_update_slice(all_slots, one, (slot, *[0] * (one.ndim - 1)))

    caches = tuple(
        cache._replace(prompt_key=put(cache.prompt_key, key), prompt_value=put(cache.prompt_value, value))
        for cache, (key, value) in zip(slots.caches, prompt.caches, strict=True)
    )
    slots = slots._replace(
        caches=caches,
        lengths=put(slots.lengths, prompt.lengths),
        last=put(slots.last, prompt.last[:, None]),
        counts=slots.counts.at[slot].set(0),
        done=slots.done.at[slot].set(False),
        keys=slots.keys.at[slot].set(key[0]),
        memory=jax.tree.map(lambda a, b: put(a, b[:, None]), slots.memory, prompt.memory),
    )
    return _place(slots, sharding)


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 5, 6, 7), donate_argnums=2)
def decode(model, weights, slots: Sequences, rule, stop_ids, stride, max_new_tokens, sharding):
    """Decodes at most ``stride`` tokens a slot.

    Args:
      model: a decoder or an encoder-decoder.
      weights: its parameters, from :func:`jaxalign.sampling.split_once`.
      slots: from :func:`open_slots`; consumed.
      rule: how the next token is chosen; its memory is of the form that the slots were opened with.
      stop_ids: the tokens that end a sample.
      stride: the number of tokens.
      max_new_tokens: of a sample at most.
      sharding: that of the slots.

    Returns:
      The slots, then tokens, their log-probabilities in nats, and their mask, ``[slots, stride]`` each.
    """
    first = slots.step

    def step(loop):
        before, columns = loop
        after, drawn, logps = advance(model, weights, before, rule, stop_ids)
        after = after._replace(done=after.done | (after.counts >= max_new_tokens))
        new = drawn, logps, ~before.done
        index = before.step - first
        return after, tuple(a.at[:, index].set(c[:, 0]) for a, c in zip(columns, new, strict=True))

    def unfinished(loop):
        return (loop[0].step - first < stride) & ~loop[0].done.all()

    blank = jnp.zeros((len(slots.lengths), stride), slots.last.dtype)
    columns = blank, blank.astype(jnp.float32), blank.astype(bool)
    slots, columns = jax.lax.while_loop(unfinished, step, (_place(slots, sharding), columns))
    return _place(slots, sharding), *columns
