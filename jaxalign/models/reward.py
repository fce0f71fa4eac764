"""Scalar rewards on any backbone, of rows and of lists.

A row is a prompt and one response. A list is K responses to one prompt: a decoder runs the prompt once for all of them
(:mod:`jaxalign.models.streams`), and so does an encoder-decoder, whose reward model is
:mod:`jaxalign.models.encoder_decoder_reward`; an encoder, whose prompt sees the response, runs K rows, with token type
0 for the prompt and 1 for the response. What stands between the two is the data's: prompts that end with ``[SEP]`` and
responses that end with ``[SEP]`` make BERT's ``[CLS] prompt [SEP] response [SEP]``.

Pooling in a list takes the *response's* states: the last of them (that of the end-of-sequence token, the only one of an
empty response), or their mean. In a row the mean goes over all real tokens, unless ``pooled`` marks some: with the
response marked, a row and its place in a list have one reward. ``"first"`` reads the row's first real token in both.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.models.decoder import Decoder
from jaxalign.models.encoder import Encoder
from jaxalign.models.head_config import RewardConfig
from jaxalign.models.layers import project
from jaxalign.models.pooling import backbone_part, build_backbone, check_length, row_hidden, row_state
from jaxalign.models.streams import Streams, rows_of_streams, unshifted_streams
from jaxalign.typing import ListBatch, Params


class RewardHead(nn.Module):
    """A linear map to one number, in float32; its weights start with variance 1 / width."""

    bias: bool

    @nn.compact
    def __call__(self, state: Float[Array, "... D"]) -> Float[Array, "..."]:
        state = state.astype(jnp.float32)
        return project(self, "reward", state, (1,), axes=1, bias=self.bias, dtype="float32")[..., 0]


class RewardModel(nn.Module):
    """A backbone and a linear head on one pooled state: parameters ``{"backbone": ..., "head": ...}``."""

    config: RewardConfig

    def setup(self):
        self.backbone = build_backbone(self.config.backbone)
        self.head = RewardHead(self.config.head_bias)

    def __call__(
        self,
        tokens: Int[Array, "B L"],
        *,
        mask: Bool[Array, "B L"] | None = None,
        token_types: Int[Array, "B L"] | None = None,
        pooled: Bool[Array, "B L"] | None = None,
    ) -> Float[Array, "B"]:
        """Computes the reward of each row, float32; 0 for a row of which nothing is pooled.

        Args:
          tokens: prompt and response in one row.
          mask: True for real tokens; None means all. Rows may be padded on either side.
          token_types: 0 or 1 for each of an encoder's tokens; None means 0 everywhere.
          pooled: True for the tokens whose states count, by default all real ones.

        Raises:
          ValueError: rows longer than the backbone's ``max_length``, or token types for a decoder.
        """
        self._check_length(tokens.shape[1])
        hidden = row_hidden(self.backbone, tokens, mask, token_types)
        mask = jnp.ones(tokens.shape, bool) if mask is None else mask
        return self._score(hidden, mask, mask if pooled is None else mask & pooled)

    def list_rewards(self, streams: Streams, shared_prompt: bool) -> Float[Array, "B K"]:
        """The reward of each response of :func:`~jaxalign.models.streams.unshifted_streams`."""
        p, r = streams.prompt_tokens.shape[1], streams.response_tokens.shape[2]
        self._check_length(p + r)
        if not isinstance(self.backbone, Encoder):
            hidden_fn = Decoder.response_hidden if shared_prompt else Decoder.separate_response_hidden
            return self._score(hidden_fn(self.backbone, streams), streams.response_valid, streams.response_valid)
        tokens, positions, mask = rows_of_streams(streams)
        in_response = jnp.broadcast_to(jnp.arange(p + r) >= p, tokens.shape)
        token_types = in_response.astype(jnp.int32) if self.config.backbone.num_token_types > 1 else None
        hidden = self.backbone(tokens, mask=mask, token_types=token_types, positions=positions)
        return self._score(hidden, mask, mask & in_response).reshape(streams.response_tokens.shape[:2])

    def _score(self, hidden, mask, pooled):
        state = row_state(self.backbone, hidden, mask, pooled, self.config.pooling)
        return jnp.where(pooled.any(axis=-1), self.head(state), 0)

    def _check_length(self, length):
        what = "rows of {} tokens (prompt and response together)"
        check_length(self.config.backbone, length, what, "encode with smaller max_prompt and max_response")


def response_rewards(model, params: Params, batch: ListBatch, *, shared_prompt: bool = True) -> Float[Array, "B K"]:
    """Computes the scalar reward of every response of lists; ranking losses take them as scores.

    Args:
      model: a reward model, as ``models.build`` makes it of a ``RewardConfig``.
      params: its parameters.
      batch: padded lists.
      shared_prompt: whether a decoder or encoder-decoder runs the prompt once for all responses. False runs K separate
        rows, as an encoder always does: the same numbers and gradients at a higher cost.

    Returns:
      ``[B, K]``, float32; 0 where ``batch.where`` is False or a response has no token.

    Raises:
      ValueError: P + R exceeds the backbone's ``max_length``.
    """
    streams = unshifted_streams(batch.prompt_tokens, batch.prompt_mask, batch.response_tokens, batch.response_mask)
    rewards = model.apply({"params": params}, streams, shared_prompt, method=model.list_rewards)
    return jnp.where(batch.where, rewards, 0)


def init_reward_params(model, key: PRNGKeyArray, backbone_params: Params) -> Params:
    """Makes parameters of a reward model on a pretrained backbone, whose arrays are taken as they are.

    Args:
      model: a reward model, as ``models.build`` makes it of a ``RewardConfig``.
      key: draws the head's weights.
      backbone_params: those of ``models.build(model.config.backbone)``; an output matrix is left out.

    Returns:
      ``{"backbone": ..., "head": ...}``, for ``model.apply``.

    Raises:
      ValueError: ``backbone_params`` are not the backbone's.
    """
    backbone = backbone_part(model, key, backbone_params)
    head = RewardHead(model.config.head_bias).init(key, jnp.zeros((1, model.config.backbone.width)))["params"]
    return {"backbone": backbone, "head": head}
