"""One state for a row of tokens: what rewards, classes and embeddings are read from."""

import dataclasses
from typing import Literal

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign import numerics
from jaxalign.models.config import DecoderConfig, EncoderConfig
from jaxalign.models.decoder import Decoder
from jaxalign.models.encoder import Encoder
from jaxalign.models.shapes import shape_differences
from jaxalign.typing import Params

Pooling = Literal["last", "mean", "first"]


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


def build_backbone(config: DecoderConfig | EncoderConfig) -> Decoder | Encoder:
    """The network under a head, which predicts no token: a decoder has no output matrix of its own."""
    if isinstance(config, EncoderConfig):
        return Encoder(config)
    return Decoder(dataclasses.replace(config, tied_embeddings=True))


def row_hidden(
    backbone: Decoder | Encoder,
    tokens: Int[Array, "B L"],
    mask: Bool[Array, "B L"] | None,
    token_types: Int[Array, "B L"] | None,
) -> Float[Array, "B L D"]:
    """The states of every token of rows; ValueError for token types of a decoder."""
    if isinstance(backbone, Encoder):
        return backbone(tokens, mask=mask, token_types=token_types)
    if token_types is not None:
        raise ValueError(f"a {backbone.config.family} decoder has no token types; leave token_types out")
    return backbone.hidden(tokens, mask=mask)


def row_state(
    backbone: Decoder | Encoder,
    hidden: Float[Array, "*batch L D"],
    mask: Bool[Array, "*batch L"],
    pooled: Bool[Array, "*batch L"],
    pooling: Pooling,
) -> Float[Array, "*batch D"]:
    """One state for each row: of its first real token, through an encoder's pooler, or of those that are pooled."""
    if pooling != "first":
        return pool_states(hidden, pooled, pooling)
    state = pool_states(hidden, mask, "first")
    return backbone.pool_first(state) if backbone.config.pooler else state


def check_length(config: DecoderConfig | EncoderConfig, length: int, what: str, remedy: str) -> None:
    """ValueError for rows that are longer than the network has positions; ``what`` has a place for the length."""
    if length > config.max_length:
        raise ValueError(
            f"{what.format(length)}, but the {config.family} backbone has {config.max_length} positions (max_length); "
            f"{remedy}"
        )


def backbone_part(model, key: PRNGKeyArray, backbone_params: Params) -> Params:
    """The backbone's parameters of a model with a head, taken from pretrained ones, without an output matrix.

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
            f"with the config that the model was built from"
        )
    return flax.traverse_util.unflatten_dict(given, sep="/")
