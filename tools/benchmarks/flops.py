"""What a training step has to multiply, and what of that counts: half of model FLOP utilisation (MFU).

The other half is the device's peak (:mod:`tools.hardware`). A step's :class:`Work` follows from its batch, and the
FLOP of that work from the model.
"""

from typing import NamedTuple

import numpy as np

from jaxalign.models import DecoderConfig
from tools.benchmarks.batches import Rows, Sizes

CONVENTION = (
    "MFU counts 6 FLOP for each parameter of a matrix product and each token that goes through it (layers: P - 1",
    "prompt tokens, once a list, and K R response tokens; output matrix: K R response tokens), and 12 FLOP for each",
    "layer, head, head element, and pair of a query with a key that causality and window let it see. Not counted:",
    "recomputation (rematerialised layers, blockwise logits), masked pairs, embedding lookup, norms, softmax,",
    "optimizer.",
)


class Work(NamedTuple):
    """What a step does, whatever the model's widths."""

    tokens: int  # through the layers
    outputs: int  # through the output matrix
    pairs: int  # of a query and a key that it may see, summed over layers
    dense_pairs: int  # of a query and a key that are multiplied, visible or not, summed over layers


class Flops(NamedTuple):
    """FLOP by what they are spent on."""

    layers: int
    logits: int
    attention: int

    @property
    def total(self) -> int:
        return sum(self)


def list_work(config: DecoderConfig, sizes: Sizes) -> Work:
    """Counts shared-prompt lists without padding, whose responses are predicted (LiPO; DPO, with two responses)."""
    b, p, k, r = sizes
    return Work(
        tokens=b * (p - 1 + k * r),
        outputs=b * k * r,
        pairs=b * _over_layers(config, lambda window: visible_pairs(p, k, r, window)),
        dense_pairs=b * config.num_layers * _dense_list_pairs(sizes),
    )


def reward_work(config: DecoderConfig, sizes: Sizes) -> Work:
    """Counts shared-prompt lists without padding, whose responses get a reward: prompts are read to the last token."""
    b, p, k, r = sizes
    return Work(
        tokens=b * (p + k * r),
        outputs=0,
        pairs=b * _over_layers(config, lambda window: visible_pairs(p + 1, k, r, window)),
        dense_pairs=b * config.num_layers * _dense_list_pairs(sizes),
    )


def row_work(config: DecoderConfig, rows: Rows) -> Work:
    """Counts full packed rows, every token of which goes through the output matrix (SFT)."""
    b, examples, length = rows
    return Work(
        tokens=b * examples * length,
        outputs=b * examples * length,
        pairs=b * examples * _over_layers(config, lambda window: visible_pairs(1, 1, length, window)),
        dense_pairs=b * config.num_layers * (examples * length) ** 2,
    )


def step_flops(config: DecoderConfig, work: Work) -> Flops:
    """FLOP of forward and backward by ``CONVENTION``."""
    return Flops(
        layers=6 * config.num_layers * layer_weights(config) * work.tokens,
        logits=6 * config.width * config.vocab_size * work.outputs,
        attention=12 * config.num_heads * config.head_dim * work.pairs,
    )


def executed_flops(config: DecoderConfig, work: Work) -> Flops:
    """About what a device multiplies: with recomputation and with masked pairs.

    Logits are computed again in backward, block by block: 8 FLOP for 6. So is all of a layer with ``remat`` "full", and
    attention alone with "dots". XLA leaves out what it can, such as a layer's last product: this is an upper bound.
    """
    counted = step_flops(config, work._replace(pairs=work.dense_pairs))
    layers, attention = {"none": (3, 3), "dots": (3, 4), "full": (4, 4)}[config.remat]
    return Flops(counted.layers * layers // 3, counted.logits * 4 // 3, counted.attention * attention // 3)


def layer_weights(config: DecoderConfig) -> int:
    """Parameters of one layer that are multiplied."""
    attention = config.width * config.head_dim * (2 * config.num_heads + 2 * config.num_kv_heads)
    return attention + 3 * config.width * config.mlp_width


def visible_pairs(prompt: int, responses: int, response: int, window: int | None) -> int:
    """Pairs of query and key in one list: a token at position t sees t + 1 tokens, or ``window`` of them.

    A response is fed the prompt's last token, so it starts at position ``prompt - 1``.
    """
    seen = np.arange(1, prompt + response)
    seen = seen if window is None else np.minimum(seen, window)
    return int(seen[: prompt - 1].sum() + responses * seen[prompt - 1 :].sum())


def _dense_list_pairs(sizes: Sizes) -> int:
    """Counts pairs in one layer and list: the prompt with itself, each response with the prompt and with itself."""
    return sizes.prompt**2 + sizes.responses * sizes.response * (sizes.prompt + sizes.response)


def _over_layers(config: DecoderConfig, pairs_fn) -> int:
    """The sum of ``pairs_fn(window)`` over layers, windowed or not."""
    return sum(pairs_fn(config.window if windowed else None) for windowed in config.layer_windows)
