"""How a prompt and its K responses are laid out for the network.

To predict (:func:`split_streams`), each response stream is fed the prompt's last token and then its own tokens but the
last, so that its hidden state at t predicts its token t; the prompt stream drops that last token. To
be scored (:func:`unshifted_streams`), as rewards are, both are fed just their tokens, so that the state at t has seen
token t. Either
way a prompt costs P and its responses K * R positions. An encoder-decoder's streams (:func:`start_streams`) meet in
cross-attention only: its responses begin with the start token. Prompts are padded on either side, responses on the
right.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Shaped

from jaxalign import sharding


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
    """Streams whose states predict the responses. A prompt without a token predicts from token 0."""
    index = jnp.arange(prompt_tokens.shape[1])[None]
    last = jnp.max(jnp.where(prompt_mask, index, 0), axis=1, keepdims=True)
    last_token = jnp.take_along_axis(prompt_tokens, last, axis=1)
    length = prompt_mask.sum(axis=1)
    valid = _shift(jnp.ones((1, 1), bool), response_mask)
    return Streams(
        prompt_tokens=prompt_tokens,
        prompt_positions=count_positions(prompt_mask),
        prompt_valid=prompt_mask & (index != last),
        response_tokens=_shift(last_token, response_tokens),
        response_positions=jnp.maximum(length - 1, 0)[:, None, None] + count_positions(valid),
        response_valid=valid,
    )


def start_streams(
    start_id: int,
    prompt_tokens: Int[Array, "B P"],
    prompt_mask: Bool[Array, "B P"],
    response_tokens: Int[Array, "B K R"],
    response_mask: Bool[Array, "B K R"],
) -> Streams:
    """Streams like those of :func:`split_streams`, for an encoder-decoder.

    The prompt stays complete, and responses follow ``start_id`` from position 0 on.
    """
    streams = unshifted_streams(prompt_tokens, prompt_mask, response_tokens, response_mask)
    valid = _shift(jnp.ones((1, 1), bool), response_mask)
    return streams._replace(
        response_tokens=_shift(jnp.full((1, 1), start_id), response_tokens),
        response_positions=count_positions(valid),
        response_valid=valid,
    )


def unshifted_streams(
    prompt_tokens: Int[Array, "B P"],
    prompt_mask: Bool[Array, "B P"],
    response_tokens: Int[Array, "B K R"],
    response_mask: Bool[Array, "B K R"],
) -> Streams:
    """Streams whose states have seen the token at which they stand."""
    length = prompt_mask.sum(axis=1)
    return Streams(
        prompt_tokens=prompt_tokens,
        prompt_positions=count_positions(prompt_mask),
        prompt_valid=prompt_mask,
        response_tokens=response_tokens,
        response_positions=length[:, None, None] + count_positions(response_mask),
        response_valid=response_mask,
    )


def join_row(prompt: Shaped[Array, "B P *rest"], responses: Shaped[Array, "B K R *rest"]) -> Shaped[Array, "B T *rest"]:
    """A prompt's stream and those of its responses in one row of ``T = P + K * R`` places.

    On a mesh that splits rows over n devices (context parallelism), the row is n stretches of equal length, each with a
    stretch of the prompt and with K / n responses, or with a stretch of every response: what :func:`split_row` takes
    apart never leaves its device.

    Raises:
      ValueError: prompt or responses cannot be dealt out evenly.
    """
    (b, p), (k, r) = prompt.shape[:2], responses.shape[1:3]
    rest, n = prompt.shape[2:], _stretches(p, k, r)
    prompt = prompt.reshape(b, n, p // n, *rest)
    if k % n:
        responses = jnp.moveaxis(responses.reshape(b, k, n, r // n, *rest), 2, 1)
    return jnp.concatenate([prompt, responses.reshape(b, n, k * r // n, *rest)], axis=2).reshape(b, p + k * r, *rest)


def split_row(
    row: Shaped[Array, "B T *rest"], sizes: tuple[int, int, int]
) -> tuple[Shaped[Array, "B P *rest"], Shaped[Array, "B K R *rest"]]:
    """Prompt and responses of a row that :func:`join_row` made; ``sizes`` are P, K and R."""
    p, k, r = sizes
    b, rest, n = row.shape[0], row.shape[2:], _stretches(*sizes)
    row = row.reshape(b, n, -1, *rest)
    prompt, responses = row[:, :, : p // n].reshape(b, p, *rest), row[:, :, p // n :]
    if k % n:
        responses = jnp.moveaxis(responses.reshape(b, n, k, r // n, *rest), 1, 2)
    return prompt, responses.reshape(b, k, r, *rest)


def _stretches(p: int, k: int, r: int) -> int:
    """Returns the number of devices over which a row is split."""
    n = sharding.num_shards("length")
    if p % n or (k % n and r % n):
        raise ValueError(
            f"a prompt of {p} tokens with {k} responses of {r} cannot be dealt out over {n} devices (context={n}): "
            f"expected a multiple of {n} for the prompt's length, such as {-(-p // n) * n}, and for the number of "
            f"responses or their length, such as {-(-r // n) * n}"
        )
    return n


def _shift(first, rest):
    """``rest [B, K, R]`` one to the right, behind ``first [B or 1, 1]``."""
    first = jnp.broadcast_to(first[:, :, None].astype(rest.dtype), (*rest.shape[:2], 1))
    return jnp.concatenate([first, rest[:, :, :-1]], axis=2)


def rows_of_streams(
    streams: Streams,
) -> tuple[Int[Array, "N L"], Int[Array, "N L"], Bool[Array, "N L"]]:
    """One row for each response, its prompt repeated: tokens, positions, and which of them are real."""
    b, k, _ = streams.response_tokens.shape

    def rows(prompt, response):
        prompt = jnp.broadcast_to(prompt[:, None], (b, k, prompt.shape[1]))
        return jnp.concatenate([prompt, response], axis=2).reshape(b * k, -1)

    return (
        rows(streams.prompt_tokens, streams.response_tokens),
        rows(streams.prompt_positions, streams.response_positions),
        rows(streams.prompt_valid, streams.response_valid),
    )
