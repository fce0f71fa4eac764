"""A decoder that reads two responses to a prompt and writes which is better: the pairwise generative reward model.

Comparing all K responses of a list in both orders takes K * K rows of prompt, first and second response. Here they form
a tree: the prompt runs through the network once, each response once behind it as the first, and each response once as
the second behind every first: P + K * R + K * K * R tokens instead of K * K * (P + 2 * R). Keys and values are kept
between the three, and the second responses run for one first after the other, which bounds memory.

Verdicts stand in the order of :class:`~jaxalign.typing.ComparisonFormat`: the first wins, the second wins, neither.

Source: LiPO (arXiv 2402.01878) and RRM (arXiv 2409.13156).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.losses import token_logps
from jaxalign.models.attend import attend_lists, layer_masks, logit_options
from jaxalign.models.attention import shared_attention
from jaxalign.models.decoder import Decoder
from jaxalign.models.responses import unembedding
from jaxalign.models.streams import Streams, count_positions, split_streams
from jaxalign.typing import ComparisonBatch, ComparisonFormat, ListBatch, Params


def two_way_preferences(logits: Float[Array, "*batch 3"]) -> Float[Array, "*batch"]:
    """Returns P(the first wins): a softmax over the two verdicts that name a winner.

    The probability that the model gives a tie is left out.

    Args:
      logits: ``[..., 3]``, those of the verdicts: the first wins, the second wins, neither.

    Returns:
      ``[...]``, in [0, 1].
    """
    return jax.nn.sigmoid(logits[..., 0] - logits[..., 1])


def three_way_preferences(logits: Float[Array, "*batch 3"]) -> Float[Array, "*batch"]:
    """Returns P(the first wins) + P(neither) / 2: a softmax over all three verdicts, a tie counting as half a win.

    Args:
      logits: ``[..., 3]``, those of the verdicts: the first wins, the second wins, neither.

    Returns:
      ``[...]``, in [0, 1].
    """
    chances = jax.nn.softmax(logits)
    return chances[..., 0] + chances[..., 2] / 2


def comparison_preferences(
    model,
    params: Params,
    batch: ListBatch,
    form: ComparisonFormat,
    *,
    preference_fn: Callable[[Array], Array] = two_way_preferences,
) -> Float[Array, "B K K"]:
    """Computes for every ordered pair of a list's responses the probability that the first beats the second.

    Each probability is that of one order: :func:`jaxalign.losses.labels_from_preferences` averages both, which takes
    out the model's liking for a place. With all but ``batch`` bound, this is a :data:`~jaxalign.typing.PreferenceFn`.

    Args:
      model: a decoder that was trained to write verdicts.
      params: its parameters.
      batch: padded lists, whose prompts :func:`jaxalign.data.encode_comparison_lists` encoded with the same ``form``.
      form: the token ids around the parts of a comparison, and of the three verdicts.
      preference_fn: from the logits of the three verdicts to a probability: ``models.two_way_preferences`` or
        ``models.three_way_preferences``.

    Returns:
      ``[B, K, K]``, float32: at [b, i, j] the probability that response i, shown first, beats response j; 1/2 where
      either is masked or i = j.

    Raises:
      ValueError: the model is no decoder.
    """
    preferences = preference_fn(comparison_logits(model, params, batch, form))
    pairs = batch.where[:, :, None] & batch.where[:, None, :] & ~jnp.eye(batch.where.shape[1], dtype=bool)[None]
    return jnp.where(pairs, preferences, 0.5)


def comparison_logits(model, params: Params, batch: ListBatch, form: ComparisonFormat) -> Float[Array, "B K K 3"]:
    """Computes the logits of the three verdicts for every ordered pair of a list's responses.

    Args:
      model: a decoder that was trained to write verdicts.
      params: its parameters.
      batch: padded lists, whose prompts :func:`jaxalign.data.encode_comparison_lists` encoded with the same ``form``.
      form: the token ids around the parts of a comparison, and of the three verdicts.

    Returns:
      ``[B, K, K, 3]``, float32: at [b, i, j] the logits of "the first wins", "the second wins" and "neither" behind
      response i as the first and j as the second. Where either is masked they are finite and meaningless.

    Raises:
      ValueError: the model is no decoder.
    """
    _check_decoder(model)
    firsts = _first_streams(batch, form)
    cache = _read_firsts(model, params, firsts)
    matrix = unembedding(model.config, params)[:, jnp.array(form.verdicts)]
    cap = model.config.logit_softcap

    def behind(first):
        hidden = _read_seconds(model, params, batch, form, firsts, cache, first)
        logits = jnp.matmul(hidden, matrix, preferred_element_type=jnp.float32)
        return logits if cap is None else cap * jnp.tanh(logits / cap)

    return jax.lax.map(behind, jnp.arange(batch.where.shape[1])).swapaxes(0, 1)


def verdict_logps(model, params: Params, batch: ComparisonBatch, form: ComparisonFormat) -> Float[Array, "B S 3"]:
    """Computes the log-probabilities of the three verdicts on comparisons, under the softmax over the vocabulary.

    Args:
      model: a decoder that is trained to write verdicts.
      params: its parameters.
      batch: rows of comparisons, one or several to a row.
      form: the token ids around the parts of a comparison, and of the three verdicts.

    Returns:
      ``[B, S, 3]``: nats, float32, of "the first wins", "the second wins" and "neither"; meaningless where
      ``batch.where`` is False.

    Raises:
      ValueError: the model is no decoder.
    """
    _check_decoder(model)
    arguments = {"segment_ids": batch.segment_ids, "positions": batch.positions}
    hidden = model.apply({"params": params}, batch.tokens, **arguments, method="hidden")
    last = jnp.take_along_axis(hidden, batch.verdict_positions[:, :, None], axis=1)
    shape = batch.verdicts.shape
    return token_logps(
        jnp.broadcast_to(last[:, :, None], (*shape, last.shape[-1])),
        unembedding(model.config, params),
        jnp.broadcast_to(jnp.array(form.verdicts), shape),
        logit_softcap=model.config.logit_softcap,
    )


def _check_decoder(model) -> None:
    if not isinstance(model, Decoder):
        raise ValueError(
            f"comparisons are read and answered by a decoder, got {type(model).__name__}; give that a scalar reward "
            "(RewardConfig), and its preferences come from data.make_preference_fn"
        )


def _first_streams(batch: ListBatch, form: ComparisonFormat) -> Streams:
    """The prompt, and K streams of the first marker, a response, and the second marker but its last token."""
    b, k, _ = batch.response_tokens.shape
    before, after = (jnp.broadcast_to(jnp.array(ids), (b, k, len(ids))) for ids in (form.first, form.second))
    parts = [
        (before, jnp.ones(before.shape, bool)),
        (batch.response_tokens, batch.response_mask),
        (after, jnp.ones(after.shape, bool)),
    ]
    tokens, mask = (jnp.concatenate(arrays, axis=2) for arrays in zip(*parts, strict=True))
    return split_streams(batch.prompt_tokens, batch.prompt_mask, tokens, mask)


def _read_firsts(model, params, firsts: Streams):
    """Keys and values of every layer over the prompts and the first streams, each ``[layers, B, P + K * R, N, D]``."""
    config, (b, k, r) = model.config, firsts.response_tokens.shape
    tokens, positions = (jnp.concatenate([firsts[i], firsts[i + 3].reshape(b, k * r)], axis=1) for i in range(2))
    lists = attend_lists(config, firsts)

    def attend(query, key, value, layer, cache):
        cache = tuple(a.at[layer.index].set(new) for a, new in zip(cache, (key, value), strict=True))
        return lists(query, key, value, layer, ())[0], cache

    empty = jnp.zeros((config.num_layers, *tokens.shape, config.num_kv_heads, config.head_dim), config.dtype)
    return model.apply({"params": params}, tokens, positions, attend, (empty, empty), method="run")[1]


def _read_seconds(model, params, batch: ListBatch, form: ComparisonFormat, firsts: Streams, cache, first):
    """Hidden states ``[B, K, D]`` that predict the verdict, each response being the second behind response ``first``.

    A second stream is fed the last token of the second marker, the response, and the end; it sees the prompt and the
    first stream, whose keys lie side by side, and itself.
    """
    config, (b, k) = model.config, batch.where.shape
    p, r_first = firsts.prompt_tokens.shape[1], firsts.response_tokens.shape[2]

    def pick(prompt, streams):
        return jnp.concatenate([prompt, jax.lax.dynamic_index_in_dim(streams, first, axis=1, keepdims=False)], axis=1)

    seen_positions = pick(firsts.prompt_positions, firsts.response_positions)
    seen_segments = pick(firsts.prompt_valid, firsts.response_valid).astype(jnp.int32)
    marker, end = (jnp.broadcast_to(jnp.array(ids), (b, k, len(ids))) for ids in (form.second[-1:], form.end))
    tokens = jnp.concatenate([marker, batch.response_tokens, end], axis=2)
    ones = jnp.ones((b, k, 1), bool)
    valid = jnp.concatenate([ones, batch.response_mask, jnp.broadcast_to(ones, end.shape)], axis=2)
    start = jnp.max(jnp.where(seen_segments != 0, seen_positions, 0), axis=1) + 1
    positions = start[:, None, None] + count_positions(valid)

    length = tokens.shape[2]
    flat, own = positions.reshape(b, k * length), positions.reshape(b * k, length)
    own_segments = valid.reshape(b * k, length).astype(jnp.int32)
    over_seen = layer_masks(config, flat, seen_positions, jnp.ones_like(flat), seen_segments)
    over_own = layer_masks(config, own, own, own_segments, own_segments)

    def attend(query, key, value, layer, carried):
        def split(a):
            a = a[layer.index]
            return a[:, :p], a[:, p:].reshape(b, k, r_first, *a.shape[2:])

        seen = [pick(*split(a)) for a in cache]
        query, key, value = (a.reshape(b, k, length, *a.shape[2:]) for a in (query, key, value))
        masks = over_seen(layer).reshape(b, k, length, -1), over_own(layer).reshape(b, k, length, length)
        attended = shared_attention(query, *seen, masks[0], key, value, masks[1], **logit_options(config))
        return attended.reshape(b, k * length, *attended.shape[3:]), carried

    hidden, _ = model.apply({"params": params}, tokens.reshape(b, k * length), flat, attend, method="run")
    return hidden.reshape(b, k, length, -1)[:, :, -1]
