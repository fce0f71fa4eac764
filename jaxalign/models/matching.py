"""Classifiers that match texts with embeddings of class names: a vector for each class, trained with the rest."""

import dataclasses
import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.models.config import DecoderConfig, EncoderConfig
from jaxalign.models.pooling import backbone_part, build_backbone, check_length, row_hidden, row_state
from jaxalign.typing import Params


@dataclasses.dataclass(frozen=True)
class MatchingConfig:
    """A classifier that compares a text's state with a vector of each class, bilinearly.

    Logits are those of each class by itself: a text may have any number of them. ``pooling`` says which states they are
    read from, as in a ``ClassifierConfig``: ``"first"`` is an encoder's first token, through its pooler if it has one
    (BERT, as in TELEClass), and ``"mean"`` suits sentence encoders such as MiniLM.
    """

    backbone: DecoderConfig | EncoderConfig
    labels: tuple[str, ...]  # the name or id of each class, in the order of the logits, no two alike
    class_width: int  # of the classes' embeddings
    pooling: Literal["last", "mean", "first"] = "first"

    def __post_init__(self):
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must be of two or more classes, each once, got {len(self.labels)} labels")
        if self.pooling == "first" and isinstance(self.backbone, DecoderConfig):
            raise ValueError(
                "pooling 'first' reads a decoder's first token, which sees nothing else; use 'last' or 'mean'"
            )

    @property
    def family(self) -> str:
        """The backbone's family."""
        return self.backbone.family


class MatchingHead(nn.Module):
    """``d W C^T`` in float32: W starts uniform within 1 / sqrt(width), C with the classes' embeddings."""

    num_classes: int
    class_width: int

    @nn.compact
    def __call__(self, state: Float[Array, "B D"]) -> Float[Array, "B C"]:
        width = state.shape[-1]
        bound = width**-0.5
        start = functools.partial(jax.random.uniform, minval=-bound, maxval=bound)
        interaction = self.param("interaction", start, (width, self.class_width))
        # Replaced by what init_matching_params is given.
        classes = self.param("class_embeddings", nn.initializers.normal(1.0), (self.num_classes, self.class_width))
        return state.astype(jnp.float32) @ interaction.astype(jnp.float32) @ classes.astype(jnp.float32).T


class MatchingClassifier(nn.Module):
    """A backbone and a bilinear head on one pooled state: parameters ``{"backbone": ..., "head": ...}``.

    Source: TELEClass (arXiv 2403.00165), the classifier, with the authors' code for its start.
    """

    config: MatchingConfig

    def setup(self):
        self.backbone = build_backbone(self.config.backbone)
        self.head = MatchingHead(len(self.config.labels), self.config.class_width)

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
          mask: True for real tokens; None means all.
          token_types: 0 or 1 for each of an encoder's tokens; None means 0 everywhere.

        Raises:
          ValueError: rows longer than the backbone's ``max_length``, or token types for a decoder.
        """
        check_length(self.config.backbone, tokens.shape[1], "rows of {} tokens", "encode with smaller max_tokens")
        hidden = row_hidden(self.backbone, tokens, mask, token_types)
        mask = jnp.ones(tokens.shape, bool) if mask is None else mask
        logits = self.head(row_state(self.backbone, hidden, mask, mask, self.config.pooling))
        return jnp.where(jnp.broadcast_to(mask.any(axis=-1)[:, None], logits.shape), logits, 0)


def init_matching_params(
    model: MatchingClassifier,
    key: PRNGKeyArray,
    backbone_params: Params,
    class_embeddings: Float[Array, "_ _"],
) -> Params:
    """Makes parameters of a matching classifier on a pretrained backbone and embeddings of the classes' names.

    Args:
      model: a :class:`MatchingClassifier`.
      key: draws the matrix between states and embeddings; consumed.
      backbone_params: those of ``models.build(model.config.backbone)``; an output matrix is left out.
      class_embeddings: ``[C, E]``, in the order of ``model.config.labels``: in TELEClass the mean over a name's tokens
        without the first and the last, which are marks. They are trained like the rest.

    Returns:
      ``{"backbone": ..., "head": ...}``, for ``model.apply``.

    Raises:
      ValueError: ``backbone_params`` are not the backbone's, or the embeddings have another shape.
    """
    expected = (len(model.config.labels), model.config.class_width)
    if class_embeddings.shape != expected:
        raise ValueError(
            f"expected embeddings of {expected[0]} classes with class_width {expected[1]}, got "
            f"{class_embeddings.shape}; embed the names of the config's labels"
        )
    head = MatchingHead(*expected).init(key, jnp.zeros((1, model.config.backbone.width)))["params"]
    return {
        "backbone": backbone_part(model, key, backbone_params),
        "head": {**head, "class_embeddings": jnp.asarray(class_embeddings, jnp.float32)},
    }
