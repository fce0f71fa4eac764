"""Log-probabilities of the responses of a list, the prompt computed once or once per response."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.losses import token_logps
from jaxalign.models.config import DecoderConfig
from jaxalign.models.streams import split_streams
from jaxalign.typing import ListBatch, Params


def response_logps(model, params: Params, batch: ListBatch, *, shared_prompt: bool = True) -> Float[Array, "B K"]:
    """``log p(response | prompt)`` in nats, float32: the sum over the response's tokens, end of sequence included.

    ``shared_prompt=False`` runs K separate rows of prompt and response: the same numbers and gradients at the cost of
    K * (P + R) tokens a list instead of P + K * R. It is the reference that tests and benchmarks compare with.
    """
    return response_token_logps(model, params, batch, shared_prompt=shared_prompt).sum(axis=-1)


def response_token_logps(
    model, params: Params, batch: ListBatch, *, shared_prompt: bool = True
) -> Float[Array, "B K R"]:
    """The log-probability of each response token, 0 where the mask or ``where`` is False."""
    lists = batch.prompt_tokens, batch.prompt_mask, batch.response_tokens, batch.response_mask
    hidden_fn = model.response_hidden if shared_prompt else _separate_hidden
    hidden = model.apply({"params": params}, *lists, method=hidden_fn)
    logps = token_logps(
        hidden, unembedding(model.config, params), batch.response_tokens, logit_softcap=model.config.logit_softcap
    )
    return jnp.where(batch.response_mask & batch.where[:, :, None], logps, 0)


def unembedding(config: DecoderConfig, params: Params) -> Float[Array, "D V"]:
    """The output matrix, in the model's compute dtype."""
    matrix = params["embedding"].T if config.tied_embeddings else params["unembedding"]
    return matrix.astype(config.dtype)


def _separate_hidden(model, prompt_tokens, prompt_mask, response_tokens, response_mask):
    streams = split_streams(prompt_tokens, prompt_mask, response_tokens, response_mask)
    b, k, r = response_tokens.shape

    def rows(prompt, response):
        prompt = jnp.broadcast_to(prompt[:, None], (b, k, prompt.shape[1]))
        return jnp.concatenate([prompt, response], axis=2).reshape(b * k, -1)

    tokens, positions, valid = (rows(streams[i], streams[i + 3]) for i in range(3))
    hidden = model.hidden(tokens, mask=valid, positions=positions)
    return hidden[:, -r:].reshape(b, k, r, -1)
