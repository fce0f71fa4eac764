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

import dataclasses
from typing import Literal

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign import numerics
from jaxalign.models.config import EncoderConfig, RewardConfig
from jaxalign.models.decoder import Decoder
from jaxalign.models.encoder import Encoder
from jaxalign.models.layers import project
from jaxalign.models.shapes import shape_differences
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
        backbone = self.config.backbone
        if isinstance(backbone, EncoderConfig):
            self.backbone = Encoder(backbone)
        else:
            # Nothing is predicted: a decoder with tied embeddings has no output matrix of its own.
            self.backbone = Decoder(dataclasses.replace(backbone, tied_embeddings=True))
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
        if isinstance(self.backbone, Encoder):
            hidden = self.backbone(tokens, mask=mask, token_types=token_types)
        elif token_types is None:
            hidden = self.backbone.hidden(tokens, mask=mask)
        else:
            raise ValueError(f"a {self.config.family} decoder has no token types; leave token_types out")
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
        if self.config.pooling == "first":
            state = pool_states(hidden, mask, "first")
            state = self.backbone.pool_first(state) if self.config.backbone.pooler else state
        else:
            state = pool_states(hidden, pooled, self.config.pooling)
        return jnp.where(pooled.any(axis=-1), self.head(state), 0)

    def _check_length(self, length):
        limit = self.config.backbone.max_length
        if length > limit:
            raise ValueError(
                f"rows of {length} tokens (prompt and response together), but the {self.config.family} backbone has "
                f"{limit} positions (max_length); encode with smaller max_prompt and max_response"
            )


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


def pool_states(
    hidden: Float[Array, "*batch L D"], mask: Bool[Array, "*batch L"], pooling: Literal["last", "mean", "first"]
) -> Float[Array, "*batch D"]:
    """Returns one state for each row: that of its last or first real token, or the mean over its real tokens.

    The mean, divided by its norm, is the embedding of a sentence encoder such as MiniLM.

    Args:
      hidden: ``[..., L, D]``, the states of a row's tokens.
      mask: ``[..., L]``, True for real tokens. Padding may stand on either side.
      pooling: ``"last"``, ``"mean"`` or ``"first"``.

    Returns:
      ``[..., D]``; a mean is float32, and 0 for a row without a real token, whose last or first state is meaningless.

    Raises:
      ValueError: another ``pooling``.
    """
    if pooling == "mean":
        total = jnp.sum(jnp.where(mask[..., None], hidden.astype(jnp.float32), 0), axis=-2)
        return numerics.safe_divide(total, mask.sum(axis=-1, keepdims=True))
    if pooling == "first":
        index = jnp.argmax(mask, axis=-1)
    elif pooling == "last":
        index = mask.shape[-1] - 1 - jnp.argmax(mask[..., ::-1], axis=-1)
    else:
        raise ValueError(f"pooling must be 'last', 'mean' or 'first', got {pooling!r}")
    return jnp.take_along_axis(hidden, index[..., None, None], axis=-2)[..., 0, :]


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
    shapes = jax.eval_shape(model.init, key, jnp.zeros((1, 1), jnp.int32))["params"]
    expected, given = (flax.traverse_util.flatten_dict(tree, sep="/") for tree in (shapes["backbone"], backbone_params))
    given = {path: leaf for path, leaf in given.items() if path != "unembedding"}
    expected, given_shapes = ({path: leaf.shape for path, leaf in tree.items()} for tree in (expected, given))
    if problems := shape_differences(expected, given_shapes):
        raise ValueError(
            f"backbone_params are not those of the {model.config.family} backbone: {'; '.join(problems)}; load them "
            f"with the config that the reward model was built from"
        )
    width = model.config.backbone.width
    head = RewardHead(model.config.head_bias).init(key, jnp.zeros((1, width)))["params"]
    return {"backbone": flax.traverse_util.unflatten_dict(given, sep="/"), "head": head}
