"""A scalar reward on an encoder-decoder: the encoder reads the prompt, the decoder the response.

The decoder reads its start token and the response, and the reward stands in its states at the response's tokens.
transformers' ``T5ForSequenceClassification`` is another model: there both read one text, and a layer with tanh lies
before the linear map.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.encoder_decoder import EncoderDecoder
from jaxalign.models.head_config import RewardConfig
from jaxalign.models.pooling import pool_states
from jaxalign.models.reward import RewardHead
from jaxalign.models.streams import Streams, unshifted_streams


class EncoderDecoderRewardModel(nn.Module):
    """A backbone and a linear head on one pooled state: parameters ``{"backbone": ..., "head": ...}``."""

    config: RewardConfig

    def setup(self):
        # Nothing is predicted: no output matrix of its own, no scale before it.
        backbone = dataclasses.replace(self.config.backbone, tied_embeddings=True, output_scale=False)
        self.backbone = EncoderDecoder(backbone)
        self.head = RewardHead(self.config.head_bias)

    def __call__(
        self,
        tokens: Int[Array, "B P"],
        response_tokens: Int[Array, "B R"] | None = None,
        *,
        mask: Bool[Array, "B P"] | None = None,
        response_mask: Bool[Array, "B R"] | None = None,
    ) -> Float[Array, "B"]:
        """Computes the reward of each prompt's response, float32; 0 for a response without a token.

        Args:
          tokens: the prompt, which the encoder reads.
          response_tokens: ends with the end-of-sequence token. Left out, the start token stands for it, which is
            enough to make parameters.
          mask: True for the prompt's real tokens; None means all.
          response_mask: True for the response's real tokens, which padding may only follow; None means all.
        """
        if response_tokens is None:
            response_tokens = jnp.full((tokens.shape[0], 1), self.config.backbone.start_id, tokens.dtype)
        mask = jnp.ones(tokens.shape, bool) if mask is None else mask
        response_mask = jnp.ones(response_tokens.shape, bool) if response_mask is None else response_mask
        streams = unshifted_streams(tokens, mask, response_tokens[:, None], response_mask[:, None])
        return self.list_rewards(streams, shared_prompt=True)[:, 0]

    def list_rewards(self, streams: Streams, shared_prompt: bool) -> Float[Array, "B K"]:
        """The reward of each response of :func:`~jaxalign.models.streams.unshifted_streams`."""
        start = ((0, 0), (0, 0), (1, 0))
        begun = streams._replace(
            response_tokens=jnp.pad(streams.response_tokens, start, constant_values=self.config.backbone.start_id),
            response_valid=jnp.pad(streams.response_valid, start, constant_values=True),
        )
        hidden_fn = self.backbone.response_hidden if shared_prompt else self.backbone.separate_response_hidden
        valid = streams.response_valid
        state = pool_states(hidden_fn(begun)[:, :, 1:], valid, self.config.pooling)
        return jnp.where(valid.any(axis=-1), self.head(state), 0)
