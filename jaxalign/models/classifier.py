"""Classes of texts on any encoder or decoder: one class for each text, or any number of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.models.head_config import ClassifierConfig
from jaxalign.models.layers import project
from jaxalign.models.pooling import backbone_part, build_backbone, check_length, row_hidden, row_state
from jaxalign.typing import Params


class ClassifierHead(nn.Module):
    """A linear map to one logit for each class, in float32; its weights start with variance 1 / width."""

    num_classes: int
    bias: bool

    @nn.compact
    def __call__(self, state: Float[Array, "B D"]) -> Float[Array, "B C"]:
        state = state.astype(jnp.float32)
        return project(self, "classes", state, (self.num_classes,), axes=1, bias=self.bias, dtype="float32")


class Classifier(nn.Module):
    """A backbone and a linear head on one pooled state: parameters ``{"backbone": ..., "head": ...}``."""

    config: ClassifierConfig

    def setup(self):
        self.backbone = build_backbone(self.config.backbone)
        self.head = ClassifierHead(len(self.config.labels), self.config.head_bias)

    def __call__(
        self,
        tokens: Int[Array, "B L"],
        *,
        mask: Bool[Array, "B L"] | None = None,
        token_types: Int[Array, "B L"] | None = None,
    ) -> Float[Array, "B C"]:
        """Computes the logits of each text's classes, float32; 0 for a row without a real token.

        Args:
          tokens: one text in each row, as its tokenizer writes it.
          mask: True for real tokens; None means all. A decoder's rows may be padded on either side, an encoder's
            behind the text.
          token_types: 0 or 1 for each of an encoder's tokens; None means 0 everywhere.

        Raises:
          ValueError: rows longer than the backbone's ``max_length``, or token types for a decoder.
        """
        check_length(self.config.backbone, tokens.shape[1], "rows of {} tokens", "encode with smaller max_tokens")
        hidden = row_hidden(self.backbone, tokens, mask, token_types)
        mask = jnp.ones(tokens.shape, bool) if mask is None else mask
        logits = self.head(row_state(self.backbone, hidden, mask, mask, self.config.pooling))
        return jnp.where(jnp.broadcast_to(mask.any(axis=-1)[:, None], logits.shape), logits, 0)


def class_probabilities(
    model, params: Params, tokens: Int[Array, "B L"], mask: Bool[Array, "B L"]
) -> Float[Array, "B C"]:
    """Computes the probability of each class of each text.

    Where texts have one class, the probabilities of a text sum to 1. Where they may have several, each class has a
    probability of its own.

    Args:
      model: a classifier, as ``models.build`` makes it of a ``ClassifierConfig`` or ``MatchingConfig`` with C labels.
      params: its parameters.
      tokens: ``[B, L]``, one text in each row.
      mask: ``[B, L]``, True for real tokens.

    Returns:
      ``[B, C]``, float32, in [0, 1].

    Raises:
      ValueError: rows longer than the backbone's ``max_length``.
    """
    logits = model.apply({"params": params}, tokens, mask=mask)
    return jax.nn.sigmoid(logits) if model.config.multi_label else jax.nn.softmax(logits, axis=-1)


def init_classifier_params(model, key: PRNGKeyArray, backbone_params: Params) -> Params:
    """Makes parameters of a classifier on a pretrained backbone, whose arrays are taken as they are.

    Args:
      model: a classifier, as ``models.build`` makes it of a ``ClassifierConfig``.
      key: draws the head's weights; consumed.
      backbone_params: those of ``models.build(model.config.backbone)``; an output matrix is left out.

    Returns:
      ``{"backbone": ..., "head": ...}``, for ``model.apply``.

    Raises:
      ValueError: ``backbone_params`` are not the backbone's.
    """
    backbone = backbone_part(model, key, backbone_params)
    head = ClassifierHead(len(model.config.labels), model.config.head_bias)
    return {"backbone": backbone, "head": head.init(key, jnp.zeros((1, model.config.backbone.width)))["params"]}
