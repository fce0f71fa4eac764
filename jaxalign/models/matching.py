"""Classifiers that match texts with embeddings of class names: a vector for each class, trained with the rest."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxalign.models.classifier import Classifier
from jaxalign.models.head_config import MatchingConfig
from jaxalign.models.pooling import backbone_part, build_backbone
from jaxalign.typing import Params


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


class MatchingClassifier(Classifier):
    """A backbone and a bilinear head on one pooled state: parameters ``{"backbone": ..., "head": ...}``.

    Source: TELEClass (arXiv 2403.00165), the classifier, with the authors' code for its start.
    """

    config: MatchingConfig

    def setup(self):
        self.backbone = build_backbone(self.config.backbone)
        self.head = MatchingHead(len(self.config.labels), self.config.class_width)


def init_matching_params(
    model: MatchingClassifier,
    key: PRNGKeyArray,
    backbone_params: Params,
    class_embeddings: Float[Array, "_ _"],
) -> Params:
    """Makes parameters of a matching classifier on a pretrained backbone and embeddings of the classes' names.

    Args:
      model: a classifier, as ``models.build`` makes it of a ``MatchingConfig``.
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
