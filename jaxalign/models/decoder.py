"""One Flax Linen decoder for the Llama, Mistral, Qwen and Gemma families.

Everything but attention treats a row as a plain sequence of tokens, so what a token sees is injected: ``attend`` gets
each layer's rotated queries, keys and values and returns the output of attention. Rows, packed segments, K responses
around one prompt, and decoding from a cache are four such functions over the same parameters.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.attend import Attend, LayerInfo, attend_lists, attend_packed_lists, attend_rows
from jaxalign.models.config import DecoderConfig
from jaxalign.models.layers import GatedMlp, RmsNorm, embed_tokens, project, scan_layers
from jaxalign.models.products import multiply_rows
from jaxalign.models.rope import Rope, check_one_rotation, lengths_if_needed, make_rope, rotate
from jaxalign.models.streams import Streams, count_positions, join_row, rows_of_streams, split_row, split_streams
from jaxalign.sharding import constrain, num_shards
from jaxalign.typing import PackedListBatch, Params


class SelfAttention(nn.Module):
    config: DecoderConfig

    @nn.compact
    def __call__(self, x, cache, layer: LayerInfo, rope: Rope, attend: Attend):
        c = self.config
        linear = functools.partial(project, self, dtype=c.dtype, float8=c.float8)
        query = linear("query", x, (c.num_heads, c.head_dim), axes=1, bias=c.qkv_bias)
        key = linear("key", x, (c.num_kv_heads, c.head_dim), axes=1, bias=c.qkv_bias)
        value = linear("value", x, (c.num_kv_heads, c.head_dim), axes=1, bias=c.qkv_bias)
        if c.qk_norm:
            query = RmsNorm(c.norm_epsilon, c.norm_unit_offset, name="query_norm")(query)
            key = RmsNorm(c.norm_epsilon, c.norm_unit_offset, name="key_norm")(key)
        attended, cache = attend(rotate(query, rope), rotate(key, rope), value, layer, cache)
        return linear("output", attended, (c.width,), axes=2, bias=c.output_bias), cache


class Layer(nn.Module):
    config: DecoderConfig

    @nn.compact
    def __call__(self, x, cache, layer: LayerInfo, ropes: tuple[Rope, Rope | None], attend: Attend):
        c = self.config
        norm = functools.partial(RmsNorm, c.norm_epsilon, c.norm_unit_offset)
        rope, local_rope = ropes
        if local_rope is not None:
            rope = jax.tree.map(lambda local, far: jnp.where(layer.windowed, local, far), local_rope, rope)
        y = norm(name="attention_norm")(x)
        y, cache = SelfAttention(c, name="attention")(y, cache, layer, rope, attend)
        x = x + (norm(name="post_attention_norm")(y) if c.post_norms else y)
        y = GatedMlp(c, name="mlp")(norm(name="mlp_norm")(x))
        return x + (norm(name="post_mlp_norm")(y) if c.post_norms else y), cache


class Decoder(nn.Module):
    """A causal language model; parameters of all layers are stacked on a leading axis and scanned over."""

    config: DecoderConfig

    def setup(self):
        c = self.config
        # Tied embeddings are also the output matrix, whose logits should start near zero.
        self.embedding = self.param("embedding", nn.initializers.normal(0.02), (c.vocab_size, c.width))
        self.layers = Layer(c)
        self.final_norm = RmsNorm(c.norm_epsilon, c.norm_unit_offset)
        if not c.tied_embeddings or self.has_variable("params", "unembedding"):
            self.unembedding = self.param("unembedding", nn.initializers.normal(0.02), (c.width, c.vocab_size))

    def __call__(
        self,
        tokens: Int[Array, "B L"],
        *,
        mask: Bool[Array, "B L"] | None = None,
        positions: Int[Array, "B L"] | None = None,
        segment_ids: Int[Array, "B L"] | None = None,
    ) -> Float[Array, "B L V"]:
        """Computes next-token logits, float32.

        Args:
          tokens: token ids.
          mask: True for real tokens; None means all. Rows padded on the right may leave it out, since no real token
            sees what follows it.
          positions: of the tokens in their sequence; None counts the real tokens before each. A packed row needs
            positions from 0 in each segment.
          segment_ids: 1, 2, ... within a packed row, 0 for padding: tokens see their own segment only.
        """
        hidden = self.hidden(tokens, mask=mask, positions=positions, segment_ids=segment_ids)
        return self.logits(hidden)

    def hidden(
        self,
        tokens: Int[Array, "B L"],
        *,
        mask: Bool[Array, "B L"] | None = None,
        positions: Int[Array, "B L"] | None = None,
        segment_ids: Int[Array, "B L"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Computes the last layer's normed output, before the vocabulary.

        Args:
          tokens: token ids.
          mask: True for real tokens; None means all. Rows padded on the right may leave it out, since no real token
            sees what follows it.
          positions: of the tokens in their sequence; None counts the real tokens before each. A packed row needs
            positions from 0 in each segment.
          segment_ids: 1, 2, ... within a packed row, 0 for padding: tokens see their own segment only.
        """
        if mask is None and segment_ids is None:
            segments = None
            default = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
        else:
            segments = jnp.ones(tokens.shape, jnp.int32) if segment_ids is None else segment_ids
            segments = segments if mask is None else jnp.where(mask, segments, 0)
            default = count_positions(segments != 0)
        positions = default if positions is None else positions
        lengths = lengths_if_needed(self.config.rope_scaling, positions, segments)
        return self.run(tokens, positions, attend_rows(self.config, positions, segments), lengths=lengths)[0]

    @nn.nowrap
    def split_streams(self, *prompts_and_responses: Array) -> Streams:
        """See :func:`jaxalign.models.streams.split_streams`."""
        return split_streams(*prompts_and_responses)

    def response_hidden(self, streams: Streams) -> Float[Array, "B K R D"]:
        """The hidden state at each token of the response streams, the prompt having run through the network once."""
        return self._run_streams(streams, attend_lists(self.config, streams))

    def packed_response_hidden(self, batch: PackedListBatch) -> Float[Array, "B N R D"]:
        """The hidden state at each response token of packed rows."""
        return self._run_streams(batch, attend_packed_lists(self.config, batch))

    def _run_streams(self, streams: Streams | PackedListBatch, attend: Attend) -> Float[Array, "B K R D"]:
        longest = streams.prompt_tokens.shape[1] + streams.response_tokens.shape[2]
        check_one_rotation(self.config, longest, "pass shared_prompt=False, or shorter prompts and responses")
        tokens = join_row(streams.prompt_tokens, streams.response_tokens)
        positions = join_row(streams.prompt_positions, streams.response_positions)
        hidden, _ = self.run(tokens, positions, attend)
        return split_row(hidden, (streams.prompt_tokens.shape[1], *streams.response_tokens.shape[1:]))[1]

    def separate_response_hidden(self, streams: Streams) -> Float[Array, "B K R D"]:
        """:meth:`response_hidden` by K separate rows of prompt and response."""
        tokens, positions, valid = rows_of_streams(streams)
        hidden = self.hidden(tokens, mask=valid, positions=positions)
        return hidden[:, streams.prompt_tokens.shape[1] :].reshape(*streams.response_tokens.shape, -1)

    def run(self, tokens: Int[Array, "B T"], positions: Int[Array, "B T"], attend: Attend, cache=(), *, lengths=None):
        """Embed, all layers, final norm: ``(hidden [B, T, D], cache)``. What a token sees is up to ``attend``.

        ``lengths``: see :func:`jaxalign.models.rope.make_rope`.

        Raises:
          ValueError: the mesh splits rows over a number of devices that does not divide T.
        """
        c = self.config
        _check_even(tokens.shape[1])
        x, ropes = self._embed(tokens, positions, lengths)

        def step(layer, carry, info):
            x, cache = carry
            x, cache = layer(constrain(x, "batch", "length"), cache, info, ropes, attend)
            return (constrain(x, "batch", "length"), cache), None

        infos = LayerInfo(jnp.arange(c.num_layers), jnp.asarray(c.layer_windows))
        x, cache = scan_layers(step, self.layers, (x, cache), infos, length=c.num_layers, remat=c.remat)
        return self.final_norm(x), cache

    def run_layers(
        self,
        layers: Sequence[Params],
        tokens: Int[Array, "B T"],
        positions: Int[Array, "B T"],
        attend: Attend,
        caches: Sequence[Any],
    ):
        """Does what :meth:`run` does, with the parameters and the cache of each layer apart: ``(hidden, caches)``.

        Decoding needs it: a scan would copy each layer's parameters and cache out of their stacks for every token. A
        layer's number and kind are Python values here, so its cache may have a shape of its own.
        """
        x, ropes = self._embed(tokens, positions)
        layer, after = Layer(self.config, parent=None), []
        for index, windowed in enumerate(self.config.layer_windows):
            info = LayerInfo(index, windowed)
            x, cache = layer.apply({"params": layers[index]}, x, caches[index], info, ropes, attend)
            after.append(cache)
        return self.final_norm(x), tuple(after)

    def _embed(self, tokens, positions, lengths=None) -> tuple[Array, tuple[Rope, Rope | None]]:
        c = self.config
        # Rows of the table are looked up where they lie; were their width split, whole batches would be exchanged.
        table, cast = (constrain(t, "vocab", None) for t in (self.embedding, self.embedding.astype(c.dtype)))
        x = embed_tokens(table, cast, tokens)
        if c.embedding_scale:
            x = x * jnp.asarray(c.width**0.5, c.dtype)
        rope = make_rope(positions, c.head_dim, c.rope_base, c.rope_scaling, lengths)
        if c.local_rope_base is None:
            return x, (rope, None)
        return x, (rope, make_rope(positions, c.head_dim, c.local_rope_base, None))

    def logits(self, hidden: Float[Array, "... D"]) -> Float[Array, "... V"]:
        """Hidden states to next-token logits, float32, soft-capped if the model is."""
        dtype = self.config.dtype
        if self.has_variable("params", "unembedding"):
            logits = jnp.matmul(hidden, self.unembedding.astype(dtype), preferred_element_type=jnp.float32)
        else:
            logits = multiply_rows(hidden, self.embedding.astype(dtype), jnp.float32)
        cap = self.config.logit_softcap
        return logits if cap is None else cap * jnp.tanh(logits / cap)


def _check_even(length: int):
    shards = num_shards("length")
    if length % shards:
        raise ValueError(
            f"rows of {length} tokens cannot be split over {shards} devices (context={shards}); make them a multiple "
            f"of {shards}, such as {-(-length // shards) * shards}, or choose a mesh with another context"
        )
