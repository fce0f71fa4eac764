"""Log-probabilities of the responses of a list, the prompt computed once or once per response.

``model`` is a decoder or an encoder-decoder: both lay a batch out by ``split_streams`` and run it by
``response_hidden`` or ``separate_response_hidden``.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxalign.losses import token_logps
from jaxalign.models.config import LanguageModelConfig
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
    hidden = response_hidden(model, params, batch, shared_prompt=shared_prompt)
    logps = token_logps(
        hidden, unembedding(model.config, params), batch.response_tokens, logit_softcap=model.config.logit_softcap
    )
    return jnp.where(batch.response_mask & batch.where[:, :, None], logps, 0)


def response_hidden(model, params: Params, batch: ListBatch, *, shared_prompt: bool = True) -> Float[Array, "B K R D"]:
    """The hidden states that predict each response token: with :func:`unembedding`, next-token distributions."""
    streams = model.split_streams(batch.prompt_tokens, batch.prompt_mask, batch.response_tokens, batch.response_mask)
    hidden_fn = model.response_hidden if shared_prompt else model.separate_response_hidden
    return model.apply({"params": params}, streams, method=hidden_fn)


def unembedding(config: LanguageModelConfig, params: Params) -> Float[Array, "D V"]:
    """The output matrix, in the model's compute dtype: the embedding's, if the parameters have none of its own."""
    matrix = params["unembedding"] if "unembedding" in params else params["embedding"].T
    return matrix.astype(config.dtype)
