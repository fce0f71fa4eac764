"""How a prompt and its K responses are laid out for the network.

Each response stream is fed the prompt's last token and then its own tokens but the last, so that its hidden state at
t predicts its token t; the prompt stream drops that last token. A prompt costs P and its responses K * R positions.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class Streams(NamedTuple):
    """Inputs of the prompt stream and of the K response streams; positions count real tokens, padding skipped."""

    prompt_tokens: Int[Array, "B P"]
    prompt_positions: Int[Array, "B P"]
    prompt_valid: Bool[Array, "B P"]
    response_tokens: Int[Array, "B K R"]
    response_positions: Int[Array, "B K R"]
    response_valid: Bool[Array, "B K R"]


def count_positions(mask: Bool[Array, "... L"]) -> Int[Array, "... L"]:
    """How many real tokens stand before each; what padding gets does not matter, but is never negative."""
    return jnp.maximum(jnp.cumsum(mask, axis=-1) - 1, 0)


def split_streams(
    prompt_tokens: Int[Array, "B P"],
    prompt_mask: Bool[Array, "B P"],
    response_tokens: Int[Array, "B K R"],
    response_mask: Bool[Array, "B K R"],
) -> Streams:
    """Prompts padded on either side, responses on the right. A prompt without a token predicts from token 0."""
    b, k, _ = response_tokens.shape
    index = jnp.arange(prompt_tokens.shape[1])[None]
    last = jnp.max(jnp.where(prompt_mask, index, 0), axis=1, keepdims=True)
    last_token = jnp.take_along_axis(prompt_tokens, last, axis=1)
    length = prompt_mask.sum(axis=1)

    def shift(first, rest):
        first = jnp.broadcast_to(first[:, :, None].astype(rest.dtype), (b, k, 1))
        return jnp.concatenate([first, rest[:, :, :-1]], axis=2)

    valid = shift(jnp.ones((b, 1), bool), response_mask)
    return Streams(
        prompt_tokens=prompt_tokens,
        prompt_positions=count_positions(prompt_mask),
        prompt_valid=prompt_mask & (index != last),
        response_tokens=shift(last_token, response_tokens),
        response_positions=jnp.maximum(length - 1, 0)[:, None, None] + count_positions(valid),
        response_valid=valid,
    )
