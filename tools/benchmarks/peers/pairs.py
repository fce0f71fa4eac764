"""What both sides train on: ragged preference pairs, and two policies with random weights."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from jaxalign import data, models
from jaxalign.data import EncodedLists
from jaxalign.typing import Params
from tools.benchmarks.batches import random_params

EOS_ID, PAD_ID = 0, 1
BATCH = 8  # pairs
BETA = 0.1
LEARNING_RATE = 1e-4


class Lengths(NamedTuple):
    """The most tokens of a prompt and of a response; each is drawn from an eighth of that on."""

    prompt: int
    response: int


class Policies(NamedTuple):
    """A decoder, the parameters to train, and those of the reference."""

    config: models.DecoderConfig
    params: Params
    reference_params: Params


def random_policies(config: models.DecoderConfig) -> Policies:
    """Two draws of parameters: were they equal, every DPO loss would begin at log 2 and hide an error."""
    params = random_params(models.build(config))
    keys = jax.random.split(jax.random.key(2), len(jax.tree.leaves(params)))
    keys = jax.tree.unflatten(jax.tree.structure(params), list(keys))
    noise = jax.tree.map(lambda leaf, key: 0.02 * jax.random.normal(key, leaf.shape), params, keys)
    return Policies(config, params, jax.tree.map(lambda leaf, step: leaf + step, params, noise))


def random_pairs(lengths: Lengths, vocab_size: int, batch: int = BATCH) -> EncodedLists:
    """Prompts with a chosen and a rejected response (labels 1 and 0) that end with ``EOS_ID``.

    The limits are the longest prompt and response that were drawn, as TRL pads a batch to its longest row.
    """
    rng = np.random.default_rng(0)

    def draw(most: int) -> np.ndarray:
        return rng.integers(PAD_ID + 1, vocab_size, rng.integers(max(most // 8, 2), most + 1))

    prompts = [draw(lengths.prompt) for _ in range(batch)]
    responses = [[np.append(draw(lengths.response)[1:], EOS_ID) for _ in range(2)] for _ in range(batch)]
    longest = max(map(len, prompts)), max(len(response) for pair in responses for response in pair)
    return data.lists_from_tokens(prompts, responses, [[1.0, 0.0]] * batch, pad_id=PAD_ID, limits=longest)


def only_chosen(lists: EncodedLists) -> EncodedLists:
    """The prompts with their first response."""
    firsts = [lists.response(start) for start in lists.list_starts[:-1]]
    starts = np.cumsum([0, *map(len, firsts)])
    return dataclasses.replace(
        lists,
        response_tokens=np.concatenate(firsts),
        response_starts=starts,
        list_starts=np.arange(len(lists) + 1),
        labels=np.ones(len(lists), np.float32),
    )


def count_tokens(lists: EncodedLists) -> int:
    """Real tokens of prompts, once each, and responses."""
    return len(lists.prompt_tokens) + len(lists.response_tokens)
