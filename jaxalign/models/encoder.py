"""A Flax Linen encoder of the BERT line (Devlin et al., arXiv 1810.04805)."""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.attention import attention
from jaxalign.models.config import EncoderConfig
from jaxalign.models.layers import ACTIVATIONS, LayerNorm, project, scan_layers


class EncoderAttention(nn.Module):
    config: EncoderConfig

    @nn.compact
    def __call__(self, x, visible):
        c = self.config
        linear = functools.partial(project, self, bias=True, dtype=c.dtype, float8=c.float8)
        query, key, value = (linear(name, x, (c.num_heads, c.head_dim), axes=1) for name in ("query", "key", "value"))
        attended = attention(query, key, value, visible, scale=c.head_dim**-0.5)
        return linear("output", attended, (c.width,), axes=2)


class Mlp(nn.Module):
    """``down(activation(up(x)))``."""

    config: EncoderConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B L D"]) -> Float[Array, "B L D"]:
        c = self.config
        linear = functools.partial(project, self, axes=1, bias=True, dtype=c.dtype, float8=c.float8)
        return linear("down", ACTIVATIONS[c.activation](linear("up", x, (c.mlp_width,))), (c.width,))


class EncoderLayer(nn.Module):
    config: EncoderConfig

    @nn.compact
    def __call__(self, x, visible):
        c = self.config
        x = LayerNorm(c.norm_epsilon, name="attention_norm")(x + EncoderAttention(c, name="attention")(x, visible))
        return LayerNorm(c.norm_epsilon, name="mlp_norm")(x + Mlp(c, name="mlp")(x))


class Encoder(nn.Module):
    """Tokens to hidden states; parameters of all layers are stacked on a leading axis and scanned over."""

    config: EncoderConfig

    def setup(self):
        c = self.config
        embedding = functools.partial(self.param, init_fn=nn.initializers.normal(0.02))
        self.embedding = embedding("embedding", shape=(c.vocab_size, c.width))
        self.position_embedding = embedding("position_embedding", shape=(c.max_length, c.width))
        self.token_type_embedding = embedding("token_type_embedding", shape=(c.num_token_types, c.width))
        self.embedding_norm = LayerNorm(c.norm_epsilon)
        self.layers = EncoderLayer(c)
        if c.pooler:
            self.pooler = self.param("pooler", nn.initializers.lecun_normal(), (c.width, c.width))
            self.pooler_bias = self.param("pooler_bias", nn.initializers.zeros, (c.width,))

    def __call__(
        self,
        tokens: Int[Array, "B L"],
        *,
        mask: Bool[Array, "B L"] | None = None,
        token_types: Int[Array, "B L"] | None = None,
        positions: Int[Array, "B L"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Computes the hidden states of every token: the last layer's output.

        Args:
          tokens: token ids, padded on either side.
          mask: True for real tokens, which alone are seen; None means all.
          token_types: which part of the row each token belongs to, 0 for the first; None means 0 everywhere.
          positions: by default 0 to L - 1, padding included, as BERT counts. They matter where padding stands before
            real tokens.

        Raises:
          ValueError: the row is longer than the model has positions for.
        """
        c = self.config
        b, length = tokens.shape
        if length > c.max_length:
            raise ValueError(
                f"rows of {length} tokens, but the encoder has positions for {c.max_length}; shorten the texts"
            )
        mask = jnp.ones(tokens.shape, bool) if mask is None else mask
        token_types = jnp.zeros_like(tokens) if token_types is None else token_types
        positions = jnp.broadcast_to(jnp.arange(length), tokens.shape) if positions is None else positions
        x = self.embedding[tokens] + self.token_type_embedding[token_types] + self.position_embedding[positions]
        # The sum and its norm are float32, whatever dtype the layers compute in and the parameters have.
        x = self.embedding_norm(x.astype(jnp.float32)).astype(c.dtype)
        visible = jnp.broadcast_to(mask[:, None, :], (b, length, length))

        def step(layer, x, _):
            return layer(x, visible), None

        return scan_layers(step, self.layers, x, None, length=c.num_layers, remat=c.remat)

    def pool_first(self, first: Float[Array, "B D"]) -> Float[Array, "B D"]:
        """The first token's state through the pooler, ``tanh(linear(first))``, in a model that has one."""
        dtype = self.config.dtype
        bias = jnp.broadcast_to(self.pooler_bias.astype(dtype), first.shape)
        return jnp.tanh(first @ self.pooler.astype(dtype) + bias)
