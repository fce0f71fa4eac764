"""A Flax Linen encoder-decoder of the T5 line (Raffel et al., arXiv 1910.10683), v1.0 and v1.1.

A prompt runs through the encoder once. Each of its K responses is a decoder row that begins with the start token,
attends to the encoder's states, which the K rows share, and causally to itself. Log-probabilities of a list thus cost
P encoder and K * R decoder positions, the prompt's keys and values being held once.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.attention import attention
from jaxalign.models.config import EncoderDecoderConfig
from jaxalign.models.encoder_decoder_layers import Attend, AttendMemory, DecoderLayer, EncoderLayer, Memory, Remember
from jaxalign.models.layers import RmsNorm, embed_tokens, scan_layers
from jaxalign.models.products import multiply_rows
from jaxalign.models.relative import bucket_distances, distances_between, look_up
from jaxalign.models.streams import Streams, start_streams
from jaxalign.typing import Params


class RelativeStack(nn.Module):
    """What both stacks have: layers, the bias that they share, and a norm at the end."""

    config: EncoderDecoderConfig
    layer: type[nn.Module]
    bidirectional: bool

    def setup(self):
        c = self.config
        self.layers = self.layer(c)
        init = nn.initializers.normal(c.width**-0.5)
        self.relative_bias = self.param("relative_bias", init, (c.num_buckets, c.num_heads))
        self.final_norm = RmsNorm(c.norm_epsilon, False)

    def bias_at(self, distances: Int[np.ndarray, "*shape"]) -> Float[Array, "H *shape"]:
        """What is added to the logits of a key so far behind its query (negative: before it)."""
        c = self.config
        buckets = bucket_distances(
            distances, bidirectional=self.bidirectional, num_buckets=c.num_buckets, max_distance=c.max_distance
        )
        return look_up(self.relative_bias, buckets)

    def attend(self, mask: Bool[Array, "B T T"]) -> Attend:
        """Returns attention within rows, with the bias; the mask says which keys each query sees."""
        bias = self.bias_at(distances_between(*mask.shape[1:]))
        return lambda query, key, value, cache: (attention(query, key, value, mask, scale=1.0, bias=bias), cache)


class EncoderDecoder(nn.Module):
    """A conditional language model; parameters of a stack's layers are stacked on a leading axis and scanned over."""

    config: EncoderDecoderConfig

    def setup(self):
        c = self.config
        self.embedding = self.param("embedding", nn.initializers.normal(1.0), (c.vocab_size, c.width))
        self.encoder = RelativeStack(c, EncoderLayer, bidirectional=True)
        self.decoder = RelativeStack(c, DecoderLayer, bidirectional=False)
        if not c.tied_embeddings or self.has_variable("params", "unembedding"):
            self.unembedding = self.param("unembedding", nn.initializers.normal(0.02), (c.width, c.vocab_size))

    def __call__(
        self,
        tokens: Int[Array, "B P"],
        decoder_tokens: Int[Array, "B T"] | None = None,
        *,
        mask: Bool[Array, "B P"] | None = None,
        decoder_mask: Bool[Array, "B T"] | None = None,
    ) -> Float[Array, "B T V"]:
        """Computes the logits, float32, of the token that follows each of ``decoder_tokens``.

        Args:
          tokens: what the encoder reads.
          decoder_tokens: what the decoder reads, the start token first; None means the start token alone.
          mask: True for the encoder's real tokens; None means all. Rows may be padded on either side.
          decoder_mask: True for the decoder's real tokens; rows padded on the right may leave it out.
        """
        return self.logits(self.hidden(tokens, decoder_tokens, mask=mask, decoder_mask=decoder_mask))

    def hidden(
        self,
        tokens: Int[Array, "B P"],
        decoder_tokens: Int[Array, "B T"] | None = None,
        *,
        mask: Bool[Array, "B P"] | None = None,
        decoder_mask: Bool[Array, "B T"] | None = None,
    ) -> Float[Array, "B T D"]:
        """Computes the decoder's normed output, in v1.0 scaled by ``width ** -0.5``, before the vocabulary.

        Args:
          tokens: what the encoder reads.
          decoder_tokens: what the decoder reads, the start token first; None means the start token alone.
          mask: True for the encoder's real tokens; None means all. Rows may be padded on either side.
          decoder_mask: True for the decoder's real tokens; rows padded on the right may leave it out.
        """
        b = tokens.shape[0]
        if decoder_tokens is None:
            decoder_tokens = jnp.full((b, 1), self.config.start_id, tokens.dtype)
        mask = jnp.ones(tokens.shape, bool) if mask is None else mask
        decoder_mask = jnp.ones(decoder_tokens.shape, bool) if decoder_mask is None else decoder_mask
        encoded = self.encode(tokens, mask)
        return self.decode(encoded, mask, decoder_tokens[:, None], decoder_mask[:, None])[:, 0]

    def encode(self, tokens: Int[Array, "B P"], mask: Bool[Array, "B P"]) -> Float[Array, "B P D"]:
        """The encoder's normed output."""
        c = self.config
        b, p = tokens.shape
        attend = self.encoder.attend(jnp.broadcast_to(mask[:, None], (b, p, p)))

        def step(layer, x, _):
            return layer(x, attend), None

        x = scan_layers(step, self.encoder.layers, self._embed(tokens), None, length=c.num_layers, remat=c.remat)
        return self.encoder.final_norm(x)

    def decode(
        self,
        encoded: Float[Array, "B P D"],
        mask: Bool[Array, "B P"],
        tokens: Int[Array, "B K T"],
        valid: Bool[Array, "B K T"],
    ) -> Float[Array, "B K T D"]:
        """Computes what :meth:`hidden` does for K decoder rows, padded on the right, to each row of the encoder."""
        c = self.config
        b, k, t = tokens.shape
        causal = jnp.tril(jnp.ones((t, t), bool))[None] & valid.reshape(b * k, 1, t)
        attend = self.decoder.attend(causal)
        seen = jnp.broadcast_to(mask[:, None], (b, k * t, mask.shape[1]))

        def attend_memory(query, remember, cache):
            flat = query.reshape(b, k * t, *query.shape[2:])
            return attention(flat, *remember(encoded), seen, scale=1.0).reshape(query.shape)

        def step(layer, x, _):
            return layer(x, (), attend, attend_memory)[0], None

        x = self._embed(tokens.reshape(b * k, t))
        x = scan_layers(step, self.decoder.layers, x, None, length=c.num_decoder_layers, remat=c.remat)
        return self._finish(x).reshape(b, k, t, -1)

    @nn.nowrap
    def split_streams(self, *prompts_and_responses: Array) -> Streams:
        """See :func:`jaxalign.models.streams.start_streams`."""
        return start_streams(self.config.start_id, *prompts_and_responses)

    def response_hidden(self, streams: Streams) -> Float[Array, "B K R D"]:
        """The state at each token of the response streams, the prompt having run through the encoder once."""
        encoded = self.encode(streams.prompt_tokens, streams.prompt_valid)
        return self.decode(encoded, streams.prompt_valid, streams.response_tokens, streams.response_valid)

    def separate_response_hidden(self, streams: Streams) -> Float[Array, "B K R D"]:
        """:meth:`response_hidden`, the prompt running through the encoder once for each response."""
        b, k, r = streams.response_tokens.shape
        prompts, masks = (jnp.repeat(x, k, axis=0) for x in (streams.prompt_tokens, streams.prompt_valid))
        tokens, valid = (x.reshape(b * k, r) for x in (streams.response_tokens, streams.response_valid))
        return self.hidden(prompts, tokens, mask=masks, decoder_mask=valid).reshape(b, k, r, -1)

    def remember(
        self, layers: Sequence[Params], tokens: Int[Array, "B P"], mask: Bool[Array, "B P"]
    ) -> tuple[Memory, ...]:
        """The memory of each decoder layer, given the parameters of each apart."""
        encoded, remember = self.encode(tokens, mask), Remember(self.config, parent=None)
        return tuple(remember.apply({"params": layer["memory"]}, encoded) for layer in layers)

    def run_layers(
        self,
        layers: Sequence[Params],
        tokens: Int[Array, "B T"],
        attend: Attend,
        attend_memory: AttendMemory,
        caches: Sequence[Any],
    ):
        """The decoder, with the parameters of each layer and its cache apart: ``(hidden [B, T, D], caches)``."""
        x, layer, after = self._embed(tokens), DecoderLayer(self.config, parent=None), []
        for params, cache in zip(layers, caches, strict=True):
            x, cache = layer.apply({"params": params}, x, cache, attend, attend_memory)
            after.append(cache)
        return self._finish(x), tuple(after)

    def bias_by_age(self, columns: int) -> Float[Array, "H columns"]:
        """The decoder's bias on a token that stands 0, 1, ... before the one that looks back."""
        return self.decoder.bias_at(-np.arange(columns))

    def logits(self, hidden: Float[Array, "... D"]) -> Float[Array, "... V"]:
        """The decoder's states to logits, float32."""
        dtype = self.config.dtype
        if self.has_variable("params", "unembedding"):
            return jnp.matmul(hidden, self.unembedding.astype(dtype), preferred_element_type=jnp.float32)
        return multiply_rows(hidden, self.embedding.astype(dtype), jnp.float32)

    def _finish(self, x):
        hidden = self.decoder.final_norm(x)
        return hidden * jnp.asarray(self.config.width**-0.5, hidden.dtype) if self.config.output_scale else hidden

    def _embed(self, tokens):
        return embed_tokens(self.embedding, self.embedding.astype(self.config.dtype), tokens)
