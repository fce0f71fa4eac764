"""Random lists and models for the tables."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxalign.typing import ListBatch, TokenBatch


class Sizes(NamedTuple):
    """Lists in a batch, tokens of a prompt, responses to it, tokens of each; nothing is padding."""

    lists: int
    prompt: int
    responses: int
    response: int

    @property
    def tokens(self) -> int:
        """Counts tokens of prompts, once each, and of responses."""
        return self.lists * (self.prompt + self.responses * self.response)


class Rows(NamedTuple):
    """Packed rows in a batch, examples in each, tokens of each example; nothing is padding."""

    rows: int
    examples: int
    length: int


def random_lists(sizes: Sizes, vocab_size: int) -> ListBatch:
    """Uniform tokens and labels."""
    b, p, k, r = sizes
    prompt_key, response_key, label_key = jax.random.split(jax.random.key(0), 3)
    return ListBatch(
        prompt_tokens=jax.random.randint(prompt_key, (b, p), 0, vocab_size),
        prompt_mask=jnp.ones((b, p), bool),
        response_tokens=jax.random.randint(response_key, (b, k, r), 0, vocab_size),
        response_mask=jnp.ones((b, k, r), bool),
        labels=jax.random.uniform(label_key, (b, k)),
        where=jnp.ones((b, k), bool),
        reference_logps=jnp.zeros((b, k)),
    )


def random_rows(rows: int, prompt: int, response: int, vocab_size: int) -> TokenBatch:
    """Rows of one example each without padding, uniform tokens; the loss is on responses."""
    shape = (rows, prompt + response)
    tokens = jax.random.randint(jax.random.key(0), (rows, prompt + response + 1), 0, vocab_size)
    positions = jnp.broadcast_to(jnp.arange(shape[1]), shape)
    return TokenBatch(
        tokens=tokens[:, :-1],
        targets=tokens[:, 1:],
        loss_mask=positions >= prompt - 1,
        segment_ids=jnp.ones(shape, jnp.int32),
        positions=positions,
    )


def random_params(model):
    """Parameters as at the start of training, float32."""
    return jax.jit(model.init)(jax.random.key(1), jnp.zeros((1, 2), jnp.int32))["params"]
